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
_MOST_GRAM = 4_096
"""Concepts of which all cosines are held."""
_STEPS = 64
"""Batches at least, where what was drawn less is to come more often."""


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

        self._counts = counts
        self._vectors_N_D = np.asarray(vectors_N_D, np.float32)
        self._temperature, self._balance = temperature, balance
        self._cooccurrence, self._similarity = cooccurrence, similarity
        self._unfit_L_N = np.where(fits_L_N, 0.0, -np.inf)
        small = len(self._vectors_N_D) <= _MOST_GRAM
        self._gram_N_N = self._vectors_N_D @ self._vectors_N_D.T if small else None
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
        if self._balance:  # what was used counts from one batch to the next
            width = max(1, min(width, total // _STEPS))
        shares = np.asarray(weights_L, np.float64) / np.sum(weights_L)
        for number, start in enumerate(range(0, total, width)):
            chance = np.random.default_rng([seed, number])
            rows = min(width, total - start)
            levels_B = chance.choice(len(shares), size=rows, p=shares)
            drawn = _Drawn(self, rows)
            for concept in first:
                drawn.add(np.full(rows, concept))
            while drawn.chosen_B_K.shape[1] < size:
                weights_B_N = self.weights(drawn, levels_B) if drawn.chosen_B_K.size else self.weights_first(levels_B)
                drawn.add(_pick(weights_B_N, chance.random(rows)))
            self.used_N += np.bincount(drawn.chosen_B_K.ravel(), minlength=len(self.used_N))
            yield Batch(levels_B, drawn.chosen_B_K)

    def weights_first(self, levels_B: Places) -> Floats:
        """What the probabilities of the first concept are in proportion to, as [B, N]."""
        import numpy as np

        with np.errstate(divide="ignore"):
            scores_L_N = np.log(self._counts.frequency) + self._unfit_L_N + self._steer()
        scores_L_N -= scores_L_N.max(axis=1, keepdims=True)
        return np.asarray(np.exp(scores_L_N)[levels_B])

    def weights(self, drawn: _Drawn, levels_B: Places) -> Floats:
        """What the probabilities of a further concept are in proportion to; the largest of each row is 1, as [B, N]."""
        import numpy as np

        rows = np.arange(len(levels_B))[:, None]
        squares_B = drawn.near_B_N[rows, drawn.chosen_B_K].sum(axis=1, dtype=np.float64)
        lengths_B = np.sqrt(np.maximum(squares_B, 1e-12))
        scores_B_N = drawn.near_B_N * (self._similarity / (self._temperature * lengths_B))[:, None]
        if self._cooccurrence and len(self._counts.others):
            scores_B_N += drawn.together_B_N * (self._cooccurrence / self._temperature)
        if not np.isfinite(self._unfit_L_N).all():
            scores_B_N += self._unfit_L_N[levels_B]
        if self._balance:
            scores_B_N += self._steer()
        scores_B_N[rows, drawn.chosen_B_K] = -np.inf
        scores_B_N -= scores_B_N.max(axis=1, keepdims=True)
        return np.asarray(np.exp(scores_B_N.astype(np.float32)))

    def near(self, concept_B: Places) -> Floats:
        """The cosines of some concepts with all, as [B, N]."""
        found: Floats
        if self._gram_N_N is not None:
            found = self._gram_N_N[concept_B]
        else:
            found = self._vectors_N_D[concept_B] @ self._vectors_N_D.T
        return found

    def together(self, concept_B: Places) -> tuple[Places, Places, Floats]:
        """Rows, columns and values of how often some concepts stand with others."""
        import numpy as np

        counts = self._counts
        starts_B = counts.starts[concept_B]
        lengths_B = counts.starts[concept_B + 1] - starts_B
        rows = np.repeat(np.arange(len(concept_B)), lengths_B)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        entries = np.repeat(starts_B, lengths_B) + within
        return rows, counts.others[entries], counts.together[entries]

    def _steer(self) -> Floats:
        """What is added to scores so that what was drawn less comes more often, as [N]."""
        import numpy as np

        mean = self.used_N.mean() or 1.0
        return np.asarray(-self._balance * np.log1p(self.used_N / mean))


class _Drawn:
    """Sets that are being drawn, and how near all concepts are to each.

    Args:
        sampler: who draws.
        rows: how many sets.
    """

    def __init__(self, sampler: Sampler, rows: int) -> None:
        import numpy as np

        concepts = len(sampler.used_N)
        self._sampler = sampler
        self.chosen_B_K: Places = np.zeros((rows, 0), np.int64)
        self.near_B_N: Floats = np.zeros((rows, concepts), np.float32)
        self.together_B_N: Floats = np.zeros((rows, concepts), np.float64)

    def add(self, concept_B: Places) -> None:
        """Add a concept to each."""
        import numpy as np

        self.chosen_B_K = np.concatenate([self.chosen_B_K, concept_B[:, None]], axis=1)
        self.near_B_N += self._sampler.near(concept_B)
        rows, columns, values = self._sampler.together(concept_B)
        self.together_B_N[rows, columns] += values


def _pick(weights_B_N: Floats, chance_B: Floats) -> Places:
    """One concept of each row, by inverting the cumulative weights; never one of weight 0."""
    import numpy as np

    sums_B_N = np.cumsum(weights_B_N, axis=1, dtype=np.float64)
    wanted_B = np.minimum(chance_B * sums_B_N[:, -1], np.nextafter(sums_B_N[:, -1], 0.0))
    return np.asarray((sums_B_N <= wanted_B[:, None]).sum(axis=1), np.int64)
