"""Tree of thoughts: partial solutions are grown step by step, evaluated, and the promising ones go on.

Yao et al., 2023, arXiv:2305.10601. ``search`` says which go on. ``breadth``: all of a level that are not worth less
than ``prune``; ``beam``: the ``beam`` best of them; ``depth``: the best first, the others when it came to nothing.
``evaluate`` says how they are judged: each alone (``value``), or against one another (``vote``). With ``perspectives``
the first level has a branch for each way to look at the problem.

A leaf is a solution that states its answer. Of equal answers, by the grader, the scores add up, and the best leaf of
the answer with the largest sum is taken. Departure from the paper: the answer is not the single best leaf's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from porism.errors import RecipeError, nearest
from porism.prompts.messages import System
from porism.records import Problem
from porism.strategies import _reading
from porism.strategies._desk import Desk
from porism.strategies._rounds import together
from porism.strategies._states import (
    PERSPECTIVES,
    State,
    finish_ask,
    step_ask,
    value_asks,
    value_of,
    values_of_votes,
    vote_ask,
)
from porism.strategies._trace import Branch

__all__ = ["Growing", "check", "solve"]

_UNKNOWN = 0.5
"""Score of a state of which nothing readable was said."""


class Growing(NamedTuple):
    """The shape of the tree."""

    search: Annotated[Literal["breadth", "beam", "depth"], Field(description="which partial solutions go on")] = "beam"
    evaluate: Annotated[
        Literal["value", "vote"], Field(description="how they are judged: each alone, or against one another")
    ] = "value"
    branches: Annotated[int, Field(description="next steps that are tried for each", ge=1)] = 3
    beam: Annotated[int, Field(description="with beam: how many of a level go on", ge=1)] = 2
    depth: Annotated[int, Field(description="steps until a solution has to be finished", ge=1)] = 3
    judgements: Annotated[int, Field(description="times that each evaluation is asked for", ge=1)] = 1
    prune: Annotated[float, Field(description="partial solutions worth less than this are given up", ge=0, le=1)] = 0.25
    accept: Annotated[float, Field(description="with depth: a solution worth this much ends it", ge=0, le=1)] = 0.9
    perspectives: Annotated[
        list[str], Field(description="ways to look at the problem, one branch each: shipped names, or own sentences")
    ] = []
    system: System = None


def check(*, branches: int = 3, temperature: float = 0.0, perspectives: Sequence[str] = ()) -> None:
    """Find before anything runs that all branches would be the same, or that a perspective is no sentence.

    Raises:
        RecipeError: so it is.
    """
    if branches > 1 and not temperature:
        raise RecipeError("tree: at temperature 0 all branches would be the same. Set temperature, to 0.7 say.")
    for one in perspectives:
        if one not in PERSPECTIVES and " " not in one.strip():
            raise RecipeError(
                f"tree: perspectives: no {one!r}.{nearest(one, PERSPECTIVES)} Known: {', '.join(PERSPECTIVES)}; or "
                "write a sentence of your own."
            )


@together("tree")
async def solve(problem: Problem, desk: Desk, *, growing: Growing) -> None:
    """Grow a tree until its solutions are finished, or the budget is used up."""
    roots = [State(perspective=PERSPECTIVES.get(one, one)) for one in growing.perspectives] or [State()]
    if len(roots) > 1:
        roots = [State(branch=str(at), perspective=one.perspective) for at, one in enumerate(roots)]
    tree = _Tree(problem, desk, growing)
    if growing.search == "depth":
        await tree.deep(roots)
        return
    states = roots
    for level in range(1, growing.depth + 1):
        states = await tree.level(states, last=level == growing.depth)
        if not states:
            return


class _Tree:
    """The search for one problem."""

    def __init__(self, problem: Problem, desk: Desk, growing: Growing) -> None:
        self._problem, self._desk, self._growing = problem, desk, growing

    async def level(self, states: Sequence[State], *, last: bool) -> list[State]:
        """One level more: grown, evaluated, leaves offered, and those that go on."""
        grown = await self._grown(states)
        grown = await self._scored(grown)
        unfinished = await self._offered(grown)
        keep = sorted(
            (one for one in unfinished if _worth(one) >= self._growing.prune), key=lambda one: -_worth(one)
        )  # a stable sort: of equals the first
        if self._growing.search == "beam":
            keep = keep[: self._growing.beam]
        if not keep and unfinished and not self._desk.candidates:
            keep = [max(unfinished, key=_worth)]  # the tree would end without a leaf
        self._hold(keep)
        if not last:
            return keep
        await self._finished(keep)
        return []

    async def deep(self, roots: Sequence[State]) -> None:
        """The best first, down to its end; then what was left aside, the deepest first."""
        waiting = list(reversed(roots))
        while waiting:
            state = waiting.pop()
            if len(state.steps) >= self._growing.depth:
                await self._finished([state])
            else:
                grown = await self._scored(await self._grown([state]))
                unfinished = await self._offered(grown)
                self._hold(unfinished)
                waiting += sorted((one for one in unfinished if _worth(one) >= self._growing.prune), key=_worth)
                if not waiting and not self._desk.candidates and unfinished:
                    await self._finished([max(unfinished, key=_worth)])
            best = max((one.score or 0.0 for one in self._desk.candidates), default=-1.0)
            if best >= self._growing.accept:
                return

    async def _grown(self, states: Sequence[State]) -> list[State]:
        asks = [step_ask(self._desk, one, self._growing.branches, self._growing.system) for one in states]
        said = await self._desk.ask(*asks)
        grown = [state.grown(one) for state, each in zip(states, said, strict=True) for one in each if one.text.strip()]
        self._hold(grown)
        return grown

    async def _scored(self, states: Sequence[State]) -> list[State]:
        """The states with what they are thought to be worth. All at once, or the siblings of one level together."""
        growing = self._growing
        if not states:
            return []
        if growing.evaluate == "value":
            said = await self._desk.ask(*value_asks(self._desk, states, growing.judgements, growing.system))
            scores = [value_of(each) for each in said]
        elif len(states) == 1:
            scores = [None]
        else:
            (votes,) = await self._desk.ask(vote_ask(self._desk, states, growing.judgements, growing.system))
            best = values_of_votes(votes, len(states))
            top = max((one for one in best if one is not None), default=1.0)
            scores = [None if one is None else one / top for one in best]
        return [_with_score(one, score) for one, score in zip(states, scores, strict=True)]

    async def _offered(self, states: Sequence[State]) -> list[State]:
        """Offer those that state an answer; the others are returned."""
        readings = await self._desk.read([(one.text, one.finish) for one in states])
        open_ = []
        for state, reading in zip(states, readings, strict=True):
            if reading.stated:
                self._offer(state, reading.answer)
            else:
                open_.append(state)
        return open_

    async def _finished(self, states: Sequence[State]) -> None:
        """Have solutions finished that may not grow any further, and offer them."""
        said = await self._desk.ask(*(finish_ask(self._desk, one, self._growing.system) for one in states))
        ended = [
            _with_score(state.grown(one), state.score) for state, each in zip(states, said, strict=True) for one in each
        ]
        readings = await self._desk.read([(one.text, one.finish) for one in ended])
        for state, reading in zip(ended, readings, strict=True):
            self._offer(state, reading.answer)

    def _offer(self, state: State, answer: str | None) -> None:
        branch = Branch(
            branch=state.branch, answer=answer, score=_worth(state), tokens=state.tokens, seconds=state.seconds
        )
        self._desk.offer(state.text, branch, state.finish)
        self._select()

    def _select(self) -> None:
        """Take the best leaf of the answer with the largest sum of scores."""
        leaves = self._desk.candidates
        found = _reading.classes(self._problem, [one.answer for one in leaves])
        sums = [sum(leaves[at].score or 0.0 for at in places) for places in found]
        self._desk.votes = {leaves[places[0]].answer or "": one for places, one in zip(found, sums, strict=True)}
        winners = found[max(range(len(found)), key=lambda at: (sums[at], -at))] if found else range(len(leaves))
        self._desk.take(max(winners, key=lambda at: (leaves[at].score or 0.0, -at)))

    def _hold(self, states: Sequence[State]) -> None:
        """What stands for an answer if there is no leaf: the best partial solution."""
        if states:
            self._desk.draft(max(states, key=_worth).text)


def _worth(state: State) -> float:
    return _UNKNOWN if state.score is None else state.score


def _with_score(state: State, score: float | None) -> State:
    return State(state.steps, state.branch, score, state.perspective, state.finish, state.tokens, state.seconds)
