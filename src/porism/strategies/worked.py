"""The problem's own worked solution as an attempt: no model is asked.

So solutions that come with a data set go the way of every other: they are graded, and only those whose final answer
is right are kept for training.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism.engines import Engine, Sampling
from porism.errors import DataError
from porism.prompts.messages import Instruction, Prompt, System
from porism.records import Attempt, Problem
from porism.strategies import direct

__all__ = ["ASKS_ENGINE", "solve"]

ASKS_ENGINE = False


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int = 1,
    seed: int = 0,
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """One attempt a problem: its solution, to the question as the strategy ``direct`` asks it. No engine is asked.

    Raises:
        DataError: a problem has no worked solution.
    """
    del engine, sampling, samples, seed
    bare = next((problem for problem in problems if not problem.solution), None)
    if bare:
        raise DataError(
            f"the problem {bare.id} ({bare.source} {bare.group}) has no worked solution. "
            "Use a source that has them, or let a model solve it."
        )
    return [
        [
            Attempt(
                problem=problem,
                strategy="worked",
                messages=direct.prompt(problem, prompt=prompt, instruction=instruction, system=system),
                text=problem.solution,
                model="worked",
            )
        ]
        for problem in problems
    ]
