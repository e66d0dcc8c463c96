"""Strategies turn problems into attempts by asking an engine.

A strategy is a module with ``prompt(problem, *, …) -> list[Message]``, what the model is shown. That is all for one
that asks once and takes the answer as it comes: :func:`ask` does the rest. One that does more also has
``solve(problems, engine, sampling, *, samples, seed, …) -> list[list[Attempt]]``, which works on a batch of problems
at a time and returns the attempts at each, ungraded. One that has to know all problems of the input takes them as
a fourth parameter, ``everything``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from porism import recipe
from porism.engines import Engine, Reply, Request, Sampling
from porism.errors import RecipeError
from porism.find import find
from porism.records import Attempt, Message, Problem, content_id

__all__ = ["Strategy", "ask", "asks_engine", "attempts_of", "bind", "check", "function", "problem_seed"]


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


def bind(name: str, settings: recipe.Settings, everything: Sequence[Problem] = ()) -> Strategy:
    """The strategy with its settings filled in, ``samples`` and ``seed`` among them.

    Args:
        name: of the strategy.
        settings: of the stage.
        everything: all problems of the input, in order, for a strategy whose fourth parameter is called so.

    Raises:
        RecipeError: no such strategy.
    """
    chosen = function(name)
    bound = recipe.bind(chosen, settings)
    first = next(iter(inspect.signature(chosen).parameters), "")
    if first not in ("problem", "problems"):
        raise RecipeError(
            f"strategy {name}: expected prompt(problem, …) or solve(problems, engine, sampling, …), got a function "
            f"whose first parameter is {first or 'missing'}."
        )
    if first == "problems":
        if "everything" not in inspect.signature(chosen).parameters:
            return bound
        return lambda problems, engine, sampling: bound(problems, engine, sampling, everything)
    samples, seed = getattr(settings, "samples", 1), getattr(settings, "seed", 0)

    def asked(problems: Sequence[Problem], engine: Engine, sampling: Sampling) -> list[list[Attempt]]:
        prompts = [_checked(name, bound(problem)) for problem in problems]
        return ask(name, problems, prompts, engine, sampling, samples=samples, seed=seed)

    return asked


def _checked(name: str, messages: object) -> list[Message]:
    """The messages of a prompt.

    Raises:
        RecipeError: they are none.
    """
    if isinstance(messages, list) and messages and all(_is_message(message) for message in messages):
        return messages
    raise RecipeError(
        f"strategy {name}: expected prompt(problem, …) to return a list of messages, each with the texts role and "
        f"content, got {messages!r:.120}."
    )


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))


def check(name: str, problems: Sequence[Problem], tries: object) -> list[list[Attempt]]:
    """What a strategy returned for some problems.

    Raises:
        RecipeError: it is not a list of attempts at each.
    """
    fit = isinstance(tries, list) and len(tries) == len(problems) and all(isinstance(one, list) for one in tries)
    if isinstance(tries, list) and fit and all(isinstance(each, Attempt) for one in tries for each in one):
        return tries
    raise RecipeError(
        f"strategy {name}: expected solve(problems, engine, sampling, …) to return a list of attempts at each of "
        f"{len(problems)} problems, got {tries!r:.120}."
    )


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
        attempts_of(name, problem, request, reply, engine.model)
        for problem, request, reply in zip(problems, requests, replies, strict=True)
    ]


def attempts_of(name: str, problem: Problem, request: Request, reply: Reply, model: str) -> list[Attempt]:
    """The attempts that a reply makes."""
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
