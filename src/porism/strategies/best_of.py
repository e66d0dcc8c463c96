"""Best of n: several samples, and the one that a reward model or verifier scores highest.

Cobbe et al., 2021, arXiv:2110.14168. Samples that state no answer are chosen only where none states one.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism.engines import Engine, Sampling
from porism.graders._scorer import OverSteps
from porism.prompts.messages import Examples, Instruction, Prompt, System
from porism.records import Attempt, Problem
from porism.strategies import _candidates
from porism.strategies._candidates import Asked, Attempts, Most, ScoreTag, Shown

__all__ = ["check", "solve"]


def check(
    *,
    samples: int = 1,
    temperature: float = 0.0,
    attempts: Attempts = [],  # noqa: B006 (never changed)
    scorer: str = "",
) -> None:
    """Find before anything runs that there would be nothing to choose among, or nobody to choose.

    Raises:
        RecipeError: see :func:`porism.strategies._candidates.fit`.
    """
    _candidates.fit("best_of", samples=samples, temperature=temperature, attempts=attempts, scorer=scorer)


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
    attempts: Attempts = [],  # noqa: B006
    most: Most = 0,
    shots: Shown = 0,
    examples: Examples = "worked",
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """One attempt a problem: the one with the highest score."""
    asked = Asked(shots, examples, prompt, instruction, system)
    tried = _candidates.candidates(
        "best_of", problems, engine, sampling, samples=samples, seed=seed, attempts=attempts, most=most, asked=asked
    )
    scored = _candidates.scores(tried, scorer, score, over_steps)
    return [
        [_candidates.chosen("best_of", group, _candidates.best(group, _candidates.usable(group)))] for group in scored
    ]
