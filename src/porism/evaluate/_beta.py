"""The beta distribution and Student's t, in plain floating point: what binomial and cluster intervals are made of."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

__all__ = ["beta_cdf", "beta_quantile", "root", "t_quantile"]

_TINY = 1e-300
_TERMS = 1000
_HALVINGS = 52


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(B ≤ x) for a Beta(a, b), by the continued fraction of DLMF 8.17.22.

    ``a = 0`` stands for a point at 0, ``b = 0`` for one at 1, so that for a binomial X of n and p
    P(X ≥ k) is ``beta_cdf(p, k, n - k + 1)`` for every k from 0 to n + 1.
    """
    if a == 0 or x >= 1:
        return 1.0
    if b == 0 or x <= 0:
        return 0.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of the continued fraction."""
    c, d = 1.0, _not_zero(1 - (a + b) * x / (a + 1))
    d = 1 / d
    found = d
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def root(function: Callable[[float], float], low: float, high: float, target: float) -> float:
    """Where a rising function on [low, high] reaches ``target``; an end of the range where it does not."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if function(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_quantile(q: float, a: float, b: float) -> float:
    """The value below which a Beta(a, b) falls with probability q."""
    if a == 0:
        return 0.0
    if b == 0:
        return 1.0
    return root(lambda x: beta_cdf(x, a, b), 0.0, 1.0, q)


@functools.lru_cache(maxsize=1024)
def t_quantile(q: float, freedom: float) -> float:
    """The q-quantile, above one half, of Student's t with so many degrees of freedom."""
    x = beta_quantile(2 * (1 - q), freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x) if x > 0 else math.inf
