"""Which records say the same: clusters by one of three methods, each with what stands for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from porism import embeddings
from porism.curate import _cells, _minhash, _text
from porism.curate._clusters import settle
from porism.errors import RecipeError
from porism.records import Record

__all__ = ["Encoder", "EncoderModel", "Found", "Keep", "Method", "Numbers", "Threshold", "find", "threshold_of"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
U64 = npt.NDArray[np.uint64]

Method = Annotated[
    Literal["exact", "near", "semantic"],
    Field(description="exact: equal but for case, width and space; near: most n-grams in common; semantic: embeddings"),
]
Threshold = Annotated[
    float | None,
    Field(description="least similarity: Jaccard for near (0.7), cosine for semantic (0.975)", gt=0, le=1),
]
Numbers = Annotated[
    Literal["apart", "alike"],
    Field(description="apart: records with different numbers or signs of arithmetic are never the same"),
]
Keep = Annotated[
    Literal["stable", "longest", "first"],
    Field(description="what stands for a cluster: by a hash of the content, the longest, or the first of the input"),
]
Encoder = Annotated[str, Field(description="how texts are embedded: sentence, last_token, or code of your own")]
EncoderModel = Annotated[str, Field(description="the encoder's model; its own default where left empty")]

_DEFAULTS = {"near": 0.7, "semantic": 0.975}
_AT_ONCE = 2_000


class Found(NamedTuple):
    """What was found about each record, in the order of the input."""

    ids: list[str]
    head: Ints
    """The record that stands for its cluster; itself where it does. [N]"""
    other: Ints
    """The most similar other record that was seen, −1 where there is none. [N]"""
    similarity: Floats
    """With that one; not a number where there is none. [N]"""
    link: Ints
    """The most similar of those that the threshold takes for the same, −1 where there is none. [N]"""
    link_similarity: Floats
    repeats: Ints
    """How many others are as similar as the threshold asks. [N]"""
    earliest: Ints
    """The earliest of these and itself in the input, as Magpie counts. [N]"""


def threshold_of(method: str, threshold: float | None) -> float:
    """The threshold that is meant.

    Raises:
        RecipeError: one was named for exact comparison.
    """
    if method == "exact":
        if threshold is not None:
            raise RecipeError("threshold: exact comparison has none. Leave it out, or set method to near or semantic.")
        return 1.0
    return _DEFAULTS[method] if threshold is None else threshold


def find(
    records: Iterable[Record],
    *,
    method: str,
    by: str,
    threshold: float | None = None,
    keep: str = "stable",
    numbers: str = "apart",
    grams: str = "characters",
    gram_size: int = 0,
    encoder: str = "sentence",
    encoder_model: str = "",
) -> Found:
    """Put records that say the same into clusters.

    The result depends on what the records are, not on their order (but for ``keep="first"`` and ``earliest``).
    """
    least = threshold_of(method, threshold)
    look = _Look(records, by=by, keep=keep, method=method, apart=numbers == "apart", grams=grams, gram_size=gram_size)
    apart = look.numbers if numbers == "apart" else None
    if method == "exact":
        return look.found(_equal(look.digests))
    if method == "near":
        search: _Search = _Near(look.sets(), least, apart)
    else:
        search = _Semantic(look.vectors(encoder, encoder_model), least, apart)
    heads = settle(len(look.order), search)
    return look.found(heads, search)


class _Look:
    """One pass over the records. Everything past it is in a canonical order: of the preference, then of the content."""

    def __init__(
        self, records: Iterable[Record], *, by: str, keep: str, method: str, apart: bool, grams: str, gram_size: int
    ) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self._digests: list[bytes] = []
        ranks: list[tuple[int, str, bytes]] = []
        numbered: list[int] = []
        self._parts: list[_minhash.Ragged] = []
        batch: list[str] = []
        for at, record in enumerate(records):
            text = _text.by_of(record, by)
            plain = _text.normal(text)
            numbered.append(_text.numbers(plain) if apart else 0)
            plain = plain if apart else _text.without_numbers(plain)
            size = {"longest": -len(text), "first": at}.get(keep, 0)
            self.ids.append(record.id)
            ranks.append((size, self.ids[-1], _text.digest(repr(record))))
            self._digests.append(_text.digest(plain))
            if method == "semantic":
                self.texts.append(text)
            elif method == "near":
                batch.append(plain)
                if len(batch) == _AT_ONCE:
                    self._parts.append(_minhash.grams(batch, grams, gram_size))
                    batch = []
        if batch:
            self._parts.append(_minhash.grams(batch, grams, gram_size))
        self.order: Ints = np.array(sorted(range(len(ranks)), key=ranks.__getitem__), np.int64)
        self.numbers: U64 = np.array(numbered, np.uint64)[self.order]

    @property
    def digests(self) -> list[bytes]:
        """Of the normal texts, in canonical order."""
        return [self._digests[at] for at in self.order.tolist()]

    def sets(self) -> _minhash.Ragged:
        """The n-grams of the texts, in canonical order."""
        values = np.concatenate([np.zeros(0, np.uint32), *(part.values for part in self._parts)])
        sizes = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.starts) for part in self._parts)])
        self._parts.clear()
        begins = np.concatenate(([0], np.cumsum(sizes)))
        ordered = sizes[self.order]
        starts = np.concatenate(([0], np.cumsum(ordered)))
        places = np.repeat(begins[:-1][self.order] - starts[:-1], ordered) + np.arange(starts[-1])
        return _minhash.Ragged(values[places], starts)

    def vectors(self, encoder: str, model: str) -> Floats:
        """The embeddings of the texts, in canonical order. [N, D]."""
        found = embeddings.embed(self.texts, encoder=encoder, model=model)
        self.texts.clear()
        ordered: Floats = found[self.order]
        return ordered

    def found(self, heads: Ints, search: _Search | None = None) -> Found:
        """The clusters in the order of the input."""
        total = len(self.order)
        head = np.empty(total, np.int64)
        head[self.order] = self.order[heads]
        other, similarity = np.full(total, -1, np.int64), np.full(total, np.nan, np.float32)
        repeats, earliest = np.zeros(total, np.int64), np.arange(total)
        if search is None:
            sizes = np.bincount(head, minlength=total)
            first = np.full(total, total, np.int64)
            np.minimum.at(first, head, np.arange(total))
            several = sizes[head] > 1
            repeats, earliest = sizes[head] - 1, first[head]
            other[several] = np.where(head[several] == np.flatnonzero(several), first[head[several]], head[several])
            similarity[several] = 1.0
        else:
            other, similarity = self._back(search.other, search.similarity)
            link, likeness = self._back(*_most_similar(total, search.first, search.second, search.pair_similarity))
            one, two = self.order[search.first], self.order[search.second]
            repeats = np.bincount(np.concatenate([one, two]), minlength=total)
            np.minimum.at(earliest, one, two)
            np.minimum.at(earliest, two, one)
            return Found(self.ids, head, other, similarity, link, likeness, repeats, earliest)
        return Found(self.ids, head, other, similarity, other, similarity, repeats, earliest)

    def _back(self, other: Ints, similarity: Floats) -> tuple[Ints, Floats]:
        """Partners and similarities by canonical order → by the order of the input."""
        found, values = np.full(len(other), -1, np.int64), np.full(len(other), np.nan, np.float32)
        found[self.order] = np.where(other >= 0, self.order[other], -1)
        values[self.order] = similarity
        return found, values


def _equal(digests: Sequence[bytes]) -> Ints:
    """The first of the positions with the same digest, for each."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(digest, at) for at, digest in enumerate(digests)], np.int64)


