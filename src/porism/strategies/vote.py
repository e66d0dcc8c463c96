"""Self-consistency: several samples, and the answer that most of them state (Wang et al., 2022, arXiv:2203.11171).

Answers that the problem's grader takes for equal count together. Of answers with equally many votes the one that came
first wins; samples that state no answer have no vote.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism.engines import Engine, Sampling
from porism.prompts.messages import Examples, Instruction, Prompt, System
from porism.records import Attempt, Problem
from porism.strategies import _candidates
from porism.strategies._candidates import Asked, Attempts, Most, Shown

__all__ = ["check", "solve"]


def check(*, samples: int = 1, temperature: float = 0.0, attempts: Attempts = []) -> None:  # noqa: B006 (never changed)
    """Find before anything runs that there would be nothing to vote on.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("vote", samples=samples, temperature=temperature, attempts=attempts)


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int = 1,
    seed: int = 0,
    attempts: Attempts = [],  # noqa: B006
    most: Most = 0,
    shots: Shown = 0,
    examples: Examples = "worked",
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """One attempt a problem: the first of those that state the most frequent answer."""
    asked = Asked(shots, examples, prompt, instruction, system)
    tried = _candidates.candidates(
        "vote", problems, engine, sampling, samples=samples, seed=seed, attempts=attempts, most=most, asked=asked
    )
    return [[_voted(group)] for group in tried]


def _voted(group: Sequence[_candidates.Candidate]) -> Attempt:
    found = _candidates.classes(group)
    votes = {group[places[0]].answer or "": float(len(places)) for places in found}
    at = max(found, key=len)[0] if found else _candidates.usable(group)[0]
    return _candidates.chosen("vote", group, at, votes)
