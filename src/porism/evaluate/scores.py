"""The same texts scored in several ways side by side, and where these disagree.

``strict``, ``flexible`` and the others are extraction profiles of :mod:`porism.graders`. ``symbolic`` reads as ``auto``
does and compares as mathematics, also where the problem's own grader compares numbers.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from porism.errors import RecipeError
from porism.graders import PROFILES, grade_all, has_profiles, profile_of
from porism.prompts import profiles
from porism.records import Attempt, Verdict

__all__ = ["SYMBOLIC", "check", "disagreements", "named", "verdicts"]

SYMBOLIC = "symbolic"
_TAIL = 300
"""Characters of a text that an example shows: answers stand at the end."""


def check(names: Sequence[str]) -> None:
    """Refuse a way of scoring that there is not.

    Raises:
        RecipeError: an unknown name.
    """
    for name in names:
        if name != SYMBOLIC:
            try:
                profile_of(name)
            except RecipeError as error:
                raise RecipeError(str(error).replace("Known: ", f"Known: {SYMBOLIC}, ", 1)) from None


def named(names: Sequence[str]) -> dict[str, str]:
    """Column → extraction profile or 'symbolic'; the profile of another harness has a column for each of its scores.

    Raises:
        RecipeError: an unknown name.
    """
    found: dict[str, str] = {}
    for name in names:
        if "/" in name:
            task = profiles.load(name)
            found |= {f"{task.label} {score}": way for score, way in task.scores.items()}
        else:
            found[name] = name
    return found


def verdicts(attempts: Sequence[Attempt], name: str) -> list[Verdict | None]:
    """The verdict on each attempt under a way of scoring; None where ways of scoring mean nothing (programs, judges).

    Args:
        attempts: graded.
        name: an extraction profile, or ``symbolic``.
    """
    places = [at for at, one in enumerate(attempts) if has_profiles(one.problem.kind)]
    chosen = [attempts[at] for at in places]
    found: list[Verdict | None] = [None] * len(attempts)
    if name == SYMBOLIC:
        label = PROFILES["auto"].label
        again = [at for at in places if not _is_symbolic(attempts[at], label)]
        for at in set(places) - set(again):
            found[at] = attempts[at].verdict
        for at, verdict in zip(again, grade_all([_as_math(attempts[at]) for at in again]), strict=True):
            found[at] = verdict
        return found
    for at, verdict in zip(places, grade_all(chosen, name), strict=True):
        found[at] = verdict
    return found


def _is_symbolic(attempt: Attempt, label: str) -> bool:
    """Whether the attempt's own verdict says what a symbolic one would."""
    verdict = attempt.verdict
    return attempt.problem.kind != "number" and verdict is not None and verdict.profile == label


def _as_math(attempt: Attempt) -> Attempt:
    if attempt.problem.kind != "number":
        return attempt
    return dataclasses.replace(attempt, problem=dataclasses.replace(attempt.problem, kind="math"))


def disagreements(
    attempts: Sequence[Attempt], ways: Mapping[str, Sequence[Verdict | None]], examples: int = 5
) -> dict[str, Any]:
    """How often the ways of scoring agree, and examples of where they do not.

    Args:
        attempts: what was scored.
        ways: name → the verdict on each attempt, as :func:`verdicts` gives them.
        examples: of each pattern.

    Returns:
        A JSON-able object: ``agree`` and ``disagree`` count attempts; ``patterns`` has, most frequent first, what each
        way said, how often, and examples with what each way read.
    """
    patterns: dict[tuple[str, ...], list[int]] = defaultdict(list)
    counts: Counter[bool] = Counter()
    for at in range(len(attempts)):
        said = [found[at] for found in ways.values()]
        told = [one for one in said if one is not None]
        if len(told) < 2:
            continue
        agree = len({one.correct for one in told}) == 1
        counts[agree] += 1
        if not agree:
            patterns[tuple("" if one is None else str(one.status) for one in said)].append(at)
    ordered = sorted(patterns.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "agree": counts[True],
        "disagree": counts[False],
        "patterns": [
            {
                "verdicts": dict(zip(ways, pattern, strict=True)),
                "count": len(places),
                "examples": [_example(attempts[at], {name: found[at] for name, found in ways.items()})
                             for at in places[:examples]],
            }
            for pattern, places in ordered
        ],
    }  # fmt: skip


def _example(attempt: Attempt, said: Mapping[str, Verdict | None]) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "question": attempt.problem.question,
        "answer": attempt.problem.answer,
        "text": attempt.text[-_TAIL:],
        "read": {name: None if verdict is None else verdict.answer for name, verdict in said.items()},
    }
