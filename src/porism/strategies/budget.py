"""Budget forcing: a model is made to think longer, or to stop thinking (Muennighoff et al., 2025, arXiv:2501.19393).

Thinking that would end too early goes on behind the word ``again``, up to ``waits`` times; thinking that reaches
``think`` tokens is ended. Then the model has to answer behind the words ``close``. All is one text of the model's, so
the engine must be able to go on from a prefix: ``local`` and vLLM can.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field

from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Problem
from porism.strategies._desk import Ask, Desk, Said
from porism.strategies._rounds import together
from porism.strategies._trace import Branch

__all__ = ["Forcing", "solve"]


class Forcing(NamedTuple):
    """How long a model thinks."""

    think: Annotated[int, Field(description="most tokens of thinking", ge=1)] = 256
    least: Annotated[int, Field(description="thinking that ends with fewer tokens goes on; 0: each time", ge=0)] = 0
    waits: Annotated[int, Field(description="times that thinking which ends goes on", ge=0)] = 0
    again: Annotated[str, Field(description="what is put behind thinking that goes on")] = "\nWait,"
    open: Annotated[str, Field(description="what thinking begins with, such as <think>")] = ""
    close: Annotated[str, Field(description="what ends thinking: the answer follows", min_length=1)] = (
        "\n\nFinal answer:"
    )
    ends: Annotated[
        list[str], Field(description="texts by which the model itself ends its thinking, such as </think>")
    ] = ["</think>"]  # fmt: skip
    answer_tokens: Annotated[int, Field(description="most tokens of the answer", ge=1)] = 64
    instruction: Instruction = ""
    system: System = None


@together("budget")
async def solve(problem: Problem, desk: Desk, *, forcing: Forcing) -> None:
    """Think for as long as the settings say, then answer."""
    shown = messages.question(problem, forcing.instruction, forcing.system)
    text, spent, seconds = forcing.open, 0, 0.0
    for number in range(forcing.waits + 1):
        if number:
            text = f"{text.rstrip()}{forcing.again}"
        held: dict[str, Any] = {"stop": tuple(forcing.ends), "max_tokens": forcing.think - spent}
        asked = Ask(
            messages=shown, does="think" if not number else "wait", branch=str(number), prefix=text, sampling=held
        )
        ((said,),) = await desk.ask(asked)
        text, spent, seconds = said.text, spent + said.tokens, seconds + said.seconds
        desk.draft(text)
        if said.finish == "length" or spent >= forcing.think or (forcing.least and spent >= forcing.least):
            break
    text = f"{text.rstrip()}{forcing.close}"
    asked = Ask(messages=shown, does="answer", branch="", prefix=text, sampling={"max_tokens": forcing.answer_tokens})
    ((last,),) = await desk.ask(asked)
    await _offer(desk, last, spent + last.tokens, seconds + last.seconds)


async def _offer(desk: Desk, last: Said, tokens: int, seconds: float) -> None:
    (reading,) = await desk.read([(last.text, last.finish)])
    desk.offer(last.text, Branch(answer=reading.answer, tokens=tokens, seconds=seconds), last.finish)
