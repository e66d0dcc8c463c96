"""Reasoning and acting: in each turn a thought and a call of a tool, until the model gives its answer.

Yao et al., 2023, arXiv:2210.03629. With ``calls: schema`` the engine holds each turn to a JSON object with a thought
and either a call with that tool's arguments or an answer, so that a small model cannot write a call that means nothing;
the last turn can only be an answer. With ``calls: text`` the model writes freely (``Action: calculator[2 * 21]``, or a
``<tool_call>``), as it was trained to. A call that cannot be read, a tool that fails, hangs or says too much is what
the model is told, and the next turn follows. Departure: one example is shown,
not several, and only where the calculator is among the tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from porism import sandbox as box
from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Message, Problem
from porism.strategies._desk import Ask, Desk, Said
from porism.strategies._rounds import together
from porism.strategies._toolboxes import shared
from porism.strategies._trace import Branch
from porism.tools import Answer, Call, Toolbox, from_text, route
from porism.tools._calls import filled, from_json

__all__ = ["Acting", "check", "schema", "solve"]

_LONGEST = 200
_SHOWN = 1_000
_SCHEMA = (
    "You may use these tools:\n{}\n\nIn each turn write one JSON object, the call of a tool or the answer: "
    '{{{}"tool": "{}", "arguments": {}}} or {{{}"answer": "…"}}.'
)
_ROUTED = (
    "You may use tools:\n{}\n\nIn each turn write one JSON object, what is to be computed or looked up, or the answer: "
    '{{{}"input": "…"}} or {{{}"answer": "…"}}.'
)
_TEXT = (
    "You may use these tools:\n{}\n\nWrite in each turn a line 'Thought: …' and a line 'Action: tool[input]', such as "
    "'Action: {}[…]'. You are then told what the tool says. When you know the answer, write 'Final Answer: …'."
)
_ASKED = "A box holds 17 pens. How many pens are in 12 boxes?"
_EXAMPLE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("12 boxes of 17 pens.", {"tool": "calculator", "arguments": {"text": "12 * 17"}}),
    ("12 boxes hold 204 pens.", {"answer": "204"}),
)
_EXAMPLE_TEXT = (
    "Thought: 12 boxes of 17 pens.\nAction: calculator[12 * 17]",
    "Thought: 12 boxes hold 204 pens.\nFinal Answer: 204",
)
_UNREAD = "this is neither a call of a tool nor an answer"
Allowed = Literal["any", "call", "answer"]
_FINISH = re.compile(r"Action(?: \d+)?:[ \t]*finish[ \t]*[\[(](.*?)[\])]", re.IGNORECASE)
"""How the paper's examples end."""


class Acting(NamedTuple):
    """The tools and how they are called."""

    tools: Annotated[
        list[str], Field(description="calculator, python, retrieve, or your own as path/file.py:function", min_length=1)
    ] = ["calculator"]  # fmt: skip
    calls: Annotated[
        Literal["schema", "text"], Field(description="the engine holds each turn to JSON, or the model writes freely")
    ] = "schema"
    router: Annotated[
        Literal["model", "rules"], Field(description="who picks the tool: the model, or rules by what is to be done")
    ] = "model"
    thought: Annotated[
        int, Field(description="with schema: most signs of a thought; 0: none is written", ge=0, le=2_000)
    ] = 160
    require: Annotated[int, Field(description="with schema: first turns that have to be calls of a tool", ge=0)] = 0
    worked: Annotated[bool, Field(description="show an example first, where the calculator is among the tools")] = True
    turns: Annotated[int, Field(description="most turns; the last one can only be an answer", ge=1)] = 5
    tool_settings: Annotated[
        dict[str, dict[str, Any]], Field(description="settings of tools, such as {retrieve: {index: runs/knowledge}}")
    ] = {}
    tool_seconds: Annotated[float, Field(description="how long a call of your own tool may take", gt=0)] = 10.0
    sandbox: str = box.AUTO
    instruction: Instruction = ""
    system: System = None


