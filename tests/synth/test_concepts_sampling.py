"""Draws of concepts: against the definition, written out plainly; speed, seeds, levels, diversity."""

import math
import random
import time

import numpy as np
import pytest
import scipy.stats

from porism.synth import _sampling
from porism.synth._diversity import diversity
from porism.synth._sampling import Batch, Counts, Sampler, count

CONCEPTS = 1_000
TEMPERATURE = 0.2


def made(concepts: int, seed: int = 5) -> tuple[list[list[int]], np.ndarray]:
    """Records of a few concepts each, and vectors that are neither alike nor unrelated."""
    chance = random.Random(seed)
    records = [chance.sample(range(concepts), chance.randint(1, min(6, concepts))) for _ in range(2 * concepts)]
    records += [[one] for one in range(concepts)]
    vectors = np.random.default_rng(seed).normal(size=(concepts, 24)) + 0.5
    return records, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def world() -> tuple[list[list[int]], np.ndarray, Counts]:
    records, vectors = made(CONCEPTS)
    return records, vectors, count(records, CONCEPTS)


def exact(records: list[list[int]], vectors: np.ndarray, chosen: list[int], temperature: float) -> list[float]:
    """The definition, one concept after the other: co-occurrence with all chosen, cosine with their sum."""
    if not chosen:
        frequency = [0] * len(vectors)
        for record in records:
            for one in set(record):
                frequency[one] += 1
        return [one / sum(frequency) for one in frequency]
    total = sum(vectors[one] for one in chosen)
    length = math.sqrt(sum(float(x) ** 2 for x in total))
    scores = []
    for candidate in range(len(vectors)):
        if candidate in chosen:
            scores.append(-math.inf)
            continue
        together = sum(1 for record in records if candidate in record for one in chosen if one in record)
        cosine = sum(float(a) * float(b) for a, b in zip(total, vectors[candidate], strict=True)) / length
        scores.append((together + cosine) / temperature)
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return [weight / sum(weights) for weight in weights]


def p_value(observed: np.ndarray, probabilities: np.ndarray, draws: int) -> float:
    """Of a chi-square test; concepts that are expected less than five times are counted together."""
    often = probabilities * draws >= 5
    seen = np.append(observed[often], observed[~often].sum())
    wanted = np.append(probabilities[often], probabilities[~often].sum()) * draws
    if wanted[-1] < 5:
        assert seen[-1] <= 20
        seen, wanted = seen[:-1], wanted[:-1] * seen[:-1].sum() / wanted[:-1].sum()
    return float(scipy.stats.chisquare(seen, wanted).pvalue)


def sampler(counts: Counts, vectors: np.ndarray, **options: float) -> Sampler:
    everything = np.ones((1, len(vectors)), bool)
    return Sampler(counts, vectors, everything, **{"temperature": TEMPERATURE, **options})


def drawn(chosen: Sampler, total: int, size: int, seed: int = 0, first: list[int] | None = None) -> np.ndarray:
    batches = list(chosen.draw(total, size, weights_L=np.ones(1), seed=seed, first=first or []))
    return np.concatenate([batch.concepts for batch in batches])


def test_draws_of_a_level_follow_the_definition_on_what_fits_it(
    world: tuple[list[list[int]], np.ndarray, Counts],
) -> None:
    records, vectors, counts = world
    draws = 40_000
    fits = np.zeros((2, CONCEPTS), bool)
    fits[0, :600], fits[1, 400:] = True, True
    chosen = Sampler(counts, vectors, fits, temperature=TEMPERATURE)
    for first in ([], [450], [450, 501]):
        batches = list(chosen.draw(draws, len(first) + 1, weights_L=np.array([1.0, 1.0]), seed=3, first=first))
        levels = np.concatenate([batch.levels for batch in batches])
        last = np.concatenate([batch.concepts[:, -1] for batch in batches])
        plain = np.array(exact(records, vectors, first, TEMPERATURE))
        for level in (0, 1):
            probabilities = np.where(fits[level], plain, 0.0)
            observed = np.bincount(last[levels == level], minlength=CONCEPTS)
            assert observed[~fits[level]].sum() == 0
            assert p_value(observed, probabilities / probabilities.sum(), int(observed.sum())) > 1e-4


