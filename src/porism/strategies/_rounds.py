"""Strategies that take several turns go forward for all their problems together.

Such a strategy is a coroutine for one attempt, ``async def solve(problem, desk, *, …)``: what it awaits of its desk
(texts of the engine, answers of tools, the reading of answers) is gathered over all attempts of a batch, and each
round is one call of the engine with all that is wanted. The order is that of the problems, never that of the clock.

    @together("twice")
    async def solve(problem: Problem, desk: Desk, *, reminder: str = "Check it.") -> None:
        asked = messages.question(problem)
        ((draft,),) = await desk.ask(Ask(messages=asked, does="draft"))
        …
        desk.offer(draft.text, Branch(tokens=draft.tokens))

:func:`together` makes of it ``solve(problems, engine, sampling, *, samples, seed, budget_tokens, …)``.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from porism import recipe
from porism.engines import Engine, Sampling
from porism.records import Attempt, Problem
from porism.strategies import _reading
from porism.strategies._budget import Budget, Stopped, generate
from porism.strategies._desk import Desk, Want
from porism.tools import Answer, Call, Toolbox

__all__ = ["Work", "run", "together"]

Work = Coroutine[Any, Any, None]
_TOOLS_AT_ONCE = 8


def together(name: str) -> Callable[[Callable[..., Work]], Callable[..., list[list[Attempt]]]]:
    """Make a strategy of a coroutine for one attempt.

    Args:
        name: the strategy's, kept in the attempts.

    Returns:
        A decorator for ``async def solve(problem, desk, *, …) -> None``. Its settings are those of the coroutine,
        ``samples``, ``seed`` and the budgets; named tuples among them are taken apart (:func:`porism.recipe.flat`).
    """

    def made(work: Callable[..., Work]) -> Callable[..., list[list[Attempt]]]:
        one = recipe.flat(work)

        def solve(
            problems: Sequence[Problem],
            engine: Engine,
            sampling: Sampling,
            *,
            samples: int = 1,
            seed: int = 0,
            budget: Budget,
            **own: Any,
        ) -> list[list[Attempt]]:
            bound = functools.partial(one, **own)
            return run(name, problems, engine, sampling, bound, samples=samples, seed=seed, budget=budget)

        whole = recipe.flat(solve)
        shared = [part for part in inspect.signature(whole).parameters.values() if part.kind is not part.VAR_KEYWORD]
        owned = [part for part in inspect.signature(one).parameters.values() if part.kind is part.KEYWORD_ONLY]
        functools.update_wrapper(whole, work)
        whole.__signature__ = inspect.Signature([*shared, *owned])  # type: ignore[attr-defined]
        return whole

    return made


def run(
    name: str,
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    work: Callable[[Problem, Desk], Work],
    *,
    samples: int,
    seed: int,
    budget: Budget,
) -> list[list[Attempt]]:
    """Attempts at each problem, all made side by side.

    Args:
        name: the strategy's.
        problems: what to solve.
        engine: who answers.
        sampling: how tokens are chosen.
        work: makes one attempt at its desk.
        samples: attempts at each problem.
        seed: the stage's.
        budget: what one attempt may cost.
    """
    began = time.monotonic()
    lines = [
        _Line(
            number,
            desk := Desk(name, problem, sampling, seed=seed, sample=sample, budget=budget, began=began),
            work(problem, desk),
        )
        for number, (problem, sample) in enumerate(itertools.product(problems, range(samples)))
    ]
    try:
        _drive(lines, engine, began + budget.budget_seconds if budget.budget_seconds else None)
    finally:
        for line in lines:
            line.work.close()
    attempts = [line.desk.attempt(engine.model) for line in lines]
    return [attempts[at : at + samples] for at in range(0, len(attempts), samples)]


@dataclass
class _Line:
    """One attempt and where its coroutine stands."""

    number: int
    desk: Desk
    work: Work
    reply: Any = None

    def step(self) -> Want | None:
        """Go on with the reply to the last want; None where it has ended."""
        try:
            wanted: Want = self.work.send(self.reply)
        except StopIteration:
            return None
        except Stopped as stopped:
            self.desk.stopped = str(stopped)
            return None
        return wanted


def _drive(lines: Sequence[_Line], engine: Engine, deadline: float | None) -> None:
    """Take all to their ends: in each round those who wait for the engine are answered by one call."""
    ready = list(lines)
    while ready:
        waiting = _until_engine(ready)
        if not waiting:
            return
        made = iter(generate(engine, [request for _, want in waiting for request in want.items], deadline))
        for line, want in waiting:
            line.reply = list(itertools.islice(made, len(want.items)))
        ready = [line for line, _ in waiting]


def _until_engine(ready: list[_Line]) -> list[tuple[_Line, Want]]:
    """Take each to its end, or to where it waits for the engine; what it wants of others on the way is served."""
    waiting: list[tuple[_Line, Want]] = []
    while ready:
        wants = [(line, want) for line in ready if (want := line.step()) is not None]
        for kind, serve in (("read", _reading.read), ("tools", _from_tools)):
            chosen = [(line, want) for line, want in wants if want.kind == kind]
            found = iter(serve([item for _, want in chosen for item in want.items]))
            for line, want in chosen:
                line.reply = list(itertools.islice(found, len(want.items)))
        waiting += [(line, want) for line, want in wants if want.kind == "engine"]
        ready = [line for line, want in wants if want.kind != "engine"]
    return sorted(waiting, key=lambda pair: pair[0].number)


def _from_tools(items: Sequence[tuple[Toolbox, Call, Problem, float | None]]) -> list[tuple[Answer, float]]:
    """What tools say, several at a time, each with the seconds that it took."""
    if not items:
        return []
    with ThreadPoolExecutor(min(_TOOLS_AT_ONCE, len(items))) as threads:
        return list(threads.map(_timed, items))


def _timed(item: tuple[Toolbox, Call, Problem, float | None]) -> tuple[Answer, float]:
    toolbox, call, problem, deadline = item
    began = time.monotonic()
    left = None if deadline is None else max(0.1, deadline - began)
    return toolbox.call(call, seconds=left, asked=problem), time.monotonic() - began
