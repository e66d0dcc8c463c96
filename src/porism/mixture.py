"""How many records each of several sets gives: by weights, or by the sets' sizes at a temperature."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["allocate", "tempered"]


def tempered(sizes: Sequence[int], temperature: float) -> list[float]:
    """Weights in proportion to ``size ** (1 / temperature)``: 1 as they are, the higher the more equal.

    Source: the sampling of languages in multilingual models, Arivazhagan et al., 2019, arXiv:1907.05019.
    """
    largest = max(sizes, default=1) or 1
    return [(size / largest) ** (1 / temperature) if size else 0.0 for size in sizes]


def allocate(limits: Sequence[int], weights: Sequence[float], count: int) -> list[int]:
    """Whole numbers in proportion to weights that add up to a count, none above its limit.

    What one set cannot give, the others give in proportion. Remainders go to the largest fractions.

    Args:
        limits: the most that each can give.
        weights: numbers that are not negative.
        count: how many in all; 0 for as many as keep the proportion, so that one set is used up.
    """
    largest = max(weights, default=0.0)
    if largest <= 0:
        return [0] * len(limits)
    weights = [weight / largest for weight in weights]
    total = sum(weights)
    if not count:
        count = int(min(limit * total / weight for limit, weight in zip(limits, weights, strict=True) if weight > 0))
    given = [0] * len(limits)
    open_ = {at for at, weight in enumerate(weights) if weight > 0}
    count = min(count, sum(limits[at] for at in open_))
    while open_:
        left = count - sum(given[at] for at in range(len(limits)) if at not in open_)
        share = sum(weights[at] for at in open_)
        wanted = {at: left * weights[at] / share for at in open_}
        full = {at for at in open_ if wanted[at] >= limits[at]}
        if not full:
            for at in open_:
                given[at] = int(wanted[at])
            rest = left - sum(given[at] for at in open_)
            for at in sorted(open_, key=lambda at: (given[at] - wanted[at], at))[:rest]:
                given[at] += 1
            return given
        for at in full:
            given[at] = limits[at]
        open_ -= full
    return given
