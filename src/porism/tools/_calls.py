"""Calls of tools as models write them: OpenAI's format, a tag around JSON, and the lines of ReAct."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from porism.records import content_id
from porism.tools._answer import Answer, Call
from porism.tools._router import route

if TYPE_CHECKING:
    from porism.tools._toolbox import Toolbox

__all__ = ["filled", "from_json", "from_openai", "from_text", "result", "written"]

_TAGGED = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.DOTALL)
_ACTION = re.compile(r"^\s*Action(?: \d+)?:[ \t]*([\w .-]+?)[ \t]*(?:([\[(])(.*)|$)", re.MULTILINE | re.DOTALL)
_INPUT = re.compile(r"^\s*Action Input(?: \d+)?:[ \t]*(.*)", re.MULTILINE | re.DOTALL)
_CLOSES = {"[": "]", "(": ")"}


def from_openai(message: Mapping[str, Any]) -> list[Call]:
    """The calls in an assistant's message of OpenAI's format; one that cannot be read says so in ``wrong``.

    Args:
        message: with ``tool_calls``, a list of ``{"id", "type": "function", "function": {"name", "arguments"}}``, where
            the arguments are JSON text.
    """
    listed = message.get("tool_calls") or []
    return [_from_openai(one) for one in listed] if isinstance(listed, Sequence) else [_wrong(listed)]


def _from_openai(value: Any) -> Call:
    function = value.get("function") if isinstance(value, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return _wrong(value)
    identity = value.get("id")
    call = from_json({"name": function["name"], "arguments": function.get("arguments") or "{}"})
    return call._replace(id=identity if isinstance(identity, str) else "")


def _wrong(value: Any) -> Call:
    return Call("", {}, wrong=f"expected a call with a name and arguments, got {value!r:.80}")


def from_json(value: Any) -> Call:
    """The call that an object with ``name`` (or ``tool``) and ``arguments`` means."""
    if not isinstance(value, Mapping):
        return _wrong(value)
    name = value.get("name", value.get("tool"))
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _loaded(arguments)
    if not isinstance(name, str):
        return _wrong(value)
    if not isinstance(arguments, Mapping):
        return Call(name, {}, wrong=f"{name}: expected arguments as a JSON object, got {value.get('arguments')!r:.80}")
    return Call(name, dict(arguments))


def written(call: Call) -> dict[str, Any]:
    """A call in OpenAI's format; one without an id gets that of its content."""
    return {
        "id": call.id or f"call_{content_id(call.tool, dict(call.arguments))}",
        "type": "function",
        "function": {"name": call.tool, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False, default=str)},
    }


def result(call: Call, answer: Answer) -> dict[str, str]:
    """What a tool said, as the message of OpenAI's format that answers the call."""
    return {"role": "tool", "tool_call_id": written(call)["id"], "content": answer.text}


def from_text(text: str, toolbox: Toolbox) -> Call | None:
    """The first call in free text; None where there is none.

    Understood are ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, a text that is such an object, and ReAct's
    ``Action: calculator[2 * 21]``, also with an ``Action Input:`` below. A name that no tool has goes to the one that
    its input suits.
    """
    tagged = _TAGGED.search(text)
    bare = text.strip()
    if tagged or (bare.startswith("{") and bare.endswith("}")):
        return from_json(_loaded(tagged[1] if tagged else bare))
    action = _ACTION.search(text)
    if action is None:
        return None
    name, opening, rest = action[1].strip(), action[2], action[3] or ""
    if opening:
        end = _closing(rest, opening)
        said = rest[:end]
    else:
        below = _INPUT.search(text, action.start(1))
        said = below[1].partition("\n")[0] if below else ""
    return filled(name, said.strip(), toolbox)


def filled(name: str, said: str, toolbox: Toolbox) -> Call:
    """The call of a tool with one text for all its arguments."""
    if name not in toolbox.names:
        name = route(said, toolbox.names, name) or name
    if name not in toolbox.names:
        return Call(name, {})
    whole = _loaded(said) if said.startswith("{") else None
    if isinstance(whole, Mapping):
        return Call(name, dict(whole))
    single = toolbox.single(name)
    if single:
        return Call(name, {single: _unquoted(said)})
    names = list(toolbox.schema(name)["properties"])
    parts = [_unquoted(part.strip()) for part in said.split(",")]
    if len(parts) > len(names):
        return Call(name, {}, wrong=f"{name}: expected {', '.join(names)}, got {said!r:.80}")
    return Call(name, dict(zip(names, parts, strict=False)))


def _closing(text: str, opening: str) -> int:
    """Where the bracket that was opened before the text is closed; its end where it is not."""
    deep = 1
    for at, sign in enumerate(text):
        deep += (sign == opening) - (sign == _CLOSES[opening])
        if not deep:
            return at
    return len(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" else text


def _loaded(text: str) -> Any:
    """The value of JSON text; the text itself where it is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
