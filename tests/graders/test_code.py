"""Programs as answers: which program a text answers with, and what becomes of its tests."""

import json
from pathlib import Path

import pytest

from porism.errors import DataError
from porism.graders import check, grade_all, has_profiles
from porism.graders._outputs import same_output
from porism.graders._program import program
from porism.problems import file as own
from porism.problems._tests import CodeTests, read_tests
from porism.records import Attempt, Problem, Status

SQUARE = CodeTests(tests=["assert f(2) == 4", "assert f(3) == 9"], function="f")
SUM = CodeTests.model_validate({"tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6", "output": "11"}]})
START = 'import math\n\ndef f(n):\n    """The square of n."""\n'
GOES_ON = CodeTests(tests=["assert f(2) == 4"], function="f", start=START)


@pytest.fixture(autouse=True)
def needs_it(tier: str) -> None:
    """Programs are run here."""


@pytest.mark.parametrize(
    ("text", "tests", "found"),
    [
        ("```python\ndef f(n): return n\n```", SQUARE, "def f(n): return n\n"),
        ("def f(n): return n", SQUARE, "def f(n): return n"),
        ("Sure!\n```\ndef f(n): return n\n```\nUse it:\n```python\nprint(f(3))\n```", SQUARE, "def f(n): return n\n"),
        ("```python\ndef f(n): return 0\n```\nBetter:\n```py\ndef f(n): return n\n```", SQUARE, "def f(n): return n\n"),
        ("```python\nk = 2\n```\nand\n```python\ndef f(n): return n ** k\n```", SQUARE, "def f(n): return n ** k\n"),
        ("```bash\npip install x\n```\n```python\ndef f(n): return n\n```", SQUARE, "def f(n): return n\n"),
        ("~~~python\ndef f(n): return n\n~~~", SQUARE, "def f(n): return n\n"),
        ("```python\ndef f(n): return n", SQUARE, "def f(n): return n"),
        (
            "<think>```python\ndef f(n): return 1\n```</think>```python\ndef f(n): return n\n```",
            SQUARE,
            "def f(n): return n\n",
        ),
        ("Here it is:\ndef f(n):\n    return n\n\nThat is all.", SQUARE, "def f(n):\n    return n\n"),
        ("f = lambda n: n", SQUARE, "f = lambda n: n"),
        ("```python\ndef f(n) return n\n```", SQUARE, "def f(n) return n\n"),
        ("```python\nprint(1)\n```\nor\n```python\na, b = map(int, input().split())\nprint(a + b)\n```", SUM, None),
        ("I cannot.", SQUARE, ""),
        ("```json\n{}\n```", SQUARE, ""),
        ("", SUM, ""),
        ("def f(n): return n" + ";n" * 60_000, SQUARE, ""),
        ("```python\ndef f(n): return n" + ";n" * 60_000 + "\n```", SQUARE, ""),
        ("42", SUM, ""),
        ("    return n * n\n", GOES_ON, START + "    return n * n\n"),
        ("return n * n", GOES_ON, START + "    return n * n"),
        ("```python\n    return n * n\n```", GOES_ON, START + "    return n * n\n"),
        ("```python\nreturn n * n\n```", GOES_ON, START + "    return n * n"),
        ("```python\ndef f(n):\n    return n\n```", GOES_ON, f"{START}\n\ndef f(n):\n    return n\n"),
    ],
)
def test_which_program_a_text_answers_with(text: str, tests: CodeTests, found: str | None) -> None:
    wanted = "a, b = map(int, input().split())\nprint(a + b)\n" if found is None else found or None
    assert program(text, tests) == wanted


def verdict(tests: CodeTests, text: str) -> tuple[str, list[str], str]:
    found = check(gold=tests.text(), text=text, kind="code")
    return str(found.status), list(found.detail.get("tests", ())), found.reason


