"""What the tests of synthesis share: an engine that goes by its seed alone, and short ways to run a stage."""

import json
from pathlib import Path
from typing import Any

from porism import pipeline, store

WRITER = '''
from pathlib import Path

from porism.engines.scripted import Scripted

WRITES = (
    "What is {n} + 1?", "Solve {n}x = 12 for x.", "1. Find the area of a square with side {n}.\\nAnswer: no.",
    "How many primes are below {n}?", "assistant\\nIt is {n}.", "Find the sum of", "Compute {n} squared:",
)
ANSWERS = (r"It is \\boxed{4}.", r"I think \\boxed{5}.", r"<think>Hm.</think>So \\boxed{4}.", "I do not know that.")


def start(model: str, *, dies: str = "", lives: int = 2, answers: str = "") -> Scripted:
    """An engine; where the file ``dies`` is, it dies at its next call after so many."""
    calls = []

    def say(request, number):
        if request.messages:
            return answers or ANSWERS[(request.seed + number) % len(ANSWERS)]
        return WRITES[request.seed % len(WRITES)].format(n=request.seed % 997)

    made = Scripted(say)
    calm = made.generate

    def generate(requests, **more):
        calls.append(1)
        if dies and len(calls) > lives and Path(dies).exists():
            raise RuntimeError("died")
        return calm(requests, **more)

    made.generate = generate
    return made
'''


def writer(folder: Path) -> str:
    """The engine's name."""
    file = folder / "writer.py"
    file.write_text(WRITER)
    return f"{file}:start"


def synth(part: str, target: Path, **values: Any) -> store.Manifest:
    """Run a stage."""
    return pipeline.execute(pipeline.prepare("synth", part, values), target)


def magpie(target: Path, **values: Any) -> store.Manifest:
    """Run ``synth magpie`` on the engine above."""
    engine = writer(target.parent)
    return synth("magpie", target, **{"engine": engine, "family": "smollm2", "total": 60, "min_chars": 8, **values})


def rows(target: Path, name: str = "records.jsonl") -> list[dict[str, Any]]:
    """The rows of a file of a stage."""
    return [json.loads(line) for line in (target / name).read_text(encoding="utf-8").splitlines()]


def files(target: Path) -> dict[str, bytes]:
    """What must be equal in two runs."""
    return {file.name: file.read_bytes() for file in target.iterdir() if file.name != "manifest.json"}