def check(
    *,
    tools: list[str] = ["calculator"],  # noqa: B006 (never changed)
    tool_settings: dict[str, dict[str, Any]] = {},  # noqa: B006
    sandbox: str = box.AUTO,
) -> None:
    """Find before anything runs that a tool is not there, lacks a setting, or cannot be called.

    Raises:
        RecipeError: see :class:`porism.tools.Toolbox`.
        Refused: the sandbox that a tool needs cannot be had here.
    """
    Toolbox(tools, _settings(tools, tool_settings, sandbox))
    if "python" in tools:
        box.ready(sandbox)


@together("react")
async def solve(problem: Problem, desk: Desk, *, acting: Acting) -> None:
    """Take turns until there is an answer."""
    own = _settings(acting.tools, acting.tool_settings, acting.sandbox)
    toolbox = shared(acting.tools, own, acting.tool_seconds)
    talk, story = _talk(problem, toolbox, acting), ""
    tokens, seconds = 0, 0.0
    for number in range(acting.turns):
        last = number == acting.turns - 1
        branch = str(number)
        ((said,),) = await desk.ask(_ask(toolbox, acting, talk, number))
        tokens, seconds = tokens + said.tokens, seconds + said.seconds
        thought, step = _step(said, toolbox, acting, last=last)
        story += f"{thought}\n" if thought else ""
        if isinstance(step, str):
            text = story + (step if "\n" in step else f"#### {step}")
            (reading,) = await desk.read([(text, said.finish)])
            desk.offer(text, Branch(branch=branch, answer=reading.answer, tokens=tokens, seconds=seconds), said.finish)
            return
        answer = (await desk.call(toolbox, [(branch, step)]))[0]
        told = answer.text[:_SHOWN]
        story += f"{_shown(step)}{_result(answer)}: {told}\n"
        desk.draft(story)
        turn = Message(role="assistant", content=said.text)
        talk += [turn, Message(role="user", content=f"{_result(answer)}: {told}")]


def _settings(tools: Sequence[str], given: Mapping[str, Mapping[str, Any]], sandbox: str) -> dict[str, dict[str, Any]]:
    """What is set of each tool; Python runs in the sandbox that the strategy names, unless it has one of its own."""
    own = {name: dict(values) for name, values in given.items()}
    if "python" in tools:
        own["python"] = {"sandbox": sandbox, **own.get("python", {})}
    return own


def _talk(problem: Problem, toolbox: Toolbox, acting: Acting) -> list[Message]:
    """What the tools are, an example where there is one for them, and the question."""
    words = _words(toolbox, acting)
    if not acting.worked or "calculator" not in toolbox.names:
        return messages.question(problem, "\n".join(filter(None, (words, acting.instruction))), acting.system)
    said = _EXAMPLE_TEXT if acting.calls == "text" else tuple(_turn(acting, *one) for one in _EXAMPLE)
    first = Problem(question=f"{words}\n\n{_ASKED}", answer="")
    return [
        *messages.question(first, "", acting.system),
        Message(role="assistant", content=said[0]),
        Message(role="user", content="Observation: 204"),
        Message(role="assistant", content=said[1]),
        *messages.question(problem, acting.instruction),
    ]


def _turn(acting: Acting, thought: str, what: dict[str, Any]) -> str:
    """A turn as the schema has it."""
    if acting.router == "rules" and "tool" in what:
        what = {"input": what["arguments"]["text"]}
    return json.dumps({**({"thought": thought} if acting.thought else {}), **what})


def _result(answer: Answer) -> str:
    return "Error" if answer.failed else "Observation"


def _shown(call: Call) -> str:
    if not call.tool:
        return ""
    return f"Action: {call.tool}({', '.join(f'{name}={value!r:.200}' for name, value in call.arguments.items())})\n"


