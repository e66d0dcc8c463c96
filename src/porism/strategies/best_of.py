"""Best of n: several samples, and the one that a reward model or verifier scores highest.

Cobbe et al., 2021, arXiv:2110.14168. Samples that state no answer are chosen only where none states one.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism import recipe
from porism.engines import Engine, Sampling
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
    """Find before anything runs that there would be nothing to choose among, or nobody to choose.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("best_of", samples=samples, temperature=temperature, attempts=attempts, scorer=scorer)


@recipe.flat
def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    trying: Trying,
    scoring: Scoring,
    budget: Budget,
) -> list[list[Attempt]]:
    """One attempt a problem: the one with the highest score."""
    tried = _candidates.collect("best_of", problems, engine, sampling, trying=trying, budget=budget)
    return [[_candidates.chosen("best_of", group, _best)] for group in _candidates.scored(tried, scoring)]


def _best(group: Group) -> int:
    return _candidates.best(group, _candidates.usable(group))
