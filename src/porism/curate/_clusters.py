"""Pairs → clusters: whatever is joined by a chain of pairs belongs together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["UnionFind", "settle"]

Ints = npt.NDArray[np.int64]


class UnionFind:
    """Disjoint sets of positions; the smallest position of a set stands for it, in whatever order pairs come.

    Args:
        total: how many positions there are.
    """

    def __init__(self, total: int) -> None:
        self._parent = list(range(total))

    def head(self, at: int) -> int:
        """The smallest position of the set that a position is in."""
        parent = self._parent
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    def join(self, pairs: Iterable[tuple[int, int]]) -> int:
        """Unite the sets of each pair; how many sets there are fewer."""
        joined = 0
        for one, other in pairs:
            a, b = self.head(one), self.head(other)
            if a != b:
                self._parent[max(a, b)] = min(a, b)
                joined += 1
        return joined

    def heads(self) -> Ints:
        """The smallest position of the set of each position."""
        return np.array([self.head(at) for at in range(len(self._parent))], np.int64)


def settle(total: int, find: Callable[[Ints], tuple[Ints, Ints, bool]]) -> Ints:
    """Clusters that stay as they are when what stands for them is searched again.

    A search that does not compare all pairs may, among fewer positions, find a pair that it had missed. So it is asked
    again about what is left until it finds none: a second run over the result then drops nothing.

    Args:
        total: how many positions there are.
        find: positions, rising → pairs of them, and whether these are all pairs that there are.

    Returns:
        What stands for each position: the smallest of its cluster. [total]
    """
    sets = UnionFind(total)
    left: Ints = np.arange(total)
    while True:
        first, second, complete = find(left)
        joined = sets.join(zip(first.tolist(), second.tolist(), strict=True))
        if complete or not joined:
            return sets.heads()
        heads = sets.heads()
        left = np.flatnonzero(heads == np.arange(total))
