"""1 for an answer that its grader finds right, 0 for a wrong one, nothing where it could not be judged."""

from __future__ import annotations

from collections.abc import Sequence

from porism.records import JUDGED, Attempt

__all__ = ["reward"]


def reward(attempts: Sequence[Attempt], *, count_as_wrong: Sequence[str] = ()) -> list[float | None]:
    """1, 0 or nothing for each attempt.

    Args:
        attempts: graded.
        count_as_wrong: statuses such as ``unparsed`` and ``truncated`` that earn 0 too.
    """
    found: list[float | None] = []
    for attempt in attempts:
        verdict = attempt.verdict
        if verdict is not None and verdict.status in JUDGED:
            found.append(float(verdict.correct))
        else:
            found.append(0.0 if verdict is not None and verdict.status in count_as_wrong else None)
    return found