class _Search:
    """Pairs that are similar enough, remembered from the first search; later ones are only for clusters.

    Args:
        total: how many records there are.
        least: the threshold.
        apart: a number for each record: those with different ones are not the same.
    """

    def __init__(self, total: int, least: float, apart: U64 | None) -> None:
        self.least, self.apart = least, apart
        self.other: Ints = np.full(total, -1, np.int64)
        self.similarity: Floats = np.full(total, np.nan, np.float32)
        self.first: Ints = np.zeros(0, np.int64)
        self.second: Ints = np.zeros(0, np.int64)
        self.pair_similarity: Floats = np.zeros(0, np.float32)
        self._began = False

    def __call__(self, places: Ints) -> tuple[Ints, Ints, bool]:
        """Search among some places."""
        first, second, similarity, complete = self.pairs(places, remember=not self._began)
        if not self._began:
            self.first, self.second, self.pair_similarity, self._began = first, second, similarity, True
        return first, second, complete

    def pairs(self, places: Ints, *, remember: bool) -> tuple[Ints, Ints, Floats, bool]:
        """The pairs among some places with their similarity, and whether all were looked at."""
        raise RuntimeError(f"each method has its own: {len(places)}, {remember}")


class _Near(_Search):
    """By MinHash."""

    def __init__(self, sets: _minhash.Ragged, least: float, apart: U64 | None) -> None:
        super().__init__(len(sets.starts) - 1, least, apart)
        self._sets = sets
        values = [_minhash.signatures(sets.part(a, b)) for a, b in _steps(self.other.size, _AT_ONCE)]
        self._values = np.concatenate([np.zeros((0, 128), np.uint32), *values])
        self._keys = _minhash.keys(self._values, _minhash.bands(least), apart)

    def pairs(self, places: Ints, *, remember: bool) -> tuple[Ints, Ints, Floats, bool]:
        """Pairs that share a band and whose sets are similar enough."""
        found = _minhash.candidates(self._keys[places])
        first, second = places[found.first], places[found.second]
        likely = self._likely(first, second)
        first, second = first[likely], second[likely]
        similarity = np.fromiter(
            (
                _minhash.jaccard(self._sets.row(a), self._sets.row(b))
                for a, b in zip(first.tolist(), second.tolist(), strict=True)
            ),
            np.float32,
            len(first),
        )
        if remember:
            self.other, self.similarity = _most_similar(len(self.other), first, second, similarity)
        kept = similarity >= np.float32(self.least)
        return first[kept], second[kept], similarity[kept], found.complete

    def _likely(self, first: Ints, second: Ints) -> npt.NDArray[np.bool_]:
        """Pairs whose MinHash values do not speak against them: five standard deviations below are allowed."""
        slack = 5 * (self.least * (1 - self.least) / self._values.shape[1]) ** 0.5
        found = np.ones(len(first), np.bool_)
        for a, b in _steps(len(first), 1 << 16):
            agree = (self._values[first[a:b]] == self._values[second[a:b]]).mean(axis=1)
            found[a:b] = agree >= self.least - slack
        return found


