"""Test cases: inputs from types, agreement of programs, mutation, the stage."""

import ast
import json
import random
from pathlib import Path
from typing import Any

import pytest
from concepts_kit import engine, said
from synth_kit import synth

from porism import store
from porism.errors import DataError, RecipeError
from porism.files import to_line
from porism.graders import check
from porism.records import Problem, to_row
from porism.synth import _inputs, _mutation, _runs
from porism.synth._inputs import arguments, changed, made
from porism.synth._runs import NOTHING, Nothing
from porism.synth._signature import Parameter, examples, signature

ADD = "def add(a: int, b: list[int]) -> int:\n    return a + sum(b)\n"


def kind(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


# --- what a function takes ---


def test_a_signature_is_read_from_a_whole_function_or_its_head() -> None:
    for code in (
        ADD,
        'def add(a: int, b: list[int], c=1):\n    """Says."""\n',
        f"import os\n{ADD}\ndef other(x): pass",
    ):
        found = signature(code, "add") or []
        assert [(one.name, ast.unparse(one.type) if one.type else "") for one in found] == [
            ("a", "int"),
            ("b", "list[int]"),
        ]
    assert signature("no python at all (", "add") is None
    assert signature("x = 1", "add") is None


def test_examples_are_literals_only() -> None:
    text = ">>> add(1, [2, (3, 4)])\n"
    text += "add(x, 2) add(__import__('os').system('x')) add('a)', \")\") add(1, [2, (3, 4)]) readd(9)"
    assert examples(text, "add") == [[1, [2, [3, 4]]], ["a)", ")"]]
    assert examples("add(" * 2000, "add") == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("int", lambda v: type(v) is int),
        ("float", lambda v: type(v) is float),
        ("bool", lambda v: type(v) is bool),
        ("str", lambda v: type(v) is str),
        ("None", lambda v: v is None),
        ("List[int]", lambda v: type(v) is list and all(type(x) is int for x in v)),
        ("list[list[str]]", lambda v: all(type(y) is str for x in v for y in x)),
        ("Tuple[int, str]", lambda v: (type(v[0]), type(v[1]), len(v)) == (int, str, 2)),
        ("Tuple[int, ...]", lambda v: all(type(x) is int for x in v)),
        ("Optional[int]", lambda v: v is None or type(v) is int),
        ("int | None", lambda v: v is None or type(v) is int),
        ("Dict[str, int]", lambda v: all(type(k) is str and type(x) is int for k, x in v.items())),
        ("typing.List[bool]", lambda v: type(v) is list),
        ("'int'", lambda v: type(v) is int),
        ("'List[int]'", lambda v: type(v) is list and all(type(x) is int for x in v)),
    ],
)
def test_values_have_their_type(text: str, fits: Any) -> None:
    chance = random.Random(3)
    values = [made(kind(text), chance, ["ab"]) for _ in range(60)]
    assert all(map(fits, values)), values
    assert (None in values) == ("None" in text or "Optional" in text)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("int", 3, True),
        ("float", 3, "3"),
        ("bool", False, 0),
        ("str", "a", None),
        ("List[int]", [1, 2], {"keys": [1]}),
        ("list", ["a"], "a"),
        ("Tuple[int, str]", [1, "a"], [1, "a", 2]),
        ("Tuple[int, ...]", [1, 2], [1, "a"]),
        ("Optional[int]", None, "a"),
        ("int | None", None, "a"),
        ("Dict[str, int]", {"a": 1}, {"a": "b"}),
        ("Sequence[str]", "ab", [1]),
        ("Iterable[int]", [1], "ab"),
        ("'int'", 1, "a"),
    ],
)
def test_a_value_fits_its_type_or_does_not(text: str, good: Any, bad: Any) -> None:
    assert _inputs.fits(kind(text), good)
    assert not _inputs.fits(kind(text), bad)
    assert _inputs.fits(kind("Strange[int]"), bad), "of a type that is not known, any value can be"
    assert _inputs.fits(None, bad)


