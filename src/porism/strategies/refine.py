"""A draft, a check of it, and a better one, until the check is passed.

``check`` says how. ``critique``: the model writes what is wrong, and rewrites its solution after that (self-refine,
Madaan et al., 2023, arXiv:2303.17651). ``verify``: it is asked several times whether the solution is right; the share
that says yes is the score. ``backward``: a number of the question is hidden, and the model has to find it again from
its own answer (self-verification, Weng et al., 2023, arXiv:2212.09561); the share of numbers found is the score. With
the last two another solution is tried from the beginning where the score is below ``accept``, and the best scored one
is taken. Departure from Weng et al.: the candidates come one after the other, not as a set of samples.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from porism.errors import RecipeError
from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Message, Problem
from porism.strategies import _reading
from porism.strategies._desk import Ask, Desk, Said
from porism.strategies._reading import Reading
from porism.strategies._rounds import together
from porism.strategies._trace import Branch

__all__ = ["Refining", "check", "solve"]

_CRITIQUE = (
    "Check your solution step by step, and say what is wrong with it. End with a line 'Verdict: correct' or 'Verdict: "
    "wrong'."
)
_REWRITE = "Now write the corrected solution, whole, and end with its final answer."
_VERIFY = "A solution:\n{}\n\nIs its final answer right? Say yes or no."
_BACKWARD = "{}\n\nIt is known that the answer is {}. Which number is X? End with 'The answer is' and the number."
_RIGHT = re.compile(r"verdict\W{0,5}(?:correct|right)", re.IGNORECASE)
_YES = re.compile(r"\s*\W{0,3}yes\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w,]*\d)")


class Refining(NamedTuple):
    """How a solution is checked, and how often."""

    check: Annotated[Literal["critique", "verify", "backward"], Field(description="how a solution is checked")] = (
        "critique"
    )
    rounds: Annotated[int, Field(description="further solutions after the first", ge=0)] = 2
    judgements: Annotated[int, Field(description="with verify and backward: questions asked of a solution", ge=1)] = 3
    accept: Annotated[
        float, Field(description="with verify and backward: share of these that a solution has to pass", gt=0, le=1)
    ] = 0.6
    instruction: Instruction = ""
    system: System = None


def check(*, check: str = "critique", rounds: int = 2, temperature: float = 0.0) -> None:
    """Find before anything runs that a second solution would be the first one again.

    Raises:
        RecipeError: so it is.
    """
    if check != "critique" and rounds and not temperature:
        raise RecipeError(
            f"refine: with check={check} another solution is tried, and at temperature 0 it would be the same. Set "
            "temperature, to 0.7 say, or rounds to 0."
        )


@together("refine")
async def solve(problem: Problem, desk: Desk, *, refining: Refining) -> None:
    """Draft, check and improve."""
    shown = messages.question(problem, refining.instruction, refining.system)
    said: Said | None = await _said(desk, Ask(messages=shown, does="draft", branch="0"))
    for number in range(refining.rounds + 1):
        if said is None:
            return
        (reading,) = await desk.read([(said.text, said.finish)])
        place = _offer(desk, said, reading, None)
        _choose(desk, refining)
        again = str(number + 1)
        if refining.check == "critique":
            if number == refining.rounds:
                return
            said = await _rewritten(desk, shown, said, again)
            continue
        score = await _score(problem, desk, said.text, reading.answer, refining)
        desk.rescore(place, score)
        _choose(desk, refining)
        if score >= refining.accept or number == refining.rounds:
            return
        said = await _said(desk, Ask(messages=shown, does="draft", branch=again))


async def _said(desk: Desk, ask: Ask) -> Said | None:
    """The one text that comes back; None where it is empty."""
    ((one,),) = await desk.ask(ask)
    return one if one.text.strip() else None


def _offer(desk: Desk, said: Said, reading: Reading, score: float | None) -> int:
    branch = Branch(branch=said.branch, answer=reading.answer, score=score, tokens=said.tokens, seconds=said.seconds)
    return desk.offer(said.text, branch, said.finish)


def _choose(desk: Desk, refining: Refining) -> None:
    """The last one that states an answer; where there are scores, the best of these."""
    found = list(enumerate(desk.candidates))
    stated = [(at, one) for at, one in found if one.answer is not None] or found
    if refining.check == "critique":
        desk.take(stated[-1][0])
    else:
        desk.take(max(stated, key=lambda pair: (-1.0 if pair[1].score is None else pair[1].score, -pair[0]))[0])


async def _rewritten(desk: Desk, shown: Sequence[Message], said: Said, branch: str) -> Said | None:
    """A better solution, by the model's own critique; None where it finds nothing wrong."""
    talk = [*shown, Message(role="assistant", content=said.text), Message(role="user", content=_CRITIQUE)]
    critique = await _said(desk, Ask(messages=talk, does="feedback", branch=said.branch))
    if critique is None or _RIGHT.search(critique.text):
        return None
    talk += [Message(role="assistant", content=critique.text), Message(role="user", content=_REWRITE)]
    return await _said(desk, Ask(messages=talk, does="draft", branch=branch))


async def _score(problem: Problem, desk: Desk, text: str, answer: str | None, refining: Refining) -> float:
    """The share of questions about a solution that it passes; 0 where it should state an answer and does not."""
    if answer is None and _reading.states_answers(problem.kind):
        return 0.0
    branch = str(len(desk.candidates) - 1)
    if refining.check == "backward" and answer is not None:
        found = await _found_again(problem, desk, answer, refining, branch)
        if found is not None:
            return found
    shown = messages.question(problem, _VERIFY.format(text), refining.system)
    held = {"regex": "yes|no", "max_tokens": 4}
    (said,) = await desk.ask(Ask(messages=shown, does="verify", branch=branch, n=refining.judgements, sampling=held))
    return sum(bool(_YES.match(one.text)) for one in said) / max(len(said), 1)


async def _found_again(problem: Problem, desk: Desk, answer: str, refining: Refining, branch: str) -> float | None:
    """The share of hidden numbers that the model finds from the answer; None where the question has no numbers."""
    places = list(_NUMBER.finditer(problem.question))
    if not places:
        return None
    chosen = random.Random(problem.id).sample(places, min(len(places), refining.judgements))
    asks = []
    for place in chosen:
        hidden = f"{problem.question[: place.start()]}X{problem.question[place.end() :]}".strip()
        shown = messages.question(Problem(question=_BACKWARD.format(hidden, answer), answer=""), "", refining.system)
        asks.append(Ask(messages=shown, does="backward", branch=branch))
    said = await desk.ask(*asks)
    empty = Said("", branch, "stop", 0, 0.0)
    back = [each[0] if each else empty for each in said]
    readings = await desk.read([(one.text, one.finish) for one in back], kind="number")
    numbers = Problem(question="", answer="0", kind="number")
    right = [
        reading.answer is not None and _reading.same(place[0].replace(",", ""), reading.answer, numbers)
        for place, reading in zip(chosen, readings, strict=True)
    ]
    return sum(right) / len(right)
