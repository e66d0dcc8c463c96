"""What all changes of problems share: why one cannot be made, and where numbers and sentences stand in a question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Token", "Unchanged", "is_formal", "is_japanese_or_chinese", "sentences", "tokens"]

_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?")
_BOUND_BEFORE = re.compile(r"(?:[A-Za-z_/:#^\\.=+*<>×÷]|\d[,.]|[A-Za-z0-9][-–]|(?:\s|\d)[xX]\s)\Z")
_BOUND_AFTER = re.compile(
    r"(?:st|nd|rd|th)\b|[A-Za-z_/:^\\=+*<>×÷]|[-–]\d|[.,]\d|\s[xX]\s?\d"
    r"|\s?(?:[ap]\.?m\b|o'clock|月|日|号|年级|点)",
    re.IGNORECASE,
)
_FORMAL = re.compile(r"[$\\^_{}]|\[asy\]")
_EASTERN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_END = re.compile(r"(?<=[.!?])[\"”’']?\s+(?=[A-Z\"“$£€\d])|(?<=[。！？])")
_NO_END = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|No|Rs|approx|a\.m|p\.m)|\b[A-Z])\.\Z")


class Unchanged(ValueError):
    """A change cannot be made to a problem, or not so that the answer is sure to stay true."""


class Token(NamedTuple):
    """A number in a text."""

    start: int
    end: int
    value: Fraction
    is_free: bool
    """It stands by itself: no part of a date, a time, an ordinal, a formula or a name."""
    percent: bool

    def of(self, text: str) -> str:
        """As it is written."""
        return text[self.start : self.end]


def tokens(text: str) -> list[Token]:
    """The numbers in a text, in order."""
    found = []
    for match in _NUMBER.finditer(text):
        before, after = text[max(0, match.start() - 3) : match.start()], text[match.end() : match.end() + 8]
        value = Fraction(match[0].replace(",", "")) if len(match[0]) < 16 else Fraction(0)
        free = len(match[0]) < 16 and not _BOUND_BEFORE.search(before) and not _BOUND_AFTER.match(after)
        free = free and not (value.denominator == 1 and 1900 <= value <= 2100 and "," not in match[0])  # a year
        found.append(Token(*match.span(), value, free, after.lstrip().startswith(("%", "percent"))))
    return found


def is_formal(question: str) -> bool:
    """True where a text has formulas, in which sentences cannot be told; a dollar sign before a number is money."""
    return _FORMAL.search(re.sub(r"\$(?=\d)(?![^$]*\d\$)", "", question)) is not None


def is_japanese_or_chinese(text: str) -> bool:
    """True where a text has kana or Chinese characters."""
    return _EASTERN.search(text) is not None


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, each with the space behind it."""
    start = 0
    for match in _END.finditer(text):
        if not _NO_END.search(text[start : match.start() + 1].rstrip()):
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]
