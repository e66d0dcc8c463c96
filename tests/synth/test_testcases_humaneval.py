"""Inputs from types and examples, on HumanEval: how many mutants they kill of those that its own tests kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from porism.engines.scripted import Scripted
from porism.graders import grade_all
from porism.graders._program import program
from porism.problems import humaneval
from porism.problems._tests import parse
from porism.records import Attempt, Problem
from porism.sandbox.mutants import mutants
from porism.synth._cases import Maker, Rule
from porism.synth.testcases import Settings

MOST = 12
"""Mutants of a problem."""


class Kills(NamedTuple):
    """Over some problems."""

    problems: int
    with_tests: int
    by_the_original: int
    by_both: int
    by_ours_alone: int


def rule(**changed: object) -> Rule:
    settings = Settings(input=[])
    names = Rule.__dataclass_fields__
    values = {name: getattr(settings, name) for name in names} | {"focuses": tuple(settings.focuses)}
    return Rule(**{**values, "rounds": 0, "solutions": 0, "least": 1, "mutants": 0, "seed": 0, **changed})  # type: ignore[arg-type]


def bare(problem: Problem) -> Problem:
    """A HumanEval problem without its tests."""
    tests = parse(problem.answer)
    meta = {"function": tests.function, "start": tests.start}
    return Problem(question=problem.question, answer="", kind="code", solution=problem.solution, meta=meta)


def limited(problem: Problem) -> Problem:
    return Problem(
        question=problem.question, answer=json.dumps({**json.loads(problem.answer), "cpu_seconds": 2}), kind="code"
    )


def measured(problems: list[Problem]) -> Kills:
    made = Maker(Scripted({}), rule()).make([bare(one) for one in problems], [[] for _ in problems])
    original: list[Attempt] = []
    ours: list[Attempt] = []
    for problem, (tested, reason) in zip(problems, made, strict=True):
        tests = parse(problem.answer)
        source = program(problem.solution, tests) or ""
        changed = list(dict.fromkeys(text for _, text in mutants(source, tests.function)))
        for text in changed[:: max(1, len(changed) // MOST)][:MOST]:
            block = f"```python\n{text}\n```"
            original.append(Attempt(problem=limited(problem), strategy="", messages=[], text=block))
            with_ours = limited(tested) if not reason else bare(problem)
            ours.append(Attempt(problem=with_ours, strategy="", messages=[], text=block))
    before = [not verdict.correct for verdict in grade_all(original)]
    after = [
        not verdict.correct and one.problem.answer != "" for one, verdict in zip(ours, grade_all(ours), strict=True)
    ]
    return Kills(
        len(problems),
        sum(not reason for _, reason in made),
        sum(before),
        sum(one and other for one, other in zip(before, after, strict=True)),
        sum(other and not one for one, other in zip(before, after, strict=True)),
    )


@pytest.mark.slow
def test_typed_inputs_kill_what_the_original_tests_kill(data: Path, tier: str) -> None:
    """Of one in 16 problems here; ``PORISM_HUMANEVAL_EVERY=1`` takes all."""
    del tier
    every = int(os.environ.get("PORISM_HUMANEVAL_EVERY", "16"))
    found = measured(list(humaneval.load("test", path=str(data)))[::every])
    print(found, f"{found.by_both / found.by_the_original:.1%}")
    assert found.by_both >= 0.8 * found.by_the_original
