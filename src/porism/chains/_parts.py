"""What is found in a text: spans of characters, and statements of an answer."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Rule", "Span", "Statement", "words"]

Rule = Literal["hash", "boxed", "phrase", "tag"]
"""How an answer is stated: ``#### 18``, ``\\boxed{18}``, "the answer is 18", ``<answer>18</answer>``."""


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (exclusive) of a text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The characters themselves, of the text that the span was read in."""
        return text[self.start : self.end]

    def covers(self, other: Span) -> bool:
        """True where the other span lies inside this one."""
        return self.start <= other.start and other.end <= self.end


class Statement(NamedTuple):
    """A place where a text states its answer."""

    rule: Rule
    span: Span
    """The whole statement."""
    answer: Span
    """The answer's text alone: without the phrase, the braces, Markdown emphasis and the final stop."""
    closed: bool = True
    """False where a brace or tag that the statement opens is never closed: the answer may have been cut off."""


def words(text: str) -> frozenset[str]:
    """The words that stand in a text, as a set to look others up in."""
    return frozenset(text.split())