@pytest.mark.parametrize("first", [[], [3], [3, 500], [3, 500, 77], [3, 500, 77, 901]], ids=len)
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_each_conditional_draw_follows_the_definition(
    world: tuple[list[list[int]], np.ndarray, Counts], first: list[int], temperature: float
) -> None:
    records, vectors, counts = world
    draws = 20_000
    found = drawn(sampler(counts, vectors, temperature=temperature), draws, len(first) + 1, seed=1, first=first)
    observed = np.bincount(found[:, -1], minlength=CONCEPTS)
    probabilities = np.array(exact(records, vectors, first, temperature))
    assert observed[first].sum() == 0
    assert p_value(observed, probabilities, draws) > 1e-4


def test_the_test_itself_finds_similarities_in_the_wrong_order(
    world: tuple[list[list[int]], np.ndarray, Counts],
) -> None:
    """The fault of the published sampler: similarities by rank, added to scores by index."""
    records, vectors, counts = world
    draws = 20_000
    observed = np.bincount(drawn(sampler(counts, vectors), draws, 2, seed=1, first=[3])[:, -1], minlength=CONCEPTS)
    cosines = vectors @ vectors[3]
    together = np.array([sum({3, one} <= set(record) for record in records) for one in range(CONCEPTS)])
    scores = (together + np.sort(cosines)[::-1]) / TEMPERATURE
    scores[3] = -np.inf
    wrong = np.exp(scores - scores.max())
    assert p_value(observed, wrong / wrong.sum(), draws) < 1e-12


def test_whole_sets_follow_the_definition() -> None:
    """On a world so small that every ordered set can be counted."""
    records, vectors = [[0, 1], [1, 2], [0], [3], [2, 3], [1]], made(4)[1]
    draws = 50_000
    found = drawn(sampler(count(records, 4), vectors), draws, 3, seed=2)
    assert all(len(set(row)) == 3 for row in found[:100].tolist())
    probabilities = np.zeros(64)
    for one in range(4):
        for two in set(range(4)) - {one}:
            for three in set(range(4)) - {one, two}:
                chance = exact(records, vectors, [], 1)[one] * exact(records, vectors, [one], TEMPERATURE)[two]
                probabilities[16 * one + 4 * two + three] = (
                    chance * exact(records, vectors, [one, two], TEMPERATURE)[three]
                )
    observed = np.bincount(found @ np.array([16, 4, 1]), minlength=64)
    assert p_value(observed, probabilities, draws) > 1e-4


def weights(chosen: Sampler, first: int) -> np.ndarray:
    sets = _sampling._Drawn(chosen, 1)
    sets.add(np.array([first]))
    return chosen.weights(sets, np.zeros(1, int))[0]


