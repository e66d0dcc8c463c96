"""What n graded attempts at one problem say about k of them. Undefined is NaN: n below k, and k below 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from random import Random

__all__ = ["g_pass_at_k", "maj_at_k", "mean_g_pass_at_k", "pass_all_k"]

_SUBSETS = 1000


def pass_all_k(n: int, correct: int, k: int) -> float:
    """pass^k: the chance that all of k attempts are correct, without bias: C(c, k) / C(n, k).

    Yao et al., 2024, arXiv:2406.12045 (τ-bench).

    Args:
        n: attempts that were made.
        correct: how many of them are correct.
        k: attempts that one could make.
    """
    if n < k or k < 1:
        return math.nan
    return math.comb(correct, k) / math.comb(n, k)


def g_pass_at_k(n: int, correct: int, k: int, threshold: float) -> float:
    """G-Pass@k: the chance that at least a share ``threshold`` of k attempts, and at least one, is correct.

    Liu et al., 2024, arXiv:2412.13147: Σ over j from ⌈τk⌉ of C(c, j)·C(n − c, k − j) / C(n, k). With a
    threshold of 0 it is pass@k, with 1 pass^k.

    Args:
        n: attempts that were made.
        correct: how many of them are correct.
        k: attempts that one could make.
        threshold: τ, in [0, 1].
    """
    if n < k or k < 1:
        return math.nan
    least = max(1, math.ceil(round(threshold * k, 9)))
    ways = sum(math.comb(correct, j) * math.comb(n - correct, k - j) for j in range(least, min(correct, k) + 1))
    return ways / math.comb(n, k)


def mean_g_pass_at_k(n: int, correct: int, k: int) -> float:
    """mG-Pass@k: twice the area under G-Pass@k over thresholds from ½ to 1, as (2/k)·Σ over i from ⌈k/2⌉ + 1 to k.

    Liu et al., 2024, arXiv:2412.13147. For k of 1 the sum is empty and this is 0, as in its authors' code.
    """
    if n < k or k < 1:
        return math.nan
    return 2 / k * math.fsum(g_pass_at_k(n, correct, k, i / k) for i in range(math.ceil(k / 2) + 1, k + 1))


def maj_at_k(classes: Sequence[int], correct: Sequence[bool], k: int, seed: int = 0) -> float:
    """maj@k: the share of subsets of k attempts whose most frequent answer is correct.

    Wang et al., 2022, arXiv:2203.11171; averaged over subsets as Lewkowycz et al., 2022, arXiv:2206.14858 do. All
    subsets are taken where there are at most 1,000, else 1,000 of them. Of answers with equally many votes the one that
    came first wins, as in the strategy ``vote``; attempts that state no answer have no vote, and where none states one
    the vote is wrong.

    Args:
        classes: of each attempt a number that equal answers share; −1 where it states none.
        correct: of each attempt.
        k: votes.
        seed: of the draw of subsets.
    """
    n = len(classes)
    if n < k or k < 1:
        return math.nan
    subsets: Iterable[Sequence[int]]
    if math.comb(n, k) <= _SUBSETS:
        subsets = combinations(range(n), k)
    else:
        rng = Random(seed)
        subsets = (sorted(rng.sample(range(n), k)) for _ in range(_SUBSETS))
    won = [_elected(classes, correct, subset) for subset in subsets]
    return sum(won) / len(won)


def _elected(classes: Sequence[int], correct: Sequence[bool], places: Sequence[int]) -> bool:
    votes = Counter(classes[at] for at in places if classes[at] >= 0)
    if not votes:
        return False
    winner = votes.most_common(1)[0][0]
    return next(correct[at] for at in places if classes[at] == winner)
