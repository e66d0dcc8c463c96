"""Turns of thought and action: calls that are held to a schema, calls in free text, and all that can go wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from strategy_kit import Batches, asked, solved, traced

from porism import pipeline
from porism.engines import Request
from porism.errors import RecipeError
from porism.records import Attempt, Problem

QUESTION = "What is 17 * 23?"


def act(expression: str, tool: str = "calculator") -> str:
    return json.dumps({"thought": "Compute.", "tool": tool, "arguments": {"text": expression}})


def answer(value: str) -> str:
    return json.dumps({"thought": "Done.", "answer": value})


def acted(*replies: str, **values: Any) -> tuple[Attempt, Batches]:
    left = iter(replies)
    engine = Batches(lambda request, number: next(left))
    (one,) = solved("react", [Problem(question=QUESTION, answer="391")], engine, **values)
    return one, engine


def errors(one: Attempt) -> list[str]:
    return [turn.error for turn in traced(one).turns if turn.does == "tool"]


def test_a_call_an_observation_an_answer() -> None:
    one, engine = acted(act("17 * 23"), answer("391"))
    assert one.text == "Compute.\nAction: calculator(text='17 * 23')\nObservation: 391\nDone.\n#### 391"
    assert asked(engine.requests[1]) == "Observation: 391"
    trace = traced(one)
    assert [turn.does for turn in trace.turns] == ["act", "tool", "act"]
    assert trace.turns[1].call["function"] == {"name": "calculator", "arguments": '{"text": "17 * 23"}'}
    assert trace.candidates[0].answer == "391"
    schema = json.loads(engine.requests[0].sampling.json_schema)
    assert [turn["required"] for turn in schema["anyOf"]] == [["thought", "answer"], ["thought", "tool", "arguments"]]
    assert schema["anyOf"][1]["properties"]["arguments"]["properties"]["text"]["pattern"].startswith("^(?:[0-9")


def test_the_last_turn_is_an_answer() -> None:
    one, engine = acted(act("1"), act("2"), answer("7"), turns=3)
    assert one.text.endswith("#### 7")
    assert "anyOf" not in engine.requests[2].sampling.json_schema
    one, _ = acted(act("1"), "I think it is 7", turns=2)
    assert one.text.endswith("#### I think it is 7")
    assert traced(one).candidates[0].answer == "7"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (act("17 *"), "cannot be computed"),
        (act("17", tool="calculater"), "there is no tool 'calculater'. Did you mean 'calculator'?"),
        (json.dumps({"thought": "", "tool": "calculator", "arguments": {"expr": "1"}}), "text is missing"),
        (json.dumps({"thought": "", "tool": "calculator", "arguments": [1]}), "expected arguments as a JSON object"),
        (json.dumps({"thought": ""}), "expected a call with a name and arguments"),
        ("{", "this is neither a call of a tool nor an answer"),
        ("[" * 5_000, "this is neither a call of a tool nor an answer"),
        (act("9" * 3_000), "longer than 2000 signs"),
        (json.dumps({"thought": "", "tool": "calculator", "arguments": {"text": {"a": 1}}}), "valid string"),
    ],
)
def test_a_call_that_is_nonsense_is_told_to_the_model(call: str, told: str) -> None:
    one, engine = acted(call, answer("391"))
    assert asked(engine.requests[1]).startswith("Error: ")
    assert told in asked(engine.requests[1])
    assert told in errors(one)[0]
    assert one.text.endswith("#### 391")


def test_free_text() -> None:
    one, engine = acted(
        "Thought: compute\nAction: calculator[17 * 23]\nObservation: made up", "So.\nFinal Answer: 391", calls="text"
    )
    assert one.text.endswith("Observation: 391\nSo.\n#### 391")
    assert "made up" not in one.text
    assert engine.requests[0].sampling.stop == ("\nObservation",)
    assert not engine.requests[0].sampling.json_schema
    one, _ = acted(
        '<tool_call>{"name": "calculator", "arguments": {"text": "2"}}</tool_call>', "It is 2.", calls="text"
    )
    assert "Observation: 2\n#### It is 2." in one.text
    assert acted("Thought: easy\nAction: Finish[391]", calls="text")[0].text == "Thought: easy\n#### 391"


def test_rules_pick_the_tool(tier: str) -> None:
    def put(text: str) -> str:
        return json.dumps({"thought": "", "input": text})

    one, engine = acted(
        put("17 * 23"), put("for n in (1, 2): print(n)"), answer("391"), tools=["calculator", "python"], router="rules"
    )
    names = [turn.call["function"]["name"] for turn in traced(one).turns if turn.does == "tool"]
    assert names == ["calculator", "python"]
    assert asked(engine.requests[2]) == "Observation: 1\n2"
    schema = json.loads(engine.requests[0].sampling.json_schema)
    assert schema["anyOf"][1]["required"] == ["thought", "input"]


TOOLS = '''
import os, time

def area(width: float, height: float) -> float:
    """The area of a rectangle."""
    print("chatter")
    return width * height

def sleeps(text: str) -> str:
    time.sleep(60 if text == "long" else 0)
    return "slept"

def fails(text: str) -> str:
    raise KeyError(text)

def floods(text: str) -> str:
    print("x" * 3_000_000)
    return "y" * 3_000_000

def dies(text: str) -> str:
    os._exit(3)
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(TOOLS)
    return str(file)


def call(tool: str, **arguments: object) -> str:
    return json.dumps({"thought": "t", "tool": tool, "arguments": arguments})


def test_tools_of_the_users_that_misbehave(mine: str) -> None:
    """Each in one problem of a batch: what happened is in the trace, and the batch goes on."""
    calls = {
        "area": (call("area", width=2, height="3.5"), "Observation: 7.0"),
        "sleeps": (call("sleeps", text="long"), "Error: stopped: it took longer than 1 s"),
        "fails": (call("fails", text="k"), "Error: KeyError: 'k'"),
        "floods": (call("floods", text="x"), "Observation: yyy"),
        "dies": (call("dies", text="x"), "Error: the tool's process ended"),
        "wrong": (call("area", width="wide", height=1), "Error: area: width: input should be a valid number"),
    }

    def script(request: Request, number: int) -> str:
        return calls[request.messages[0]["content"].split("?")[0]][0] if len(request.messages) == 1 else answer("1")

    engine = Batches(script)
    problems = [Problem(question=f"{name}? 1", answer="1") for name in calls]
    tools = [f"{mine}:{name}" for name in ("area", "sleeps", "fails", "floods", "dies")]
    attempts = solved("react", problems, engine, tools=tools, tool_seconds=1.0)
    assert engine.batches == [6, 6]
    assert [one.text.endswith("#### 1") for one in attempts] == [True] * 6
    for request, (_, told) in zip(engine.requests[6:], calls.values(), strict=True):
        assert asked(request).startswith(told)
        assert len(asked(request)) < 5_000
    assert all(len(turn.text) < 5_000 for one in attempts for turn in traced(one).turns)


def test_tools_that_are_not_there_are_found_before_anything_runs(mine: str) -> None:
    for tools, complaint in (
        (["calculater"], "no tool is called 'calculater'. Did you mean 'calculator'"),
        ([f"{mine}:volume"], "defines no 'volume'"),
        (["calculator", "calculator"], "tools: two are called 'calculator'"),
        ([], "tools: list should have at least 1 item"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            pipeline.prepare("solve", "react", {"input": ["x"], "tools": tools})


def test_a_budget_leaves_the_story_so_far() -> None:
    one, _ = acted(act("17 * 23"), answer("391"), budget_calls=1)
    assert one.text.endswith("Observation: 391\n")
    assert (one.finish, traced(one).stopped) == ("length", "calls")


def test_an_example_is_shown_as_the_turns_are_to_be() -> None:
    one, engine = acted(answer("391"), instruction="Be brief.")
    talk = [message["content"] for message in one.messages]
    assert [message["role"] for message in one.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert json.loads(talk[1]) == {
        "thought": "12 boxes of 17 pens.",
        "tool": "calculator",
        "arguments": {"text": "12 * 17"},
    }
    assert talk[4] == f"{QUESTION}\n\nBe brief."
    one, engine = acted('{"answer": "391"}', thought=0, router="rules")
    assert json.loads(one.messages[1]["content"]) == {"input": "12 * 17"}
    assert "thought" not in engine.requests[0].sampling.json_schema
    assert "thought" not in one.messages[0]["content"]
    one, _ = acted("Final Answer: 391", calls="text")
    assert one.messages[1]["content"].endswith("Action: calculator[12 * 17]")
    one, _ = acted(answer("391"), worked=False, instruction="Be brief.")
    assert [message["role"] for message in one.messages] == ["user"]
    assert one.messages[0]["content"].startswith(QUESTION)
    assert one.messages[0]["content"].endswith("Be brief.")


def test_an_answer_that_is_cut_off_is_none() -> None:
    one, _ = acted(act("17 * 23"), '{"thought": "so it is', turns=2)
    assert one.finish == "length"
    assert one.text.endswith("cut off\n")
    assert "####" not in one.text


def test_a_call_can_be_required() -> None:
    _, engine = acted(act("17 * 23"), answer("391"), require=1)
    first, second = (json.loads(request.sampling.json_schema) for request in engine.requests)
    assert first["required"] == ["thought", "tool", "arguments"]
    assert len(second["anyOf"]) == 2
    _, engine = acted(answer("391"), require=1, turns=1)
    assert json.loads(engine.requests[0].sampling.json_schema)["required"] == ["thought", "answer"]
