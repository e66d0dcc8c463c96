"""pass@k and the share of tests passed."""

import itertools
import json
import math
from pathlib import Path

import pytest

from conftest import attempt, problem
from porism import evaluate, pipeline
from porism.evaluate import tries
from porism.evaluate.statistics import pass_at_k
from porism.records import Attempt, Status, Verdict, to_row


@pytest.mark.parametrize("n", range(1, 7))
def test_it_is_the_share_of_choices_with_a_correct_one(n: int) -> None:
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        choices = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
        assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_it_is_not_defined_for_more_than_there_are() -> None:
    assert math.isnan(pass_at_k(4, 4, 5))
    assert pass_at_k(1000, 1, 1000) == 1.0
    assert pass_at_k(10_000, 3, 1) == pytest.approx(3e-4)


def test_as_lighteval_has_it(data: Path) -> None:
    cases = json.loads((data / "conformance" / "lighteval_pass_at_k.json").read_text())["test_cases"]
    checked = 0
    for case in cases:
        (name, expected), *_ = case["expected_output"].items()
        given = case["metric_params"]
        texts = case["model_response"]["text"]
        gold = case["doc"]["gold_index"]
        choices = case["doc"]["choices"]
        golds = {choices[at] for at in (gold if isinstance(gold, list) else [gold])}
        n = given.get("n") or len(texts)
        if not name.startswith("pass@k") or n < given["k"]:
            continue
        correct = sum(text in golds for text in texts[:n])
        assert pass_at_k(n, correct, given["k"]) == pytest.approx(expected, abs=case["tolerance"]), case["name"]
        checked += 1
    assert checked >= 3


def tried(*statuses: Status, number: int = 0) -> list[Attempt]:
    return [attempt(number, status, sample=at) for at, status in enumerate(statuses)]


def test_over_problems() -> None:
    right, wrong = Status.CORRECT, Status.WRONG
    some = [*tried(right, wrong, wrong, wrong), *tried(wrong, wrong, Status.UNPARSED, wrong, number=1)]
    assert tries.pass_at(some, 1).value == pytest.approx(0.125)
    assert tries.pass_at(some, 2).value == pytest.approx(0.25)
    assert math.isnan(tries.pass_at(some, 5).value)
    assert math.isnan(tries.pass_at([*some, *tried(right, number=2)], 2).value)


def test_in_the_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from porism.evaluate import tables

    detail = {"sandbox": "bubblewrap", "passed": 1, "tests": ["passed", "failed: no"]}
    code = problem(0, kind="code", set="programs")
    verdicts = [
        Verdict(status=Status.WRONG, grader="code", detail=detail),
        Verdict(status=Status.CORRECT, grader="code", detail={**detail, "passed": 2, "tests": ["passed"] * 2}),
        Verdict(status=Status.UNPARSED, grader="code"),
    ]
    rows = [to_row(attempt(problem=code, sample=at, verdict=one)) for at, one in enumerate(verdicts)]
    rows += [to_row(one) for one in tried(Status.CORRECT)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = pipeline.prepare("evaluate", "", {"input": [str(tmp_path / "a.jsonl")], "pass_at": [1, 2, 4]})
    pipeline.execute(stage, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["programs"]["passed_tests"] == pytest.approx(0.5)
    assert found["test"]["passed_tests"] is None
    assert {k: one["value"] for k, one in found["programs"]["pass_at"].items()} == {
        "1": pytest.approx(1 / 3),
        "2": pytest.approx(2 / 3),
        "4": None,
    }
    assert found["programs"]["by_profile"] == {"strict": None, "flexible": None, "symbolic": None}, (
        "programs are not run again"
    )
    tables.show(tmp_path / "out")
    shown = capsys.readouterr().out
    assert "pass@2" in shown
    assert "pass@4" not in shown
    assert "50.0%" in shown


def test_programs_without_isolation_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from porism.evaluate import tables

    for tier in ("bubblewrap", "unsafe"):
        verdict = Verdict(
            status=Status.CORRECT, grader="code", detail={"sandbox": tier, "passed": 1, "tests": ["passed"]}
        )
        rows = [to_row(attempt(problem=problem(0, kind="code"), verdict=verdict))]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        stage = pipeline.prepare("evaluate", "", {"input": [str(tmp_path / "a.jsonl")]})
        pipeline.execute(stage, tmp_path / tier)
        assert json.loads((tmp_path / tier / "metrics.json").read_text())["test"]["sandbox"] == {tier: 1}
        tables.show(tmp_path / tier)
        assert ("unsafe" in capsys.readouterr().out) is (tier == "unsafe")


def test_numbers_of_attempts_are_positive() -> None:
    from porism.errors import RecipeError

    with pytest.raises(RecipeError, match="pass_at"):
        pipeline.prepare("evaluate", "", {"input": ["x"], "pass_at": [0]})
    assert evaluate.measure(tried(Status.CORRECT))["pass_at"] == {}
