"""Finds questions of a test set in others: equal, with a long run of words in common, alike, or of one meaning.

What is kept in memory grows with the test sets alone.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from porism import embeddings
from porism.curate import _cells, _minhash, _text
from porism.words import bare

__all__ = ["Hit", "Matcher"]

U64 = npt.NDArray[np.uint64]

_LABELS = {"exact": "overlap", "ngrams": "{ngram}-gram overlap", "near": "near overlap", "semantic": "semantic overlap"}


class Hit(NamedTuple):
    """What a question matched."""

    method: str
    label: str
    """The method in words."""
    place: int
    """Which of the test questions."""
    score: float
    """Share of the test question's n-grams, Jaccard similarity or cosine; 1 for equal questions."""


class Matcher:
    """An index of test questions.

    Args:
        questions: of the test sets.
        methods: ``exact``, ``ngrams``, ``near``, ``semantic``: tried in this order.
        ngram: words of an n-gram for ``ngrams``; shorter questions are only found by ``exact`` and ``semantic``.
        near_threshold: least Jaccard similarity for ``near``, names set aside.
        numbers: ``alike`` sets numbers aside too.
        semantic_threshold: least cosine.
        encoder: for ``semantic``.
        encoder_model: what it loads.
    """

    def __init__(
        self,
        questions: Sequence[str],
        *,
        methods: Sequence[str],
        ngram: int = 13,
        near_threshold: float = 0.75,
        numbers: str = "alike",
        semantic_threshold: float = 0.9,
        encoder: str = "sentence",
        encoder_model: str = "",
    ) -> None:
        self._methods = [method for method in _LABELS if method in methods]
        self._ngram, self._near, self._cosine = ngram, near_threshold, semantic_threshold
        self._alike = numbers == "alike"
        self._embed = functools.partial(embeddings.embed, encoder=encoder, model=encoder_model)
        questions = [question[: _text.LONGEST] for question in questions]
        self._exact: dict[str, int] = {}
        self._runs: dict[int, list[int]] = {}
        self._run_counts: list[int] = []
        for at, question in enumerate(questions):
            self._exact.setdefault(bare(question), at)
            runs = _runs(question, ngram) if "ngrams" in methods else set()
            self._run_counts.append(len(runs))
            for run in runs:
                self._runs.setdefault(run, []).append(at)
        self._index = (
            _Index(self._masked(questions), self._apart(questions), near_threshold) if "near" in methods else None
        )
        self._vectors = self._embed(questions) if "semantic" in methods and questions else None
        self._numbers = self._apart(questions)

    def hits(self, questions: Sequence[str]) -> list[Hit | None]:
        """What each question matches by the first method that finds something; None where nothing does."""
        questions = [question[: _text.LONGEST] for question in questions]
        found: list[Hit | None] = [None] * len(questions)
        for method in self._methods:
            left = [at for at, hit in enumerate(found) if hit is None]
            places = getattr(self, f"_by_{method}")([questions[at] for at in left])
            for at, match in zip(left, places, strict=True):
                if match is not None:
                    found[at] = Hit(method, _LABELS[method].format(ngram=self._ngram), match[0], round(match[1], 4))
        return found

    def _by_exact(self, questions: Sequence[str]) -> list[tuple[int, float] | None]:
        places = [self._exact.get(bare(question)) for question in questions]
        return [None if place is None else (place, 1.0) for place in places]

    def _by_ngrams(self, questions: Sequence[str]) -> list[tuple[int, float] | None]:
        """The test question of which most n-grams are there."""
        found: list[tuple[int, float] | None] = []
        for question in questions:
            shares: dict[int, int] = {}
            for run in _runs(question, self._ngram):
                for place in self._runs.get(run, ()):
                    shares[place] = shares.get(place, 0) + 1
            best = max(shares, key=lambda place: (shares[place] / self._run_counts[place], -place), default=None)
            found.append(None if best is None else (best, shares[best] / self._run_counts[best]))
        return found

    def _by_near(self, questions: Sequence[str]) -> list[tuple[int, float] | None]:
        return self._index.best(self._masked(questions), self._apart(questions)) if self._index and questions else []

    def _by_semantic(self, questions: Sequence[str]) -> list[tuple[int, float] | None]:
        if self._vectors is None or not questions:
            return [None] * len(questions)
        own = self._apart(questions)
        apart = None if own is None or self._numbers is None else (own, self._numbers)
        cosines, places = _cells.nearest(self._embed(questions), self._vectors, apart)
        return [
            (int(place), float(cosine)) if cosine >= self._cosine else None
            for place, cosine in zip(places, cosines, strict=True)
        ]

    def _masked(self, questions: Sequence[str]) -> list[str]:
        """Words with the names set aside, and the numbers too where they do not matter; nothing of a short question."""
        words = [_text.words_of(question) for question in questions]
        found = [" ".join(some) if len(some) >= self._ngram else "" for some in words]
        return [_text.without_numbers(text) for text in found] if self._alike else found

    def _apart(self, questions: Sequence[str]) -> U64 | None:
        if self._alike:
            return None
        return np.array([_text.numbers(_text.normal(question)) for question in questions], np.uint64)


class _Index:
    """Texts to be found by MinHash and bands."""

    def __init__(self, texts: Sequence[str], apart: U64 | None, least: float) -> None:
        self._sets = _minhash.grams(texts, "words")
        self._shape, self._least = _minhash.bands(least), least
        self._places: dict[tuple[int, int], list[int]] = {}
        for at, keys in enumerate(_minhash.keys(_minhash.signatures(self._sets), self._shape, apart).tolist()):
            if len(self._sets.row(at)):
                for band in enumerate(keys):
                    self._places.setdefault(band, []).append(at)

    def best(self, texts: Sequence[str], apart: U64 | None) -> list[tuple[int, float] | None]:
        """The most similar of the indexed texts to each, where one reaches the threshold."""
        sets = _minhash.grams(texts, "words")
        found: list[tuple[int, float] | None] = []
        for at, keys in enumerate(_minhash.keys(_minhash.signatures(sets), self._shape, apart).tolist()):
            near = {place for band in enumerate(keys) for place in self._places.get(band, ())}
            scored = [(_minhash.jaccard(sets.row(at), self._sets.row(place)), -place) for place in near]
            score, place = max(scored, default=(0.0, 0))
            found.append((-place, score) if score >= self._least else None)
        return found


def _runs(question: str, size: int) -> set[int]:
    """Hashes of all runs of so many words."""
    words = _text.tokens(unicodedata.normalize("NFKC", question).casefold())
    return {_hash(words[at : at + size]) for at in range(len(words) - size + 1)}


def _hash(words: Sequence[str]) -> int:
    """A 64-bit hash of some words, the same in every process."""
    return int.from_bytes(_text.digest("\x1f".join(words))[:8], "little")
