"""Strategies turn problems into attempts by asking an engine.

A strategy is a module with ``prompt(problem, *, …) -> list[Message]``, what the model is shown. That is all for one
that asks once and takes the answer as it comes: :func:`ask` does the rest. One that does more has
``solve(problems, engine, sampling, *, samples, seed, …) -> list[list[Attempt]]``, which works on a batch of problems at
a time and returns the attempts at each, ungraded; one that has to know all problems of the input takes them as a fourth
parameter, ``everything``. One that takes several turns is written as a coroutine for one
attempt, ``async def solve(problem, desk, *, …)``, of which :func:`together` makes such a function: all attempts of a
batch go forward side by side, and each round is one call of the engine.

What was tried for an attempt stands in its :class:`Trace`; see :func:`trace_of`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from porism import recipe
from porism.engines import Engine, Sampling
from porism.errors import RecipeError
from porism.find import find
from porism.records import Attempt, Message, Problem
from porism.strategies._asking import ask, attempts_of, problem_seed
from porism.strategies._budget import Budget, Stopped
from porism.strategies._desk import Ask, Desk, Said
from porism.strategies._rounds import together
from porism.strategies._trace import Branch, Trace, Turn, trace_of

__all__ = [
    "Ask",
    "Branch",
    "Budget",
    "Desk",
    "Said",
    "Stopped",
    "Strategy",
    "Trace",
    "Turn",
    "ask",
    "asks_engine",
    "attempts_of",
    "bind",
    "check",
    "function",
    "problem_seed",
    "together",
    "trace_of",
]


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
