"""A number is worth the more the nearer it is to the reference; see the grader of that name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from porism.graders import distance as grader
from porism.records import Attempt, Status

__all__ = ["reward"]


def reward(attempts: Sequence[Attempt], *, distance: str | dict[str, Any] = "12-6-3") -> list[float | None]:
    """The reward of each attempt's distance; nothing where no number can be read, or the reference is none.

    Args:
        attempts: their texts and references.
        distance: a preset or settings, for problems whose ``meta`` names none.
    """
    found: list[float | None] = []
    for attempt in attempts:
        problem = attempt.problem
        if "distance" not in problem.meta:
            problem = dataclasses.replace(problem, meta={**problem.meta, "distance": distance})
        verdict = grader.grade(problem, attempt)
        worth = verdict.detail.get("reward")
        found.append(None if verdict.status is Status.GOLD_UNPARSED or worth is None else float(worth))
    return found