def test_changes_keep_the_type() -> None:
    chance = random.Random(1)
    for value in (3, 2.5, "abc", [1, 2], {"a": [1]}, True):
        seen = [changed(value, chance) for _ in range(40)]
        assert {type(one) for one in seen} == {type(value)}
        assert any(one != value for one in seen)


def test_arguments_are_different_begin_with_the_examples_and_follow_the_seed() -> None:
    parameters = [Parameter("a", kind("int")), Parameter("b", kind("list[int]"))]
    found = arguments(parameters, [[1, [2]], [3]], count=50, seed=4)
    assert found[0] == [1, [2]]
    assert len(found) == 50 == len({json.dumps(one) for one in found})
    assert found == arguments(parameters, [[1, [2]], [3]], count=50, seed=4)
    assert found != arguments(parameters, [[1, [2]], [3]], count=50, seed=5)


# --- agreement ---


def test_the_majority_is_of_values_and_nothing_agrees_with_nothing() -> None:
    found = [[1, [1, 2], NOTHING], [1.0, [1, 2], Nothing("raised X")], [2, [2, 1], 3]]
    one, two, three = _runs.agree(found, share=0.5, least=2)
    assert one == (1, 2, (0, 1))
    assert two == ([1, 2], 2, (0, 1))
    assert three is None
    assert _runs.agree(found, share=0.7, least=2)[0] is None
    assert _runs.agree(found, share=0.1, least=3)[0] is None


def test_large_numbers_are_compared_exactly() -> None:
    assert _runs.same(10**400, 10**400)
    assert not _runs.same(10**400, 10**400 + 1)
    assert not _runs.same(10**400, 1.0)


def test_a_function_is_called_on_every_input(tier: str) -> None:
    del tier
    source = (
        "import time\nprint('noise')\n"
        "def f(x):\n"
        "    if x == 0: raise KeyError('x')\n"
        "    if x == 1: return {1, 2}\n"
        "    if x == 2: return (1, [2.5, None])\n"
        "    if x == 3: return object()\n"
        "    if x == 4: time.sleep(5)\n"
        "    if x == 5: return {1: 'a'}\n"
        "    if x == 6: raise SystemExit\n"
        "    if x == 7: return float('nan')\n"
        "    print('more'); return x\n"
    )
    ((*found,),) = _runs.outputs([source], [[x] for x in range(9)], function="f", seconds=0.3)
    assert found[1:3] == [[1, 2], [1, [2.5, None]]]
    assert (found[5], found[8]) == ({"1": "a"}, 8)
    assert [one.why for one in (found[0], found[4], found[6])] == [
        "raised KeyError",
        "out of time",
        "raised SystemExit",
    ]
    assert isinstance(found[3], Nothing)
    assert isinstance(found[7], Nothing)


def test_a_program_that_cannot_be_loaded_gives_nothing(tier: str) -> None:
    del tier
    found = _runs.outputs(["def f(:", "raise SystemExit", ADD], [[1, [2]], [3, []]], function="add")
    assert found[:2] == [[NOTHING, NOTHING]] * 2
    assert found[2] == [3, 3]


def test_mutants_show_which_tests_are_weak(tier: str) -> None:
    del tier
    source = "def f(x):\n    if x > 10:\n        return 1\n    return 0\n"
    mutants = _mutation.made(source, "f", 50, 0)
    assert len(mutants) >= 4
    assert _mutation.made("no python (", "f", 50, 0) == []
    from porism import sandbox as box

    options: dict[str, Any] = {"function": "f", "sandbox": "auto", "limits": box.Limits(), "seconds": 0.5}
    good = _mutation.killed(mutants, [[11], [10], [0]], [1, 0, 0], **options)
    poor = _mutation.killed(mutants, [[0]], [0], **options)
    assert good.killed > poor.killed
    assert 0 < good.killed <= good.mutants == len(mutants)


# --- the stage ---

SUM = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
OTHER = "```python\nprint(sum(int(x) for x in input().split()))\n```"
WRONG = "```python\na, b = map(int, input().split())\nprint(a * b)\n```"


