"""How training runs: several processes, evaluations in between, memory limits, TRL's trainers, a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from train_kit import begun, command, metrics, pair, saved, train, write

from conftest import attempt, problem
from porism import store
from porism.errors import MissingExtra, RecipeError
from porism.models.load import load


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return write(tmp_path / "rows.jsonl", [attempt(n, text=f"{n} + 1 = {n + 1}\n#### {n + 1}") for n in range(8)])


@pytest.mark.slow
def test_two_processes_make_the_same_curve_as_one(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    """The same batch, spread over two processes with gloo, or accumulated in one."""
    train("sft", tmp_path / "one", rows, tiny_model, epochs=3)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "porism"]
    done = subprocess.run(
        [*launch, *command("sft", tmp_path / "two", rows, tiny_model, epochs=3)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    for name in ("loss", "grad_norm", "learning_rate"):
        assert [line[name] for line in two] == pytest.approx([line[name] for line in one], rel=1e-4)
    left, right = (load(str(tmp_path / name / "model")).model.state_dict() for name in ("one", "two"))
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-3, atol=1e-5)
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["status"] == "complete"


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "p.jsonl", [pair(number) for number in range(16)])
    settings = {"max_steps": 60, "checkpoint_every": 2, "loss": "ipo"}
    train("dpo", tmp_path / "whole", rows, tiny_model, **settings)
    again = command("dpo", tmp_path / "cut", rows, tiny_model, **settings)
    child = begun(again, lambda: saved(tmp_path / "cut"))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "cut" / "model").exists()
    subprocess.run([sys.executable, "-m", "porism", *again], check=True, capture_output=True)
    a, b = (store.sha256(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert a == b
    assert len(metrics(tmp_path / "cut")) == 60


def test_fewer_tokens_at_once_are_the_same_step(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    def first(name: str, **settings: Any) -> tuple[float, float]:
        train("sft", tmp_path / name, rows, tiny_model, max_steps=1, batch_size=8, micro_batch_size=8, **settings)
        line = metrics(tmp_path / name)[0]
        return line["loss"], line["grad_norm"]

    whole = first("whole")
    assert first("parts", micro_batch_tokens=100) == pytest.approx(whole, rel=1e-5)
    assert first("checkpointed", gradient_checkpointing=True) == pytest.approx(whole, rel=1e-5)
    assert first("noise", neftune=5.0) != pytest.approx(whole, rel=1e-3)


def test_evaluation_in_between(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    held_out = write(tmp_path / "h.jsonl", [attempt(9, text="9 + 1 = 10\n#### 10")])
    asked = write(tmp_path / "q.jsonl", [problem(3), problem(4)])
    train("sft", tmp_path / "x", rows, tiny_model, epochs=5, eval_input=[held_out], eval_every=2, lr=3e-3)
    lines = [line for line in metrics(tmp_path / "x") if "eval_loss" in line]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    assert lines[-1]["eval_loss"] < lines[0]["eval_loss"]
    train("sft", tmp_path / "y", rows, tiny_model, max_steps=2, eval_problems=[asked], eval_every=1, eval_max_tokens=4)
    found = [line for line in metrics(tmp_path / "y") if "eval_accuracy" in line]
    assert [(line["eval_accuracy"], "eval_judged" in line) for line in found] == [(0.0, True)] * 2


def test_the_best_weights_are_kept_and_a_run_stops_early(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    """Held-out rows that the training rows contradict: their loss only rises after the first evaluation."""
    held_out = write(tmp_path / "h.jsonl", [attempt(9, text="zzzz yyyy xxxx")])
    values = {"epochs": 20, "eval_input": [held_out], "eval_every": 1, "lr": 2e-2}
    best = train("sft", tmp_path / "x", rows, tiny_model, keep_best=True, patience=3, **values)
    losses = [line["eval_loss"] for line in metrics(tmp_path / "x") if "eval_loss" in line]
    assert len(losses) < 40
    assert min(losses) < losses[-1]
    assert best.figures["best_evaluation"] == pytest.approx(min(losses), abs=1e-3)
    again = train("sft", tmp_path / "y", held_out, tmp_path / "x" / "model", max_steps=1, lr=1e-9)
    assert again.figures["loss"] == pytest.approx(min(losses), rel=1e-3)
    with pytest.raises(RecipeError, match="name eval_input or eval_problems"):
        train("sft", tmp_path / "z", rows, tiny_model, keep_best=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["sft", "reward", "dpo", "kto"])
def test_trl_runs_the_same_rows(part: str, tiny_model: Path, tmp_path: Path) -> None:
    """The first loss is the same; for KTO the estimate of the reference point starts at 0 in both."""
    pytest.importorskip("trl")
    records = [pair(number) for number in range(8)]
    if part in ("sft", "kto"):
        records = [attempt(number, text=f"{number} + 1 = {number + 1}") for number in range(8)]  # type: ignore[misc]
    rows = write(tmp_path / "r.jsonl", records)  # type: ignore[arg-type]
    start = tiny_model
    if part == "reward":
        train("reward", tmp_path / "start", rows, tiny_model, max_steps=1)
        start = tmp_path / "start" / "model"
    settings = {"max_steps": 2, "schedule": "constant_with_warmup", "warmup": 0.0, "batch_size": 8}
    losses = {}
    for backend in ("porism", "trl"):
        train(part, tmp_path / backend, rows, start, backend=backend, **settings)
        losses[backend] = [line["loss"] for line in metrics(tmp_path / backend)]
    rel = 0.05 if part == "reward" else 1e-4  # TRL reads the reward behind the template's line break
    assert losses["trl"][0] == pytest.approx(losses["porism"][0], rel=rel)
    assert load(str(tmp_path / "trl" / "model"), scores=part == "reward")
    with pytest.raises(RecipeError, match="TRL has no such setting"):
        train(part, tmp_path / "z", rows, start, backend="trl", eval_input=[rows], **settings)


def test_four_bits_need_their_package(rows: str, tiny_model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))
    with pytest.raises(MissingExtra, match=r"pip install 'porism\[qlora\]'"):
        train("sft", tmp_path / "x", rows, tiny_model, method="qlora")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_adapters_on_four_bits(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    manifest = train("sft", tmp_path / "x", rows, tiny_model, method="qlora", lora_r=2, epochs=6, lr=1e-2)
    lines = metrics(tmp_path / "x")
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert manifest.figures["trainable_parameters"] < 10_000
    whole = load(str(tiny_model)).model.num_parameters() + manifest.figures["trainable_parameters"]
    assert manifest.figures["parameters"] == whole, "two weights of 4 bits stand in a byte"
    load(str(tmp_path / "x" / "model"))
