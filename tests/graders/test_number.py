import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import attempt, problem
from porism.errors import RecipeError
from porism.graders import check, grade
from porism.graders._numbers import value
from porism.records import Status


@pytest.mark.parametrize(
    ("gold", "text", "rule"),
    [
        ("18", "9 + 9 = 18\n#### 18", "hash"),
        ("18", "#### 12\nNo.\n#### 18.", "hash"),
        ("18", "So \\boxed{18} it is, not 3.", "boxed"),
        ("18", "The answer is 18. Check: 9 * 2.", "phrase"),
        ("18", "The answer is: **$18.00**", "phrase"),
        ("1200", "She pays 1,200", "last"),
        ("-5", "x = -5", "last"),
        ("5", "10 - 5", "last"),
        ("5", "10-5", "last"),
        ("1/2", "it is 0.5", "last"),
        ("0.5", "about 50%", "last"),
        ("50", "about 50%", "last"),
        ("3", "1,2,3", "last"),
        ("-5", "−5", "last"),
        ("16", "a worked solution\n#### 16", "hash"),
        ("20", "#### 12 + 8 = 20", "hash"),
        ("20", "The answer is 12 + 8 = 20", "phrase"),
        ("0.5", "\\boxed{\\frac{1}{2}}", "boxed"),
        ("8", "The answer is the product of 0 and 8, which equals 8.", "phrase"),
        ("12", "The answer is about 12, since 3 * 4 is 12.0.", "phrase"),
    ],
)
def test_reads_numbers_as_people_write_them(gold: str, text: str, rule: str) -> None:
    verdict = check(gold=gold, text=text)
    assert (verdict.status, verdict.rule) == (Status.CORRECT, rule)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("5", "-5"),
        ("18", "180"),
        ("18", "1.8"),
        ("18", "#### 19\n18"),
        ("12", "1,2"),
        ("0.5", "5"),
        ("1", "\\boxed{x}, not 1"),
        ("4", "\\boxed{4\\sqrt{2}}"),
    ],
)
def test_other_numbers_are_wrong(gold: str, text: str) -> None:
    assert check(gold=gold, text=text).status is Status.WRONG


@pytest.mark.parametrize("text", ["", "none", "####", "9" * 5000, "1/0", "٣"])
def test_what_cannot_be_read_is_not_wrong(text: str) -> None:
    assert check(gold="1", text=text).status is Status.UNPARSED


def test_an_unreadable_reference_is_told_apart() -> None:
    assert check(gold="a lot", text="#### 3").status is Status.GOLD_UNPARSED


def test_profiles_choose_the_rules() -> None:
    text = "#### 3\nThen 4 follows"
    assert check(gold="3", text=text, profile="auto").correct
    assert check(gold="4", text=text, profile="last").correct
    assert check(gold="3", text=text, profile="strict").correct
    assert check(gold="4", text=text, profile="flexible").correct
    assert check(gold="3", text="three", profile="strict").status is Status.UNPARSED
    with pytest.raises(RecipeError, match="Did you mean 'strict'"):
        check(gold="3", text=text, profile="strikt")


def test_a_cut_off_text_is_judged_only_if_it_stated_its_answer() -> None:
    cut = attempt(1, text="so 1 + 1 = 2", finish="length")
    assert grade(cut).status is Status.TRUNCATED
    assert grade(cut, "flexible").status is Status.CORRECT  # as lm-eval counts it
    assert grade(attempt(1, text="#### 2\nAnd so", finish="length")).status is Status.CORRECT
    assert grade(attempt(1, text="so\n#### 2", finish="length")).status is Status.TRUNCATED, "it may have been 25"
    assert grade(attempt(1, text="hm", finish="length")).status is Status.TRUNCATED
    assert grade(attempt(1, text="", finish="error", error="boom")).reason == "boom"


@pytest.mark.parametrize("profile", ["auto", "last", "strict", "flexible"])
@pytest.mark.parametrize(
    "unit", [" ", "\n", "\t", "*", "$", "1", "-", ",", ".", "1,", "#", "\\boxed{", "{", "answer is ", "/1"]
)
def test_long_repetitions_take_no_time(unit: str, profile: str) -> None:
    started = time.process_time()
    for lead in ("", "The answer is", "####", "\\boxed{"):
        check(gold="1", text=lead + unit * 5000 + "x", profile=profile)
    assert time.process_time() - started < 5


@given(st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=99))
def test_a_number_equals_itself_however_it_is_written(number: Fraction) -> None:
    assert value(str(number)) == number
    forms = [f"#### {number}", f"The answer is {number}", f"\\boxed{{{number}}}"]
    if number.denominator == 1:
        forms += [f"#### {number.numerator:,}", f"= {number.numerator}.00", f"#### ${number.numerator}"]
    for text in forms:
        assert check(gold=str(number), text=text).correct, text
        assert not check(gold=str(number + 1), text=text).correct, text


@given(st.text(), st.sampled_from(["auto", "last", "strict", "flexible"]))
def test_never_raises(text: str, profile: str) -> None:
    check(gold="7", text=text, profile=profile)


def test_gsm8k_accepts_its_own_answers(data: Path) -> None:
    from porism.problems import gsm8k

    for split in ("train", "test"):
        for item in gsm8k.load(split, path=str(data)):
            assert check(gold=item.answer, text=item.solution).correct, item


def test_the_kind_names_the_grader(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from porism.records import Status, Verdict\n"
        "def grade(problem, attempt, *, profile='auto'):\n"
        "    right = attempt.text == problem.answer[::-1]\n"
        "    return Verdict(status=Status.CORRECT if right else Status.WRONG)\n"
    )
    kind = f"{mine}:grade"
    assert grade(attempt(1, problem=problem(1, answer="abc", kind=kind), text="cba")).correct
