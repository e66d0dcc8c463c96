"""Near-duplicates by MinHash and banding (LSH), for whole batches of texts at once.

A text is the set of its n-grams; two texts are near-duplicates if the Jaccard similarity of their sets reaches a
threshold. The share of equal MinHash values estimates it; a pair is looked at if all values of one band are equal, and
its similarity is then computed on the sets themselves, so that no pair is taken that is below the threshold.

Character n-grams are five long, or three where they begin in a script that is written without spaces: what is a word in
English is one or two signs in Chinese and Japanese. Word n-grams take each such sign as a word.

Sources: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman and Ullman, *Mining of
Massive Datasets*, chapter 3, for bands.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from porism.curate import _text

__all__ = ["Bands", "Grams", "Pairs", "Ragged", "bands", "candidates", "grams", "jaccard", "keys", "signatures"]

Grams = Annotated[Literal["characters", "words"], Field(description="what the n-grams of a text are made of")]

Ints = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

_CHARACTERS, _CHARACTERS_CJK, _WORDS = 5, 3, 2
_PERMUTATIONS = 128
_FOUND = 0.99
"""Share of the pairs at the threshold that the bands should find."""
_RUN = 32
"""Texts with one key of which every pair is looked at; of more only neighbours and those with the first."""
_RANDOM = np.random.Generator(np.random.PCG64(0x5EED)).integers(0, 2**32, (2, _PERMUTATIONS), dtype=np.uint32)
_FACTORS, _OFFSETS = _RANDOM[0] | np.uint32(1), _RANDOM[1]


class Ragged(NamedTuple):
    """Rows of different lengths, end to end."""

    values: U32
    starts: Ints
    """Where each row begins; one more entry says where the last one ends. [N + 1]"""

    def row(self, at: int) -> U32:
        """One row."""
        found: U32 = self.values[self.starts[at] : self.starts[at + 1]]
        return found

    def part(self, first: int, last: int) -> Ragged:
        """Rows ``first`` up to before ``last``."""
        begin, end = self.starts[first], self.starts[last]
        return Ragged(self.values[begin:end], self.starts[first : last + 1] - begin)


class Bands(NamedTuple):
    """How many bands there are, and how many MinHash values make one."""

    bands: int
    rows: int


class Pairs(NamedTuple):
    """Pairs of positions, the smaller first."""

    first: Ints
    second: Ints
    complete: bool
    """Whether every pair with an equal key is among them."""


def bands(threshold: float) -> Bands:
    """The longest bands that find 99 % of the pairs at the threshold."""
    for rows in range(16, 1, -1):
        count = _PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** count >= _FOUND:
            return Bands(count, rows)
    return Bands(_PERMUTATIONS, 1)


def grams(texts: Sequence[str], kind: str = "characters", size: int = 0) -> Ragged:
    """The set of n-grams of each text, as sorted 32-bit hashes.

    A text that is shorter than an n-gram is one itself; an empty one has none.

    Args:
        texts: normal texts (:func:`porism.curate._text.normal`).
        kind: ``characters`` or ``words``.
        size: of an n-gram; 0 for 5 characters (3 in scripts without spaces), or 2 words.
    """
    if kind == "words":
        parts = [[zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _text.tokens(text)] for text in texts]
        codes = np.fromiter((code for part in parts for code in part), np.uint32)
        lengths = np.array([len(part) for part in parts], np.int64)
        widths = np.full(len(codes), size or _WORDS, np.int64)
    else:
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        lengths = np.array([len(text) for text in texts], np.int64)
        widths = np.where(_unspaced(codes), size or _CHARACTERS_CJK, size or _CHARACTERS).astype(np.int64)
    return _sets(_mixed(codes), lengths, widths)


def _unspaced(codes: U32) -> npt.NDArray[np.bool_]:
    """Which characters are of a script that is written without spaces between words."""
    if not len(codes) or codes.max() < 0x0E00:
        return np.zeros(len(codes), np.bool_)
    found = np.zeros(len(codes), np.bool_)
    for low, high in ((0x0E00, 0x0EFF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF)):
        found |= (codes >= low) & (codes <= high)
    return found | (codes >= 0x20000)


def _mixed(codes: U32) -> U32:
    """Murmur3's finaliser: every bit of the result depends on every bit of the code."""
    mixed = codes.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _sets(codes: U32, lengths: Ints, widths: Ints) -> Ragged:
    """The hashes of all n-grams of each text, each once, sorted.

    Args:
        codes: of all units of all texts, end to end. [M]
        lengths: units of each text. [N]
        widths: how many units the n-gram has that begins at each. [M]
    """
    starts = np.concatenate(([0], np.cumsum(lengths)))
    owners = np.repeat(np.arange(len(lengths)), lengths)
    left = starts[1:][owners] - np.arange(len(codes))  # units from here to the text's end
    is_first = np.arange(len(codes)) == starts[owners]
    begins = (widths <= left) | is_first
    hashes = np.zeros(len(codes), np.uint32)
    widest = int(widths.max(initial=0))
    for step in range(widest):  # a polynomial in the codes of the n-gram, as far as the text goes
        inside = np.flatnonzero((step < widths) & (step < left))
        hashes[inside] = hashes[inside] * np.uint32(0x01000193) + codes[inside + step]
    keyed = (owners[begins].astype(np.uint64) << np.uint64(32)) | _mixed(hashes[begins])
    unique = _distinct(keyed)
    counts = np.bincount((unique >> np.uint64(32)).astype(np.int64), minlength=len(lengths))
    return Ragged(unique.astype(np.uint32), np.concatenate(([0], np.cumsum(counts))))