def test_the_outcome_of_each_test_is_told(tier: str) -> None:
    found = check(gold=SQUARE.text(), text="```python\ndef f(n): return 4\n```", kind="code")
    assert found.status is Status.WRONG
    assert found.detail == {"sandbox": tier, "passed": 1, "tests": ["passed", "failed: assert f(3) == 9"]}
    assert found.reason == "test 2 of 2 failed: assert f(3) == 9"
    assert found.answer == "def f(n): return 4\n"
    assert (found.grader, found.profile, found.rule) == ("code", "", "tests")
    assert verdict(SQUARE, "def f(n): return n ** 2") == ("correct", ["passed", "passed"], "")
    assert verdict(SQUARE, "def f(n): return 1 / 0")[1] == ["raised: ZeroDivisionError: division by zero"] * 2


def test_tests_that_call_what_asserts() -> None:
    setup = "def same(got, wanted):\n    assert got == wanted"
    tests = CodeTests(tests=["same(f(2), 4)", "same(f(3), 9)"], function="f", setup=setup)
    assert verdict(tests, "def f(n): return n * n")[:2] == ("correct", ["passed", "passed"])
    assert verdict(tests, "def f(n): return 4")[1] == ["passed", "failed: same(f(3), 9)"]
    assert verdict(tests, "def same(*a): pass\ndef f(n): return 0")[0] == "wrong"


def test_whole_programs() -> None:
    good = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
    assert verdict(SUM, good)[:2] == ("correct", ["passed", "passed"])
    assert verdict(SUM, good.replace("a + b", "3"))[1] == ["passed", r"failed: expected '11', got '3\n'"]
    assert verdict(SUM, good.replace("print(a + b)", "1 / 0"))[1][0] == "raised: ZeroDivisionError: division by zero"
    assert (
        verdict(SUM, good.replace("print(a + b)", "print(a + b); raise SystemExit(1)"))[1][0] == "raised: exit code 1"
    )


def test_a_limit_ends_the_tests() -> None:
    for tests in (SQUARE, SUM):
        short = tests.model_copy(update={"cpu_seconds": 1})
        status, outcomes, reason = verdict(short, "```python\ndef f(n):\n    while True: pass\nf(1)\n```")
        if status != "timeout":  # the machine was too busy
            assert status == "wrong"
            assert reason == "the program reached its limit of processor time"
        assert outcomes[1:] == ["not run"] * (len(outcomes) - 1)


def test_calls_with_tolerance_and_in_any_order() -> None:
    calls = CodeTests.model_validate(
        {
            "function": "f",
            "tests": [{"args": [[3, 1, 2]], "expected": [1.0, 2.0, 3.0]}, {"kwargs": {"x": []}, "expected": []}],
            "tolerance": 1e-6,
            "unordered": True,
        }
    )
    assert verdict(calls, "def f(x): return tuple(n + 1e-9 for n in x)")[0] == "correct"
    strict = calls.model_copy(update={"tolerance": 0.0})
    assert verdict(strict, "def f(x): return tuple(n + 1e-9 for n in x)")[0] == "wrong"
    ordered = calls.model_copy(update={"unordered": False})
    assert verdict(ordered, "def f(x): return x")[1][0] == "failed: expected [1.0, 2.0, 3.0], got [3, 1, 2]"


@pytest.mark.parametrize(
    ("expected", "got", "options", "same"),
    [
        ("1\n2\n", "1 \n2", {}, True),
        ("1\n2", "2\n1", {}, False),
        ("1\n2", "2\n1\n\n", {"unordered": True}, True),
        ("0.5 ok", "0.50000001  ok", {"tolerance": 1e-6}, True),
        ("0.5 ok", "0.51 ok", {"tolerance": 1e-6}, False),
        ("a b", "a  b", {}, False),
        ("1\n", "", {}, False),
        ("0.5\n1.5", "1.5\n0.5000001", {"tolerance": 1e-3, "unordered": True}, True),
        ("nan", "nan", {"tolerance": 1e-3}, True),
    ],
)
def test_same_output(expected: str, got: str, options: dict, same: bool) -> None:
    assert same_output(expected, got, **options) is same


def test_tests_that_are_none_are_the_references_fault() -> None:
    for gold in (
        "42",
        "not json",
        '{"tests": []}',
        json.dumps({"tests": ["assert f("]}),
        json.dumps({"tests": ["assert True"]}),
    ):
        found = check(gold=gold, text="```python\ndef f(n): return n\n```", kind="code")
        assert found.status is Status.GOLD_UNPARSED, gold


