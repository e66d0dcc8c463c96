"""Families of chat templates whose pre-query text is known: a cross-check of what is derived from a model's own.

Where no tokenizer is at hand, as with a server that only takes text, a family can stand for the template. Each row was
held against a copy of the published template; the tests have these, with the place where each was read.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from porism.errors import RecipeError, nearest

__all__ = ["FAMILIES", "Family", "matching", "named"]

_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
_ANY_DATES = r"Cutting Knowledge Date: [^\n]*\nToday Date: [^\n]*\n\n"


class Family(NamedTuple):
    """How a family's templates write a chat, as far as the first user turn is concerned."""

    name: str
    models: str
    bos: str
    """What stands at the very beginning, once; empty where nothing does."""
    default: str
    """What stands between that and the user's turn where no system message is given."""
    system: str
    """The same with a system message, which stands in place of ``{}``; empty where there is no turn for it."""
    user: str
    """Begins the user's turn."""
    end: str
    """The mark that ends it."""
    where: Literal["turn", "user", "refused"] = "turn"
    """Where a system message goes: before the user's turn, into it, or nowhere."""

    def before(self, system: str = "") -> str:
        """What stands before the user's words, without the BOS.

        Args:
            system: a system message; none where it is empty. A family that refuses one gets it in the user's turn.
        """
        if not system:
            return self.default + self.user
        if self.system:
            return self.system.replace("{}", system) + self.user
        return f"{self.user}{system}\n\n"


def _chatml(name: str, models: str, default: str) -> Family:
    turn = "<|im_start|>system\n{}<|im_end|>\n"
    return Family(
        name, models, "", turn.replace("{}", default) if default else "", turn, "<|im_start|>user\n", "<|im_end|>"
    )


def _llama(name: str, models: str, dates: str) -> Family:
    turn, end = f"<|start_header_id|>system<|end_header_id|>\n\n{dates}{{}}<|eot_id|>", "<|eot_id|>"
    default = turn.replace("{}", "") if dates else ""
    return Family(name, models, "<|begin_of_text|>", default, turn, "<|start_header_id|>user<|end_header_id|>\n\n", end)


FAMILIES = (
    _llama("llama-3", "Llama 3", ""),
    _llama("llama-3.1", "Llama 3.1, 3.2 and 3.3", _DATES),
    _chatml("qwen2", "Qwen2, Qwen2-Math", "You are a helpful assistant."),
    _chatml("qwen2.5", "Qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    _chatml("qwen2.5-math", "Qwen2.5-Math", r"Please reason step by step, and put your final answer within \boxed{}."),
    _chatml("qwen3", "Qwen3; ChatML that has no system message of its own", ""),
    _chatml("smollm2", "SmolLM2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    Family(
        "deepseek-r1",
        "DeepSeek-R1 and its distils",
        "<｜begin▁of▁sentence｜>",
        "",
        "{}",
        "<｜User｜>",
        "<｜Assistant｜>",
    ),
    Family("gemma-2", "Gemma 2", "<bos>", "", "", "<start_of_turn>user\n", "<end_of_turn>", "refused"),
    Family("gemma-3", "Gemma 3", "<bos>", "", "", "<start_of_turn>user\n", "<end_of_turn>", "user"),
    Family("phi-3", "Phi-3.5", "", "", "<|system|>\n{}<|end|>\n", "<|user|>\n", "<|end|>"),
    Family("phi-3-mini", "Phi-3-mini as first published", "<s>", "", "", "<|user|>\n", "<|end|>", "refused"),
)


def named(name: str) -> Family:
    """A family by its name.

    Raises:
        RecipeError: there is none.
    """
    known = {family.name: family for family in FAMILIES}
    if name not in known:
        raise RecipeError(f"family: no template family {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")
    return known[name]


def matching(bare: str, with_system: str, system: str, after: str) -> Family | None:
    """The family that a template belongs to, or None where none is known.

    Args:
        bare: all that the template writes before the user's words, without a system message.
        with_system: the same with a system message; empty where it refuses one, or leaves it out.
        system: that message.
        after: what follows the user's words.
    """
    for family in FAMILIES:
        wanted = family.bos + family.before(system) if family.where != "refused" else ""
        if after.startswith(family.end) and _alike(family.bos + family.before(), bare) and _alike(wanted, with_system):
            return family
    return None


def _alike(wanted: str, found: str) -> bool:
    """Whether two texts are equal but for the dates that some templates write."""
    pattern = re.escape(wanted).replace(re.escape(_DATES), _ANY_DATES)
    return re.fullmatch(pattern, found) is not None
