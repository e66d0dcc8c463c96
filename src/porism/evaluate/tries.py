"""Figures of several attempts at a problem, and of the tests that programs passed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from porism.evaluate.clusters import clustered_mean
from porism.evaluate.estimators import g_pass_at_k, maj_at_k, mean_g_pass_at_k, pass_all_k
from porism.evaluate.statistics import Interval, mean_interval, pass_at_k
from porism.graders import has_profiles
from porism.records import JUDGED, Attempt
from porism.strategies._reading import classes

__all__ = [
    "THRESHOLDS",
    "agreement",
    "answer_classes",
    "by_problem",
    "entropy",
    "g_pass_at",
    "is_right",
    "maj_at",
    "pass_all",
    "pass_at",
    "passed_tests",
    "tiers",
]

THRESHOLDS = (0.25, 0.5, 0.75, 1.0)
"""Of G-Pass@k, as its authors report it."""

_NAN = Interval(math.nan, math.nan, math.nan)


def is_right(attempt: Attempt) -> bool:
    """Whether an attempt was judged, and correct."""
    return bool(attempt.verdict and attempt.verdict.correct)


def by_problem(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    """The attempts at each problem."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        found[attempt.problem.id].append(attempt)
    return found


def _over_problems(attempts: Sequence[Attempt], k: int, estimate: Callable[[int, int], float]) -> Interval:
    """The mean over problems of an estimate from the numbers of attempts and of correct ones."""
    tries = by_problem(attempts).values()
    if any(len(one) < k for one in tries):
        return _NAN
    return mean_interval([estimate(len(one), sum(map(is_right, one))) for one in tries])


def pass_at(attempts: Sequence[Attempt], k: int) -> Interval:
    """pass@k with its 95 % interval: the mean over problems of the unbiased estimate of each.

    Args:
        attempts: graded attempts.
        k: attempts that one could make.

    Returns:
        NaN where a problem has fewer than k attempts.
    """
    return _over_problems(attempts, k, lambda n, correct: pass_at_k(n, correct, k))


def pass_all(attempts: Sequence[Attempt], k: int) -> Interval:
    """pass^k with its interval, as :func:`pass_at` gives pass@k."""
    return _over_problems(attempts, k, lambda n, correct: pass_all_k(n, correct, k))


def g_pass_at(attempts: Sequence[Attempt], k: int, threshold: float | None) -> Interval:
    """G-Pass@k at a threshold with its interval, or mG-Pass@k where the threshold is None."""
    if threshold is None:
        return _over_problems(attempts, k, lambda n, correct: mean_g_pass_at_k(n, correct, k))
    return _over_problems(attempts, k, lambda n, correct: g_pass_at_k(n, correct, k, threshold))


def maj_at(attempts: Sequence[Attempt], k: int, seed: int = 0) -> Interval:
    """maj@k with its interval: the mean over problems of :func:`porism.evaluate.estimators.maj_at_k`.

    Returns:
        NaN where a problem has fewer than k attempts, or where answers cannot be told to be equal (programs).
    """
    shares = []
    for tries in by_problem(attempts).values():
        numbers = answer_classes(tries)
        if numbers is None or len(tries) < k:
            return _NAN
        shares.append(maj_at_k(numbers, [is_right(one) for one in tries], k, seed))
    return mean_interval(shares)


def answer_classes(tries: Sequence[Attempt]) -> list[int] | None:
    """Of each attempt at one problem a number that those with an equal answer share, −1 where it states none.

    Answers are compared by the problem's grader, not as text. None where its answers cannot be compared.
    """
    kind = tries[0].problem.kind
    if ":" in kind or not has_profiles(kind):
        return None
    answers = [one.verdict.answer if one.verdict and one.verdict.status in JUDGED else None for one in tries]
    found = [-1] * len(tries)
    for number, places in enumerate(classes(tries[0].problem, answers)):
        for at in places:
            found[at] = number
    return found


def agreement(attempts: Sequence[Attempt]) -> Interval:
    """Self-consistency: the mean over problems of the share of attempts that state the most frequent answer.

    Wang et al., 2022, arXiv:2203.11171. NaN where a problem has only one attempt.
    """
    return _of_votes(attempts, lambda votes, n: max(votes, default=0) / n)


def entropy(attempts: Sequence[Attempt]) -> Interval:
    """The mean over problems of the entropy, in nats, of the distribution over answers that are equal in meaning.

    Kuhn et al., 2023, arXiv:2302.09664 (semantic entropy, with counts for probabilities). Attempts that state no answer
    are left out. NaN where a problem has only one attempt.
    """
    return _of_votes(
        attempts, lambda votes, _: math.fsum(one / sum(votes) * math.log(sum(votes) / one) for one in votes)
    )


def _of_votes(attempts: Sequence[Attempt], figure: Callable[[Sequence[int], int], float]) -> Interval:
    values = []
    for tries in by_problem(attempts).values():
        numbers = answer_classes(tries) if len(tries) > 1 else None
        if numbers is None:
            return _NAN
        values.append(figure(list(Counter(one for one in numbers if one >= 0).values()), len(tries)))
    return clustered_mean(values, range(len(values)))


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