def test_many_concepts_take_another_way_with_the_same_result(
    world: tuple[list[list[int]], np.ndarray, Counts], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, vectors, counts = world
    held = drawn(sampler(counts, vectors), 500, 5)
    monkeypatch.setattr(_sampling, "_MOST_GRAM", 10)
    assert (held == drawn(sampler(counts, vectors), 500, 5)).mean() > 0.99


def test_weights_of_the_two_terms_count(world: tuple[list[list[int]], np.ndarray, Counts]) -> None:
    _, vectors, counts = world
    alone = weights(sampler(counts, vectors, cooccurrence=0.0), 3)
    cosines = vectors @ vectors[3]
    expected = np.exp((cosines - np.delete(cosines, 3).max()) / TEMPERATURE)
    expected[3] = 0.0
    assert alone == pytest.approx(expected, abs=1e-5)
    other = weights(sampler(counts, vectors, similarity=0.0), 3)
    assert len(set(other.tolist())) <= 5


def test_large_counts_do_not_overflow() -> None:
    records = [[0, 1]] * 100_000 + [[0, 2]] * 99_999 + [[3]]
    found = drawn(sampler(count(records, 4), made(4)[1], temperature=0.01), 50, 2, first=[0])
    assert set(found[:, 1].tolist()) == {1}


@pytest.mark.slow
def test_a_hundred_thousand_sets_take_seconds(world: tuple[list[list[int]], np.ndarray, Counts]) -> None:
    _, vectors, counts = world
    began = time.process_time()
    found = drawn(sampler(counts, vectors), 100_000, 5)
    spent = time.process_time() - began
    print(f"100,000 sets of 5 of {CONCEPTS:,} concepts: {spent:.1f} s of processor time")
    assert found.shape == (100_000, 5)
    assert spent < 60


def test_a_seed_gives_the_same_draws_and_another_one_others(
    world: tuple[list[list[int]], np.ndarray, Counts],
) -> None:
    _, vectors, counts = world
    first, again, other = (drawn(sampler(counts, vectors), 1_500, 5, seed=seed) for seed in (4, 4, 5))
    assert (first == again).all()
    assert (first != other).any()


def test_only_what_fits_the_level_is_drawn() -> None:
    records, vectors = made(60)
    fits = np.zeros((2, 60), bool)
    fits[0, :20], fits[1, 10:] = True, True
    chosen = Sampler(count(records, 60), vectors, fits, temperature=0.5)
    batches: list[Batch] = list(chosen.draw(4_000, 4, weights_L=np.array([1.0, 3.0]), seed=0))
    levels = np.concatenate([batch.levels for batch in batches])
    concepts = np.concatenate([batch.concepts for batch in batches])
    assert concepts[levels == 0].max() < 20
    assert concepts[levels == 1].min() >= 10
    assert scipy.stats.binomtest(int((levels == 1).sum()), 4_000, 0.75).pvalue > 1e-4


def test_balance_spreads_the_draws_and_diversity_shows_it() -> None:
    records, vectors = made(300)
    counts = count(records, 300)
    plain, spread = (
        diversity(drawn(sampler(counts, vectors, balance=balance), 20_000, 5), vectors) for balance in (0.0, 2.0)
    )
    assert spread["entropy"] > plain["entropy"]
    few = (
        diversity(drawn(sampler(counts, vectors, balance=balance), 500, 5), vectors)["entropy"]
        for balance in (0.0, 2.0)
    )
    assert next(few) < next(few), "in a draw that fits into one batch too"
    assert plain["distinct_sets"] <= 1.0


def test_diversity_of_known_draws() -> None:
    vectors = np.eye(4)
    same = diversity(np.array([[0, 1]] * 10), vectors)
    assert same["coverage"] == 0.5
    assert same["entropy"] == pytest.approx(0.5)
    assert same["distinct_sets"] == same["distinct_pairs"] == 0.1
    assert same["within"] == pytest.approx(0.0)
    assert same["between"] == pytest.approx(1.0)
    apart = diversity(np.array([[0, 1], [2, 3]]), vectors)
    assert (apart["coverage"], apart["distinct_sets"]) == (1.0, 1.0)
    assert apart["entropy"] == pytest.approx(1.0)
    assert apart["between"] == pytest.approx(0.0)
    assert math.isnan(diversity(np.array([[1], [1]]), vectors)["within"])


def test_counting() -> None:
    counts = count([[0, 1, 1], [2, 0], [0, 1]], 4)
    assert counts.frequency.tolist() == [3, 2, 1, 0]
    table = np.zeros((4, 4))
    for one in range(4):
        row = slice(counts.starts[one], counts.starts[one + 1])
        table[one, counts.others[row]] = counts.together[row]
    assert table.tolist() == [[0, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
