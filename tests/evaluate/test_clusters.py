"""Clustered means, bootstraps and adjusted p-values: against simulation and against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from porism.evaluate.clusters import (
    bootstrap,
    clustered_error,
    clustered_mean,
    paired_bootstrap,
    paired_mean,
    resampled,
    totals,
)
from porism.evaluate.many import benjamini_hochberg, holm
from porism.evaluate.statistics import newcombe


def test_alone_it_is_the_usual_error() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 0.25]
    assert clustered_error(values, range(5)) == pytest.approx(stats.sem(values))
    interval = clustered_mean(values, range(5))
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert interval[1:] == pytest.approx((theirs.low, theirs.high))


def test_clusters_of_equal_size_are_as_their_means() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert clustered_error(values, "aabbcc") == pytest.approx(stats.sem([0.5, 1.0, 0.0]))
    assert clustered_error(values, "aabbcc") > stats.sem(values)


def clustered(generator: np.random.Generator, count: int, size: int, mean: float) -> tuple[list[float], list[int]]:
    """Right and wrong answers whose chance is drawn for each cluster."""
    rates = generator.beta(2 * mean, 2 * (1 - mean), count)
    values = (generator.random((count, size)) < rates[:, None]).astype(float)
    return values.ravel().tolist(), np.repeat(np.arange(count), size).tolist()


def test_ignoring_clusters_is_what_makes_intervals_too_narrow() -> None:
    """Of 600 runs with 60 clusters of 8: the clustered interval covers 92.5 to 97.5 %, the other one below 80 %."""
    generator = np.random.default_rng(3)
    kept = ignored = 0
    for _ in range(600):
        values, names = clustered(generator, 60, 8, 0.4)
        kept += (one := clustered_mean(values, names)).low <= 0.4 <= one.high
        half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
        ignored += abs(float(np.mean(values)) - 0.4) <= half
    assert 0.925 <= kept / 600 <= 0.975
    assert ignored / 600 < 0.8


def test_the_bootstrap_of_clusters_covers() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for run in range(200):
        values, names = clustered(generator, 60, 4, 0.4)
        sums = totals([[value, 1.0] for value in values], names)
        one = bootstrap(sums, lambda total: total[:, 0] / total[:, 1], resamples=1000, seed=run)
        covered += one.low <= 0.4 <= one.high
    assert 0.9 <= covered / 200 <= 0.99


def test_paired() -> None:
    before, after = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0] * 20, [1.0, 0.0, 1.0, 1.0, 1.0, 0.0] * 20
    theirs = stats.ttest_rel(after, before).confidence_interval()
    ours = paired_mean(before, after, range(120))
    assert ours[1:] == pytest.approx((theirs.low, theirs.high))
    drawn = paired_bootstrap(before, after)
    assert drawn == pytest.approx(ours, abs=0.02)
    assert drawn == paired_bootstrap(before, after), "the same seed gives the same ends"
    assert drawn != paired_bootstrap(before, after, seed=1)
    halves = [at // 2 for at in range(120)]
    assert paired_bootstrap(before, after, halves).value == drawn.value
    # pairs of equal differences in one cluster: half as many independent ones
    twice = paired_bootstrap([0.0] * 40, [1.0, 1.0, 0.0, 0.0] * 10, [at // 2 for at in range(40)])
    once = paired_bootstrap([0.0] * 40, [1.0, 1.0, 0.0, 0.0] * 10)
    assert twice.high - twice.low > 1.3 * (once.high - once.low)


def test_undefined() -> None:
    assert all(math.isnan(value) for value in clustered_mean([], []))
    assert math.isnan(clustered_mean([1.0, 0.0], "aa").low)
    assert clustered_mean([1.0, 0.0], "aa").value == 0.5
    assert all(math.isnan(value) for value in paired_bootstrap([], []))
    assert math.isnan(paired_bootstrap([0.0], [1.0]).low)
    assert math.isnan(resampled(3, lambda weights: np.full(len(weights), np.nan)).value)
    rare = totals([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]], range(3))
    with np.errstate(invalid="ignore"):
        one = bootstrap(rare, lambda total: total[:, 0] / total[:, 1])
    assert (one.value, math.isnan(one.low)) == (1.0, True), "often undefined"


def test_many_comparisons() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005]
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert holm([]) == benjamini_hochberg([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_holm_keeps_the_chance_of_any_false_claim() -> None:
    generator = np.random.default_rng(1)
    draws = generator.random((4000, 10))
    assert np.mean([min(row) < 0.05 for row in draws]) > 0.35
    assert np.mean([min(holm(row.tolist())) < 0.05 for row in draws]) == pytest.approx(0.05, abs=0.012)


def test_two_independent_shares() -> None:
    """Newcombe's own example (1998, table II, column a): 56/70 − 48/80."""
    found = newcombe(56, 70, 48, 80)
    assert found.difference == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert math.isnan(newcombe(0, 0, 1, 2).difference.value)
