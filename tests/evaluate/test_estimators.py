"""Several attempts at a problem: against enumeration, and against lighteval's own cases."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import attempt
from porism.evaluate import tries
from porism.evaluate.estimators import g_pass_at_k, maj_at_k, mean_g_pass_at_k, pass_all_k
from porism.evaluate.statistics import pass_at_k
from porism.graders import check
from porism.records import Attempt, Status, Verdict


@pytest.mark.parametrize("n", range(1, 7))
def test_they_are_shares_of_choices(n: int) -> None:
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        choices = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
        assert pass_all_k(n, correct, k) == pytest.approx(sum(map(all, choices)) / len(choices))
        for threshold in (0.0, 0.25, 0.3, 0.5, 0.75, 1.0):
            least = max(1, math.ceil(round(threshold * k, 9)))
            expected = sum(sum(choice) >= least for choice in choices) / len(choices)
            assert g_pass_at_k(n, correct, k, threshold) == pytest.approx(expected)
        assert g_pass_at_k(n, correct, k, 0.0) == pytest.approx(pass_at_k(n, correct, k))
        assert g_pass_at_k(n, correct, k, 1.0) == pytest.approx(pass_all_k(n, correct, k))


def test_thresholds_are_not_rounded_up_by_floating_point() -> None:
    assert g_pass_at_k(30, 3, 30, 0.1) == 1.0  # 0.1 * 30 is a little above 3


def test_undefined() -> None:
    for value in (
        pass_all_k(2, 1, 3), g_pass_at_k(2, 1, 3, 0.5), mean_g_pass_at_k(2, 1, 3), maj_at_k([0, 0], [True, True], 3),
        pass_all_k(2, 1, 0), maj_at_k([], [], 0),
    ):  # fmt: skip
        assert math.isnan(value)


def test_the_vote() -> None:
    assert maj_at_k([0, 0, 1], [True, True, False], 3) == 1.0
    assert maj_at_k([0, 1, 1], [True, False, False], 3) == 0.0
    assert maj_at_k([0, 0, 1], [True, True, False], 1) == pytest.approx(2 / 3)
    assert maj_at_k([-1, -1, 0], [False, False, True], 3) == 1.0, "what states no answer has no vote"
    assert maj_at_k([-1, -1], [False, False], 2) == 0.0
    assert maj_at_k([0, 1], [True, False], 2) == 1.0, "a tie goes to the first"
    classes, correct = [0] * 14 + list(range(1, 27)), [True] * 14 + [False] * 26
    drawn = maj_at_k(classes, correct, 10)
    assert 0.9 < drawn <= 1
    assert drawn == maj_at_k(classes, correct, 10), "the draw of subsets is seeded"


def suite(data: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((data / "conformance" / f"lighteval_{name}.json").read_text())[
        "test_cases"
    ]
    return found


def gold_of(case: dict[str, Any]) -> str:
    gold = case["doc"]["gold_index"]
    return str(case["doc"]["choices"][gold[0] if isinstance(gold, list) else gold])


def right(case: dict[str, Any]) -> list[bool]:
    """Texts that are equal, but for space around them."""
    return [text.strip() == gold_of(case).strip() for text in case["model_response"]["text"]]


def letters(case: dict[str, Any]) -> list[bool]:
    """Texts whose last option is the right one."""
    return [re.findall(r"\b[A-D]\b", text)[-1:] == [gold_of(case)] for text in case["model_response"]["text"]]


def check_g_pass(case: dict[str, Any], correct: int) -> None:
    n, k = len(case["model_response"]["text"]), case["metric_params"]["k"]
    for name, expected in case["expected_output"].items():
        threshold = name.rpartition("_")[2]
        if "mg-pass" in name or "mmath" in name or "mlatex" in name:
            found = mean_g_pass_at_k(n, correct, k)
        else:
            found = g_pass_at_k(n, correct, k, float(threshold))
        assert found == pytest.approx(expected, abs=case["tolerance"]), (case["name"], name)


def test_g_pass_as_lighteval_has_it(data: Path) -> None:
    cases = suite(data, "g_pass_at_k")
    for case in cases:
        check_g_pass(case, sum(right(case)))
    assert len(cases) >= 10


def test_votes_as_lighteval_has_them(data: Path) -> None:
    for case in suite(data, "maj_at_k"):
        texts = case["model_response"]["text"]
        classes = [texts.index(text) for text in texts]
        # lighteval's case without a majority expects the first sample of the gold's class to win
        assert maj_at_k(classes, right(case), case["metric_params"]["k"]) == pytest.approx(
            next(iter(case["expected_output"].values()))
        ), case["name"]


@pytest.mark.parametrize(
    "name", ["avg_at_k", "avg_at_k_math", "pass_at_k", "pass_at_k_math", "gpqa_instruct_pass_at_k"]
)
def test_averages_and_passes_as_lighteval_has_them(data: Path, name: str) -> None:
    for case in suite(data, name):
        given = case["metric_params"]
        n, k = given.get("n") or len(case["model_response"]["text"]), given["k"]
        (expected,) = case["expected_output"].values()
        correct = (letters(case) if "gpqa" in name else right(case))[:n]
        found = sum(correct[:k]) / k if name.startswith("avg") else pass_at_k(n, sum(correct), k)
        assert found == pytest.approx(expected, abs=case["tolerance"]), case["name"]


@pytest.mark.parametrize("name", ["g_pass_at_k_math", "g_pass_at_k_latex"])
def test_mathematics_as_lighteval_has_it(data: Path, name: str) -> None:
    """But for formulas without delimiters, in which its extractor finds nothing."""
    told = []
    for case in suite(data, name):
        gold = gold_of(case)
        verdicts = [check(gold=gold, text=text, kind="math") for text in case["model_response"]["text"]]
        try:
            check_g_pass(case, sum(one.correct for one in verdicts))
        except AssertionError:
            told.append(case["name"])
    assert told == WAIVED[name]


WAIVED: dict[str, list[str]] = {
    "g_pass_at_k_math": ["G Pass At K Math - Mixed Correct and Incorrect", "G Pass At K Math - High K Value"],
    "g_pass_at_k_latex": [],
}
"""Bare ``x^2/2`` and ``n(n+1)/2``, in which lighteval reads no answer at all, and expects 0."""


def tried(*answers: str | None, gold: str = "4") -> list[Attempt]:
    return [
        attempt(
            3,
            sample=at,
            verdict=Verdict(
                status=Status.UNPARSED if answer is None else Status.CORRECT if answer == gold else Status.WRONG,
                answer=answer,
                grader="number",
                profile="auto",
            ),
        )
        for at, answer in enumerate(answers)
    ]


def test_answers_of_equal_value_agree() -> None:
    assert tries.answer_classes(tried("4", "5", "4.0", None, "5.00")) == [0, 1, 0, -1, 1]
    some = tried("4", "4", "5", None)
    assert tries.agreement(some).value == 0.5
    assert tries.entropy(some).value == pytest.approx(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)))
    assert tries.maj_at(some, 4).value == 1.0
    assert tries.pass_all(some, 2).value == pytest.approx(1 / 6)
    assert tries.g_pass_at(some, 2, 1.0).value == pytest.approx(1 / 6)
    assert tries.g_pass_at(some, 2, None).value == pytest.approx(1 / 6)


def test_of_one_attempt_there_is_no_agreement() -> None:
    assert math.isnan(tries.agreement(tried("4")).value)
    assert math.isnan(tries.entropy(tried("4")).value)
    assert math.isnan(tries.maj_at(tried("4"), 2).value)


def test_programs_do_not_vote() -> None:
    program = [attempt(0, sample=at, problem=problem) for at, problem in enumerate([code(), code()])]
    assert tries.answer_classes(program) is None
    assert math.isnan(tries.maj_at(program, 2).value)


def code() -> Any:
    from conftest import problem

    return problem(0, kind="code")
