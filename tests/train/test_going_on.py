"""Evaluations in between: what their figures are, when they end a run; and runs that are cut off around them."""

from pathlib import Path
from typing import Any

import pytest
from train_kit import metrics, pair, train, user, write

from conftest import attempt, problem
from porism import store
from porism.errors import DataError
from porism.models.load import load
from porism.records import Example, Message
from porism.train import _network, _progress, rl, sft
from porism.train._run import _answering


class Cut(BaseException):
    """Stands for a signal that ends the process."""


def system(text: str) -> list[Message]:
    return [Message(role="system", content=text)]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return write(tmp_path / "rows.jsonl", [attempt(n, text=f"{n} + 1 = {n + 1}\n#### {n + 1}") for n in range(8)])


@pytest.fixture
def contrary(tmp_path: Path) -> str:
    """Held-out rows that the training rows contradict: their loss rises after the first evaluations."""
    return write(tmp_path / "contrary.jsonl", [attempt(9, text="zzzz yyyy xxxx")])


@pytest.mark.parametrize("part", ["sft", "dpo"])
def test_the_loss_of_held_out_rows_is_that_of_one_batch(part: str, tiny_model: Path, tmp_path: Path) -> None:
    """However they are spread over batches, and however long each is: the loss that training on all of them has."""
    if part == "sft":
        held_out = write(tmp_path / "h.jsonl", [attempt(n, text="ab" * (1 + 15 * n)) for n in range(5)])
    else:
        held_out = write(tmp_path / "h.jsonl", [pair(10**n) for n in range(5)])
    values: dict[str, Any] = {"max_steps": 1, "lr": 1e-9, "batch_size": 6, "eval_every": 1, "eval_input": [held_out]}
    if part == "dpo":
        values |= {"loss": "ipo", "sft_weight": 1.0}
    found = []
    for name, more in (
        ("1", {"micro_batch_size": 1}),
        ("3", {"micro_batch_size": 3}),
        ("split", {"micro_batch_size": 6, "micro_batch_tokens": 80}),
    ):
        train(part, tmp_path / name, held_out, tiny_model, **values, **more)
        found.append(metrics(tmp_path / name)[-1]["eval_loss"])
    train(part, tmp_path / "whole", held_out, tiny_model, **{**values, "micro_batch_size": 6, "eval_input": []})
    assert found == pytest.approx([metrics(tmp_path / "whole")[0]["loss"]] * 3, rel=1e-4)


