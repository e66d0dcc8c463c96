"""Partial solutions of a tree of thoughts: how a model is asked for the next step, and for what one is worth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from porism.prompts import messages
from porism.records import Message, Problem
from porism.strategies._desk import Ask, Desk, Said

__all__ = [
    "PERSPECTIVES",
    "VALUES",
    "State",
    "finish_ask",
    "step_ask",
    "value_asks",
    "value_of",
    "values_of_votes",
    "vote_ask",
]

PERSPECTIVES = {
    "arithmetic": "Work it out step by step with the numbers as they come.",
    "algebra": "Name the unknowns, write equations, and solve them.",
    "backwards": "Start from what is asked, and work back to what is given.",
    "units": "Keep track of what each number counts, and of its unit.",
    "estimate": "Estimate the answer first, then compute it exactly and compare.",
}
"""Ways to look at a problem, for the first level of a tree."""
VALUES = {"sure": 1.0, "likely": 0.5, "impossible": 0.0}
"""What a model says of a partial solution, and what it counts."""
_NEXT = "Solution so far:\n{}\n\nWrite only the next step of the solution, in one short paragraph. {}"
_FIRST = "Write only the first step of the solution, in one short paragraph. {}"
_LAST = "When the answer is found, write it on a line of its own as: #### answer"
_FINISH = "Solution so far:\n{}\n\nFinish the solution. " + _LAST
_VALUE = (
    "Solution so far:\n{}\n\nCan this lead to the right answer? Check each step, then say one word: sure, likely or "
    "impossible."
)
_VOTE = "Partial solutions:\n\n{}\n\nWhich of them is the most promising? Say its number."
_STOP = ("\n\n",)


@dataclass(frozen=True, slots=True)
class State:
    """A partial solution."""

    steps: tuple[str, ...] = ()
    branch: str = ""
    score: float | None = None
    perspective: str = ""
    finish: Literal["stop", "length", "error"] = "stop"
    tokens: int = 0
    """Generated on the way to it, the evaluations left out."""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The steps, a paragraph each."""
        return "\n\n".join(self.steps)

    def grown(self, said: Said) -> State:
        """The state after one more step."""
        step = said.text.strip()
        return State(
            steps=(*self.steps, step),
            branch=said.branch,
            perspective=self.perspective,
            finish=said.finish,
            tokens=self.tokens + said.tokens,
            seconds=self.seconds + said.seconds,
        )


def _asked(problem: Problem, words: str, system: str | None) -> list[Message]:
    return messages.question(problem, words, system)


def step_ask(desk: Desk, state: State, n: int, system: str | None) -> Ask:
    """Ask for the next step of a partial solution."""
    template = _NEXT if state.steps else _FIRST
    extra = " ".join(filter(None, (state.perspective, _LAST)))
    words = template.format(state.text, extra) if state.steps else template.format(extra)
    asked = _asked(desk.problem, words, system)
    return Ask(messages=asked, does="thought", branch=state.branch, grows=True, n=n, sampling={"stop": _STOP})


def finish_ask(desk: Desk, state: State, system: str | None) -> Ask:
    """Ask for the rest of a partial solution."""
    asked = _asked(desk.problem, _FINISH.format(state.text), system)
    return Ask(messages=asked, does="finish", branch=state.branch)


def value_asks(desk: Desk, states: Sequence[State], n: int, system: str | None) -> list[Ask]:
    """Ask what each partial solution is worth, several times."""
    held: dict[str, Any] = {"regex": "|".join(VALUES), "max_tokens": 8}
    return [
        Ask(
            messages=_asked(desk.problem, _VALUE.format(state.text), system),
            does="value",
            branch=state.branch,
            n=n,
            sampling=held,
        )
        for state in states
    ]


def value_of(said: Sequence[Said]) -> float | None:
    """The mean of what was said of a state; None where nothing of it can be read."""
    found = [match[0].lower() for one in said if (match := re.search("|".join(VALUES), one.text, re.IGNORECASE))]
    return sum(VALUES[word] for word in found) / len(found) if found else None


def vote_ask(desk: Desk, states: Sequence[State], n: int, system: str | None) -> Ask:
    """Ask which of several partial solutions is the most promising, several times."""
    listed = "\n\n".join(f"{number}. {state.text}" for number, state in enumerate(states, 1))
    numbers = "|".join(str(number) for number in range(1, len(states) + 1))
    return Ask(
        messages=_asked(desk.problem, _VOTE.format(listed), system),
        does="vote",
        branch=states[0].branch.rpartition(".")[0],
        n=n,
        sampling={"regex": numbers, "max_tokens": 8},
    )


def values_of_votes(said: Sequence[Said], count: int) -> list[float | None]:
    """The share of votes that each of ``count`` states got; None for all where no vote can be read."""
    found = [int(match[0]) for one in said if (match := re.search(r"\d+", one.text)) and len(match[0]) < 6]
    found = [number for number in found if 1 <= number <= count]
    return [found.count(number) / len(found) for number in range(1, count + 1)] if found else [None] * count
