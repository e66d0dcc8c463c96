"""The pre-query text: all that a chat template writes before the user's words.

Magpie sends a model this text alone, and the model goes on with what a user would ask (Xu et al., 2024,
arXiv:2406.08464). It is derived from the model's own template: the template is rendered with a sentinel as the user's
words and cut there; what follows the sentinel says which mark ends the turn. The result is held against
:mod:`porism.synth._families`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism import console
from porism.errors import ModelError
from porism.prompts.render import prompt_text
from porism.records import Message, content_id
from porism.synth._families import Family, matching, named

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["PreQuery", "Template", "of_family", "of_tokenizer"]

_SENTINEL = "Porism5f0c9dSentinel"
_MARK = re.compile(r"<\S+?>|\[/?[A-Z_]+\]")


class PreQuery(NamedTuple):
    """A prompt that ends where the user's words begin: as text, and as token ids where a tokenizer is at hand."""

    text: str
    ids: tuple[int, ...]
    stops: tuple[str, ...]
    """Marks that end the turn, but for the one that ends a generation anyway."""

    @property
    def id(self) -> str:
        """A short hash of the text."""
        return content_id("pre-query", self.text)


class Template:
    """A model's chat template, as far as user turns are concerned.

    Args:
        tokenizer: the model's; None for a server of which only the family is known.
        family: the family that it was found to be, or is said to be; None for one that is not known.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, family: Family | None) -> None:
        self.tokenizer, self.family = tokenizer, family

    def pre_query(self, conversation: Sequence[Message]) -> PreQuery:
        """The prompt for the next user turn.

        Args:
            conversation: what was said before: a system message, turns, or nothing.

        Raises:
            ModelError: the template refuses the conversation, or changes the user's words.
        """
        if self.tokenizer is None:
            return self._written(conversation)
        text, after = _cut(self.tokenizer, conversation)
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        bos = self.tokenizer.bos_token_id
        while len(ids) > 1 and bos is not None and ids[0] == ids[1] == bos:  # a template that writes it twice
            del ids[0]
        mark = _end_mark(self.tokenizer, after)
        ends = mark in ("", self.tokenizer.eos_token)
        return PreQuery(text, tuple(ids), () if ends else (mark,))

    def text_of(self, ids: Sequence[int], stops: Sequence[str]) -> str:
        """Generated tokens as text, up to the first one that is a mark of the template.

        Raises:
            ModelError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise ModelError("token ids cannot be read without the model's tokenizer. Set tokenizer.")
        marks = {*self.tokenizer.all_special_ids, *(self.tokenizer.convert_tokens_to_ids(stop) for stop in stops)}
        end = next((at for at, token in enumerate(ids) if token in marks), len(ids))
        return str(self.tokenizer.decode(list(ids[:end]), skip_special_tokens=True))

    def _written(self, conversation: Sequence[Message]) -> PreQuery:
        """The prompt that the family's row gives. A server puts the BOS before a text by itself."""
        family = self.family
        if family is None or len(conversation) > 1:
            raise ModelError(
                "turns: a conversation of several turns, or one with shown questions, needs the model's tokenizer. Set "
                "tokenizer."
            )
        said = conversation[0]["content"] if conversation else ""
        return PreQuery(family.before(said), (), (family.end,))


def of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> Template:
    """The template of a model whose tokenizer is at hand, held against the known families.

    Raises:
        ModelError: it has none, or one that no user turn can be cut from.
    """
    bare, after = _cut(tokenizer, [])
    said = "Say it."
    message = [Message(role="system", content=said)]
    try:
        with_system = _around(tokenizer, prompt_text(tokenizer, [*message, Message(role="user", content=_SENTINEL)]))[0]
    except ModelError:
        with_system = ""
    family = matching(bare, with_system if said in with_system else "", said, after)
    if family is None:
        console.notice(
            f"  the chat template of {tokenizer.name_or_path} is of no family that was checked; derived from it, a "
            f"user's turn begins after {bare[-60:]!r} and ends at {_end_mark(tokenizer, after)!r}"
        )
    return Template(tokenizer, family)


def of_family(name: str) -> Template:
    """The template of a family, for a server whose tokenizer is not at hand.

    Raises:
        RecipeError: no such family.
        ModelError: no name: nothing is known of the template.
    """
    if not name:
        raise ModelError(
            "Magpie lets a model go on from the pre-query text of its chat template, and nothing is known of this "
            "one's. Name its tokenizer (tokenizer=FOLDER), or the family of its template (family=llama-3.1, qwen2.5, "
            "deepseek-r1, …)."
        )
    return Template(None, named(name))


def _cut(tokenizer: PreTrainedTokenizerBase, conversation: Sequence[Message]) -> tuple[str, str]:
    """What the template writes before and after the user's words."""
    asked: list[Message] = [*conversation, Message(role="user", content=_SENTINEL)]
    system = conversation[0]["content"] if conversation and conversation[0]["role"] == "system" else ""
    try:
        text = prompt_text(tokenizer, asked)
    except ModelError:
        if not system:
            raise
        text = ""
    if system and system.strip() not in text:  # refused, or left out in silence
        text = prompt_text(tokenizer, _merged(asked))
    return _around(tokenizer, text)


def _merged(conversation: Sequence[Message]) -> list[Message]:
    """The conversation with its system message at the beginning of the first user's turn, as Gemma 3 has it."""
    system, first, *rest = conversation
    return [Message(role="user", content=f"{system['content']}\n\n{first['content']}"), *rest]


def _around(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[str, str]:
    before, found, after = text.rpartition(_SENTINEL)
    if not found or _SENTINEL in before:
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} does not write the user's words once, as they are, so no "
            "pre-query text can be cut from it. Use another model, or mend its chat_template.jinja."
        )
    return before, after


def _end_mark(tokenizer: PreTrainedTokenizerBase, after: str) -> str:
    """What ends the user's turn: the first added token after the words, else the text up to the next line."""
    added = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
        if token in added:
            return str(tokenizer.convert_ids_to_tokens(int(token)))
    found = _MARK.search(after)
    return found[0] if found else after.strip().partition("\n")[0]
