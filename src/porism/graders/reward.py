"""A reward model's opinion: an answer is right where its reward is above a threshold, 0 if none is set.

The reward itself stands in the verdict's ``detail``. Rewards of one model are on a scale of their own; ``centre`` in
``porism train reward`` keeps them around 0. For a choice among several answers no threshold is needed: see the
strategies ``best_of`` and ``weighted_vote``.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism.graders._scorer import Scorer
from porism.records import Attempt, Status, Verdict

__all__ = ["SCORES", "grade_all"]

SCORES = True


def grade_all(
    attempts: Sequence[Attempt], *, profile: str = "auto", scorer: Scorer, threshold: float | None = None
) -> list[Verdict]:
    """Score each attempt.

    Args:
        attempts: their messages are the prompt, their text is what is scored.
        profile: not used.
        scorer: the reward model.
        threshold: of the reward; 0 if not given.

    Raises:
        ModelError: the scorer is a verifier.
    """
    del profile
    scorer.expect("reward")
    least = threshold if threshold is not None else 0.0
    verdicts = []
    for found in scorer.scored([(one.messages, one.text) for one in attempts]):
        if found.error:
            verdicts.append(Verdict(status=Status.ERROR, reason=found.error))
            continue
        status = Status.CORRECT if found.score > least else Status.WRONG
        verdicts.append(Verdict(status=status, rule="reward", detail={"score": round(found.score, 6)}))
    return verdicts
