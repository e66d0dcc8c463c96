"""Strategies turn problems into attempts by asking an engine.

A strategy is a module with ``prompt(problem, *, …) -> list[Message]``, what the model is shown. That is all for one
that asks once and takes the answer as it comes: :func:`ask` does the rest. One that does more also has
``solve(problems, engine, sampling, *, samples, seed, …) -> list[list[Attempt]]``, which works on a batch of problems at
a time and returns the attempts at each, ungraded.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from porism import recipe
from porism.engines import Engine, Reply, Request, Sampling
from porism.find import find
from porism.records import Attempt, Message, Problem, content_id

__all__ = ["Strategy", "ask", "asks_engine", "bind", "function", "problem_seed"]


class Strategy(Protocol):
    """A strategy with its settings filled in."""

    def __call__(self, problems: Sequence[Problem], engine: Engine, sampling: Sampling) -> list[list[Attempt]]:
        """The attempts at each problem, ungraded."""


def function(name: str) -> Callable[..., Any]:
    """The function that stands for a strategy and whose keyword-only parameters are its settings.

    Raises:
        RecipeError: no such strategy.
    """
    found: Callable[..., Any] = find("porism.strategies", name, "solve", "prompt")
    return found


def asks_engine(name: str) -> bool:
    """False for a strategy whose module says ``ASKS_ENGINE = False``: it needs no model."""
    return bool(getattr(sys.modules.get(function(name).__module__), "ASKS_ENGINE", True))


def bind(name: str, settings: recipe.Settings) -> Strategy:
    """The strategy with its settings filled in, ``samples`` and ``seed`` among them.

    Raises:
        RecipeError: no such strategy.
    """
    chosen = function(name)
    bound = recipe.bind(chosen, settings)
    if next(iter(inspect.signature(chosen).parameters)) == "problems":
        return bound
    samples, seed = getattr(settings, "samples", 1), getattr(settings, "seed", 0)

    def asked(problems: Sequence[Problem], engine: Engine, sampling: Sampling) -> list[list[Attempt]]:
        prompts = [bound(problem) for problem in problems]
        return ask(name, problems, prompts, engine, sampling, samples=samples, seed=seed)

    return asked


def problem_seed(seed: int, problem: Problem) -> int:
    """A seed for one problem, which does not depend on what else is in the file."""
    return int(content_id(seed, problem.id), 16)


def ask(
    name: str,
    problems: Sequence[Problem],
    prompts: Sequence[Sequence[Message]],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int,
    seed: int,
) -> list[list[Attempt]]:
    """One request a problem, ``samples`` each.

    Args:
        name: the strategy's name, kept in the attempts.
        problems: what to solve.
        prompts: the messages for each problem.
        engine: who answers.
        sampling: how tokens are chosen.
        samples: attempts at each problem.
        seed: the stage's seed; see :func:`problem_seed`.
    """
    requests = [
        Request(messages=messages, sampling=sampling, n=samples, seed=problem_seed(seed, problem))
        for problem, messages in zip(problems, prompts, strict=True)
    ]
    replies = engine.generate(requests)
    return [
        _attempts(name, problem, request, reply, engine.model)
        for problem, request, reply in zip(problems, requests, replies, strict=True)
    ]


def _attempts(name: str, problem: Problem, request: Request, reply: Reply, model: str) -> list[Attempt]:
    return [
        Attempt(
            problem=problem,
            strategy=name,
            messages=request.messages,
            text=sample.text,
            finish=sample.finish,
            sample=number,
            seed=request.seed,
            model=model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=sample.tokens,
            error=sample.error,
        )
        for number, sample in enumerate(reply.samples)
    ]
