"""Rates that tell whether a run still learns from true rewards, and limits past which it stops."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism.errors import DataError
from porism.records import Attempt
from porism.train._groups import FAILED, Group

if TYPE_CHECKING:
    from porism.train._rolling import Rolling

__all__ = ["Limits", "Rates", "rates"]

_WINDOW = 256
"""Answers over which a rate is judged: those of the last iterations."""
_FEWEST = 32
"""Answers before which none is."""
_FEWEST_GROUPS = 8


class Rates(NamedTuple):
    """Counts of one iteration."""

    answers: int
    groups: int
    failed: int
    """Not run, or without a reward because the grader failed."""
    unjudged: int
    """Without a reward, for whatever reason."""
    truncated: int
    equal: int
    """Groups whose rewards are all the same, or of which fewer than two are known."""
    reasons: tuple[str, ...] = ()

    def shares(self) -> dict[str, float]:
        """As they are logged."""
        return {
            "unjudged": self.unjudged / max(1, self.answers),
            "truncated": self.truncated / max(1, self.answers),
            "failed": self.failed / max(1, self.answers),
            "zero_variance": self.equal / max(1, self.groups),
        }


def rates(groups: Sequence[Group]) -> Rates:
    """Count what an iteration's roll-outs came to."""
    attempts = [one for group in groups for one in group.attempts]
    earned = [one for group in groups for one in group.rewards]
    failed = [one for one, reward in zip(attempts, earned, strict=True) if _failed(one, reward)]
    reasons = [one.meta.get("no_reward", "") for one in attempts]
    return Rates(
        answers=len(attempts),
        groups=len(groups),
        failed=len(failed),
        unjudged=sum(one is None for one in earned),
        truncated=sum(one.finish == "length" for one in attempts),
        equal=sum(not group.varies for group in groups),
        reasons=tuple(str(one) for one in reasons if one),
    )


def _failed(attempt: Attempt, reward: float | None) -> bool:
    """Whether nothing is known of an answer; a reward that does not ask for the verdict may know of it all the same."""
    verdict = attempt.verdict
    return attempt.finish == "error" or (reward is None and verdict is not None and verdict.status in FAILED)


class Limits:
    """Stops a run whose rates are too high over its last iterations.

    Args:
        settings: with the limits.
        kept: where the roll-outs are and how to go on, for the message.
    """

    def __init__(self, settings: Rolling, kept: str) -> None:
        self._settings, self._kept = settings, kept
        self._last: deque[Rates] = deque()

    def check(self, found: Rates) -> None:
        """Count an iteration.

        Args:
            found: its rates.

        Raises:
            DataError: a share is above its limit.
        """
        self._last.append(found)
        while sum(one.answers for one in self._last) - self._last[0].answers >= _WINDOW:
            self._last.popleft()
        chosen, answers = self._settings, sum(one.answers for one in self._last)
        groups = sum(one.groups for one in self._last)
        if answers < _FEWEST and found.unjudged < found.answers:
            return
        reasons = Counter(reason for one in self._last for reason in one.reasons).most_common(1)
        why = f" Most often: {reasons[0][0]}." if reasons else ""
        for name, count, total, what, cure in (
            ("max_failed", sum(one.failed for one in self._last), answers, "answers could not be run or graded", why),
            ("max_unjudged", sum(one.unjudged for one in self._last), answers, "answers have no reward", why),
            ("max_truncated", sum(one.truncated for one in self._last), answers, "answers were cut off",
             " Raise max_tokens, or add the reward length."),
            ("max_zero_variance", sum(one.equal for one in self._last), groups, "groups have equal rewards",
             " Nothing is learnt from these: choose easier or harder problems, or more samples."),
        ):  # fmt: skip
            limit = getattr(chosen, name)
            if name == "max_zero_variance" and groups < _FEWEST_GROUPS:
                continue
            if count > limit * total:
                raise DataError(
                    f"{count} of the last {total} {what}, more than {name}={limit:g} allows.{cure} {self._kept}"
                )
