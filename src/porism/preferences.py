"""Which of several answers to one prompt is chosen and which rejected: the one rule for every pair that is made.

Correctness decides first: a right answer is chosen over a wrong one, never one over another with the same final answer,
and a wrong one is never chosen. Where all that were judged are right, or none could be judged, the reward decides, if
it was given and is far enough apart. What is left is a tie, with its reason. Answers that were cut off, failed or are
empty are in no pair, nor is the same text twice.

The order of the candidates breaks every other tie, so that the same candidates give the same pairs.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from porism.records import JUDGED, Attempt

__all__ = ["Candidate", "Choice", "candidate", "choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One answer, as far as the choice depends on it."""

    text: str
    correct: bool | None = None
    """None where it could not be judged."""
    answer: str | None = None
    """The final answer, as a grader read it."""
    reward: float | None = None
    """The higher the better; None, or what is no finite number, where there is none."""
    tokens: int = 0
    whole: bool = True
    """False for one that was cut off or failed."""


class Choice(NamedTuple):
    """A pair, as the places of its two candidates."""

    chosen: int
    rejected: int
    by: Literal["correctness", "reward"]
    margin: float
    """How much higher the reward of the chosen one is; 0 where either has none."""


def candidate(attempt: Attempt, reward: float | None = None) -> Candidate:
    """An attempt as a candidate. It counts as judged if its verdict is a judgement.

    Args:
        attempt: graded or not.
        reward: of its text, where a reward model was asked.
    """
    verdict = attempt.verdict
    judged = verdict is not None and verdict.status in JUDGED
    return Candidate(
        text=attempt.text,
        correct=verdict.correct if verdict is not None and judged else None,
        answer=verdict.answer if verdict is not None else None,
        reward=reward,
        tokens=attempt.completion_tokens,
        whole=attempt.finish == "stop",
    )


def choose(
    candidates: Sequence[Candidate], *, margin: float = 0.0, most: int = 1, balance: bool = False
) -> tuple[list[Choice], str]:
    """The pairs that the candidates of one prompt give.

    Args:
        candidates: in a fixed order.
        margin: where the reward decides, it must be more than this higher.
        most: at most so many pairs by correctness, no candidate in two of them; the reward decides about one pair.
        balance: by correctness, reject the wrong answer whose length in tokens is nearest to the chosen one's, so that
            length does not tell them apart; else the one with the lowest reward.

    Returns:
        The pairs, and where there is none the reason.
    """
    usable = _usable(candidates)
    if len(usable) < 2:
        return [], f"too few: {len(usable)} of {len(candidates)} candidates are whole and differ"
    right = [at for at in usable if candidates[at].correct is True]
    wrong = [at for at in usable if candidates[at].correct is False]
    if right and wrong:
        found = _by_correctness(candidates, right, wrong, most, balance=balance)
        return found, "" if found else "same answer: the right and the wrong candidates state the same"
    if wrong:
        return [], f"none correct: {len(wrong)} of {len(usable)} are wrong, none is right"
    return _by_reward(candidates, right or usable, margin, "all correct" if right else "not judged")


def _usable(candidates: Sequence[Candidate]) -> list[int]:
    """The places of whole, different texts."""
    first: dict[str, int] = {}
    for at, one in enumerate(candidates):
        if one.whole and one.text.strip():
            first.setdefault(" ".join(one.text.split()), at)
    return list(first.values())


def _by_correctness(
    candidates: Sequence[Candidate], right: list[int], wrong: list[int], most: int, *, balance: bool
) -> list[Choice]:
    """Right against wrong: the best of the right, the worst of the wrong by reward; those without one come last."""
    ordered = sorted(right, key=lambda at: (-_reward_or(candidates[at], -math.inf), at))
    left = sorted(wrong, key=lambda at: (_reward_or(candidates[at], math.inf), at))
    found: list[Choice] = []
    for chosen in ordered:
        fit = [at for at in left if not _same(candidates[chosen].answer, candidates[at].answer)]
        if not fit or len(found) == most:
            break
        if balance:
            fit.sort(key=lambda at: abs(candidates[at].tokens - candidates[chosen].tokens))
        left.remove(fit[0])
        found.append(Choice(chosen, fit[0], "correctness", _difference(candidates, chosen, fit[0])))
    return found


def _by_reward(candidates: Sequence[Candidate], places: list[int], margin: float, why: str) -> tuple[list[Choice], str]:
    """The highest reward against the lowest."""
    scored = [at for at in places if _reward(candidates[at]) is not None]
    if len(scored) < 2:
        return [], f"{why}: {len(places)} candidates, and no reward tells them apart"
    best = max(scored, key=lambda at: (_reward_or(candidates[at], -math.inf), -at))
    worst = min(scored, key=lambda at: (_reward_or(candidates[at], math.inf), at))
    difference = _difference(candidates, best, worst)
    if difference <= margin:
        return [], f"tie: {why}, and rewards are {difference:.4g} apart, more than {margin:g} is needed"
    return [Choice(best, worst, "reward", difference)], ""


def _reward(one: Candidate) -> float | None:
    return one.reward if one.reward is not None and math.isfinite(one.reward) else None


def _reward_or(one: Candidate, other: float) -> float:
    """The reward; where there is none, another number."""
    reward = _reward(one)
    return other if reward is None else reward


def _difference(candidates: Sequence[Candidate], chosen: int, rejected: int) -> float:
    high, low = _reward(candidates[chosen]), _reward(candidates[rejected])
    return 0.0 if high is None or low is None else high - low


def _same(one: str | None, other: str | None) -> bool:
    """Whether two final answers are written alike."""
    if one is None or other is None:
        return False
    plain = ["".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in (one, other)]
    return plain[0] == plain[1]
