"""The sets that ship with Porism: every answer is right."""

import json
import re
from collections import Counter
from pathlib import Path

from porism import pipeline, store
from porism.graders import check
from porism.problems import samples
from porism.problems._arithmetic import evaluate, read_number

ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")


def test_every_step_of_the_chinese_problems_is_exact() -> None:
    found = list(samples.load())
    assert len(found) == 77
    assert len({problem.question for problem in found}) == len({problem.id for problem in found}) == 77
    assert len({problem.group for problem in found}) == 18
    for problem in found:
        steps = ANNOTATION.findall(problem.meta["annotated"])
        assert steps, problem.question
        for expression, result in steps:
            assert evaluate(expression) == read_number(result), (problem.question, expression)
        assert read_number(steps[-1][1]) == read_number(problem.answer), problem.question
        verdict = check(gold=problem.answer, text=problem.solution)
        assert verdict.correct, problem.question
        assert verdict.rule == "hash"
        assert "<<" not in problem.solution
        for shown in re.findall(r"=([\d.]+)", problem.solution):
            assert shown in {result for _, result in steps} | {"7", "100000"}, (problem.question, shown)


def test_every_pair_has_a_right_and_a_wrong_answer() -> None:
    found = list(samples.load(which="preferences"))
    assert len(found) == 36
    assert len({problem.question for problem in found}) == 36
    for problem in found:
        assert check(gold=problem.answer, text=problem.solution, kind=problem.kind).correct, problem.question
        assert not check(gold=problem.answer, text=problem.meta["rejected"], kind=problem.kind).correct, (
            problem.question
        )
    assert min(Counter(problem.group for problem in found).values()) >= 1


def test_the_calculations_in_the_pairs() -> None:
    """In what is chosen every ``a op b = c`` holds."""
    for row in (json.loads(line) for line in samples.path("preferences").read_text(encoding="utf-8").splitlines()):
        for left, right in re.findall(
            r"(?<![\d.])((?:[\d.()]+%?[+\-×÷])+[\d.()]+%?)=([\d.]+)(?![\d.]*（\w）余)", row["chosen"]
        ):
            if "余" not in row["chosen"]:
                assert evaluate(left) == read_number(right.rstrip(".")), (row["prompt"], left)


def test_they_load_by_name(tmp_path: Path) -> None:
    for which, count in (("chinese_math", 77), ("preferences", 36)):
        stage = pipeline.prepare("problems", "samples", {"which": which})
        assert pipeline.execute(stage, tmp_path / which).counts["records"] == count
        first = next(store.rows(tmp_path / which / "records.jsonl"))[1]
        assert first["set"] == which


def test_no_question_stands_in_both() -> None:
    both = [{problem.question for problem in samples.load(which=which)} for which in ("chinese_math", "preferences")]
    assert not both[0] & both[1]
