"""Several tools at hand: described to a model, and called by it without harm."""

import gc
import os
import re
import time
from pathlib import Path

import pytest

from porism import tools
from porism.errors import RecipeError
from porism.tools import Call, Toolbox, from_openai, from_text, result, route, written

MINE = '''
import os, time
from typing import Annotated, Literal
from pydantic import Field

def convert(amount: Annotated[float, Field(description="how much", gt=0)], unit: Literal["km", "m"] = "km") -> str:
    """Converts lengths to miles."""
    return f"{amount / (1.609344 if unit == 'km' else 1609.344):.3f}"

def number() -> int:
    return 1

def many(*texts: str) -> str:
    return ""

def odd(thing: object.__class__) -> str:
    return ""

def call(text: str) -> str:
    if text == "pid":
        return str(os.getpid())
    if text == "stdin":
        return input()
    time.sleep(float(text))
    return "awake"
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return str(file)


def test_openai_reads_what_the_tools_are(mine: str) -> None:
    box = Toolbox(["calculator", f"{mine}:convert", f"{mine}:call"])
    calculator, convert, last = box.specs()
    assert calculator["type"] == "function"
    assert calculator["function"]["description"].startswith("An exact calculator")
    assert calculator["function"]["parameters"]["required"] == ["text"]
    assert convert["function"]["name"] == "convert"
    assert convert["function"]["description"] == "Converts lengths to miles."
    assert convert["function"]["parameters"] == {
        "type": "object",
        "additionalProperties": False,
        "required": ["amount"],
        "properties": {
            "amount": {"type": "number", "exclusiveMinimum": 0, "description": "how much"},
            "unit": {"type": "string", "enum": ["km", "m"], "default": "km"},
        },
    }
    assert last["function"]["name"] == "mine", "after its file, where it is called call"


def test_a_call_in_openais_format_and_its_result() -> None:
    box = Toolbox(["calculator"])
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a1", "type": "function", "function": {"name": "calculator", "arguments": '{"text": "2 * 21"}'}},
            {"id": "a2", "type": "function", "function": {"name": "calculator", "arguments": '{"text": '}},
            {"id": "a3", "type": "function"},
            "calculator",
        ],
    }
    calls = from_openai(message)
    answers = [box.call(one) for one in calls]
    assert result(calls[0], answers[0]) == {"role": "tool", "tool_call_id": "a1", "content": "42"}
    assert [one.failed for one in answers] == [False, True, True, True]
    assert "expected arguments as a JSON object" in answers[1].text
    assert "expected a call with a name and arguments" in answers[2].text
    assert written(calls[0]) == message["tool_calls"][0]
    assert from_openai({"role": "assistant", "content": "No calls."}) == []
    own = Call("calculator", {"text": "1"})
    assert written(own)["id"] == written(own)["id"] != written(Call("calculator", {"text": "2"}))["id"]


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("Thought: x\nAction: calculator[2 * (3 + [4])]\nmore", "calculator", {"text": "2 * (3 + [4])"}),
        ("Action: Calculator(2 * (3 + 4)) and so", "calculator", {"text": "2 * (3 + 4)"}),
        ("Action: calc[1]", "calculator", {"text": "1"}),
        ("Action: calculator\nAction Input: '17 * 23'\n", "calculator", {"text": "17 * 23"}),
        ('<tool_call>\n{"name": "calculator", "arguments": {"text": "1"}}\n</tool_call>', "calculator", {"text": "1"}),
        ('{"name": "convert", "arguments": {"amount": 3}}', "convert", {"amount": 3}),
        ("Action: convert[3, m]", "convert", {"amount": "3", "unit": "m"}),
        ('Action: convert[{"amount": 3}]', "convert", {"amount": 3}),
        ("Action: Finish", "Finish", {}),
    ],
)
def test_calls_in_free_text(mine: str, text: str, tool: str, arguments: dict[str, object]) -> None:
    call = from_text(text, Toolbox(["calculator", f"{mine}:convert"]))
    assert call is not None
    assert (call.tool, dict(call.arguments)) == (tool, arguments)


def test_free_text_without_a_call() -> None:
    box = Toolbox(["calculator"])
    assert from_text("The answer is 4.", box) is None
    assert from_text("", box) is None
    call = from_text("<tool_call>{broken}</tool_call>", box)
    assert call is not None
    assert box.call(call).failed


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("3 * (4 + 5)", "", "calculator"),
        ("15% of 80", "", "calculator"),
        ("import math\nprint(math.pi)", "", "python"),
        ("x = 3\nx * 2", "", "python"),
        ("Who wrote Faust?", "", "look"),
        ("Who wrote Faust?", "calc", "calculator"),
        ("anything", "Python", "python"),
        ("3 + 4", "wolfram alpha", "calculator"),
    ],
)
def test_rules_pick_a_tool(text: str, wanted: str, found: str) -> None:
    assert route(text, ["calculator", "python", "look"], wanted) == found


def test_no_tool_is_fit() -> None:
    assert route("Who wrote Faust?", ["calculator", "python"]) == ""


def test_a_user_s_tool_has_a_process_of_its_own(mine: str) -> None:
    box = Toolbox([f"{mine}:call", f"{mine}:convert"], seconds=0.5)
    first = box.call(Call("mine", {"text": "pid"}))
    assert int(first.text) != os.getpid()
    assert box.call(Call("mine", {"text": "pid"})) == first, "it is kept for the next call"
    began = time.monotonic()
    assert box.call(Call("mine", {"text": "60"})) == tools.Answer("stopped: it took longer than 0.5 s", failed=True)
    assert time.monotonic() - began < 5
    again = box.call(Call("mine", {"text": "pid"}))
    assert again.text != first.text
    assert "EOFError" in box.call(Call("mine", {"text": "stdin"})).text
    assert box.call(Call("mine", {"text": "0"})).text == "awake"
    assert box.call(Call("convert", {"amount": 1})).text == "0.621"
    assert "greater than 0" in box.call(Call("convert", {"amount": -1})).text
    assert "'km' or 'm'" in box.call(Call("convert", {"amount": 1, "unit": "ft"})).text
    assert "unit" in box.call(Call("convert", {"amount": 1, "unit": "\ud800"})).text, "half a character"
    del box
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(int(again.text), 0)


def test_settings_of_tools(tier: str) -> None:
    box = Toolbox(["python"], {"python": {"memory_mb": 128}})
    assert "limit of memory" in box.call(Call("python", {"text": "x = bytearray(1 << 29)"})).text
    assert box.call(Call("python", {"text": "print('\ud800')"})).text == "?"
    with pytest.raises(RecipeError, match="the tool python: unknown setting 'seconds'. Known: sandbox, cpu_seconds"):
        Toolbox(["python"], {"python": {"seconds": 1}})
    with pytest.raises(RecipeError, match="the tool python: cpu_seconds: Input should be a valid integer"):
        Toolbox(["python"], {"python": {"cpu_seconds": "x"}})
    with pytest.raises(RecipeError, match="settings for 'python', which is not among the tools"):
        Toolbox(["calculator"], {"python": {}})


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("number", "it takes nothing"),
        ("many", r"expected named parameters, got \*texts: str"),
        ("odd", "cannot be written as JSON"),
        ("gone", "defines no 'gone'"),
    ],
)
def test_functions_that_are_no_tools(mine: str, name: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        Toolbox([f"{mine}:{name}"])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("12 * 45", True),
        ("sqrt(16) + max(2, 3) ** 2", True),
        ("15% * (1,200 - 3)", True),
        ("12 boxes * 45", False),
        ("", False),
        ("9" * 81, False),
    ],
)
def test_what_a_model_that_is_held_to_the_schema_may_write_for_the_calculator(text: str, fits: bool) -> None:
    pattern = Toolbox(["calculator"]).schema("calculator")["properties"]["text"]["pattern"]
    assert bool(re.fullmatch(pattern, text)) is fits
    assert not fits or not Toolbox(["calculator"]).call(Call("calculator", {"text": text})).failed
