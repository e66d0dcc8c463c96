"""What tests of training methods share: records on disk, and a stage run on the tiny model, here or by itself."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from porism import pipeline, store
from porism.records import Message, Pair, Record, to_row

__all__ = ["assistant", "begun", "command", "metrics", "pair", "saved", "train", "user", "write"]

VALUES = {"batch_size": 4, "micro_batch_size": 2, "threads": 1, "dtype": "float32", "lr": 1e-3}
"""Settings of every training here, unless it says otherwise."""


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def assistant(text: str) -> list[Message]:
    return [Message(role="assistant", content=text)]


def pair(number: int, margin: float = 0.0) -> Pair:
    """A right and a wrong sum."""
    return Pair(
        prompt=user(f"{number} + 1?"),
        chosen=assistant(f"It is {number + 1}."),
        rejected=assistant("No idea."),
        meta={"margin": margin} if margin else {},
    )


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records))
    return str(path)


def train(part: str, target: Path, rows: str, model: Path | str, **settings: Any) -> store.Manifest:
    values = {"input": [rows], "model": str(model), **VALUES, **settings}
    return pipeline.execute(pipeline.prepare("train", part, values), target)


def command(part: str, target: Path, rows: str, model: Path, **settings: Any) -> list[str]:
    """The same as the words behind ``porism``."""
    return [
        *("train", part, "--input", rows, "--model", str(model), "--output", str(target)),
        *(f"{name}={value}" for name, value in {**VALUES, **settings}.items()),
    ]


def begun(words: list[str], reached: Callable[[], bool], stderr: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    """A command in a process of its own, as soon as it has reached something."""
    words = [sys.executable, "-m", "porism", *words]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr, text=True)
    end = time.monotonic() + 400
    while not reached() and time.monotonic() < end and child.poll() is None:
        time.sleep(0.01)
    return child


def saved(target: Path) -> bool:
    """Whether a training has a whole checkpoint."""
    return any((target / "checkpoints").glob("checkpoint-*/complete"))


def metrics(target: Path) -> list[dict[str, float]]:
    return [row for _, row in store.rows(target / "metrics.jsonl")]