def test_the_tier_that_is_asked_for() -> None:
    found = check(gold=SQUARE.text(), text="def f(n): return n * n", kind="code", sandbox="unsafe")
    assert (found.status, found.detail["sandbox"]) == (Status.CORRECT, "unsafe")


def test_every_verdict_names_the_tier(tier: str) -> None:
    for text, gold in (
        ("I cannot.", SQUARE.text()),
        ("def f(n): return n", "no tests"),
        ("def f(n): return n", SQUARE.text()),
    ):
        found = check(gold=gold, text=text, kind="code")
        assert found.detail["sandbox"] == tier, found
    assert check(gold=SQUARE.text(), text="I cannot.", kind="code", sandbox="unsafe").detail == {"sandbox": "unsafe"}


def test_what_the_tests_have_no_use_for_is_refused() -> None:
    for key, value, tests in (
        ("tolerance", 0.1, ["assert f(1)"]),
        ("unordered", True, ["assert f(1)"]),
        ("setup", "x = 1", [{"args": [1], "expected": 1}]),
        ("helpers", "x = 1", [{"input": "", "output": ""}]),
    ):
        with pytest.raises(DataError, match=f"{key}: not for tests that are"):
            read_tests({"tests": tests, "function": "f", key: value}, "row 1")
    assert read_tests({"tests": ["assert f(1)"], "tolerance": 0, "unordered": False}, "row 1").kind == "code"


@pytest.mark.parametrize(
    ("tests", "fault"),
    [
        ({"function": "f", "tets": [1]}, "unknown setting 'tets'"),
        ({"tests": [{"args": [1], "expected": 1}]}, "calls need the name of the function"),
        ({"function": "f", "tests": [{"args": 1, "expected": 1}]}, "row 1: test 1: args: input should be a valid list"),
        ([{"input": "1", "output": "2"}, {"input": "1"}], "row 1: test 2: .*output"),
        ([{"input": "1", "output": 2}], "row 1: test 1: output: input should be a valid string, got 2"),
        (["assert f(1)", {"input": "1", "output": "2"}], "tests of several kinds"),
        ([3], "row 1: test 1: expected a text or an object, got int"),
        ([], "expected at least one, got an empty list"),
        (7, "got int"),
    ],
)
def test_what_is_wrong_with_tests_is_told(tests: object, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_tests(tests, "row 1")


def test_tests_that_are_no_python_are_told_when_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for answer, wrong in ((["assert f(1)", "assert f("], "test 2"), ({"tests": ["f(1)"], "setup": "x = ("}, "setup")):
        file.write_text(json.dumps({"question": "?", "answer": answer}) + "\n")
        found = list(own.load(path=str(file), kind="code"))
        assert [str(getattr(one, "reason", "")) for one in found] == [f"tests: {wrong} is no Python."]


def test_a_program_that_was_cut_off() -> None:
    def cut(text: str) -> Status:
        problem = Problem(question="?", answer=SQUARE.text(), kind="code")
        return grade_all([Attempt(problem=problem, strategy="", messages=[], text=text, finish="length")])[0].status

    assert cut("```python\ndef f(n):\n    return n *") is Status.TRUNCATED
    assert cut("```python\ndef f(n):\n    return n * n\n```\nThis is") is Status.CORRECT
    assert cut("```python\ndef f(n):\n    return n * n") is Status.CORRECT
    assert cut("```python\ndef f(n):\n    return n\n```\nThis is") is Status.WRONG
    assert cut("Let me think") is Status.TRUNCATED


def test_profiles_do_not_apply() -> None:
    assert not has_profiles("code")
    assert has_profiles("number")
    for profile in ("auto", "strict", "flexible"):
        assert check(gold=SQUARE.text(), text="def f(n): return n * n", kind="code", profile=profile).correct


def test_the_page_names_the_keys_of_tests() -> None:
    page = (Path(__file__).parents[2] / "docs" / "code.md").read_text()
    for name in CodeTests.model_fields:
        assert f"`{name}`" in page
