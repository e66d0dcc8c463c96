"""Pairs of vectors that point the same way: all of them below a size, and above it those that share a cell.

Up to ``exact_below`` vectors, every pair is compared. Above, the vectors are put into cells (an inverted file): those
of the nearest centroids of a k-means on a sample, by FAISS, again within cells that are still large; pairs are compared
within cells alone, by matrix products. The cells hold a fixed number of vectors, so the work grows with the number of
vectors and not with its square. A vector that lies close to the border of two cells is put into both: two vectors on
either side of it then meet. Only the two nearest cells are taken, so that the work stays bounded where all lie close.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from porism.errors import MissingExtra

__all__ = ["EXACT_BELOW", "Alike", "alike", "nearest"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

EXACT_BELOW = 20_000
_CELL = 400
"""Vectors of a cell, about."""
_LARGE = 3 * _CELL
"""Cells with more are divided again."""
_MOST_CHILDREN = 256
_SAMPLE = 64
"""Vectors of the sample for each centroid."""
_ROUNDS = 5
_MARGIN = 0.15
"""How close to the border counts as close, as a share of the distance of two vectors that are just alike. Of that
distance, which may point anywhere, only a part lies across the border: in 384 dimensions seldom more than this."""
_BLOCK = 400
_DENSE = 64
"""Alike vectors for each one in a block, beyond which not all pairs are listed."""
_SEED = 1234
_LOWER = np.tri(_BLOCK, dtype=np.bool_)
"""The pairs of a block with itself that are no pairs, or are there already."""


class Alike(NamedTuple):
    """What was found."""

    first: Ints
    second: Ints
    """Positions of the pairs at or above the threshold, the smaller first."""
    cosine: Floats
    """Of each pair."""
    complete: bool
    """Whether every pair was compared and is listed."""


class _Best:
    """The most similar other vector of each, as far as they were compared."""

    def __init__(self, total: int) -> None:
        self.cosine: Floats = np.full(total, -2.0, np.float32)
        self.place: Ints = np.full(total, -1, np.int64)

    def offer(self, at: Ints, places: Ints, cosines: Floats) -> None:
        better = cosines > self.cosine[at]
        self.cosine[at[better]] = cosines[better]
        self.place[at[better]] = places[better]


def alike(
    vectors: Floats,
    threshold: float,
    *,
    apart: U64 | None = None,
    exact_below: int = EXACT_BELOW,
    best: bool = True,
) -> tuple[Alike, Floats, Ints]:
    """The pairs of vectors whose cosine reaches a threshold.

    Args:
        vectors: of length 1. [N, D]
        threshold: the least cosine.
        apart: a number for each vector: pairs with different ones are not alike. [N]
        exact_below: up to how many vectors every pair is compared.
        best: also find the most similar other vector of each, whatever their numbers.

    Returns:
        The pairs; the cosine of each vector with the most similar other one (−2 where none was seen), [N]; and that
        one's position (−1), [N].

    Raises:
        MissingExtra: FAISS is needed and not installed.
    """
    total = len(vectors)
    finder = _Finder(vectors, threshold, apart, _Best(total) if best else None)
    if total <= exact_below:
        finder.compare(np.arange(total))
    else:
        finder.complete = False
        for cell in _cells(vectors, np.arange(total), _MARGIN * float(np.sqrt(max(0.0, 2 - 2 * threshold)))):
            finder.compare(cell)
    seen = finder.best or _Best(total)
    return finder.pairs(), seen.cosine, seen.place


class _Finder:
    """Compares groups of vectors and remembers what was alike."""

    def __init__(self, vectors: Floats, threshold: float, apart: U64 | None, best: _Best | None) -> None:
        self._vectors, self._threshold, self._apart = vectors, np.float32(threshold), apart
        self.best = best
        self.complete = True
        self._codes: list[Ints] = []
        self._cosines: list[Floats] = []

    def compare(self, places: Ints) -> None:
        """Compare each pair of a group, in blocks."""
        for start in range(0, len(places), _BLOCK):
            rows = places[start : start + _BLOCK]
            left = self._vectors[rows]
            for other in range(start, len(places), _BLOCK):
                columns = places[other : other + _BLOCK]
                right = left if other == start else self._vectors[columns]
                cosines = left @ right.T
                if other == start:
                    np.copyto(cosines, -2.0, where=_LOWER[: len(rows), : len(rows)])
                self._take(rows, columns, cosines)

    def pairs(self) -> Alike:
        """What was found, each pair once."""
        nothing: Ints = np.zeros(0, np.int64)
        codes, at = np.unique(np.concatenate([nothing, *self._codes]), return_index=True)
        cosines = np.concatenate([np.zeros(0, np.float32), *self._cosines])[at]
        total = max(1, len(self._vectors))
        return Alike(codes // total, codes % total, cosines, self.complete)

    def _take(self, rows: Ints, columns: Ints, cosines: Floats) -> None:
        if self.best is not None:
            at = cosines.argmax(axis=1)
            self.best.offer(rows, columns[at], cosines[np.arange(len(rows)), at])
            at = cosines.argmax(axis=0)
            self.best.offer(columns, rows[at], cosines[at, np.arange(len(columns))])
        found = cosines >= self._threshold
        if not found.any():
            return
        if self._apart is not None:
            found &= self._apart[rows][:, None] == self._apart[columns][None, :]
        if np.count_nonzero(found) > _DENSE * len(rows):
            found = _thinned(found, cosines)
            self.complete = False
        row, column = np.nonzero(found)
        first, second = rows[row], columns[column]
        self._codes.append(np.minimum(first, second) * len(self._vectors) + np.maximum(first, second))
        self._cosines.append(cosines[row, column])


def _thinned(found: npt.NDArray[np.bool_], cosines: Floats) -> npt.NDArray[np.bool_]:
    """Of each row and each column the most similar one, and enough others to join whatever all together join."""
    kept: npt.NDArray[np.bool_] = np.zeros(found.shape, np.bool_)
    inside = np.where(found, cosines, -2.0)
    for axis in (0, 1):
        line = np.flatnonzero(found.any(axis=axis))
        at = inside.argmax(axis=axis)[line]
        kept[(at, line) if axis == 0 else (line, at)] = True
    rows: npt.NDArray[np.bool_] = np.asarray(found.any(axis=1))  # those that no row or column before has reached
    columns: npt.NDArray[np.bool_] = np.asarray(found.any(axis=0))
    while rows.any():
        reached = [int(rows.argmax())]
        rows[reached] = False
        while reached:
            row = reached.pop()
            fresh = np.flatnonzero(found[row] & columns)
            kept[row, fresh], columns[fresh] = True, False
            for column in fresh.tolist():
                others = np.flatnonzero(found[:, column] & rows)
                kept[others, column], rows[others] = True, False
                reached += others.tolist()
    return kept


def _cells(vectors: Floats, places: Ints, margin: float) -> Iterator[Ints]:
    """Groups of vectors within which those that are alike are found."""
    children = int(np.clip(np.ceil(len(places) / _CELL), 2, _MOST_CHILDREN))
    if len(places) <= _LARGE:
        yield places
        return
    centroids = _centroids(vectors[places[_spread(len(places), children * _SAMPLE)]], children)
    nearest_, close = _assigned(vectors, places, centroids, margin)
    for child in range(len(centroids)):
        inside = places[(nearest_ == child) | (close == child)]
        if len(inside) < 2:
            continue
        if len(inside) > 0.7 * len(places):  # vectors that no centroids tell apart
            half = len(inside) // 2
            yield from _halves(inside, half)
        else:
            yield from _cells(vectors, inside, margin)


def _halves(places: Ints, half: int) -> Iterator[Ints]:
    """Cells of neighbouring positions."""
    if len(places) <= _LARGE:
        yield places
        return
    yield from _halves(places[:half], half // 2)
    yield from _halves(places[half:], (len(places) - half) // 2)


def _spread(total: int, wanted: int) -> Ints:
    """Positions of a sample, at even distances: the order of the vectors is that of hashes, so it is a random one."""
    return np.unique(np.linspace(0, total - 1, min(wanted, total)).astype(np.int64))


def _centroids(sample: Floats, count: int) -> Floats:
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss", "'porism[curate]'", f"comparing more than {EXACT_BELOW:,} vectors") from None
    means = faiss.Kmeans(
        sample.shape[1],
        count,
        niter=_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=_SAMPLE,
    )
    means.train(np.ascontiguousarray(sample))
    found: Floats = np.asarray(means.centroids, np.float32)
    return found


def _assigned(vectors: Floats, places: Ints, centroids: Floats, margin: float) -> tuple[Ints, Ints]:
    """The nearest centroid of each vector, and the second nearest where the border to it is close (else −1)."""
    first = np.empty(len(places), np.int64)
    second = np.full(len(places), -1, np.int64)
    gaps = np.sqrt(np.maximum(2 - 2 * (centroids @ centroids.T), 1e-12))
    step = 1 << 16
    for start in range(0, len(places), step):
        scores = vectors[places[start : start + step]] @ centroids.T
        rows = np.arange(len(scores))
        one = scores.argmax(axis=1)
        best = scores[rows, one]
        scores[rows, one] = -2.0
        other = scores.argmax(axis=1)
        to_border = (best - scores[rows, other]) / gaps[one, other]
        first[start : start + step] = one
        second[start : start + step] = np.where(to_border <= margin, other, -1)
    return first, second


def nearest(vectors: Floats, among: Floats, apart: tuple[U64, U64] | None = None) -> tuple[Floats, Ints]:
    """The most similar of some vectors to each: its cosine, [N], and its position, [N].

    Args:
        vectors: of length 1. [N, D]
        among: what is searched, in full; at least one. [M, D]
        apart: a number for each of the former and of the latter: those with different ones are not looked at, and
            where all are different the cosine is −2. [N], [M]
    """
    cosines, places = np.empty(len(vectors), np.float32), np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _BLOCK):
        scores = vectors[start : start + _BLOCK] @ among.T
        if apart is not None:
            scores[apart[0][start : start + _BLOCK, None] != apart[1][None, :]] = -2.0
        at = scores.argmax(axis=1)
        places[start : start + _BLOCK] = at
        cosines[start : start + _BLOCK] = scores[np.arange(len(scores)), at]
    return cosines, places
