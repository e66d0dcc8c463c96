"""Intervals and tests for accuracies. Shares are in [0, 1]; undefined is NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "Independent",
    "Interval",
    "mcnemar",
    "mean_interval",
    "newcombe",
    "paired_difference",
    "pass_at_k",
    "plain",
    "wilson",
]

_Z = 1.959963984540054  # the 97.5 % point of the standard normal: two-sided 95 %


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """A share with Wilson's score interval (Wilson, 1927), which holds its level at small n and near 0 and 1."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    p = successes / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    # none and all have exact ends, which rounding would miss
    return Interval(p, centre - half if successes else 0.0, centre + half if successes < n else 1.0)


def mean_interval(shares: Sequence[float]) -> Interval:
    """The mean of one share a problem, with the normal interval of the mean: problems are the independent units."""
    n = len(shares)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = math.fsum(shares) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    deviation = math.sqrt(math.fsum((share - mean) ** 2 for share in shares) / (n - 1))
    if deviation == 0:  # the normal interval would have no width
        return wilson(round(mean * n), n)._replace(value=mean)
    half = _Z * deviation / math.sqrt(n)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def paired_difference(both: int, only_before: int, only_after: int, neither: int) -> Interval:
    """Share right after minus share right before, on the same problems.

    The interval is Newcombe's hybrid of two Wilson intervals with the correlation of the pairs (Newcombe, 1998,
    Statistics in Medicine 17:2635, method 10).

    Args:
        both: problems right both times.
        only_before: right before, not after.
        only_after: right after, not before.
        neither: right neither time.
    """
    n = both + only_before + only_after + neither
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    before, after = wilson(both + only_before, n), wilson(both + only_after, n)
    product = (both + only_before) * (only_after + neither) * (both + only_after) * (only_before + neither)
    agreement: float = both * neither - only_before * only_after
    if agreement > 0:
        agreement = max(0.0, agreement - n / 2)
    phi = agreement / math.sqrt(product) if product else 0.0
    difference = after.value - before.value
    up, down = after.high - after.value, after.value - after.low
    back_up, back_down = before.high - before.value, before.value - before.low
    low = difference - math.sqrt(max(0.0, down**2 - 2 * phi * down * back_up + back_up**2))
    high = difference + math.sqrt(max(0.0, up**2 - 2 * phi * up * back_down + back_down**2))
    return Interval(difference, max(-1.0, low), min(1.0, high))


class Independent(NamedTuple):
    """Two shares of different problems."""

    first: Interval
    second: Interval
    difference: Interval
    """First minus second."""


def newcombe(first: int, of_first: int, second: int, of_second: int) -> Independent:
    """Two independent shares and their difference with Newcombe's hybrid of two Wilson intervals.

    Newcombe, 1998, Statistics in Medicine 17:873, method 10.

    Args:
        first: right in the first group.
        of_first: problems of the first group.
        second: right in the second.
        of_second: problems of the second.
    """
    a, b = wilson(first, of_first), wilson(second, of_second)
    difference = a.value - b.value
    low = difference - math.hypot(a.value - a.low, b.high - b.value)
    high = difference + math.hypot(a.high - a.value, b.value - b.low)
    return Independent(a, b, Interval(difference, low, high))


def mcnemar(only_before: int, only_after: int) -> float:
    """Two-sided exact p of McNemar's test (McNemar, 1947): could the changes be a coin's?"""
    changes = only_before + only_after
    if changes == 0:
        return 1.0
    fewer = min(only_before, only_after)
    tail = sum(math.comb(changes, k) for k in range(fewer + 1)) / (1 << changes)
    return min(1.0, 2 * tail)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that one of k attempts at a problem is correct, without bias: 1 − C(n−c, k) / C(n, k).

    Chen et al., 2021, arXiv:2107.03374, equation 1.

    Args:
        n: attempts that were made.
        correct: how many of them are correct.
        k: attempts that one could make.

    Returns:
        NaN for n < k, where it cannot be estimated.
    """
    if n < k:
        return math.nan
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def plain(interval: Interval) -> dict[str, float | None]:
    """The interval as JSON, undefined as None."""
    return {name: None if math.isnan(value) else value for name, value in interval._asdict().items()}
