"""Worked examples that are the nearest solved problems of an index, instead of a fixed set.

Liu et al., 2021, arXiv:2101.06804. The nearest stands last, next to the question.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from porism import knowledge
from porism.errors import DataError
from porism.knowledge import Item
from porism.records import Problem

__all__ = ["Nearest", "check", "shots"]

Nearest = Annotated[
    str, Field(description="show the nearest solved problems of this index instead, never the question's own solution")
]


def shots(index: str, problem: Problem, count: int) -> list[Problem]:
    """The solved problems that are nearest to a problem, the nearest last. There may be fewer than asked for.

    Args:
        index: see :data:`porism.knowledge.Place`.
        problem: what is asked; its own solution is not among them.
        count: how many at most.

    Raises:
        DataError: the index is not there, or was built with another embedding model.
    """
    found = knowledge.opened(index).search_all([problem.question], top=count, asked=[problem], accept=_is_problem)[0]
    return [one.item.problem for one in reversed(found.found)]


def check(index: str) -> None:
    """Find before anything runs that an index holds no solved problem.

    Raises:
        DataError: it holds none, or cannot be used.
    """
    if not knowledge.opened(index).problems:
        raise DataError(
            f"{index}: expected solved problems in this index, found documents alone. Build one of graded attempts, or "
            "use the strategy rag."
        )


def _is_problem(item: Item) -> bool:
    """Whether an item is a solved problem."""
    return item.kind == "problem"
