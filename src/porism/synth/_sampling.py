"""Draws of concepts that go together: the first by frequency, each further one by co-occurrence and similarity.

PromptCoT (Zhao et al., 2025, arXiv:2503.02324). Where S is what was drawn so far, a concept c outside of S comes next
with

    p(c | S) ∝ exp((a · Σ_{s in S} n(s, c) + b · cos(e_c, Σ_{s in S} e_s)) / T)

n(s, c) counts the records that hold both, e are vectors of length 1, T is the temperature, a = b = 1. The first concept
comes with a probability in proportion to the records that hold it.

Departures from the published code: there the similarities, in the order of their rank, are added to scores in the
order of the concepts; here each goes to its own. The maximum is taken off before the exponential, which else overflows.
A draw has a level, and only concepts that fit it take part. ``balance`` is ours, and 0 by default.

Shapes: ``N`` concepts, ``D`` dimensions, ``B`` draws at a time, ``K`` concepts drawn so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Places = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

__all__ = ["Batch", "Counts", "Sampler", "count"]

_AT_ONCE = 1_024
_MOST_ENTRIES = 4_000_000
"""Entries of the largest table, B · N."""


@dataclass(frozen=True)
class Counts:
    """How often concepts stand in records: alone, and together, as a sparse symmetric table in rows."""

    frequency: Floats
    """Of each concept. [N]"""
    starts: Places
    """Where the row of each concept starts, and where the last one ends. [N + 1]"""
    others: Places
    """The other concept of each entry."""
    together: Floats
    """The count of each entry."""


class Batch(NamedTuple):
    """Some draws."""

    levels: Places
    """By number. [B]"""
    concepts: Places
    """By number. [B, K]"""


def count(records: Sequence[Sequence[int]], concepts: int) -> Counts:
    """Count concepts and pairs of them.

    Args:
        records: the concepts of each record, by number; one that stands twice in a record counts once.
        concepts: how many there are, N.
    """
    import numpy as np

    frequency = np.zeros(concepts)
    pairs: Counter[tuple[int, int]] = Counter()
    for record in records:
        members = sorted(set(record))
        frequency[members] += 1
        pairs.update((one, other) for one in members for other in members if one != other)
    entries = sorted(pairs)
    rows = np.array([one for one, _ in entries], np.int64)
    starts = np.searchsorted(rows, np.arange(concepts + 1))
    others = np.array([other for _, other in entries], np.int64)
    together = np.array([pairs[entry] for entry in entries], np.float64)
    return Counts(frequency, starts.astype(np.int64), others, together)


class Sampler:
    """Draws concepts.

    Args:
        counts: of the records that they come from.
        vectors_N_D: of length 1.
        fits_L_N: which concepts fit each level.
        temperature: T, above 0.
        cooccurrence: a.
        similarity: b.
        balance: every weight is divided by (1 + used / mean use) to this power, where ``used`` counts the draws so far.
    """

    def __init__(
        self,
        counts: Counts,
        vectors_N_D: Floats,
        fits_L_N: Flags,
        *,
        temperature: float,
        cooccurrence: float = 1.0,
        similarity: float = 1.0,
        balance: float = 0.0,
    ) -> None:
        import numpy as np

        self._counts, self._fits_L_N = counts, fits_L_N
        self._vectors_N_D = np.asarray(vectors_N_D, np.float32)
        self._temperature, self._balance = temperature, balance
        self._cooccurrence, self._similarity = cooccurrence, similarity
        self.used_N = np.zeros(len(counts.frequency), np.int64)
        """How often each concept was drawn so far."""

    def draw(
        self, total: int, size: int, *, weights_L: Floats, seed: int, first: Sequence[int] = ()
    ) -> Iterator[Batch]:
        """Draw sets of concepts.

        Args:
            total: how many sets.
            size: concepts in each.
            weights_L: how often each level, in proportion.
            seed: the same draws come from the same seed.
            first: concepts with which every set begins.
        """
        import numpy as np

        width = max(1, min(_AT_ONCE, _MOST_ENTRIES // len(self.used_N)))
        shares = np.asarray(weights_L, np.float64) / np.sum(weights_L)
        for number, start in enumerate(range(0, total, width)):
            chance = np.random.default_rng([seed, number])
            rows = min(width, total - start)
            levels_B = chance.choice(len(shares), size=rows, p=shares)
            chosen_B_K = np.tile(np.array(first, np.int64), (rows, 1))
            while chosen_B_K.shape[1] < size:
                next_B = _pick(self.weights(chosen_B_K, levels_B), chance.random(rows))
                chosen_B_K = np.concatenate([chosen_B_K, next_B[:, None]], axis=1)
            self.used_N += np.bincount(chosen_B_K.ravel(), minlength=len(self.used_N))
            yield Batch(levels_B, chosen_B_K)

    def weights(self, chosen_B_K: Places, levels_B: Places) -> Floats:
        """What the probabilities of the next concept are in proportion to; the largest of each row is 1, as [B, N]."""
        import numpy as np

        rows = np.arange(len(chosen_B_K))
        with np.errstate(divide="ignore"):
            if chosen_B_K.shape[1]:
                scores_B_N = self._scores(chosen_B_K) / self._temperature
            else:
                scores_B_N = np.tile(np.log(self._counts.frequency), (len(rows), 1))
        if self._balance and self.used_N.any():
            scores_B_N -= self._balance * np.log1p(self.used_N / self.used_N.mean())
        scores_B_N[~self._fits_L_N[levels_B]] = -np.inf
        scores_B_N[rows[:, None], chosen_B_K] = -np.inf
        scores_B_N -= scores_B_N.max(axis=1, keepdims=True)
        return np.asarray(np.exp(scores_B_N, out=scores_B_N))

    def _scores(self, chosen_B_K: Places) -> Floats:
        """Co-occurrence and similarity with all that was drawn so far, as [B, N]."""
        import numpy as np

        sums_B_D = self._vectors_N_D[chosen_B_K].sum(axis=1)
        lengths_B = np.maximum(np.linalg.norm(sums_B_D, axis=1, keepdims=True), 1e-12)
        found: Floats = ((sums_B_D / lengths_B) @ self._vectors_N_D.T).astype(np.float64)
        found *= self._similarity
        for place in range(chosen_B_K.shape[1]):
            self._add_together(found, chosen_B_K[:, place])
        return found

    def _add_together(self, scores_B_N: Floats, concept_B: Places) -> None:
        """Add how often each concept stands with one of each row."""
        import numpy as np

        counts = self._counts
        starts_B = counts.starts[concept_B]
        lengths_B = counts.starts[concept_B + 1] - starts_B
        rows = np.repeat(np.arange(len(concept_B)), lengths_B)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        entries = np.repeat(starts_B, lengths_B) + within
        scores_B_N[rows, counts.others[entries]] += self._cooccurrence * counts.together[entries]


def _pick(weights_B_N: Floats, chance_B: Floats) -> Places:
    """One concept of each row, by inverting the cumulative weights; never one of weight 0."""
    import numpy as np

    sums_B_N = np.cumsum(weights_B_N, axis=1)
    wanted_B = np.minimum(chance_B * sums_B_N[:, -1], np.nextafter(sums_B_N[:, -1], 0.0))
    return np.asarray((sums_B_N <= wanted_B[:, None]).sum(axis=1), np.int64)