def write(folder: Path, *problems: Problem) -> str:
    file = folder / "code.jsonl"
    file.write_bytes(b"".join(to_line(to_row(one)) for one in problems))
    return str(file)


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in store.rows(path)]


def test_tests_of_a_program_come_from_proposals_and_agreement(tmp_path: Path, tier: str) -> None:
    del tier
    problem = Problem(question="Read two numbers and print their sum.", answer="", kind="code")
    proposals = ['{"input": "1 2"}', '{"input": "5 5"}', "no", '{"input": "x"}']
    options = {"engine": engine(tmp_path), "said": said(solutions=[SUM, OTHER, WRONG], proposals=proposals)}
    made = synth("testcases", tmp_path / "out", input=[write(tmp_path, problem)], solutions=3, **options)
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    tests = json.loads(row["answer"])["tests"]
    assert {(one["input"], one["output"]) for one in tests} <= {("1 2", "3"), ("5 5", "10")}
    assert row["meta"]["testcases"]["solutions"] == 3
    assert set(row["meta"]["testcases"]["agreed"]) == {2}
    assert made.figures["killed"] > 0
    assert check(gold=row["answer"], text=SUM, kind="code").correct
    assert not check(gold=row["answer"], text=WRONG, kind="code").correct


def test_proposals_of_another_type_are_left_out(tmp_path: Path, tier: str) -> None:
    del tier
    problem = Problem(
        question="Count.",
        answer="",
        kind="code",
        solution="```python\ndef count(values: list[int]) -> int:\n    return len(values)\n```",
        meta={"function": "count"},
    )
    proposals = ['{"args": [[4, 5]]}', '{"args": [{"keys": 1}]}', '{"args": []}', '{"args": [["a"]]}']
    options = {"engine": engine(tmp_path), "said": said(proposals=proposals)}
    wanted = {"rounds": 2, "solutions": 0, "least": 1, "typed": 0, "mutants": 0}
    synth("testcases", tmp_path / "out", input=[write(tmp_path, problem)], **wanted, **options)
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    assert [one["args"] for one in json.loads(row["answer"])["tests"]] == [[[4, 5]]]


def test_tests_of_a_function_need_no_model(tmp_path: Path, tier: str) -> None:
    del tier
    question = f"Write this.\n```python\n{ADD}```\n>>> add(1, [2])\n3"
    problem = Problem(
        question=question,
        answer="",
        kind="code",
        solution=f"```python\n{ADD}```",
        meta={"function": "add", "start": ADD},
    )
    options: dict[str, Any] = {"engine": engine(tmp_path), "rounds": 0, "solutions": 0, "least": 1, "typed": 30}
    synth("testcases", tmp_path / "out", input=[write(tmp_path, problem)], **options)
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    noted = row["meta"]["testcases"]
    assert noted["tests"] >= 20
    assert noted["killed"] >= 1
    assert check(gold=row["answer"], text=problem.solution, kind="code").correct
    synth("testcases", tmp_path / "few", input=[write(tmp_path, problem)], **{**options, "most": 5, "mutants": 0})
    assert rows(tmp_path / "few" / "records.jsonl")[0]["meta"]["testcases"]["tests"] == 5


def test_types_are_those_of_the_solution_where_no_start_is_given(tmp_path: Path, tier: str) -> None:
    del tier
    solution = f"Here it is:\n```python\n{ADD}```\nIt adds."
    problem = Problem(question="Write add.", answer="", kind="code", solution=solution, meta={"function": "add"})
    options: dict[str, Any] = {"engine": engine(tmp_path), "rounds": 0, "solutions": 0, "least": 1, "typed": 30}
    synth("testcases", tmp_path / "out", input=[write(tmp_path, problem)], **options)
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    given = [one["args"] for one in json.loads(row["answer"])["tests"]]
    assert len(given) >= 20
    assert all(type(a) is int and all(type(x) is int for x in b) for a, b in given)


