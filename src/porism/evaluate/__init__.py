"""Evaluation: what share was right, how sure that is, and what went wrong where it was not.

``evaluate`` measures one file of graded attempts; its figures are in ``metrics.json``.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import Field

from porism import recipe, store
from porism.errors import DataError
from porism.evaluate.statistics import Interval, mean_interval, wilson
from porism.evaluate.tries import pass_at, passed_tests, tiers
from porism.graders import grade_all, has_profiles
from porism.records import Attempt, Status

__all__ = ["Settings", "accuracy", "inputs", "load", "measure", "run", "settings"]


class Settings(recipe.Settings):
    """Settings of ``porism evaluate``."""

    reads = (Attempt,)
    makes = ()

    input: Annotated[list[str], Field(description="graded attempts: files or stage folders")]
    profiles: Annotated[list[str], Field(description="also score with these extraction profiles")] = [
        "strict",
        "flexible",
    ]
    pass_at: Annotated[list[Annotated[int, Field(ge=1)]], Field(description="also give pass@k for these k")] = [
        1,
        5,
        10,
    ]


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings; there are no parts."""
    del part, values
    return Settings


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the attempts."""
    del part
    return store.hashes([store.locate(path) for path in settings.input])


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Write ``metrics.json``.

    Raises:
        DataError: no attempts, or an attempt that is not graded.
    """
    del part
    attempts = load(settings.input)
    target = out.beside("metrics.json")
    sets: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        sets[attempt.problem.set].append(attempt)
    store.write_json(
        target, {name: measure(chosen, settings.profiles, settings.pass_at) for name, chosen in sets.items()}
    )
    out.counts["attempts"] = len(attempts)
    out.add(target)


def _share_by(attempts: Sequence[Attempt], profile: str) -> float | None:
    """The share that is correct under another profile, of those to which profiles mean something."""
    computed = [attempt for attempt in attempts if has_profiles(attempt.problem.kind)]
    if not computed:
        return None
    graded = zip(computed, grade_all(computed, profile), strict=True)
    return accuracy([dataclasses.replace(attempt, verdict=verdict) for attempt, verdict in graded]).value


def load(paths: Sequence[str]) -> list[Attempt]:
    """Graded attempts of files or stage folders.

    Raises:
        DataError: none, or one that is not graded.
    """
    attempts = [cast("Attempt", record) for path in paths for record in store.read(path, Attempt)]
    if not attempts:
        raise DataError(f"{', '.join(paths)}: no attempts in the input.")
    bare = next((attempt for attempt in attempts if attempt.verdict is None), None)
    if bare:
        raise DataError(f"the attempt {bare.id} is not graded. Make attempts with 'porism solve'.")
    return attempts


def measure(attempts: Sequence[Attempt], profiles: Sequence[str] = (), ks: Sequence[int] = ()) -> dict[str, Any]:
    """Accuracy with interval, in all and by group, every status counted, tokens an answer.

    Args:
        attempts: graded attempts at the problems of one set.
        profiles: extraction profiles under which the same texts are scored as well.
        ks: numbers of attempts for which pass@k is given.

    Returns:
        A JSON-able object; undefined figures are None.
    """
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.problem.group].append(attempt)
    statuses = Counter(attempt.verdict.status for attempt in attempts if attempt.verdict)
    tokens = sorted(attempt.completion_tokens for attempt in attempts)
    right = [attempt for attempt in attempts if attempt.verdict and attempt.verdict.correct]
    return {
        "problems": len({attempt.problem.id for attempt in attempts}),
        "attempts": len(attempts),
        "accuracy": plain(accuracy(attempts)),
        "pass_at": {str(k): plain(pass_at(attempts, k)) for k in ks},
        "passed_tests": passed_tests(attempts),
        "by_profile": {profile: _share_by(attempts, profile) for profile in profiles},
        "sandbox": tiers(attempts),
        "statuses": {str(status): statuses[status] for status in Status if statuses[status]},
        "tokens": {
            "mean": math.fsum(tokens) / len(tokens),
            "median": tokens[len(tokens) // 2],
            "total": sum(tokens),
            "per_correct": sum(tokens) / len(right) if right else None,
        },
        "groups": {
            name: {"attempts": len(part), "accuracy": plain(accuracy(part))} for name, part in sorted(groups.items())
        },
    }


def accuracy(attempts: Sequence[Attempt]) -> Interval:
    """Share of correct attempts with its 95 % interval.

    One attempt a problem: Wilson's interval. Several: the mean over problems of each one's share, whose interval
    treats problems, not attempts, as independent.
    """
    by_problem: dict[str, list[bool]] = defaultdict(list)
    for attempt in attempts:
        by_problem[attempt.problem.id].append(bool(attempt.verdict and attempt.verdict.correct))
    if all(len(tries) == 1 for tries in by_problem.values()):
        return wilson(sum(tries[0] for tries in by_problem.values()), len(by_problem))
    return mean_interval([sum(tries) / len(tries) for tries in by_problem.values()])


def plain(interval: Interval) -> dict[str, float | None]:
    """The interval as JSON, undefined as None."""
    return {name: None if math.isnan(value) else value for name, value in interval._asdict().items()}
