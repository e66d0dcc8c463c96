"""Whether confidence means anything: of answers given with 80 % confidence, are 80 % right?

All functions take one confidence in [0, 1] and one outcome a measurement; clusters are what the interval takes for
independent, so several answers to one problem go into one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from porism.evaluate.clusters import bootstrap, clustered_mean, resampled, totals
from porism.evaluate.statistics import Interval, wilson

__all__ = ["Bin", "area_under_risk", "brier", "expected_error", "reliability", "risk_at"]

Floats = npt.NDArray[np.float64]
_BINS = 10


class Bin(NamedTuple):
    """Answers of like confidence."""

    low: float
    high: float
    answers: int
    confidence: float
    """The mean."""
    accuracy: Interval


def brier(confidence: Sequence[float], right: Sequence[bool], clusters: Sequence[Hashable]) -> Interval:
    """The Brier score: the mean squared difference of confidence and outcome; 0 is best, 0.25 is always saying ½.

    Brier, 1950, Monthly Weather Review 78:1.
    """
    return clustered_mean([(said - true) ** 2 for said, true in zip(confidence, right, strict=True)], clusters)


def _places(confidence: Sequence[float], bins: int) -> list[int]:
    return [min(bins - 1, int(said * bins)) for said in confidence]


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int = _BINS) -> list[Bin]:
    """Confidence against accuracy in bins of equal width, those without an answer left out.

    A reliability diagram (DeGroot and Fienberg, 1983, The Statistician 32:12). The bins' intervals are Wilson's.
    """
    found = []
    places = _places(confidence, bins)
    for number in range(bins):
        here = [at for at, place in enumerate(places) if place == number]
        if here:
            said = math.fsum(confidence[at] for at in here) / len(here)
            accuracy = wilson(sum(right[at] for at in here), len(here))
            found.append(Bin(number / bins, (number + 1) / bins, len(here), said, accuracy))
    return found


def expected_error(
    confidence: Sequence[float], right: Sequence[bool], clusters: Sequence[Hashable], bins: int = _BINS
) -> Interval:
    """The expected calibration error: the mean over answers of |accuracy − confidence| of their bin.

    Naeini et al., 2015, AAAI; Guo et al., 2017, arXiv:1706.04599. It is biased upwards where bins hold few answers,
    and so is the interval, by the bootstrap.
    """
    rows = []
    for said, true, place in zip(confidence, right, _places(confidence, bins), strict=True):
        rows.append([*(true - said if place == number else 0.0 for number in range(bins)), 1.0])
    sums = totals(rows, clusters) if rows else np.zeros((0, bins + 1))
    return bootstrap(sums, lambda total: np.abs(total[:, :-1]).sum(axis=1) / total[:, -1])


def risk_at(confidence: Sequence[float], right: Sequence[bool], coverage: float) -> float:
    """The share of wrong answers among the ``coverage`` most confident; those of one confidence are alike.

    A point of the risk-coverage curve (El-Yaniv and Wiener, 2010, JMLR 11:1605). NaN for no answers.
    """
    n = len(confidence)
    if n == 0 or coverage <= 0:
        return math.nan
    errors = _spread(confidence, right, np.ones((1, n)))[0]
    wanted = coverage * n
    whole = min(n, int(wanted))
    part = wanted - whole
    risk = errors[:whole].sum() + (part * errors[whole] if part > 1e-9 and whole < n else 0.0)
    return float(risk / wanted)


def area_under_risk(confidence: Sequence[float], right: Sequence[bool], clusters: Sequence[Hashable]) -> Interval:
    """The area under the risk-coverage curve, from 0 (best) to 1, with its bootstrap interval.

    Geifman et al., 2019, arXiv:1805.08206 (AURC): the mean of the risk so far, from the surest answer on.
    """
    places: dict[Hashable, int] = {}
    of = np.array([places.setdefault(cluster, len(places)) for cluster in clusters], dtype=int)

    def area(weights: Floats) -> Floats:
        order = np.argsort([-said for said in confidence], kind="stable")
        drawn = weights[:, of]
        errors = _spread(confidence, right, drawn)
        mass = drawn[:, order]
        seen = np.cumsum(mass, axis=1)
        risk = np.cumsum(mass * errors, axis=1) / np.where(seen > 0, seen, 1)
        return np.asarray((mass * risk).sum(axis=1) / seen[:, -1])

    return resampled(len(places), area, resamples=1000, width=len(of))


def _spread(confidence: Sequence[float], right: Sequence[bool], weights: Floats) -> Floats:
    """Each answer's risk, the most confident first: the share of wrong ones among those of its confidence."""
    order = np.argsort([-said for said in confidence], kind="stable")
    said = np.asarray(confidence, dtype=np.float64)[order]
    wrong = 1.0 - np.asarray(right, dtype=np.float64)[order]
    mass = weights[:, order]
    starts = np.flatnonzero(np.concatenate([[True], said[1:] != said[:-1]]))
    group = np.cumsum(np.concatenate([[0], (said[1:] != said[:-1]).astype(int)]))
    total = np.add.reduceat(mass, starts, axis=1)
    bad = np.add.reduceat(mass * wrong, starts, axis=1)
    return np.asarray((bad / np.where(total > 0, total, 1))[:, group])
