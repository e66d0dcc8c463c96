"""95 % confidence intervals of a share, by name.

===============  =======================================================================================================
name             what it is
===============  =======================================================================================================
wilson           the score test turned round (Wilson, 1927): the default
clopper_pearson  both tails hold at most 2.5 % (Clopper and Pearson, 1934): never below 95 %, so wider than needed
agresti_coull    Wilson's middle with the usual plus-or-minus (Agresti and Coull, 1998)
jeffreys         the middle 95 % of a Beta(½, ½) that has seen the data (Brown, Cai and DasGupta, 2001)
mid_p            Clopper-Pearson's tails with half the weight of what was seen (Berry and Armitage, 1995)
randomised       the same with a weight drawn from [0, 1] (Stevens, 1950): the only one of exactly 95 %
===============  =======================================================================================================

A count can take n + 1 values only, so what an interval covers jumps with p. With 200 attempts and p = 0.02 no fixed
interval can cover between 94 and 96 % but one that holds 0.02 at 0 of 200 and not at 8 of 200, which no one would
want: Wilson covers 93.3 %, mid-p, Jeffreys and Clopper-Pearson 96.2 %, Agresti-Coull 98.0 %. ``randomised`` covers
95 % at every n and p; its weight is drawn from a hash of what was measured, so the same attempts give the same ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from porism.evaluate._beta import beta_cdf, beta_quantile, root
from porism.evaluate.statistics import Interval, wilson

__all__ = ["INTERVALS", "Name", "agresti_coull", "clopper_pearson", "jeffreys", "mid_p", "randomised", "share"]

_TAIL = 0.025
_Z = 1.959963984540054
_NAN = Interval(math.nan, math.nan, math.nan)

Name = Literal["wilson", "clopper_pearson", "agresti_coull", "jeffreys", "mid_p", "randomised"]


def clopper_pearson(successes: int, n: int) -> Interval:
    """The share with Clopper and Pearson's interval (1934, Biometrika 26:404): at least 95 % for every p."""
    if n == 0:
        return _NAN
    low = beta_quantile(_TAIL, successes, n - successes + 1)
    return Interval(successes / n, low, 1 - beta_quantile(_TAIL, n - successes, successes + 1))


def jeffreys(successes: int, n: int) -> Interval:
    """The share with Jeffreys' interval, which ends at 0 and 1 for none and all.

    Brown, Cai and DasGupta, 2001, Statistical Science 16:101.
    """
    if n == 0:
        return _NAN
    low = beta_quantile(_TAIL, successes + 0.5, n - successes + 0.5) if successes else 0.0
    high = 1 - beta_quantile(_TAIL, n - successes + 0.5, successes + 0.5) if successes < n else 1.0
    return Interval(successes / n, low, high)


def agresti_coull(successes: int, n: int) -> Interval:
    """The share with Agresti and Coull's interval (1998, The American Statistician 52:119)."""
    if n == 0:
        return _NAN
    size = n + _Z**2
    middle = (successes + _Z**2 / 2) / size
    half = _Z * math.sqrt(middle * (1 - middle) / size)
    return Interval(successes / n, max(0.0, middle - half), min(1.0, middle + half))


def mid_p(successes: int, n: int) -> Interval:
    """The share with the mid-p interval (Lancaster, 1961; Berry and Armitage, 1995, The Statistician 44:417)."""
    return randomised(successes, n, 0.5)


def randomised(successes: int, n: int, weight: float) -> Interval:
    """The share with Stevens' interval (1950, Biometrika 37:117), of exactly 95 % where the weight is drawn evenly.

    Args:
        successes: out of n.
        n: how many there were.
        weight: in [0, 1]: how much of the probability of ``successes`` itself goes into the upper tail.
    """
    if n == 0:
        return _NAN
    low = _lower(successes, n, 1 - weight)
    return Interval(successes / n, low, max(low, 1 - _lower(n - successes, n, weight)))


def _lower(successes: int, n: int, weight: float) -> float:
    """The p for which more than ``successes``, and so much of as many, has the probability of one tail."""

    def tail(p: float) -> float:
        more = beta_cdf(p, successes + 1, n - successes)
        return more + weight * (beta_cdf(p, successes, n - successes + 1) - more)

    return root(tail, 0.0, 1.0, _TAIL) if tail(0.0) < _TAIL else 0.0


INTERVALS: Mapping[Name, Callable[[int, int], Interval]] = {
    "wilson": wilson,
    "clopper_pearson": clopper_pearson,
    "agresti_coull": agresti_coull,
    "jeffreys": jeffreys,
    "mid_p": mid_p,
}
"""Those that need no more than the count."""


def share(name: Name, successes: int, n: int, weight: float = 0.5) -> Interval:
    """The share with the interval of that name.

    Args:
        name: which.
        successes: out of n.
        n: how many there were; with 0 the interval is undefined.
        weight: for ``randomised``.
    """
    return randomised(successes, n, weight) if name == "randomised" else INTERVALS[name](successes, n)
