"""A vote in which each sample counts as much as a reward model or verifier trusts it.

Li et al., 2022, arXiv:2206.02336 (voting verifier). The weight is σ(score): of a verifier the probability that the
sample is right, of a reward model the chance that it beats an answer of reward 0. ``power`` sharpens the weights: 0 is
the plain vote, and with a large one the best sample decides alone. ``keep_above`` filters: samples with less weight
have no vote (Cobbe et al., 2021, arXiv:2110.14168, vote among those that a verifier ranks highest).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from porism import recipe
from porism.engines import Engine, Sampling
from porism.graders._scorer import probability
from porism.records import Attempt, Problem
from porism.strategies import _candidates
from porism.strategies._budget import Budget
from porism.strategies._candidates import Group, Scoring, Trying

__all__ = ["check", "solve"]


def check(
    *,
    samples: int = 1,
    temperature: float = 0.0,
    attempts: Sequence[str] = (),
    scorer: str = "",
) -> None:
    """Find before anything runs that there would be nothing to vote on, or no weights.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("weighted_vote", samples=samples, temperature=temperature, attempts=attempts, scorer=scorer)


@recipe.flat
def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    trying: Trying,
    scoring: Scoring,
    budget: Budget,
    power: Annotated[float, Field(description="exponent of the weights; 0 counts all samples alike", ge=0)] = 1.0,
    keep_above: Annotated[
        float, Field(description="only samples of at least this weight vote; all where none has it", ge=0, le=1)
    ] = 0.0,
) -> list[list[Attempt]]:
    """One attempt a problem: of those that state the answer with the largest sum of weights, the best scored."""
    tried = _candidates.collect("weighted_vote", problems, engine, sampling, trying=trying, budget=budget)
    return [[_voted(group, power, keep_above)] for group in _candidates.scored(tried, scoring)]


def _voted(group: Group, power: float, keep_above: float) -> Attempt:
    weights = [_weight(one.score) for one in group.candidates]
    found = _candidates.classes(group)
    kept = [[at for at in places if weights[at] >= keep_above] for places in found]
    found = [places for places in kept if places] or found
    sums = [math.fsum(weights[at] ** power for at in places) for places in found]
    votes = {group.candidates[places[0]].answer or "": weight for places, weight in zip(found, sums, strict=True)}
    winners = found[max(range(len(found)), key=lambda number: (sums[number], -number))] if found else []

    def best(group: Group) -> int:
        return _candidates.best(group, winners or _candidates.usable(group))

    return _candidates.chosen("weighted_vote", group, best, votes)


def _weight(score: float | None) -> float:
    return 0.0 if score is None or math.isnan(score) else probability(score)
