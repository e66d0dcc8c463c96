"""Evaluation: what share was right, how sure that is, and what went wrong where it was not.

``evaluate`` measures files of graded attempts. Its figures are in ``metrics.json``; beside it stand
``disagreements.json``, where ways of scoring the same texts differ, and ``robustness.json`` for changed problems.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from porism import recipe, store
from porism.errors import DataError
from porism.evaluate import details, intervals, scores
from porism.evaluate.clusters import clustered_mean
from porism.evaluate.statistics import Interval, mean_interval, plain, wilson
from porism.evaluate.tries import by_problem, is_right, pass_at, passed_tests, tiers
from porism.graders import scorer_of
from porism.records import Attempt, Status, Verdict, content_id

__all__ = ["Clusters", "Settings", "accuracy", "check", "cluster_of", "inputs", "load", "measure", "run", "settings"]

Clusters = Literal["problem", "group", "of"]
"""What is independent: each problem, the problems of one group, or the variants of one problem (``meta.of``)."""


class Settings(recipe.Settings):
    """Settings of ``porism evaluate``."""

    reads = (Attempt,)
    makes = ()

    input: Annotated[list[str], Field(description="graded attempts: files or stage folders")]
    profiles: Annotated[
        list[str], Field(description="also score in these ways: extraction profiles, and 'symbolic'")
    ] = ["strict", "flexible", "symbolic"]
    pass_at: Annotated[
        list[Annotated[int, Field(ge=1)]], Field(description="also give pass@k, pass^k, maj@k and G-Pass@k for these k")
    ] = [1, 5, 10]
    interval: Annotated[intervals.Name, Field(description="of accuracy, with one attempt a problem")] = "wilson"
    clusters: Annotated[
        Clusters, Field(description="what is independent: each problem, each group, or each original of changed ones")
    ] = "problem"
    budgets: Annotated[
        list[Annotated[int, Field(ge=1)]], Field(description="also the accuracy of answers of at most so many tokens")
    ] = []
    confidence: Annotated[
        str, Field(description="the tag of an attempt with its probability of being right; else the share of votes")
    ] = ""
    scorer: Annotated[str, Field(description="a process verifier, which tells the first wrong step: its folder")] = ""
    examples: Annotated[int, Field(description="examples of each disagreement between ways of scoring", ge=0)] = 5


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings; there are no parts."""
    del part, values
    return Settings


def check(part: str, settings: Settings) -> None:
    """Find an unknown way of scoring before anything runs.

    Raises:
        RecipeError: there is one.
    """
    del part
    scores.check(settings.profiles)


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the attempts, and of the verifier."""
    del part
    found = store.hashes([store.locate(path) for path in settings.input])
    if settings.scorer:
        from porism.models.load import fingerprint

        found["scorer"] = fingerprint(settings.scorer)
    return found


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Write ``metrics.json``, ``disagreements.json`` and, for changed problems, ``robustness.json``.

    Raises:
        DataError: no attempts, or an attempt that is not graded.
    """
    del part
    attempts = load(settings.input)
    sets: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        sets[attempt.problem.set].append(attempt)
    scorer = scorer_of(settings.scorer) if settings.scorer else None
    metrics, disagree = {}, {}
    for name, chosen in sets.items():
        ways = {name: scores.verdicts(chosen, way) for name, way in scores.named(settings.profiles).items()}
        metrics[name] = {
            **measure(chosen, ks=settings.pass_at, ways=ways, interval=settings.interval, clusters=settings.clusters),
            **details.details(
                chosen,
                ks=settings.pass_at,
                budgets=settings.budgets,
                confidence=settings.confidence,
                scorer=scorer,
            ),
        }
        disagree[name] = scores.disagreements(chosen, ways, settings.examples)
    out.counts["attempts"] = len(attempts)
    changed = details.robust(attempts)
    for file, value in (("metrics", metrics), ("disagreements", disagree), ("robustness", changed)):
        if value:
            target = out.beside(f"{file}.json")
            store.write_json(target, value)
            out.add(target)


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


