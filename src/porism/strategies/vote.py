"""Self-consistency: several samples, and the answer that most of them state (Wang et al., 2022, arXiv:2203.11171).

Answers that the problem's grader takes for equal count together. Of answers with equally many votes the one that came
first wins; samples that state no answer have no vote.

``stopping`` says when enough samples were drawn. ``beta``: as soon as the leading answer is the more frequent one of
the first two with a probability of at least ``confidence`` (Aggarwal et al., 2023, arXiv:2305.11860; uniform prior,
closed form). ``windows``: when all samples of a window state the same answer (Li et al., 2024, arXiv:2401.10480).
Departure from the former: samples are drawn ``window`` at a time, for all problems that still need some at once, and
not one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from porism import recipe
from porism.engines import Engine, Sampling
from porism.records import Attempt, Problem
from porism.strategies import _candidates
from porism.strategies._budget import Budget
from porism.strategies._candidates import Group, Trying

__all__ = ["Stopping", "check", "lead", "solve"]


class Stopping(NamedTuple):
    """When no more samples are drawn."""

    stopping: Annotated[
        Literal["fixed", "beta", "windows"], Field(description="when to stop: after all samples, or when it is settled")
    ] = "fixed"
    confidence: Annotated[
        float, Field(description="beta: how likely the leading answer must be the more frequent one", gt=0.5, lt=1)
    ] = 0.95
    window: Annotated[int, Field(description="beta and windows: samples that are drawn at a time", ge=1)] = 4

    def enough(self, group: Group) -> bool:
        """Whether the vote is settled."""
        if self.stopping == "windows":
            last = range(max(0, len(group.candidates) - self.window), len(group.candidates))
            return len(last) == self.window and any(set(last) <= set(places) for places in _candidates.classes(group))
        if self.stopping == "beta":
            first, second = [*sorted(map(len, _candidates.classes(group)), reverse=True), 0, 0][:2]
            return lead(first, second) >= self.confidence
        return False


def lead(first: int, second: int) -> float:
    """How likely the answer with more votes is the more frequent one of two, under a uniform prior.

    P(p > ½) for p ~ Beta(first + 1, second + 1), which for whole numbers is a binomial sum.

    Args:
        first: votes of the one.
        second: votes of the other.

    >>> lead(4, 0), lead(2, 2)
    (0.96875, 0.5)
    """
    n = first + second + 1
    return sum(math.comb(n, k) for k in range(first + 1)) / (1 << n)


def check(*, samples: int = 1, temperature: float = 0.0, attempts: Sequence[str] = ()) -> None:
    """Find before anything runs that there would be nothing to vote on.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("vote", samples=samples, temperature=temperature, attempts=attempts)


@recipe.flat
def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    trying: Trying,
    stopping: Stopping,
    budget: Budget,
) -> list[list[Attempt]]:
    """One attempt a problem: the first of those that state the most frequent answer."""
    window = 0 if stopping.stopping == "fixed" else stopping.window
    tried = _candidates.collect(
        "vote", problems, engine, sampling, trying=trying, budget=budget, window=window, enough=stopping.enough
    )
    return [[_voted(group)] for group in tried]


def _voted(group: Group) -> Attempt:
    found = _candidates.classes(group)
    votes = {group.candidates[places[0]].answer or "": float(len(places)) for places in found}

    def first(group: Group) -> int:
        return max(found, key=len)[0] if found else _candidates.usable(group)[0]

    return _candidates.chosen("vote", group, first, votes)
