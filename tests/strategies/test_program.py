"""Programs that a model writes, run in the sandbox."""

from typing import Any

import pytest
from strategy_kit import Batches, asked, solved, traced

from porism.engines import Request
from porism.records import Attempt, Problem
from porism.strategies.program import program_of

QUESTION = "What is 17 * 23?"


def programmed(*replies: str, **values: Any) -> tuple[Attempt, Batches]:
    left = iter(replies)
    engine = Batches(lambda request, number: next(left))
    (one,) = solved("program", [Problem(question=QUESTION, answer="391")], engine, **values)
    return one, engine


def block(code: str) -> str:
    return f"Here it is:\n```python\n{code}\n```\nThat is all."


def test_what_a_program_prints_is_the_answer(tier: str) -> None:
    one, engine = programmed(block("print('so:')\nprint(17 * 23)"))
    assert one.text.endswith("\n\n#### 391")
    assert traced(one).candidates[0].answer == "391"
    assert [turn.does for turn in traced(one).turns] == ["program", "tool"]
    assert traced(one).turns[1].call["function"]["name"] == "python"
    assert len(engine.requests) == 1
    assert programmed(block("def solution():\n    return 17 * 23"))[0].text.endswith("#### 391")
    assert programmed(block("17 * 23"))[0].text.endswith("#### 391"), "the value of the last line"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "it printed nothing"),
        ("while True: pass", "stopped"),
        ("f(", "Syntax"),
    ],
)
def test_a_program_that_fails_is_mended(tier: str, code: str, told: str) -> None:
    one, engine = programmed(block(code), block("print(391)"), cpu_seconds=1)
    assert one.text.endswith("#### 391")
    assert told in asked(engine.requests[1])
    one, _ = programmed(block(code), cpu_seconds=1, repairs=0)
    assert one.text == block(code)
    assert one.finish == "stop"
    assert traced(one).candidates[0].answer is None


def test_a_reply_without_a_program(tier: str) -> None:
    one, engine = programmed("The answer is 391.")
    assert (one.text, len(engine.requests)) == ("The answer is 391.", 1)
    one, engine = programmed("I do not know.", block("print(391)"))
    assert "there is no ```python block" in asked(engine.requests[1])
    assert one.text.endswith("#### 391")


def test_programs_of_a_batch_run_side_by_side(tier: str) -> None:
    def script(request: Request, number: int) -> str:
        return block("while True: pass" if "0" in request.messages[0]["content"] else "print(5)")

    engine = Batches(script)
    problems = [Problem(question=f"Number {n}?", answer="5") for n in range(4)]
    attempts = solved("program", problems, engine, cpu_seconds=1)
    assert [one.text.endswith("#### 5") for one in attempts] == [False, True, True, True]
    assert engine.batches == [4, 1]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("```py\nprint(1)", "print(1)"),
        ("```\nprint(1)\n```\nor\n```python\nprint(2)\n```", "print(2)\n"),
        ("print(3)", "print(3)"),
        ("42", ""),
        ("yes", ""),
        ("It is 42.", ""),
        ("#### 42", ""),
        ("", ""),
        ("def solution(): return 1", "def solution(): return 1\nprint(solution())\n"),
        ("def solution(): return 1\nprint(solution())", "def solution(): return 1\nprint(solution())"),
    ],
)
def test_the_program_in_a_reply(text: str, code: str) -> None:
    assert program_of(text) == code
