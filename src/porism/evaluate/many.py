"""Several tests at once: p-values that stay honest when many comparisons are made."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["benjamini_hochberg", "holm"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6:65), in the order given.

    If all below 0.05 are taken for real, the chance that even one of them is not is at most 5 %, however the tests
    depend on one another.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found, most = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[at]))
        found[at] = most
    return found


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values (1995, J. R. Statist. Soc. B 57:289), in the order given.

    If all below 0.05 are taken for real, at most 5 % of these are expected not to be, where the tests are independent
    or depend on one another positively.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    found, least = [0.0] * len(p_values), 1.0
    for passed, at in enumerate(order):
        least = min(least, len(p_values) / (len(p_values) - passed) * p_values[at])
        found[at] = least
    return found
