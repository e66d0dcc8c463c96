import random
from pathlib import Path

import pytest
from curation_kit import run, write

from conftest import problem
from porism import store
from porism.curate import decontaminate
from porism.errors import DataError
from porism.records import Example, Message, Record

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?"
)


def decided(record: Record, test: str, **settings: object) -> str:
    ((_, reason),) = decontaminate.curate([record], against=[test], action="drop", **settings)
    return reason


def test_equal_questions_are_refused_or_dropped_or_marked(tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", [problem(3)])
    row = Example(
        prompt=[Message(role="system", content=""), Message(role="user", content="What is  3 + 1 ??")],
        completion=[Message(role="assistant", content="4")],
    )
    found = list(decontaminate.curate([problem(2), row], against=[test], action="drop", methods=["exact"]))
    assert [reason for _, reason in found] == ["", f"overlap: with {test} {problem(3).id}: 'What is 3 + 1?'"]
    with pytest.raises(
        DataError, match=r"asks what the test record .*test\.jsonl .* asks: 'What is  3 \+ 1 \?\?', 'What is 3"
    ):
        list(decontaminate.curate([row], against=[test]))
    ((marked, reason),) = decontaminate.curate([row], against=[test], action="mark")
    assert reason == ""
    assert marked.meta["contaminated"]["method"] == "exact"
    assert marked.meta["contaminated"]["question"] == "What is 3 + 1?"


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        (QUESTION.upper() + " ", "overlap"),
        ("Here is a task. " + QUESTION + " Think step by step, and end with the answer.", "13-gram overlap"),
        (QUESTION.replace("Natalia", "Mei-Lin"), "near overlap"),
        (QUESTION.replace("48", "36"), "13-gram overlap"),
    ],
)
def test_changed_questions_are_found(tmp_path: Path, changed: str, label: str) -> None:
    test = write(tmp_path / "test.jsonl", [problem(question=QUESTION), problem(5)])
    reason = decided(problem(question=changed), test)
    assert reason.startswith(label + ": ") or (label == "near overlap" and "-gram overlap: " in reason)
    assert QUESTION[:60] in reason


def test_methods_and_thresholds_are_obeyed(tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", [problem(question=QUESTION)])
    renamed = problem(question=QUESTION.replace("Natalia", "Tom").replace("48", "36"))
    assert decided(renamed, test, methods=["near"]).startswith("near overlap: ")
    assert not decided(renamed, test, methods=["near"], numbers="apart")
    reworded = problem(question=QUESTION.replace("altogether", "in all"))
    assert decided(reworded, test, methods=["near"])
    assert not decided(reworded, test, methods=["near"], near_threshold=0.99)
    assert not decided(renamed, test, methods=["exact"])
    assert not decided(renamed, test, methods=["ngrams"], ngram=20)
    assert decided(renamed, test, methods=["ngrams"], ngram=6).startswith("6-gram overlap: ")
    assert not decided(problem(question="How many clips did she sell?"), test)


def test_a_changed_test_set_makes_the_check_run_again(tmp_path: Path) -> None:
    rows, test = write(tmp_path / "r.jsonl", [problem(1)]), write(tmp_path / "t.jsonl", [problem(2)])
    run("decontaminate", tmp_path / "out", rows, against=[test], methods=["exact"])
    write(tmp_path / "t.jsonl", [problem(1)])
    with pytest.raises(DataError, match="asks what the test record"):
        run("decontaminate", tmp_path / "out", rows, against=[test], methods=["exact"])


def test_chinese_questions(tmp_path: Path) -> None:
    question = "小明有十二个苹果，他给了小红五个苹果，然后又买了三个。请问小明现在一共有多少个苹果？"
    test = write(tmp_path / "test.jsonl", [problem(question=question)])
    assert decided(problem(question="题目：" + question), test).startswith("13-gram overlap: ")
    assert not decided(problem(question="一个长方形花园的长是宽的两倍，请问这个花园的面积是多少平方米？"), test)


def test_lines_of_a_test_set_that_are_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They stop nothing, but are told of; a test set of nothing else is an error, since nothing would be compared."""
    test = tmp_path / "test.jsonl"
    write(test, [problem(1)])
    with test.open("a") as file:
        file.write("{\n")
    assert decided(problem(1), str(test)).startswith("overlap: ")
    assert "1 lines are no records and are passed over" in capsys.readouterr().err
    test.write_text("{\n")
    with pytest.raises(DataError, match=r"test\.jsonl: expected records, found none.*line 1: not valid JSON"):
        decided(problem(1), str(test))
    with pytest.raises(DataError, match="expected a file of records"):
        decided(problem(1), str(tmp_path / "nothing.jsonl"))


def test_with_numbers_apart_the_most_alike_of_the_same_numbers_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path))
    (tmp_path / "encoder.py").write_text(
        "import numpy as np\n"
        "def load(model='', *, threads=0):\n    return E()\n"
        "class E:\n    def encode(self, texts):\n"
        "        return np.array([[1.0, 0.01 * text.count('!')] for text in texts])\n"
    )
    test = write(tmp_path / "test.jsonl", [problem(question="Is it 7?"), problem(question="Is it 8?!")])
    settings = {"methods": ["semantic"], "encoder": f"{tmp_path}/encoder.py:load"}
    assert "Is it 7?" in decided(problem(question="Perhaps 8?"), test, **settings)
    assert "Is it 8?!" in decided(problem(question="Perhaps 8?"), test, numbers="apart", **settings)
    assert not decided(problem(question="Perhaps 9?"), test, numbers="apart", **settings)


@pytest.mark.slow
def test_no_false_alarms_on_gsm8k_and_planted_rows_found(data: Path, tmp_path: Path) -> None:
    held_out = [problem(question=row["question"]) for _, row in store.rows(data / "gsm8k_test.jsonl")]
    train = [problem(question=row["question"]) for _, row in store.rows(data / "gsm8k_train.jsonl")]
    test = write(tmp_path / "test.jsonl", held_out)
    hits = [reason for _, reason in decontaminate.curate(train, against=[test], action="drop") if reason]
    assert len(hits) < 0.001 * len(train), hits
    rng = random.Random(0)
    planted = [problem(question=f"{record.question}\n") for record in rng.sample(held_out, 300)]
    found = [reason for _, reason in decontaminate.curate(planted, against=[test], action="drop") if reason]
    assert len(found) == 300
