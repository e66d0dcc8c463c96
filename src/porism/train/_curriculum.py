"""Which problems are rolled out next, by what is known of their difficulty.

All of it follows from the seed and from the results so far, so that a training that goes on chooses as one that was
never stopped.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from porism.records import content_id

__all__ = ["Curriculum"]

_SLOW = 0.5
"""Weight of the newest result in the running pass rate."""
_LEAST = 0.02
"""Chance that a problem keeps which was always or never solved, beside one that is solved half of the time (0.25)."""


class Curriculum:
    """Chooses problems, and retires those that are solved.

    Args:
        count: how many problems there are.
        seed: of the order.
        by_difficulty: prefer problems that are solved about half of the time: with a pass rate p, in proportion to
            p·(1 − p), which is the variance of its rewards. A problem that was never tried counts as p = 1/2.
        retire_after: solved by all answers so many times in a row, it is not chosen again; 0: never.
    """

    def __init__(self, count: int, seed: int, *, by_difficulty: bool, retire_after: int) -> None:
        self._seed, self._by_difficulty, self._retire_after = seed, by_difficulty, retire_after
        self._rates = [0.5] * count
        self._tried = [0] * count
        self._streak = [0] * count
        self._order: list[int] = []
        self._passes = 0

    @property
    def retired(self) -> int:
        """How many problems are not chosen again."""
        return sum(map(self._is_retired, range(len(self._rates))))

    def choose(self, wanted: int, number: int) -> list[int]:
        """The next problems, none twice; fewer where fewer are left, none where all are retired.

        Args:
            wanted: how many.
            number: of this choice, from 0.
        """
        left = [at for at in range(len(self._rates)) if not self._is_retired(at)]
        if self._by_difficulty:
            dice = random.Random(int(content_id("difficulty", self._seed, number), 16))
            keys = {at: dice.random() ** (1 / self._weight(at)) for at in left}  # Efraimidis and Spirakis, 2006
            return sorted(left, key=lambda at: -keys[at])[:wanted]
        found: list[int] = []
        while len(found) < min(wanted, len(left)):
            if not self._order:
                self._order = list(range(len(self._rates)))
                random.Random(int(content_id("order", self._seed, self._passes), 16)).shuffle(self._order)
                self._passes += 1
            at = self._order.pop()
            if not self._is_retired(at) and at not in found:
                found.append(at)
        return found

    def tell(self, results: Sequence[tuple[int, float | None]]) -> None:
        """Learn how problems went.

        Args:
            results: problem and share of right answers; None where none could be judged.
        """
        for at, rate in results:
            if rate is None:
                continue
            weight = _SLOW if self._tried[at] else 1.0
            self._rates[at] += weight * (rate - self._rates[at])
            self._tried[at] += 1
            self._streak[at] = self._streak[at] + 1 if rate == 1 else 0

    def _weight(self, at: int) -> float:
        return max(_LEAST, self._rates[at] * (1 - self._rates[at]))

    def _is_retired(self, at: int) -> bool:
        return bool(self._retire_after) and self._streak[at] >= self._retire_after
