"""Multiple choice: letters, the options' own words, and what is neither."""

from pathlib import Path

import pytest

from _rewriting import FORMATS
from conftest import lines
from porism.graders import check
from porism.graders.choice import options
from porism.records import Status

QUESTION = "How many legs has a spider?\nA) 6\nB) 8\nC) 10\nD) none"


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "(B)",
        "B.",
        "B) 8",
        "The answer is B.",
        "The answer is (B) 8.",
        "the correct option is **B**",
        r"\boxed{B}",
        r"\boxed{\text{(B)}}",
        "答案是B。",
        "故选B",
        "答えはBです。",
        "答案：Ｂ",
        "Final answer: 8",
        "The answer is 8.",
        "A spider is no insect, so not A. Hence (B).",
        "A is wrong, C is wrong. It must be B",
        "<think>The answer is A? No.</think>The answer is B.",
    ],
)
def test_reads_the_option(text: str) -> None:
    assert check(gold="B", text=text, kind="choice", question=QUESTION).correct


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("The answer is A.", Status.WRONG),
        ("The answer is 10.", Status.WRONG),
        ("The answer is E.", Status.WRONG),
        ("The answer is not B.", Status.UNPARSED),
        ("The answer is A or B.", Status.UNPARSED),
        ("A spider has many legs.", Status.UNPARSED),
        ("", Status.UNPARSED),
        ("Beetles And Cats Do.", Status.UNPARSED),
    ],
)
def test_what_is_not_the_option(text: str, status: Status) -> None:
    assert check(gold="B", text=text, kind="choice", question=QUESTION).status is status


def test_an_option_may_be_told_by_its_value() -> None:
    question = r"What is one half? (A) $\frac{1}{4}$ (B) $\frac{1}{2}$ (C) $2$"
    assert options(question) == {"A": r"$\frac{1}{4}$", "B": r"$\frac{1}{2}$", "C": "$2$"}
    assert check(gold="B", text="The answer is $0.5$", kind="choice", question=question).correct


def test_a_reference_that_names_no_option() -> None:
    assert check(gold="eight", text="B", kind="choice").status is Status.GOLD_UNPARSED
    assert check(gold="E", text="B", kind="choice", question=QUESTION).status is Status.GOLD_UNPARSED


@pytest.mark.parametrize("style", FORMATS)
def test_aqua(data: Path, style: str) -> None:
    """Every gold letter is accepted in every format, and no other option is."""
    refused, taken = [], []
    for row in lines(data / "aqua_test.jsonl") + lines(data / "aqua_dev.jsonl"):
        question = "\n".join([row["question"], *row["options"]])
        for letter in "ABCDE":
            correct = check(gold=row["correct"], text=FORMATS[style](letter), kind="choice", question=question).correct
            if correct != (letter == row["correct"]):
                (taken if correct else refused).append((row["question"][:60], letter))
    assert not refused
    assert not taken
