"""Leakage control: what is found for a problem never holds that problem's own solution.

An item is left out if it is the problem (``id``), asks the same question word for word (``question``), or nearly so
(``near``): it has the same numbers, in whatever order and in digits or words, and most of the question's pairs of
words, names set aside, or nearly the same embedding. A question with other numbers has another answer and is no leak.
Of a document, the passage and what stands before it are looked at, since a solution follows its question.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from porism.knowledge._items import Item
from porism.records import Problem
from porism.words import bare, normal, numbers, numerals, tokens, words_of

__all__ = ["ALL", "Guard", "Leaks"]

Leaks = Annotated[
    list[Literal["id", "question", "near"]],
    Field(description="what is left out of what is found for a problem, as its own solution may be there"),
]

ALL: list[Literal["id", "question", "near"]] = ["id", "question", "near"]

_SHARE = 0.75
"""Least share of the question's pairs of words; that of ``curate decontaminate`` for its method near."""
_COSINE = 0.9
_LONG = 8
"""Words from which on a question that stands within another one is taken for the same."""
_LONGEST = 20_000
"""Characters of a question that are looked at."""


class Guard:
    """Tells what would give a problem's solution away.

    Args:
        asked: the problem.
        leaks: what is looked for: ``id``, ``question``, ``near``.
    """

    def __init__(self, asked: Problem, leaks: Collection[str] = ALL) -> None:
        question = asked.question[:_LONGEST]
        self._leaks = leaks
        self._record = asked.id
        self._bare = bare(question)
        self._numbers = numbers(normal(question))
        self._numerals = Counter(numerals(normal(question)))
        self._pairs = _pairs(question)
        self._is_long = len(tokens(self._bare)) >= _LONG

    def reason(self, item: Item, cosine: float | None = None) -> str:
        """Why an item is left out: ``id``, ``question`` or ``near``; nothing if it may be shown.

        Args:
            item: what was found.
            cosine: of the question's vector and the item's, where it is known.
        """
        if "id" in self._leaks and item.record and item.record == self._record:
            return "id"
        whole = item.text if item.kind == "problem" else f"{item.before}\n{item.text}"
        if "question" in self._leaks and self._bare and self._stands_in(bare(whole), item):
            return "question"
        return "near" if "near" in self._leaks and self._nearly(whole, item, cosine) else ""

    def _stands_in(self, text: str, item: Item) -> bool:
        if item.kind == "document" or self._is_long:
            return _holds(text, self._bare)
        return text == self._bare

    def _nearly(self, whole: str, item: Item, cosine: float | None) -> bool:
        if item.kind == "problem":
            same_numbers = numbers(normal(whole)) == self._numbers
        else:
            same_numbers = not self._numerals - Counter(numerals(normal(whole)))
        if not same_numbers:
            return False
        if cosine is not None and cosine >= _COSINE:
            return True
        return bool(self._pairs) and len(self._pairs & _pairs(whole)) >= _SHARE * len(self._pairs)


def _pairs(text: str) -> set[tuple[str, str]]:
    """Pairs of neighbouring words, names set aside."""
    found = words_of(text)
    return set(itertools.pairwise(found))


def _holds(whole: str, part: str) -> bool:
    """Whether a text stands in another one, and not within a word or a number."""
    at = whole.find(part)
    while at >= 0:
        around = whole[at - 1 : at] + whole[at + len(part) : at + len(part) + 1]
        if not any(sign.isascii() and sign.isalnum() for sign in around):
            return True
        at = whole.find(part, at + 1)
    return False
