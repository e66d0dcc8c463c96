"""A vote in which each sample counts as much as a reward model or verifier trusts it.

Li et al., 2022, arXiv:2206.02336 (voting verifier). The weight is σ(score): of a verifier the probability that the
sample is right, of a reward model the chance that it beats an answer of reward 0. ``power`` sharpens the weights: 0 is
the plain vote, and with a large one the best sample decides alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from porism.engines import Engine, Sampling
from porism.graders._scorer import OverSteps, probability
from porism.prompts.messages import Examples, Instruction, Prompt, System
from porism.records import Attempt, Problem
from porism.strategies import _candidates
from porism.strategies._candidates import Asked, Attempts, Candidate, Most, ScoreTag, Shown

__all__ = ["check", "solve"]


def check(
    *,
    samples: int = 1,
    temperature: float = 0.0,
    attempts: Attempts = [],  # noqa: B006 (never changed)
    scorer: str = "",
) -> None:
    """Find before anything runs that there would be nothing to vote on, or no weights.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("weighted_vote", samples=samples, temperature=temperature, attempts=attempts, scorer=scorer)


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int = 1,
    seed: int = 0,
    scorer: str = "",
    over_steps: OverSteps = "min",
    score: ScoreTag = "reward",
    power: Annotated[float, Field(description="exponent of the weights; 0 counts all samples alike", ge=0)] = 1.0,
    attempts: Attempts = [],  # noqa: B006
    most: Most = 0,
    shots: Shown = 0,
    examples: Examples = "worked",
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """One attempt a problem: of those that state the answer with the largest sum of weights, the best scored."""
    asked = Asked(shots, examples, prompt, instruction, system)
    tried = _candidates.candidates(
        "weighted_vote",
        problems,
        engine,
        sampling,
        samples=samples,
        seed=seed,
        attempts=attempts,
        most=most,
        asked=asked,
    )
    return [[_voted(group, power)] for group in _candidates.scores(tried, scorer, score, over_steps)]


def _voted(group: Sequence[Candidate], power: float) -> Attempt:
    found = _candidates.classes(group)
    if not found:
        return _candidates.chosen("weighted_vote", group, _candidates.best(group, _candidates.usable(group)), {})
    sums = [math.fsum(_weight(group[at].score) ** power for at in places) for places in found]
    votes = {group[places[0]].answer or "": weight for places, weight in zip(found, sums, strict=True)}
    winner = max(range(len(found)), key=lambda number: (sums[number], -number))
    return _candidates.chosen("weighted_vote", group, _candidates.best(group, found[winner]), votes)


def _weight(score: float | None) -> float:
    return 0.0 if score is None or math.isnan(score) else probability(score)