def _distinct(values: U64) -> U64:
    """The values, each once, sorted: ``numpy.unique`` hashes integers, which is several times slower here."""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def signatures(sets: Ragged) -> U32:
    """The MinHash values of each set; those of an empty set are the largest number. [N, permutations]."""
    count = len(sets.starts) - 1
    found = np.full((count, _PERMUTATIONS), 0xFFFFFFFF, np.uint32)
    filled = np.flatnonzero(np.diff(sets.starts))
    if len(filled):
        begins = sets.starts[:-1][filled]
        for number in range(_PERMUTATIONS):
            hashed = (sets.values ^ _OFFSETS[number]) * _FACTORS[number]
            hashed ^= hashed >> np.uint32(15)
            found[filled, number] = np.minimum.reduceat(hashed, begins)
    return found


def keys(values: U32, shape: Bands, apart: U64 | None = None) -> U64:
    """One key a band. [N, bands].

    Args:
        values: MinHash values. [N, permutations]
        shape: the bands.
        apart: a number for each text: texts with different ones have no key in common. [N]
    """
    found = np.empty((len(values), shape.bands), np.uint64)
    for band in range(shape.bands):
        key = np.full(len(values), 0xCBF29CE484222325 + band, np.uint64) if apart is None else apart + np.uint64(band)
        for column in range(band * shape.rows, (band + 1) * shape.rows):
            key = (key ^ values[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        found[:, band] = key
    return found


def candidates(found: U64) -> Pairs:
    """The pairs of texts that have a key in common, each once.

    Where very many texts share a key, not all of their pairs are listed: each with the next and with the first.

    Args:
        found: see :func:`keys`. [N, bands]
    """
    total = len(found)
    codes: list[U64] = []
    complete = True
    for band in range(found.shape[1]):
        order = np.argsort(found[:, band], kind="stable").astype(np.uint64)
        ordered = found[order, band]
        borders = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
        sizes = np.diff(borders)
        complete = complete and bool((sizes <= _RUN).all())
        codes.extend(_within(order, borders, sizes, total))
        if sum(map(len, codes)) > 4 * total:
            codes = [_distinct(np.concatenate(codes))]
    whole = _distinct(np.concatenate([np.zeros(0, np.uint64), *codes]))
    return Pairs((whole // np.uint64(total)).astype(np.int64), (whole % np.uint64(total)).astype(np.int64), complete)


def _within(order: U64, borders: Ints, sizes: Ints, total: int) -> Iterator[U64]:
    """Pairs within each run of equal keys, as ``first * total + second``; positions within a run rise."""
    whole = np.uint64(total)
    for size in np.unique(sizes[(sizes > 1) & (sizes <= _RUN)]):
        runs = order[borders[:-1][sizes == size][:, None] + np.arange(size)]
        first, second = np.triu_indices(size, 1)
        yield (runs[:, first] * whole + runs[:, second]).ravel()
    for begin, size in zip(borders[:-1][sizes > _RUN], sizes[sizes > _RUN], strict=True):
        run = order[begin : begin + size]
        yield run[:-1] * whole + run[1:]
        yield run[0] * whole + run[1:]


def jaccard(one: U32, other: U32) -> float:
    """Jaccard similarity of two sets of hashes; that of two empty sets is 1."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - common
    return common / union if union else 1.0
