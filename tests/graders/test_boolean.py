"""Yes and no in three languages."""

import json
from pathlib import Path

import pytest

from _rewriting import FORMATS
from porism.graders import check
from porism.records import Status


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("yes", "Yes, because 3 > 2."),
        ("yes", "The answer is yes."),
        ("yes", "#### True"),
        ("True", r"\boxed{\text{Yes}}"),
        ("no", "**No.** A cat is no dog. It is true that cats are mammals."),
        ("no", "So the statement is not true. The answer is false."),
        ("no", "The answer is: not true"),
        ("false", "Albany is small.\nThus: no."),
        ("是", "答案是：是"),
        ("否", "所以答案是否。"),
        ("no", "答えはいいえです。"),
        ("yes", "答えは「はい」です。"),
        ("yes", "<think>No? The answer is no.</think>The answer is yes."),
    ],
)
def test_reads_yes_and_no(gold: str, text: str) -> None:
    verdict = check(gold=gold, text=text, kind="boolean")
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("The answer is no.", Status.WRONG),
        ("The answer is yes and no.", Status.UNPARSED),
        ("Nobody knows.", Status.UNPARSED),
        ("There are no cars.", Status.UNPARSED),
        ("", Status.UNPARSED),
    ],
)
def test_what_is_not_yes(text: str, status: Status) -> None:
    assert check(gold="yes", text=text, kind="boolean").status is status


def test_a_reference_that_is_neither() -> None:
    assert check(gold="maybe", text="yes", kind="boolean").status is Status.GOLD_UNPARSED


@pytest.mark.parametrize("style", FORMATS)
def test_strategyqa(data: Path, style: str) -> None:
    """Every gold answer is accepted as yes/no and as true/false; its opposite never is."""
    files = [data / f"strategyqa_{split}.json" for split in ("train", "dev")]
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    assert len(rows) > 2_000
    for gold in {row["answer"] for row in rows}:
        for said, value in (("yes", True), ("no", False), ("True", True), ("False", False)):
            verdict = check(gold=str(gold), text=FORMATS[style](said), kind="boolean")
            assert verdict.status is (Status.CORRECT if value == gold else Status.WRONG), (said, verdict)
