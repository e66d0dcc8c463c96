"""Intervals of a share: against scipy's, against exact enumeration and against simulation."""

import functools
import math

import numpy as np
import pytest
from scipy import special, stats

from porism.evaluate import intervals
from porism.evaluate._beta import beta_cdf, beta_quantile, t_quantile
from porism.evaluate.intervals import INTERVALS, randomised, share

N = 200
RATES = (0.02, 0.2, 0.5)
COUNTS = [(0, 10), (10, 10), (1, 10), (3, 7), (40, 200), (199, 200), (4, 200), (500, 1319)]


@pytest.mark.parametrize("x", [0.001, 0.02, 0.3, 0.5, 0.97])
def test_the_beta_distribution(x: float) -> None:
    for a, b in ((0.5, 0.5), (1, 1), (4, 197), (100.5, 0.5), (700, 620), (2.5, 3)):
        assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-10, abs=1e-14)
        assert beta_quantile(x, a, b) == pytest.approx(special.betaincinv(a, b, x), rel=1e-8, abs=1e-14)


def test_students_t() -> None:
    for freedom in (1, 2, 9, 199, 5000):
        assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize(("k", "n"), COUNTS)
def test_as_others_compute_them(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(method="exact")
    assert intervals.clopper_pearson(k, n)[1:] == pytest.approx((theirs.low, theirs.high), abs=1e-10)
    low = stats.beta.ppf(0.025, k + 0.5, n - k + 0.5) if k else 0.0
    high = stats.beta.ppf(0.975, k + 0.5, n - k + 0.5) if k < n else 1.0
    assert intervals.jeffreys(k, n)[1:] == pytest.approx((low, high), abs=1e-10)
    size, middle = n + 3.841458820694124, (k + 1.920729410347062) / (n + 3.841458820694124)
    half = 1.959963984540054 * math.sqrt(middle * (1 - middle) / size)
    assert intervals.agresti_coull(k, n)[1:] == pytest.approx((max(0, middle - half), min(1, middle + half)))
    _, low, high = intervals.mid_p(k, n)
    for end, tail, beyond in ((low, stats.binom.sf, k), (high, stats.binom.cdf, k - 1)):
        if 0 < end < 1:
            assert tail(beyond, n, end) + stats.binom.pmf(k, n, end) / 2 == pytest.approx(0.025, abs=1e-9)


@functools.cache
def ends(name: intervals.Name) -> list[tuple[float, float]]:
    return [share(name, k, N)[1:] for k in range(N + 1)]


def exact_coverage(name: intervals.Name, p: float) -> float:
    """The chance that the interval holds p, by enumeration of all counts."""
    chances = stats.binom.pmf(np.arange(N + 1), N, p)
    return float(sum(chance for chance, (low, high) in zip(chances, ends(name), strict=True) if low <= p <= high))


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_each_covers_95_per_cent(name: intervals.Name, p: float) -> None:
    """Within 94 and 96 %, by enumeration, and so in 20,000 simulated runs."""
    exact = exact_coverage(name, p)
    assert 0.94 <= exact <= 0.96
    assert simulated(name, p) == pytest.approx(exact, abs=0.005)


def simulated(name: intervals.Name, p: float, runs: int = 20_000) -> float:
    counts = np.random.default_rng(7).binomial(N, p, runs)
    found = np.array(ends(name))[counts]
    return float(np.mean((found[:, 0] <= p) & (p <= found[:, 1])))


def test_what_a_share_of_two_in_a_hundred_allows() -> None:
    """At p = 0.02 only an interval that holds it at 0 of 200, and not at 8 of 200, would lie within 94 and 96 %."""
    p, counts = 0.02, np.arange(N + 1)
    chances = stats.binom.pmf(counts, N, p)
    within = {
        (low, high) for low in range(30) for high in range(low, 30) if 0.94 <= chances[low : high + 1].sum() <= 0.96
    }
    assert within == {(0, 7)}
    found = {name: round(exact_coverage(name, p), 3) for name in INTERVALS}
    assert found == {
        "wilson": 0.933, "clopper_pearson": 0.962, "agresti_coull": 0.98, "jeffreys": 0.962, "mid_p": 0.962,
    }  # fmt: skip


@pytest.mark.parametrize("p", RATES)
def test_the_randomised_one_covers_exactly(p: float) -> None:
    """For each count the weights under which p is held are an interval; its length is the chance."""
    counts = np.arange(N + 1)
    chances, above, below = (
        stats.binom.pmf(counts, N, p),
        stats.binom.sf(counts, N, p),
        stats.binom.cdf(counts - 1, N, p),
    )
    with np.errstate(all="ignore"):  # far counts have no chance
        least, most = (0.025 - below) / chances, 1 - (0.025 - above) / chances
    held = np.where(chances > 0, np.clip(np.minimum(most, 1) - np.maximum(least, 0), 0, 1), 0)
    assert (chances * held).sum() == pytest.approx(0.95, abs=1e-9)
    for k in np.flatnonzero(chances > 0.01):
        for weight in (0.2, 0.8):
            one = randomised(int(k), N, weight)
            assert (one.low <= p <= one.high) == (least[k] <= weight <= most[k]), (k, weight)


@pytest.mark.parametrize("name", [*INTERVALS, "randomised"])
def test_their_ends(name: intervals.Name) -> None:
    for k, n in COUNTS:
        one = share(name, k, n)
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.value == k / n
    assert all(math.isnan(value) for value in share(name, 0, 0))
    assert share(name, 20, 100) == share(name, 20, 100, 0.5)
    mirrored = share(name, 80, 100)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(share(name, 20, 100)[1:], abs=1e-9)


def test_the_weight_moves_the_randomised_one_alone() -> None:
    assert share("randomised", 20, 100, 0.1) != share("randomised", 20, 100, 0.9)
    assert share("jeffreys", 20, 100, 0.1) == share("jeffreys", 20, 100, 0.9)
