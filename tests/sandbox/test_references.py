"""The published references pass, empty bodies do not, and mutants get the verdict of a plain run."""

import ast
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from porism.graders import check, grade_all
from porism.problems import humaneval, mbpp
from porism.problems._python import tree
from porism.records import Attempt, Problem, Status
from porism.sandbox.mutants import mutants

SECONDS = 3
EXCEPTIONS: dict[int, str] = {}
"""MBPP tasks whose reference fails, and why."""


def attempts(problems: list[Problem]) -> list[Attempt]:
    return [Attempt(problem=one, strategy="worked", messages=[], text=one.solution) for one in problems]


@pytest.fixture(scope="session")
def human(data: Path, tier: str) -> list[Problem]:
    del tier
    return list(humaneval.load("test", path=str(data)))


@pytest.fixture(scope="session")
def basic(data: Path, tier: str) -> list[Problem]:
    del tier
    return list(mbpp.load("all", path=str(data)))


def test_some_references_pass(human: list[Problem], basic: list[Problem], tier: str) -> None:
    chosen = human[::20] + basic[::100]
    for one, verdict in zip(chosen, grade_all(attempts(chosen)), strict=True):
        assert verdict.status is Status.CORRECT, (one.meta, verdict)
        assert verdict.detail["sandbox"] == tier
        assert verdict.detail["passed"] == len(verdict.detail["tests"]) > 0


@pytest.mark.slow
def test_all_references_of_humaneval_pass(human: list[Problem]) -> None:
    verdicts = grade_all(attempts(human))
    failed = {one.meta["task"]: v.reason for one, v in zip(human, verdicts, strict=True) if not v.correct}
    assert len(human) == 164
    assert failed == {}


@pytest.mark.slow
def test_the_references_of_mbpp_pass(basic: list[Problem]) -> None:
    verdicts = grade_all(attempts(basic))
    busy = [at for at, verdict in enumerate(verdicts) if verdict.status is Status.TIMEOUT]  # which is no judgement
    for at, verdict in zip(busy, grade_all(attempts([basic[at] for at in busy])), strict=True):
        verdicts[at] = verdict
    failed = {one.meta["task"]: v.reason for one, v in zip(basic, verdicts, strict=True) if not v.correct}
    assert len(basic) == 974
    assert failed.keys() == EXCEPTIONS.keys(), failed


def emptied(problem: Problem, body: str) -> str:
    """The reference with other bodies of its functions; of those of classes, too."""
    found = tree(program_of(problem))
    assert found is not None
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef):
            node.body = ast.parse(body).body
    return f"```python\n{ast.unparse(found)}\n```"


def program_of(problem: Problem) -> str:
    return problem.solution.removeprefix("```python\n").removesuffix("\n```")


@pytest.mark.slow
@pytest.mark.parametrize("body", ["pass", "...", "return None", "return 0", "return True"])
def test_an_empty_body_never_passes(human: list[Problem], basic: list[Problem], body: str) -> None:
    chosen = (human + basic)[:: 1 if body == "pass" else 10]
    texts = [emptied(one, body) for one in chosen]
    tries = [Attempt(problem=one, strategy="", messages=[], text=text) for one, text in zip(chosen, texts, strict=True)]
    passed = [one.meta for one, verdict in zip(chosen, grade_all(tries), strict=True) if verdict.correct]
    assert passed == []


def test_an_empty_text_is_no_program(human: list[Problem]) -> None:
    for text in ("", "```python\n```", "I do not know."):
        verdict = check(gold=human[0].answer, text=text, kind="code")
        assert verdict.status is Status.UNPARSED


def plain_run(problem: Problem, source: str, rows: dict[int | str, dict]) -> bool:
    """Whether ``python file`` with the program and its tests, as published, ends well."""
    row = rows[problem.meta["task"]]
    if problem.source == "humaneval":
        whole = f"{source}\n{row['test']}\ncheck({row['entry_point']})\n"
    else:
        whole = "\n".join([source, row["test_setup_code"], *row["test_list"]])
    try:
        done = subprocess.run(
            [sys.executable, "-c", whole],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=4 * SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.mark.slow
def test_mutants_get_the_verdict_of_a_plain_run(data: Path, human: list[Problem], basic: list[Problem]) -> None:
    import gzip

    with gzip.open(data / "HumanEval.jsonl.gz", "rt") as lines:
        rows = {row["task_id"]: row for row in map(json.loads, lines)}
    rows |= {row["task_id"]: row for row in map(json.loads, (data / "mbpp.jsonl").read_text().splitlines())}
    rng = random.Random(7)
    made = []
    for problem in rng.sample(human, 60) + rng.sample(basic, 120):
        every = list(mutants(program_of(problem), problem.meta.get("function", "")))
        made += [(problem, name, source) for name, source in rng.sample(every, min(2, len(every)))]
    assert len(made) >= 300
    assert {name for _, name, _ in made} == {"comparison", "arithmetic", "constant", "condition", "return"}
    with ThreadPoolExecutor(2) as threads:
        expected = list(threads.map(lambda one: plain_run(one[0], one[2], rows), made))
    verdicts = grade_all(
        [
            Attempt(problem=limited(problem), strategy="", messages=[], text=f"```python\n{source}\n```")
            for problem, _, source in made
        ]
    )
    differ = [
        (problem.meta, name, wanted, verdict.reason)
        for (problem, name, _), wanted, verdict in zip(made, expected, verdicts, strict=True)
        if verdict.correct != wanted
    ]
    assert differ == []
    assert 20 < sum(expected) < 280, "some mutants live, most do not"


def limited(problem: Problem) -> Problem:
    """The problem with less time, since some mutants never end."""
    tests = {**json.loads(problem.answer), "cpu_seconds": SECONDS}
    return Problem(question=problem.question, answer=json.dumps(tests), kind="code", meta=problem.meta)
