"""What goes wrong in training is one clear message, and the last checkpoint stays good."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from train_kit import assistant, begun, command, metrics, pair, saved, train, user, write

from conftest import attempt, lines
from porism import store
from porism.errors import DataError, PorismError, RecipeError
from porism.records import Example, Status
from porism.train._defaults import batch_rows, learning_rate, micro_tokens


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_good(tiny_model: Path, tmp_path: Path) -> None:
    """A limit on file size, put on the process while it trains, stands for a disk that is full."""
    rows = write(tmp_path / "p.jsonl", [pair(number) for number in range(16)])
    settings = {"max_steps": 60, "checkpoint_every": 2}
    train("dpo", tmp_path / "whole", rows, tiny_model, **settings)
    again = command("dpo", tmp_path / "cut", rows, tiny_model, **settings)
    child = begun(again, lambda: saved(tmp_path / "cut"), stderr=subprocess.PIPE)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    told = child.communicate()[1]
    assert child.returncode == 2, told
    assert "cannot be written" in told
    assert "Traceback" not in told
    (kept,) = (tmp_path / "cut" / "checkpoints").glob("checkpoint-*")
    assert (kept / "complete").is_file()
    assert f"the last whole checkpoint is {kept}" in told
    subprocess.run([sys.executable, "-m", "porism", *again], check=True, capture_output=True)
    a, b = (store.sha256(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert a == b


def test_a_dtype_that_does_not_suit(tiny_model: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("a graphics card computes in float16")
    rows = write(tmp_path / "r.jsonl", [attempt(number) for number in range(4)])
    with pytest.raises(RecipeError, match="dtype float16: training in it needs a graphics card"):
        train("sft", tmp_path / "x", rows, tiny_model, dtype="float16")


def test_a_model_that_scores_answers_no_problems(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "p.jsonl", [pair(1)])
    for part in ("reward", "verifier"):
        with pytest.raises(RecipeError, match="eval_problems: a model that gives scores answers no problems"):
            train(part, tmp_path / "x", rows, tiny_model, eval_problems=[rows])


def test_adapters_that_were_there_are_no_reference_when_off(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "p.jsonl", [pair(number) for number in range(4)])
    train("dpo", tmp_path / "a", rows, tiny_model, max_steps=1, method="lora", lora_r=2)
    start = tmp_path / "a" / "model"
    with pytest.raises(RecipeError, match="the reference would be that adapter's base"):
        train("dpo", tmp_path / "b", rows, start, max_steps=1, method="lora", reference="adapter-off")


def test_all_answers_of_a_bad_batch_are_kept(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier computes the answers to one prompt together; each of them is named."""
    from porism.losses import binary as losses

    monkeypatch.setattr(losses, "binary", lambda scores, labels: scores * float("nan"))
    rows = [one for n in range(4) for one in (attempt(n), attempt(n, Status.WRONG, text="#### 77", sample=1))]
    file = write(tmp_path / "a.jsonl", rows)  # type: ignore[arg-type]
    with pytest.raises(
        PorismError, match=r"the loss became nan after step 0. Its batch had the rows \w+, \w+, \w+, \w+;"
    ):
        train("verifier", tmp_path / "x", file, tiny_model, max_steps=2)
    assert len(lines(tmp_path / "x" / "bad_batch.jsonl")) == 4


def test_half_of_a_surrogate_pair_in_steps(tiny_model: Path, tmp_path: Path) -> None:
    row = {"prompt": user("2?"), "completions": ["Good. ", "half \ud800"], "labels": [1, 0]}
    good = {"prompt": user("2?"), "completions": ["Good. ", "Bad."], "labels": [1, 0]}
    file = tmp_path / "s.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in (row, good)))
    manifest = train("verifier", tmp_path / "x", str(file), tiny_model, labels="steps", max_steps=1)
    assert manifest.counts == {"records": 1, "dropped": 1}


def test_batches_by_size_are_used_and_told(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    rows = write(tmp_path / "r.jsonl", [attempt(number) for number in range(40)])
    told = train("sft", tmp_path / "x", rows, tiny_model, batch_size=0, micro_batch_size=4)
    assert told.figures["steps"] == 3, "40 rows in steps of 16"
    said = capsys.readouterr().err
    assert "batch_size 16: a few thousand rows" in said
    assert "micro_batch_tokens 4,096: about 1 MB" in said
    assert [batch_rows(kind, 8_000_000_000).value for kind in ("supervised", "preference", "score")] == [32, 128, 64]
    assert micro_tokens(8_000_000_000).value == 2048


RATES = [
    ("sft", {}, 2e-4, "measured on a 135M model; for "),
    ("sft", {"method": "lora"}, 1e-3, "measured on a 135M model; for adapters on "),
    ("dpo", {}, 5e-6, "ten times that of 8B"),
    ("reward", {"method": "lora"}, 5e-4, "half of the supervised rate"),
]


@pytest.mark.parametrize(("part", "settings", "rate", "source"), RATES)
def test_a_learning_rate_by_size_is_used_and_told(
    *, part: str, settings: Any, rate: float, source: str, tiny_model: Path, tmp_path: Path, capsys: Any
) -> None:
    records = [attempt(n) for n in range(4)] if part == "sft" else [pair(n) for n in range(4)]
    values = {"lr": None, "max_steps": 1, "warmup": 0.0, **settings}
    train(part, tmp_path / "x", write(tmp_path / "r.jsonl", records), tiny_model, **values)
    assert metrics(tmp_path / "x")[0]["learning_rate"] == pytest.approx(rate)
    assert f"lr {rate:g}: {source}" in capsys.readouterr().err


def test_learning_rates_of_larger_models() -> None:
    found = [learning_rate(kind, 8_000_000_000, adapted=False).value for kind in ("supervised", "preference", "score")]
    assert found == [2e-5, 5e-7, 5e-6]
    assert learning_rate("supervised", 1_500_000_000, adapted=True).value == 2e-4
    assert learning_rate("preference", 1_500_000_000, adapted=False).value == 1e-6
    with pytest.raises(RecipeError, match="expected one of supervised, preference, score, policy, got 'other'"):
        learning_rate("other", 1, adapted=False)


@pytest.mark.filterwarnings("ignore")
def test_what_trl_would_leave_out_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    chat = Example(prompt=user("a"), completion=[*assistant("b"), *user("c"), *assistant("d")])
    masked = Example(prompt=user("a"), completion=assistant("bcd"), loss_mask=[[0, 1]])
    for record in (chat, masked):
        file = write(tmp_path / "r.jsonl", [record])
        with pytest.raises(DataError, match="cannot be handed to TRL"):
            train("sft", tmp_path / "x", file, tiny_model, backend="trl")
    pairs = write(tmp_path / "p.jsonl", [pair(1)])
    with pytest.raises(RecipeError, match="reference_model: TRL has no such setting"):
        train("dpo", tmp_path / "y", pairs, tiny_model, backend="trl", reference_model=str(tiny_model))
