"""What a benchmark can show before it is run: the least difference that is found, and how many problems it takes.

The variance of a difference between two models on n problems with K samples each, from Miller, 2024, arXiv:2411.00640,
with p the accuracy, ρ the correlation of the two models' answers and w the share of an answer's variance that
sampling alone makes: 2p(1 − p)(1 − ρ − w(1 − 1/K)) / n. Problems in clusters of m with correlation c count as
n / (1 + (m − 1)c) (Kish, 1965).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Design", "detectable", "half_width", "mcnemar_power", "needed", "plan"]

Floats = npt.NDArray[np.float64]
_LEVEL = 0.05
_MOST_EXACT = 5000
_NORMAL = NormalDist()


class Design(NamedTuple):
    """How a comparison is made."""

    accuracy: float = 0.5
    """Of both models, about."""
    correlation: float = 0.5
    """Of their answers to the same problem; 0 for different problems."""
    samples: int = 1
    """Attempts at each problem."""
    sampling: float | None = None
    """Share of an answer's variance that sampling alone makes; half of what correlation leaves if not given."""
    alpha: float = 0.05
    """Two-sided level of the test."""
    power: float = 0.8
    """The chance that a true difference is found."""
    cluster_size: float = 1.0
    """Problems that hang together."""
    cluster_correlation: float = 0.0

    @property
    def effect(self) -> float:
        """By how much clusters enlarge a variance."""
        return 1 + (self.cluster_size - 1) * self.cluster_correlation

    @property
    def variance(self) -> float:
        """Of the difference at one problem."""
        left = 1 - self.correlation
        drawn = left / 2 if self.sampling is None else min(self.sampling, left)
        return 2 * self.accuracy * (1 - self.accuracy) * (left - drawn * (1 - 1 / self.samples)) * self.effect

    @property
    def reach(self) -> float:
        """How many standard errors a difference must be."""
        return _NORMAL.inv_cdf(1 - self.alpha / 2) + _NORMAL.inv_cdf(self.power)


def detectable(n: int, design: Design) -> float:
    """The least difference that is found with the wanted power on n problems, as a share.

    Returns:
        NaN for no problems; at most 1.
    """
    if n < 1:
        return math.nan
    error, reach = math.sqrt(design.variance / n), design.reach
    # the squared difference is no part of the variance: δ = reach·√((variance − δ²)/n)
    return min(1.0, reach * error / math.sqrt(1 + reach**2 / n))


def needed(difference: float, design: Design) -> int:
    """The fewest problems on which a difference, a share above 0, is found with the wanted power."""
    reach = design.reach
    return max(1, math.ceil(reach**2 * (design.variance - difference**2) / difference**2 - 1e-9))


def half_width(n: int, design: Design) -> float:
    """Half the 95 % interval of one model's accuracy, by the normal approximation; NaN for no problems."""
    if n < 1:
        return math.nan
    drawn = (1 - design.correlation) / 2 if design.sampling is None else design.sampling
    variance = design.accuracy * (1 - design.accuracy) * (1 - drawn * (1 - 1 / design.samples)) * design.effect
    return _NORMAL.inv_cdf(1 - design.alpha / 2) * math.sqrt(variance / n)


def mcnemar_power(n: int, gained: float, lost: float, alpha: float = 0.05) -> float:
    """The exact chance that the exact McNemar test finds a difference on n problems, by enumeration.

    Args:
        n: problems, one attempt each and model.
        gained: the share of problems that only the second model gets right.
        lost: the share that only the first one does.
        alpha: level of the test.
    """
    changed = gained + lost
    if n < 1 or changed <= 0:
        return 0.0
    counts = np.arange(n + 1)
    chance = _binomial(n, min(changed, 1.0))
    found = 0.0
    for count in counts[chance > 1e-12]:
        least = _critical(int(count), alpha)
        if least >= 0:
            of = _binomial(int(count), gained / changed)
            found += float(chance[count] * (of[: least + 1].sum() + of[int(count) - least :].sum()))
    return found


def _critical(changes: int, alpha: float) -> int:
    """The most changes in the rarer direction with which McNemar's p is below alpha; −1 where there are none."""
    tail = 2 * np.cumsum(_binomial(changes, 0.5)[: (changes + 1) // 2])
    return int(np.searchsorted(tail, alpha, side="right")) - 1


def _binomial(n: int, p: float) -> Floats:
    """The probabilities of 0 to n successes."""
    counts = np.arange(n + 1)
    if p in (0.0, 1.0):
        certain: Floats = np.where(counts == n * p, 1.0, 0.0)
        return certain
    logs = np.cumsum(np.log(np.concatenate([[1.0], np.arange(1, n + 1, dtype=np.float64)])))
    found: Floats = np.exp(logs[n] - logs - logs[::-1] + counts * math.log(p) + (n - counts) * math.log1p(-p))
    return found


def plan(n: int, designs: Sequence[Design], gain: float | None = None) -> list[dict[str, str | int]]:
    """A table of what n problems show, one row a design: percentages and percentage points as text.

    Args:
        n: problems.
        designs: such as one for each of several accuracies.
        gain: a difference that is to be found, as a share.
    """
    rows = []
    for design in designs:
        apart = design._replace(correlation=0.0)
        found = detectable(n, design)
        row: dict[str, str | int] = {
            "accuracy": f"{design.accuracy:.0%}",
            "problems": n,
            "95 % interval": f"±{100 * half_width(n, design._replace(correlation=0.0, alpha=_LEVEL)):.1f}",
            "same problems": f"{100 * found:.1f}",
            "other problems": f"{100 * detectable(n, apart):.1f}",
        }
        if design.samples == 1 and design.effect == 1 and n <= _MOST_EXACT:
            changed = max(design.variance, found)
            exact = mcnemar_power(n, (changed + found) / 2, (changed - found) / 2, design.alpha)
            row["McNemar finds it"] = f"{exact:.0%}"
        if gain is not None:
            row[f"problems for {100 * gain:g} points"] = needed(gain, design)
        rows.append(row)
    return rows
