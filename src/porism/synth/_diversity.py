"""How various draws of concepts are, over the whole draw.

Shapes: ``M`` draws, ``K`` concepts in each, ``N`` concepts, ``D`` dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["diversity"]

_PAIRS = 20_000
"""Pairs of draws that are compared."""


def diversity(
    drawn_M_K: npt.NDArray[np.int64], vectors_N_D: npt.NDArray[np.floating], *, seed: int = 0
) -> dict[str, float]:
    """The measures.

    Args:
        drawn_M_K: the concepts of each draw, by number.
        vectors_N_D: of length 1.
        seed: of the choice of pairs that are compared.

    Returns:
        ``coverage``: share of the concepts that were drawn at all. ``entropy``: of how often each was drawn, as a
        share of the largest possible. ``distinct_sets``: different sets, as a share of the draws. ``distinct_pairs``:
        different pairs within a draw, as a share of all of them. ``within``: mean cosine of two concepts of a draw.
        ``between``: mean cosine of the mean vectors of two draws. NaN where a measure is not defined.
    """
    import numpy as np

    draws, size = drawn_M_K.shape
    concepts = len(vectors_N_D)
    shares = np.bincount(drawn_M_K.ravel(), minlength=concepts) / max(1, drawn_M_K.size)
    used = shares[shares > 0]
    ordered = np.sort(drawn_M_K, axis=1)
    left, right = np.triu_indices(size, 1)
    pairs = ordered[:, left] * concepts + ordered[:, right]
    sums = vectors_N_D[drawn_M_K].sum(axis=1)
    norms = np.linalg.norm(sums, axis=1)
    chance = np.random.default_rng(seed)
    one, other = chance.integers(0, max(1, draws), (2, _PAIRS))
    apart = one != other
    between = (sums[one[apart]] * sums[other[apart]]).sum(axis=1) / (norms[one[apart]] * norms[other[apart]])
    return {
        "coverage": len(used) / concepts,
        "entropy": float(-(used * np.log(used)).sum() / np.log(concepts)) if concepts > 1 else float("nan"),
        "distinct_sets": len(np.unique(ordered, axis=0)) / draws if draws else float("nan"),
        "distinct_pairs": len(np.unique(pairs)) / pairs.size if pairs.size else float("nan"),
        "within": float(((norms**2 - size) / (size * (size - 1))).mean()) if size > 1 and draws else float("nan"),
        "between": float(between.mean()) if len(between) else float("nan"),
    }
