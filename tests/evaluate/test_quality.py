"""Chain quality: calculations, last step, repetition, steps, and what a process verifier says of them."""

import math
import time
from pathlib import Path

import pytest

from conftest import attempt
from porism.evaluate import details, quality
from porism.evaluate.quality import calculations, ends_in, first_error, process_f1, repetition
from porism.records import Status, Verdict


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("So 3 + 4 = 7.", [True]),
        ("48/2 = <<48/2=24>>24 and 24+48=<<24+48=73>>73", [True, False]),
        ("(3 + 4 = 7) and \\(3 * 4 = 13\\)", [True, False]),
        ("3 * 4 = 13", [False]),
        ("10 - 3 = 7, then 7 - 2 = 4", [True, False]),
        ("$12 x 3 = $36 in all", [True]),
        (r"$2 \times 3 = 6$ and $8 \div 2 = 5$", [True, False]),
        (r"\$5 + \$6 = \$11", [True]),
        ("1,200 + 300 = 1,500", [True]),
        ("10 / 3 = 3.33", [True]),
        ("10 / 3 = 3.34", [False]),
        ("10 / 3 = 3", [False]),
        ("10 / 3 ≈ 3", [True]),
        ("(3 + 4) * 2 = 14", [True]),
        ("2 + 3 + 4 = 5 + 4 = 9", [True]),
        ("2+3+4=5+4=10", [False]),
        ("5 × 6 = 30 dollars", [True]),
        ("7 − 9 = -2", [True]),
        ("x = 5, 2x + 3 = 13", []),
        ("a + 3 * 2 = 6", []),
        ("3/4 = 75%", []),
        ("2^3 + 1 = 9", []),
        ("8 hours * 60 = 480", []),
        ("5 / 0 = 3", []),
        ("There are 7 of 9.", []),
        ("2(3 + 4) = 14", []),
        ("1/2 + 1/3 = 5/6", []),
    ],
)
def test_calculations(text: str, right: list[bool]) -> None:
    assert [one.right for one in calculations(text)] == right


def test_they_stand_where_they_say() -> None:
    text = "First 3 + 4 = 7, then 7 * 2 = 14."
    assert [text[one.start : one.end] for one in calculations(text)] == ["3 + 4 = 7", "7 * 2 = 14"]


@pytest.mark.parametrize("piece", ["1+", "1 + ", "(", "((1", "1 ", "1,111", "$", " ", "1-", "9=", "1 + 1 = "])
def test_hostile_texts_take_no_time(piece: str) -> None:
    began = time.monotonic()
    calculations(piece * (200_000 // len(piece)))
    repetition(piece * 20_000)
    assert time.monotonic() - began < 5


def test_the_last_step() -> None:
    found = calculations("3 + 4 = 7 and 7 * 2 = 14")
    assert (ends_in(found, "14"), ends_in(found, "$14."), ends_in(found, "7")) == (1.0, 1.0, 0.0)
    assert all(math.isnan(value) for value in (ends_in([], "7"), ends_in(found, None), ends_in(found, "x")))


def test_repetition() -> None:
    assert repetition("one two three four five") == 0.0
    assert repetition("so it is so it is so it is so it is") > 0.6
    assert math.isnan(repetition("one two three"))


def test_real_solutions_compute_right(data: Path) -> None:
    """Of the calculations in GSM8K's own solutions nearly all are right, and nearly all solutions have one."""
    from porism.problems import gsm8k
    from porism.records import Problem

    solutions = [one.solution for one in list(gsm8k.load("test", path=str(data)))[:300] if isinstance(one, Problem)]
    found = [calculations(one) for one in solutions]
    every = [each.right for one in found for each in one]
    assert sum(every) / len(every) > 0.98
    assert sum(map(bool, found)) / len(found) > 0.85


def test_in_the_details() -> None:
    def said(number: int, text: str, answer: str) -> object:
        return attempt(
            number, text=text, verdict=Verdict(status=Status.CORRECT, answer=answer, grader="number", profile="auto")
        )

    some = [
        said(0, "3 + 4 = 7\n#### 7", "7"),
        said(1, "3 + 4 = 8. So 8 * 2 = 16\n#### 15", "15"),
        said(2, "No sums.", "1"),
    ]
    found = details.chain(some)  # type: ignore[arg-type]
    assert found["calculations"] == 3
    assert found["calculations_right"]["value"] == pytest.approx(2 / 3)
    assert found["last_step_is_answer"]["value"] == 0.5
    assert set(found["steps"]) == {"numbered", "paragraph", "sentence", "switch"}
    assert details.chain([said(2, "No sums.", "1")])["calculations_right"]["value"] is None  # type: ignore[list-item]


def test_the_first_wrong_step() -> None:
    assert first_error([0.9, 0.4, 0.1]) == 1
    assert first_error([0.9, 0.8]) == -1
    assert first_error([0.9, 0.8], threshold=0.85) == 1
    assert first_error([0.9, math.nan]) == 1, "what could not be judged is not right"


def test_process_f1() -> None:
    """Half of the errors are placed right, two thirds of the whole answers let pass: 2 · ½ · ⅔ / (½ + ⅔)."""
    predicted, actual = [1, 2, -1, -1, 0], [1, 3, -1, -1, -1]
    assert process_f1(predicted, actual).value == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert process_f1([0, 0], [1, -1]).value == 0.0
    assert math.isnan(process_f1([1], [1]).value)
    assert math.isnan(process_f1([], []).value)
    many = process_f1(predicted * 40, actual * 40)
    assert many.low < many.value < many.high


def test_step_counts_are_those_of_the_chains() -> None:
    assert quality.step_counts("1. Add.\n2. Stop.")["numbered"] == 2
