"""Accuracy on problems that the training data may hold, and on the others.

What is contaminated, ``curate decontaminate`` finds: with ``action: mark`` it writes ``meta.contaminated`` into test
problems that stand in the training data, or into the attempts at them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from porism.evaluate.statistics import Interval, newcombe
from porism.evaluate.tries import by_problem, is_right
from porism.records import Attempt

__all__ = ["Report", "mark_of", "report"]


class Report(NamedTuple):
    """Accuracy with and without contaminated problems."""

    contaminated: int
    """Problems."""
    clean: int
    methods: dict[str, int]
    """How they were found, and how many so."""
    on_contaminated: Interval
    on_clean: Interval
    difference: Interval
    """Contaminated minus clean: what memory may be worth, if both are equally hard."""


def mark_of(attempt: Attempt) -> Mapping[str, Any] | None:
    """What ``curate decontaminate`` wrote about an attempt or its problem; None where it found nothing."""
    for meta in (attempt.meta, attempt.problem.meta):
        found = meta.get("contaminated")
        if isinstance(found, Mapping):
            return found
    return None


def report(attempts: Sequence[Attempt]) -> Report | None:
    """Accuracy on contaminated and clean problems; None where none is marked.

    With several attempts at a problem, it counts as right where at least half of them are.
    """
    tries = list(by_problem(attempts).values())
    marks = [next((mark for one in some if (mark := mark_of(one))), None) for some in tries]
    if not any(marks):
        return None
    right = [2 * sum(map(is_right, some)) >= len(some) for some in tries]
    dirty = [true for true, mark in zip(right, marks, strict=True) if mark]
    clean = [true for true, mark in zip(right, marks, strict=True) if not mark]
    on_dirty, on_clean, difference = newcombe(sum(dirty), len(dirty), sum(clean), len(clean))
    methods = Counter(str(mark.get("method", "unknown")) for mark in marks if mark)
    return Report(len(dirty), len(clean), dict(methods), on_dirty, on_clean, difference)
