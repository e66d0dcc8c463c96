"""A verifier's opinion: an answer is right where its probability of being so is above a threshold, 0.5 if none is set.

An outcome verifier judges the whole answer; a process verifier each step, and ``over_steps`` says how these become one:
the least likely step (Wang et al., 2023, arXiv:2312.08935), the product (Lightman et al., 2023, arXiv:2305.20050), the
mean, or the last. Which of the two it is, and how it cuts steps, stands in its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porism.graders._scorer import OverSteps, Scorer, probability
from porism.records import Attempt, Status, Verdict

__all__ = ["SCORES", "grade_all"]

SCORES = True


def grade_all(
    attempts: Sequence[Attempt],
    *,
    profile: str = "auto",
    scorer: Scorer,
    threshold: float | None = None,
    over_steps: OverSteps = "min",
) -> list[Verdict]:
    """Score each attempt.

    Args:
        attempts: their messages are the prompt, their text is what is scored.
        profile: not used.
        scorer: the verifier.
        threshold: of the probability; 0.5 if not given.
        over_steps: of a process verifier, how the steps' probabilities become one.

    Raises:
        ModelError: the scorer is a reward model.
    """
    del profile
    scorer.expect("verifier")
    least = threshold if threshold is not None else 0.5
    verdicts = []
    for found in scorer.scored([(one.messages, one.text) for one in attempts], over_steps):
        if found.error:
            verdicts.append(Verdict(status=Status.ERROR, reason=found.error))
            continue
        likely = probability(found.score)
        detail: dict[str, Any] = {"score": round(found.score, 6), "probability": round(likely, 6)}
        if found.steps:
            detail["steps"] = [round(step, 6) for step in found.steps]
        status = Status.CORRECT if likely > least else Status.WRONG
        verdicts.append(Verdict(status=status, rule="verifier", detail=detail))
    return verdicts