def measure(
    attempts: Sequence[Attempt],
    profiles: Sequence[str] = (),
    ks: Sequence[int] = (),
    *,
    ways: Mapping[str, Sequence[Verdict | None]] | None = None,
    interval: intervals.Name = "wilson",
    clusters: Clusters = "problem",
) -> dict[str, Any]:
    """Accuracy with interval, in all and by group, every status counted, tokens an answer.

    Args:
        attempts: graded attempts at the problems of one set.
        profiles: ways in which the same texts are scored as well.
        ks: numbers of attempts for which pass@k is given.
        ways: verdicts of ways of scoring that are there already, instead of ``profiles``.
        interval: see :func:`accuracy`.
        clusters: see :func:`accuracy`.

    Returns:
        A JSON-able object; undefined figures are None.
    """
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.problem.group].append(attempt)
    statuses = Counter(attempt.verdict.status for attempt in attempts if attempt.verdict)
    tokens = sorted(attempt.completion_tokens for attempt in attempts)
    right = [attempt for attempt in attempts if is_right(attempt)]
    named = scores.named(profiles).items()
    found = {name: scores.verdicts(attempts, way) for name, way in named} if ways is None else ways
    return {
        "problems": len({attempt.problem.id for attempt in attempts}),
        "attempts": len(attempts),
        "accuracy": plain(accuracy(attempts, interval, clusters)),
        "pass_at": {str(k): plain(pass_at(attempts, k)) for k in ks},
        "passed_tests": passed_tests(attempts),
        "by_profile": {name: _share_by(attempts, said) for name, said in found.items()},
        "sandbox": tiers(attempts),
        "statuses": {str(status): statuses[status] for status in Status if statuses[status]},
        "tokens": {
            "mean": math.fsum(tokens) / len(tokens),
            "median": tokens[len(tokens) // 2],
            "total": sum(tokens),
            "per_correct": sum(tokens) / len(right) if right else None,
        },
        "groups": {
            name: {"attempts": len(part), "accuracy": plain(accuracy(part, interval))}
            for name, part in sorted(groups.items())
        },
    }


def _share_by(attempts: Sequence[Attempt], said: Sequence[Verdict | None]) -> float | None:
    """The share that is correct under other verdicts, of the attempts that have one."""
    graded = [
        dataclasses.replace(attempt, verdict=verdict)
        for attempt, verdict in zip(attempts, said, strict=True)
        if verdict is not None
    ]
    return accuracy(graded).value if graded else None


def accuracy(
    attempts: Sequence[Attempt], interval: intervals.Name = "wilson", clusters: Clusters = "problem"
) -> Interval:
    """Share of correct attempts with its 95 % interval.

    Args:
        attempts: graded.
        interval: the one for a share, with one attempt a problem. With several, it is that of the mean over problems of
            each one's share, which treats problems, not attempts, as independent.
        clusters: what is independent; for anything but ``problem`` the interval is from the clustered standard error.
    """
    tried = list(by_problem(attempts).values())
    if clusters != "problem":
        shares = [sum(map(is_right, tries)) / len(tries) for tries in tried]
        found = clustered_mean(shares, [cluster_of(tries[0], clusters) for tries in tried])
        if found.low == found.high:  # all alike: the interval would have no width
            count = len({cluster_of(tries[0], clusters) for tries in tried})
            return wilson(round(found.value * count), count)._replace(value=found.value)
        return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))
    if all(len(tries) == 1 for tries in tried):
        weight = 0.5
        if interval == "randomised":
            weight = int(content_id(sorted(tries[0].id for tries in tried)), 16) / 16**16
        return intervals.share(interval, sum(is_right(tries[0]) for tries in tried), len(tried), weight)
    return mean_interval([sum(map(is_right, tries)) / len(tries) for tries in tried])


def cluster_of(attempt: Attempt, clusters: Clusters) -> str:
    """What an attempt belongs to, of that which is taken for independent."""
    problem = attempt.problem
    return problem.group if clusters == "group" else str(problem.meta.get("of", problem.id))
