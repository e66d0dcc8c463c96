"""Means of measurements that hang together: answers to variants of one problem, several answers to one problem.

What is taken for independent are the clusters. Ignoring them makes intervals too narrow: see Miller, 2024,
"Adding Error Bars to Evals", arXiv:2411.00640.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

from porism.evaluate._beta import t_quantile
from porism.evaluate.statistics import Interval

__all__ = ["bootstrap", "clustered_error", "clustered_mean", "paired_bootstrap", "paired_mean", "resampled", "totals"]

Floats = npt.NDArray[np.float64]
_NAN = Interval(math.nan, math.nan, math.nan)
_AT_ONCE = 2_000_000


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """The standard error of the mean, clustered (Liang and Zeger, 1986; Miller, 2024).

    With one value a cluster this is the usual s/√n. The factor G/(G − 1) for G clusters is that of the sample variance.

    Returns:
        NaN for fewer than two clusters.
    """
    sums = totals([[value, 1.0] for value in values], clusters)
    count = len(sums)
    if count < 2:
        return math.nan
    n = sums[:, 1].sum()
    off = sums[:, 0] - sums[:, 1] * sums[:, 0].sum() / n
    return float(math.sqrt(count / (count - 1) * float((off**2).sum())) / n)


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """The mean with its interval from the clustered standard error and Student's t with G − 1 degrees of freedom.

    Returns:
        NaN for no values; NaN ends for one cluster.
    """
    if not values:
        return _NAN
    mean = math.fsum(values) / len(values)
    error = clustered_error(values, clusters)
    if math.isnan(error):
        return Interval(mean, math.nan, math.nan)
    half = t_quantile(0.975, len(set(clusters)) - 1) * error
    return Interval(mean, mean - half, mean + half)


def paired_mean(before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """The mean of after minus before with its clustered interval; the values are those of the same problems."""
    return clustered_mean([b - a for a, b in zip(before, after, strict=True)], clusters)


def totals(rows: Sequence[Sequence[float]], clusters: Sequence[Hashable]) -> Floats:
    """The sums of some quantities over each cluster, in the order in which clusters first come.

    Args:
        rows: the quantities of each measurement.
        clusters: what each measurement belongs to.

    Returns:
        Clusters × quantities.
    """
    if not rows:
        return np.zeros((0, 1))
    places: dict[Hashable, int] = {}
    at = [places.setdefault(cluster, len(places)) for cluster in clusters]
    found = np.zeros((len(places), len(rows[0])))
    np.add.at(found, at, np.asarray(rows, dtype=np.float64))
    return found


def bootstrap(
    sums_G_Q: Floats, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """A statistic of sums with its percentile bootstrap interval: whole clusters are drawn with replacement.

    Efron, 1979; for clusters Field and Welsh, 2007, J. R. Statist. Soc. B 69:369. The ends are moved out by
    √(G / (G − 1)), which makes up for the bootstrap's too small variance with few clusters (Hesterberg, 2015,
    The American Statistician 69:371).

    Args:
        sums_G_Q: G clusters × Q quantities, as :func:`totals` gives them.
        statistic: of totals, R × Q → R; NaN where it is undefined, which draws are left out.
        resamples: how often.
        seed: of the draws.

    Returns:
        NaN ends for fewer than two clusters, or where a twentieth of the draws is undefined.
    """
    return resampled(len(sums_G_Q), lambda weights: statistic(weights @ sums_G_Q), resamples=resamples, seed=seed)


def resampled(
    count: int, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0, width: int = 1
) -> Interval:
    """A statistic of weighted clusters with its percentile bootstrap interval; see :func:`bootstrap`.

    Args:
        count: G clusters.
        statistic: of how often each cluster was drawn, R × G → R; NaN where it is undefined.
        resamples: how often.
        seed: of the draws.
        width: numbers that the statistic makes of each draw, where they are more than the clusters: bounds its memory.
    """
    if count == 0:
        return _NAN
    value = float(statistic(np.ones((1, count)))[0])
    if count < 2 or math.isnan(value):
        return Interval(value, math.nan, math.nan)
    generator = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // max(count, width))
    drawn = np.concatenate(
        [statistic(_weights(generator, min(step, resamples - start), count)) for start in range(0, resamples, step)]
    )
    known = drawn[~np.isnan(drawn)]
    if len(known) < 0.95 * len(drawn):
        return Interval(value, math.nan, math.nan)
    low, high = (float(end) for end in np.quantile(known, [0.025, 0.975]))
    wider = math.sqrt(count / (count - 1))
    return Interval(value, value + wider * (low - value), value + wider * (high - value))


def _weights(generator: np.random.Generator, rows: int, count: int) -> Floats:
    """How often each of ``count`` clusters comes up in each of some draws with replacement: rows × count."""
    places = generator.integers(0, count, size=(rows, count)) + count * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def paired_bootstrap(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of after minus before with its bootstrap interval; problems, or clusters of them, are drawn.

    Args:
        before: of each problem.
        after: of the same problems.
        clusters: what each problem belongs to; each stands alone if left out.
        resamples: how often.
        seed: of the draws.
    """
    rows = [[b - a, 1.0] for a, b in zip(before, after, strict=True)]
    sums = totals(rows, clusters if clusters is not None else range(len(rows)))
    return bootstrap(sums, lambda total: total[:, 0] / total[:, 1], resamples=resamples, seed=seed)
