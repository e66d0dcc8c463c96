"""What tests of training methods share: records on disk, and a stage run on the tiny model."""

import json
from pathlib import Path
from typing import Any

from porism import pipeline, store
from porism.records import Message, Pair, Record, to_row


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
    values = {
        "input": [rows],
        "model": str(model),
        "batch_size": 4,
        "micro_batch_size": 2,
        "threads": 1,
        "dtype": "float32",
        "lr": 1e-3,
    }
    return pipeline.execute(pipeline.prepare("train", part, {**values, **settings}), target)


def metrics(target: Path) -> list[dict[str, float]]:
    return [row for _, row in store.rows(target / "metrics.jsonl")]
