"""Writes problems from concepts: the rationale first, then the problem, in marked blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from porism.engines import Engine, Request, Sample, Sampling
from porism.records import Concepts, Message, content_id
from porism.synth import _blocks
from porism.synth._blocks import BEGIN_PROBLEM, BEGIN_RATIONALE, END_PROBLEM, END_RATIONALE, filled, listed

__all__ = ["Draft", "How", "Writer", "cut", "prompt"]

_SENTENCE = re.compile(r"[.!?][\"')\]]?(?=\s|$)|\n")


class How(NamedTuple):
    """How problems are written."""

    temperature: float
    top_p: float
    rationale_tokens: int
    problem_tokens: int
    blocks: Literal["forced", "free"]
    """``forced``: the marks are put there, and each block is asked for by itself; ``free``: the model writes them."""
    long: Literal["close", "drop"]
    """What becomes of a rationale that reaches its limit: closed at its last whole sentence, or dropped."""


class Draft(NamedTuple):
    """What was written; with a reason, it cannot be used."""

    rationale: str
    problem: str
    tokens: int
    reason: str = ""
    text: str = ""
    """As the model wrote it, where it cannot be used."""


def prompt(concepts: Concepts) -> list[Message]:
    """What the writer is asked."""
    name = "code" if concepts.domain == "code" else "math"
    asked = filled(name, level=concepts.level or "any", concepts=listed(concepts.concepts))
    return [Message(role="user", content=asked)]


class Writer:
    """Asks a model.

    Args:
        engine: which runs it.
        how: see there.
    """

    def __init__(self, engine: Engine, how: How) -> None:
        self._engine, self._how = engine, how

    def write(self, draws: Sequence[tuple[Concepts, int]], seed: int) -> list[Draft]:
        """One draft for each draw.

        Args:
            draws: concepts, and which of several problems from them it is to be.
            seed: of the sampling; a draft depends on it, its concepts and its number alone.
        """
        asked = [(prompt(one), int(content_id("write", seed, one.id, number), 16)) for one, number in draws]
        if self._how.blocks == "free":
            return self._free(asked)
        first = self._ask(asked, [f"{BEGIN_RATIONALE}\n"] * len(asked), END_RATIONALE, self._how.rationale_tokens)
        rationales = [self._rationale(sample) for sample in first]
        going = [at for at, (text, reason) in enumerate(rationales) if not reason]
        heads = [f"{BEGIN_RATIONALE}\n{rationales[at][0]}\n{END_RATIONALE}\n{BEGIN_PROBLEM}\n" for at in going]
        second = self._ask([asked[at] for at in going], heads, END_PROBLEM, self._how.problem_tokens)
        drafts = [
            Draft("", "", one.tokens, reason, one.text) for one, (_, reason) in zip(first, rationales, strict=True)
        ]
        for at, head, sample in zip(going, heads, second, strict=True):
            text = sample.text.removeprefix(head).strip()
            tokens = first[at].tokens + sample.tokens
            drafts[at] = Draft(rationales[at][0], text, tokens, _wrong(sample, text, "problem"), sample.text)
        return drafts

    def _free(self, asked: Sequence[tuple[list[Message], int]]) -> list[Draft]:
        limit = self._how.rationale_tokens + self._how.problem_tokens
        drafts = []
        for sample in self._ask(asked, [""] * len(asked), "", limit):
            found = _blocks.parse(sample.text)
            reason = found.complaint
            if sample.finish == "error":
                reason = f"engine: {sample.error}"
            elif reason and sample.finish == "length":
                reason = "cut off: at the token limit"
            drafts.append(Draft(found.rationale, found.problem, sample.tokens, reason, sample.text))
        return drafts

    def _ask(
        self, asked: Sequence[tuple[list[Message], int]], heads: Sequence[str], stop: str, limit: int
    ) -> list[Sample]:
        sampling = Sampling(
            temperature=self._how.temperature,
            top_p=self._how.top_p,
            max_tokens=limit,
            stop=(stop,) if stop else (),
        )
        requests = [
            Request(messages=messages, prefix=head, sampling=sampling, seed=seed)
            for (messages, seed), head in zip(asked, heads, strict=True)
        ]
        return [reply.samples[0] for reply in self._engine.generate(requests)] if requests else []

    def _rationale(self, sample: Sample) -> tuple[str, str]:
        """The rationale, and why it cannot be used."""
        text = sample.text.removeprefix(f"{BEGIN_RATIONALE}\n").strip()
        if sample.finish == "length" and self._how.long == "close":
            text = cut(text)
            return text, _marked(text, "rationale") if text else "cut off: the rationale has no whole sentence"
        return text, _wrong(sample, text, "rationale")


def cut(text: str) -> str:
    """The text up to the end of its last whole sentence or line."""
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return text[: ends[-1]].strip() if ends else ""


def _wrong(sample: Sample, text: str, name: str) -> str:
    """Why a block cannot be used; empty where it can."""
    if sample.finish == "error":
        hint = "; or set blocks to free, which needs no prefix" if "prefix" in sample.error else ""
        return f"engine: {sample.error}{hint}"
    if sample.finish == "length":
        return f"cut off: the {name} reached the token limit"
    if not text:
        return f"format: the {name} is empty"
    return _marked(text, name)


def _marked(text: str, name: str) -> str:
    """Why a block that holds a mark cannot be used; empty where it holds none."""
    return f"format: the {name} holds a mark of another block" if "<!--" in text else ""
