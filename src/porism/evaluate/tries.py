"""Figures of several attempts at a problem, and of the tests that programs passed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from porism.evaluate.statistics import Interval, mean_interval, pass_at_k
from porism.records import Attempt

__all__ = ["pass_at", "passed_tests", "tiers"]


def pass_at(attempts: Sequence[Attempt], k: int) -> Interval:
    """pass@k with its 95 % interval: the mean over problems of the unbiased estimate of each.

    Args:
        attempts: graded attempts.
        k: attempts that one could make.

    Returns:
        NaN where a problem has fewer than k attempts.
    """
    by_problem: dict[str, list[bool]] = defaultdict(list)
    for attempt in attempts:
        by_problem[attempt.problem.id].append(bool(attempt.verdict and attempt.verdict.correct))
    if any(len(tries) < k for tries in by_problem.values()):
        return Interval(math.nan, math.nan, math.nan)
    return mean_interval([pass_at_k(len(tries), sum(tries), k) for tries in by_problem.values()])


def passed_tests(attempts: Sequence[Attempt]) -> float | None:
    """The mean over programs of the share of their tests that they passed; None where no attempt is a program.

    A test that was not run, because the program had ended before, was not passed; nor was one of a program that could
    not be read.
    """
    shares = []
    for attempt in attempts:
        if attempt.problem.kind != "code":
            continue
        detail = attempt.verdict.detail if attempt.verdict else {}
        tests = detail.get("tests") or ()
        shares.append(detail.get("passed", 0) / len(tests) if tests else 0.0)
    return math.fsum(shares) / len(shares) if shares else None


def tiers(attempts: Sequence[Attempt]) -> dict[str, int]:
    """The sandbox's tiers in which programs were run, each with the number of programs."""
    details = [attempt.verdict.detail for attempt in attempts if attempt.verdict]
    return dict(sorted(Counter(str(detail["sandbox"]) for detail in details if "sandbox" in detail).items()))
