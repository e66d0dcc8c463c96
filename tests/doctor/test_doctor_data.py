import json
from pathlib import Path
from typing import Any

import pytest
from doctor_kit import bad, checks, copied, previews, row, written

from conftest import CHAT, attempt, problem
from porism.doctor import Status
from porism.records import Status as Verdict
from porism.records import to_row


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def test_rows_are_shown_as_the_trainer_tokenises_them(tiny_model: Path, file: Path) -> None:
    import transformers

    from porism.train import _rows

    written(file, row(), row("2 + 2?", "#### 4"), row())
    shown = previews(tiny_model, file, rows=2)
    assert [one.title for one in shown] == ["1", "2"]
    assert [(piece.text, piece.learnt) for piece in shown[0].pieces] == [
        ("<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n", False),
        ("#### 2<|im_end|>", True),
    ]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    trained = _rows.render(tokenizer, _rows.examples([str(file)], allow_unverified=False), 1024)
    assert [piece.tokens for piece in shown[0].pieces] == [len(part) for part in trained[0].tokens]
    found = checks(tiny_model, file)
    assert bad(found) == {}
    totals = [sum(len(one.tokens[side]) for one in trained) for side in (0, 1)]
    assert found["data tokens"].figures["tokens"] == sum(totals)
    assert found["data tokens"].figures["learnt"] == totals[1]
    assert f"{totals[1] / sum(totals):.0%} with a loss" in found["data tokens"].found


@pytest.mark.parametrize(
    ("value", "layout", "pieces"),
    [
        ({"messages": [*row()["prompt"], *row()["completion"]]}, "messages", ["#### 2<|im_end|>"]),
        ({"prompt": "1 + 1?", "completion": "#### 2"}, "prompt/completion of texts", ["#### 2<|im_end|>"]),
        (
            {"prompt": "1 + 1?", "chosen": "#### 2", "rejected": "#### 3"},
            "prompt/chosen/rejected",
            ["#### 2<|im_end|>", "#### 3<|im_end|>"],
        ),
        ({**row(), "label": True}, "prompt/completion/label", ["#### 2<|im_end|>"]),
        (
            {"prompt": row()["prompt"], "completions": ["a", "b"], "labels": [True, False]},
            "prompt/completions",
            ["a<|im_end|>", "b<|im_end|>"],
        ),
    ],
)
def test_layouts_of_other_trainers_are_understood(
    tiny_model: Path, file: Path, value: Any, layout: str, pieces: list[str]
) -> None:
    written(file, value)
    found = checks(tiny_model, file)
    assert found["data rows"].found.startswith(f"1 {layout}, for porism train ")
    assert [one.pieces[1].text for one in previews(tiny_model, file, rows=5)] == pieces


def test_rows_that_are_not_trained_on(tiny_model: Path, file: Path) -> None:
    written(file, row(), row(answer=" "), row(question="long " * 99), row(answer="\ud800"))
    found = checks(tiny_model, file, max_length=64)
    assert found["data left out"].status == Status.WARNING
    for said in ("3 of 4 rows", "1 empty completion", "1 longer than max_length", "1 half of a surrogate pair"):
        assert said in found["data left out"].found
    assert "max_length is 64" in found["data left out"].cure
    titles = [one.title for one in previews(tiny_model, file, rows=4, max_length=64)]
    assert titles[0] == "1"
    assert titles[1] == "2: not trained on, empty completion"
    assert titles[2].startswith("3: not trained on, longer than max_length")
    written(file, row(answer=" "))
    assert checks(tiny_model, file)["data left out"].status == Status.FAILED


def test_attempts_that_are_wrong_or_cut_off(tiny_model: Path, file: Path) -> None:
    written(
        file,
        to_row(attempt(0)),
        to_row(attempt(1, Verdict.WRONG)),
        to_row(attempt(2, verdict=None)),
        to_row(attempt(3, finish="length")),
    )
    found = checks(tiny_model, file)
    assert found["data verdicts"].status == Status.FAILED
    assert found["data verdicts"].found == "not graded correct: 1 wrong, 1 not graded"
    assert "1 of 4 texts were cut off" in found["data cut off"].found
    written(file, to_row(attempt(0)))
    assert bad(checks(tiny_model, file)) == {}


def test_overlap_with_a_test_set(tiny_model: Path, file: Path, tmp_path: Path) -> None:
    test = written(tmp_path / "test.jsonl", *(to_row(problem(n)) for n in range(3)))
    written(file, row("Something else?"), row("what is  2 + 1?"), row("What is 1 + 1?"))
    found = checks(tiny_model, file, against=[str(test)])["data overlap"]
    assert found.status == Status.FAILED
    assert found.found.startswith(
        f"2 of 3 questions stand in {test}; the first in row 2 (with {test} {problem(2).id}: "
    )
    written(file, row("Something else?"))
    assert checks(tiny_model, file, against=[str(test)])["data overlap"].status == Status.OK
    gone = checks(tiny_model, file, against=["gone.jsonl"])
    assert "gone.jsonl: expected a file" in gone["data rows"].found


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no rows"),
        ([to_row(problem(0))], "line 1: not a training row: a problem, which has no answer of a model yet"),
        ([row(), {"foo": 1}], "line 2: not a training row: expected a problem"),
        (
            [{"messages": [{"role": "user", "content": "hi"}]}],
            "expected messages in which the assistant answers somebody",
        ),
        ([{"messages": "hi"}], "expected a list of messages, got 'hi'"),
        ([{"messages": [{"role": "user"}, {"role": "assistant"}]}], "with the texts role and content"),
        ([{"prompt": "a", "completions": 3}], "line 1: not a training row"),
        (
            [row(), {"prompt": "a", "completion": "b"}],
            "of several layouts: 1 prompt/completion, 1 prompt/completion of",
        ),
    ],
)
def test_bad_rows_are_one_line_with_their_place(tiny_model: Path, file: Path, rows: list[Any], said: str) -> None:
    written(file, *rows)
    found = checks(tiny_model, file)["data rows"]
    assert found.status == Status.FAILED
    assert said in found.found
    assert "\n" not in found.found


def test_an_unfit_template_is_said_once(tiny_model: Path, file: Path, tmp_path: Path) -> None:
    written(file, row())
    folder = copied(tiny_model, tmp_path, chat=f"{{{{ messages | length }}}} {CHAT}")
    assert "renders a prompt differently" in checks(folder, file)["data tokens"].found


def test_masks_and_json_arrays_are_shown_as_they_are_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    masked = {"loss_mask": [[0, 4]]}
    for number, value in enumerate(
        (
            {"input": "q", "output": "#### 2", **masked},
            {**row(), **masked},
            {"prompt": "q", "completion": "#### 2", **masked},
        )
    ):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps([value], indent=1))
        (shown,) = previews(tiny_model, file, rows=5)
        assert [piece.text for piece in shown.pieces if piece.learnt] == ["####"]


def test_only_what_the_assistant_wrote_is_shown_as_learnt(tiny_model: Path, file: Path) -> None:
    said = [("user", "a"), ("assistant", "bb"), ("user", "ccc"), ("assistant", "dddd")]
    written(file, {"messages": [{"role": role, "content": text} for role, text in said]})
    (shown,) = previews(tiny_model, file, rows=5)
    assert [piece.text for piece in shown.pieces if piece.learnt] == ["bb<|im_end|>", "dddd<|im_end|>"]
