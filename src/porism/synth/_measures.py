"""How various texts are: distinct n-grams, distance to the nearest neighbour, languages.

Shapes: ``N`` texts, ``H`` hashed features.
"""

from __future__ import annotations

import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from porism.problems._language import language_of

__all__ = ["distinct", "languages", "nearest"]

_WORD = re.compile(r"\w+|[^\w\s]")
_FEATURES = 8_192
_ROWS = 1_024
"""Texts that are compared with all others at a time."""


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct-n: different runs of n words, as a share of all runs (Li et al., 2016, arXiv:1510.03055).

    The longer the texts are in all, the lower it is, so only sets of like size compare. NaN where there is no run.
    """
    runs = [run for text in texts for run in _runs(text, n)]
    return len(set(runs)) / len(runs) if runs else math.nan


def nearest(texts: Sequence[str]) -> dict[str, float]:
    """Distance of each text to its nearest neighbour, 1 − cosine: mean, median, and the share below 0.1.

    The vectors are counts of words and pairs of words, weighted by inverse document frequency and hashed to 8,192
    features: a measure of wording, not of meaning, that needs no model. It takes time quadratic in the number of texts.
    """
    import torch

    if len(texts) < 2:
        return {"mean": math.nan, "median": math.nan, "below 0.1": math.nan}
    vectors_N_H = _vectors(texts)
    found: list[float] = []
    for start in range(0, len(texts), _ROWS):
        cosines = vectors_N_H[start : start + _ROWS] @ vectors_N_H.T
        rows = torch.arange(cosines.shape[0])
        cosines[rows, rows + start] = -1.0
        found += (1 - cosines.max(1).values).clamp(min=0).tolist()
    return {
        "mean": statistics.fmean(found),
        "median": statistics.median(found),
        "below 0.1": sum(distance < 0.1 for distance in found) / len(found),
    }


def languages(texts: Sequence[str]) -> dict[str, float]:
    """Language → its share of the texts, the commonest first; ``und`` where it cannot be told, as in a formula."""
    counted = Counter(map(language_of, texts))
    return {language: count / len(texts) for language, count in counted.most_common()}


def _vectors(texts: Sequence[str]) -> Any:
    """Rows of length 1, [N, H]."""
    import torch

    counts_N_H = torch.zeros(len(texts), _FEATURES)
    for at, text in enumerate(texts):
        for run in [*_runs(text, 1), *_runs(text, 2)]:
            counts_N_H[at, zlib.crc32(" ".join(run).encode()) % _FEATURES] += 1
    seen_H = (counts_N_H > 0).sum(0)
    weights_H = torch.log((1 + len(texts)) / (1 + seen_H)) + 1
    vectors_N_H = torch.log1p(counts_N_H) * weights_H
    return vectors_N_H / vectors_N_H.norm(dim=1, keepdim=True).clamp(min=1e-9)


def _runs(text: str, n: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