def test_accuracy_decides_where_both_are_measured(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    """The model answers nothing right, so the second evaluation is no better than the first."""
    asked = write(tmp_path / "q.jsonl", [problem(3)])
    values = {"epochs": 4, "eval_input": [rows], "eval_problems": [asked], "eval_every": 1, "eval_max_tokens": 2}
    found = train("sft", tmp_path / "x", rows, tiny_model, patience=1, **values)
    assert found.figures["steps"] == 2
    assert found.figures["best_evaluation"] == 0.0
    lines = [line for line in metrics(tmp_path / "x") if "eval_loss" in line]
    assert [(line["step"], line["eval_accuracy"]) for line in lines] == [(1, 0.0), (2, 0.0)]


def test_a_short_run_is_evaluated_at_its_end(rows: str, contrary: str, tiny_model: Path, tmp_path: Path) -> None:
    train("sft", tmp_path / "x", rows, tiny_model, max_steps=3, eval_input=[contrary], eval_every=50, keep_best=True)
    assert [line["step"] for line in metrics(tmp_path / "x") if "eval_loss" in line] == [3]


def test_a_cut_off_run_has_waited_as_long_for_a_better_evaluation(
    rows: str, contrary: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"epochs": 20, "eval_input": [contrary], "eval_every": 1, "lr": 2e-2, "patience": 3}
    whole = train("sft", tmp_path / "whole", rows, tiny_model, **values)
    count = len([line for line in metrics(tmp_path / "whole") if "eval_loss" in line])
    plain = _progress.write_metrics

    def cut(file: Path, history: Any) -> None:
        if len([line for line in history if "eval_loss" in line]) == count - 1 and "loss" in history[-1]:
            raise Cut
        plain(file, history)

    with monkeypatch.context() as patch:
        patch.setattr(_progress, "write_metrics", cut)
        with pytest.raises(Cut):
            train("sft", tmp_path / "cut", rows, tiny_model, **values)
    again = train("sft", tmp_path / "cut", rows, tiny_model, **values)
    assert again.figures == whole.figures
    assert again.outputs["model/model.safetensors"] == whole.outputs["model/model.safetensors"]


@pytest.mark.parametrize("patience", [0, 2])
def test_a_run_that_was_cut_off_at_its_very_end_takes_no_further_step(
    *, patience: int, rows: str, contrary: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint is written, the model is not; the end lies within an epoch, and the rate stays high."""
    values: dict[str, Any] = {"schedule": "constant_with_warmup", "warmup": 0.0, "lr": 2e-2, "batch_size": 2}
    if patience:
        values |= {"epochs": 20, "eval_input": [contrary], "eval_every": 1, "patience": patience}
    else:
        values |= {"max_steps": 5}
    whole = train("sft", tmp_path / "whole", rows, tiny_model, **values)

    def cut(*_: Any, **__: Any) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(_network, "save", cut)
        with pytest.raises(Cut):
            train("sft", tmp_path / "cut", rows, tiny_model, **values)
    again = train("sft", tmp_path / "cut", rows, tiny_model, **values)
    assert [line["step"] for line in metrics(tmp_path / "cut")] == [
        line["step"] for line in metrics(tmp_path / "whole")
    ]
    names = [name for name in whole.outputs if name.endswith(".safetensors")]
    assert [again.outputs[name] for name in names] == [whole.outputs[name] for name in names]
    assert store.Manifest.load(tmp_path / "cut" / "manifest.json").status == "complete"


def test_answers_are_graded_and_the_weights_that_answer_best_are_kept(tiny_model: Path, tmp_path: Path) -> None:
    file, asked = write(tmp_path / "r.jsonl", [attempt(3)]), write(tmp_path / "q.jsonl", [problem(3), problem(3)])
    values = {"max_steps": 60, "lr": 1e-2, "batch_size": 1, "micro_batch_size": 1, "eval_every": 20, "keep_best": True}
    found = train("sft", tmp_path / "x", file, tiny_model, eval_problems=[asked], eval_max_tokens=12, **values)
    lines = [line for line in metrics(tmp_path / "x") if "eval_accuracy" in line]
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert (lines[-1]["eval_accuracy"], lines[-1]["eval_judged"]) == (1.0, 1.0)
    assert found.figures["best_evaluation"] == 1.0


def test_an_evaluation_asks_as_the_rows_do(tiny_model: Path, tmp_path: Path) -> None:
    asked = write(tmp_path / "q.jsonl", [problem(3)])
    loaded = load(str(tiny_model))

    def messages(settings: Any, records: Any = ()) -> list[Message]:
        found = _answering(settings, loaded, records)
        assert found
        return found.asked[0][1]

    supervised = sft.Settings(input=["x"], eval_problems=[asked])
    plain, brief = (Example(prompt=prompt, completion=[]) for prompt in (user("a"), [*system("Be brief."), *user("b")]))
    question = user("What is 3 + 1?")
    assert messages(supervised, [brief, brief]) == [*system("Be brief."), *question]
    assert messages(supervised, [[plain, brief]]) == question, "not all rows begin alike"
    assert messages(supervised, [pair(1)]) == question
    learnt = rl.Settings(input=["x"], eval_problems=[asked], system="", instruction="Go.")
    assert messages(learnt) == [*system(""), *user("What is 3 + 1?\n\nGo.")]


def test_problems_that_only_a_model_can_judge_are_refused(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    asked = write(tmp_path / "q.jsonl", [problem(3), problem(4, kind="judge")])
    with pytest.raises(DataError, match=rf"the problem {problem(4, kind='judge').id} is judged by 'judge', which asks"):
        train("sft", tmp_path / "x", rows, tiny_model, eval_problems=[asked])