class _Semantic(_Search):
    """By the cosine of embeddings."""

    def __init__(self, vectors: Floats, least: float, apart: U64 | None) -> None:
        super().__init__(len(vectors), least, apart)
        self._vectors = vectors

    def pairs(self, places: Ints, *, remember: bool) -> tuple[Ints, Ints, Floats, bool]:
        """Pairs that point the same way."""
        vectors = self._vectors if len(places) == len(self._vectors) else self._vectors[places]
        apart = None if self.apart is None else self.apart[places]
        found, cosine, other = _cells.alike(vectors, self.least, apart=apart, best=remember)
        if remember:
            self.other = np.where(other >= 0, places[other], -1)
            self.similarity = np.where(other >= 0, cosine, np.nan).astype(np.float32)
        return places[found.first], places[found.second], found.cosine, found.complete


def _most_similar(total: int, first: Ints, second: Ints, similarity: Floats) -> tuple[Ints, Floats]:
    """Of each position the most similar partner among pairs, −1 where it has none, and how similar it is. [total]."""
    one, two = np.concatenate([first, second]), np.concatenate([second, first])
    both = np.concatenate([similarity, similarity])
    order = np.lexsort((-two, both))  # the most similar, of equal ones the earliest, is written last
    other, found = np.full(total, -1, np.int64), np.full(total, np.nan, np.float32)
    other[one[order]], found[one[order]] = two[order], both[order]
    return other, found


def _steps(total: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, total)) for start in range(0, total, size)]