@pytest.mark.parametrize(
    ("solutions", "options", "reason"),
    [
        (["no program"], {}, "too few solutions"),
        ([SUM, WRONG], {"solutions": 2}, "no agreement"),
        ([SUM, OTHER], {"solutions": 2, "said_proposals": ["no"]}, "no input"),
    ],
)
def test_problems_without_tests_say_why(
    tmp_path: Path, tier: str, solutions: list[str], options: dict[str, Any], reason: str
) -> None:
    del tier
    problem = Problem(question="Read two numbers and print their sum.", answer="", kind="code")
    proposals = options.pop("said_proposals", ['{"input": "1 7"}'])
    given = {"engine": engine(tmp_path), "said": said(solutions=solutions, proposals=proposals), "solutions": 2}
    with pytest.raises(DataError, match="kept none of 1"):
        synth("testcases", tmp_path / "out", input=[write(tmp_path, problem)], **{**given, **options})
    assert rows(tmp_path / "out" / "dropped.jsonl")[0]["reason"].startswith(reason)


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    for options, message in (
        ({"focuses": ["odd"]}, "got 'odd'"),
        ({"rounds": 0, "typed": 0}, "no inputs"),
        ({"solution_temp": 0.0}, "all solutions would be the same"),
    ):
        with pytest.raises(RecipeError, match=message):
            synth("testcases", tmp_path / "out", input=["x.jsonl"], **options)
    other = write(tmp_path, Problem(question="2?", answer="2"))
    for allow_empty in (False, True):
        with pytest.raises(DataError, match="no problems of the kind 'code'"):
            synth("testcases", tmp_path / "out", input=[other], engine=engine(tmp_path), allow_empty=allow_empty)


def test_nothing_comes_of_nothing_where_that_is_allowed(tmp_path: Path) -> None:
    """As after a stage that kept nothing."""
    for part in ("testcases", "trajectories"):
        options: dict[str, Any] = {"input": [write(tmp_path)], "engine": engine(tmp_path)}
        with pytest.raises(DataError, match="in the input"):
            synth(part, tmp_path / part, **options)
        assert synth(part, tmp_path / part, **options, allow_empty=True).counts["records"] == 0


def test_which_solutions_count_and_which_tests_stay(tmp_path: Path, tier: str) -> None:
    del tier
    code = "def grade(points: int) -> int:\n    if points > 10:\n        return 1\n    return 0\n"
    meta = {"function": "grade", "start": code}
    problem = Problem(question="Write it.", answer="", kind="code", solution=f"```python\n{code}```", meta=meta)
    options: dict[str, Any] = {"engine": engine(tmp_path), "rounds": 0, "solutions": 0, "least": 1, "typed": 30}
    options |= {"input": [write(tmp_path, problem)], "mutants": 1}
    with pytest.raises(DataError, match="1 too few solutions"):
        synth("testcases", tmp_path / "none", **options, own=False)
    synth("testcases", tmp_path / "all", **options, cpu_seconds=3)
    synth("testcases", tmp_path / "some", **options, drop_weak=True)
    every, some = (rows(tmp_path / name / "records.jsonl")[0] for name in ("all", "some"))
    assert json.loads(every["answer"])["cpu_seconds"] == 3
    weak = every["meta"]["testcases"]["weak"]
    assert 0 < len(weak) < every["meta"]["testcases"]["tests"]
    tests = json.loads(every["answer"])["tests"]
    assert json.loads(some["answer"])["tests"] == [one for at, one in enumerate(tests) if at not in weak]
    assert some["meta"]["testcases"]["weak"] == []


def test_so_large_a_share_of_the_solutions_must_agree(tmp_path: Path, tier: str) -> None:
    del tier
    problem = Problem(question="Read two numbers and print their sum.", answer="", kind="code")
    answers = said(solutions=[SUM, OTHER, WRONG], proposals=['{"input": "1 2"}'])
    options = {"input": [write(tmp_path, problem)], "engine": engine(tmp_path), "said": answers, "solutions": 3}
    assert synth("testcases", tmp_path / "two", **options).counts["records"] == 1
    for strict in ({"agreement": 0.7}, {"least": 3}):
        with pytest.raises(DataError, match="1 no agreement"):
            synth("testcases", tmp_path / "all", **options, **strict)