def _words(toolbox: Toolbox, acting: Acting) -> str:
    listed = "\n".join(f"- {name}: {toolbox.description(name)} {_arguments(toolbox, name)}" for name in toolbox.names)
    first = toolbox.names[0]
    parts = dict.fromkeys(toolbox.schema(first)["properties"], "…")
    thought = '"thought": "…", ' if acting.thought else ""
    if acting.calls == "text":
        found = _TEXT.format(listed, first)
    elif acting.router == "rules":
        found = _ROUTED.format(listed, thought, thought)
    else:
        found = _SCHEMA.format(listed, thought, first, json.dumps(parts, ensure_ascii=False), thought)
    return found


def _arguments(toolbox: Toolbox, name: str) -> str:
    """The arguments of a tool, in words."""
    parts = toolbox.schema(name)["properties"]
    return "Arguments: " + "; ".join(
        f"{one} ({part.get('description', part.get('type', 'any'))})" for one, part in parts.items()
    )


def _ask(toolbox: Toolbox, acting: Acting, talk: list[Message], number: int) -> Ask:
    last = number == acting.turns - 1
    if acting.calls == "schema":
        allowed: Allowed = "answer" if last else "call" if number < acting.require else "any"
        routed = acting.router == "rules"
        held: dict[str, Any] = {"json_schema": schema(toolbox, allowed, thought=acting.thought, routed=routed)}
    else:
        held = {"stop": ("\nObservation",)}
    return Ask(messages=list(talk), does="answer" if last else "act", branch=str(number), sampling=held)


def schema(toolbox: Toolbox, allowed: Allowed = "any", *, thought: int = 160, routed: bool = False) -> str:
    """The JSON schema of a turn.

    Args:
        toolbox: the tools that may be called.
        allowed: whether the turn may be a call, an answer, or any of the two.
        thought: most signs of a thought; 0 for none.
        routed: the tool is not named, only what it is given.
    """
    before: dict[str, Any] = {"thought": {"type": "string", "maxLength": thought}} if thought else {}
    turns = [_object(**before, answer={"type": "string", "maxLength": _LONGEST})] if allowed != "call" else []
    if routed and allowed != "answer":
        turns.append(_object(**before, input={"type": "string", "maxLength": 2 * _LONGEST}))
    elif allowed != "answer":
        turns += [_object(**before, tool={"const": name}, arguments=toolbox.schema(name)) for name in toolbox.names]
    return json.dumps(turns[0] if len(turns) == 1 else {"anyOf": turns})


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _step(said: Said, toolbox: Toolbox, acting: Acting, *, last: bool) -> tuple[str, Call | str]:
    """The thought of a turn, and the call in it or the answer."""
    return (
        _from_schema(said.text, toolbox, last=last)
        if acting.calls == "schema"
        else _from_free(said.text, toolbox, last=last)
    )


def _from_schema(text: str, toolbox: Toolbox, *, last: bool) -> tuple[str, Call | str]:
    try:
        turn = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        turn = None
    if not isinstance(turn, Mapping):
        if last and not text.lstrip().startswith("{"):
            return "", text.strip()
        return text.strip()[:_LONGEST], Call("", {}, wrong=f"{_UNREAD}, but a text that is no JSON object, or cut off")
    thought = str(turn.get("thought", ""))
    if "answer" in turn:
        return thought, str(turn["answer"])
    if "input" in turn:
        wanted = str(turn["input"])
        name = route(wanted, toolbox.names)
        return thought, filled(name, wanted, toolbox) if name else Call("", {}, wrong="no tool is fit for this input")
    return thought, from_json(turn)


def _from_free(text: str, toolbox: Toolbox, *, last: bool) -> tuple[str, Call | str]:
    """In free text an answer is what stands behind ``Final Answer:``, or all of a turn without a call."""
    before, mark, after = _FINISH.sub(r"Final Answer: \1", text).rpartition("Final Answer:")
    call = from_text(before if mark else text, toolbox) if not mark or "Action:" in before else None
    if call is not None and not last:
        return text.partition("Action:")[0].partition("<tool_call>")[0].strip(), call
    if mark:
        return before.strip(), after.strip()
    return "", text.strip()
