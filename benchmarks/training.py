"""Training against TRL: tokens a second, peak memory and loss curves of SmolLM2-135M on this machine's cores.

python benchmarks/training.py            # → results/training.json
python benchmarks/training.py --small    # a few steps of few rows, to standard output: does it still work?

Supervised fine-tuning of all weights and of adapters, DPO of all weights, on GSM8K's training rows (GSM-Symbolic ones
where that file is absent). Both sides run through the same command with the same rows in the same order, batches of 16
rows and a constant learning rate, so that their losses must agree step by step; that is checked. TRL is swept over the
rows in memory at once, and over dtypes where the processor multiplies bfloat16 natively, on two steps; then the two
sides take turns, each run in a process of its own. The first step is not counted. Tokens are those of the rows, padding
left out; a DPO pair's prompt counts once.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _kit import finish
from porism import console, pipeline, store
from porism.errors import UserError
from porism.models.machine import choose_dtype
from porism.problems import gsm8k
from porism.records import Example, Message, Pair, Problem, Record, to_row

MODEL = "smollm2-135m"
TARGETS = {"sft-full": 3, "sft-lora": 3, "dpo-full": 4}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "sft-full": ("sft", {"method": "full", "lr": 1e-4}),
    "sft-lora": ("sft", {"method": "lora", "lr": 5e-4}),
    "dpo-full": ("dpo", {"method": "full", "lr": 1e-5}),
}
BATCH, SMALL_BATCH = 16, 4
SAME = 0.01
"""Largest relative difference of the losses of a step."""
THREADS = len(os.sched_getaffinity(0))


def questions(count: int) -> tuple[list[Problem], str]:
    """Problems with worked solutions, and where they are from."""
    with contextlib.suppress(UserError):
        found = (row for row in gsm8k.load("train") if isinstance(row, Problem))
        return list(itertools.islice(found, count)), "GSM8K train"
    import reasoning_gym

    data = reasoning_gym.create_dataset("gsm_symbolic", size=count, seed=11)
    made = [
        Problem(question=item["question"], answer=item["answer"], solution=item["metadata"]["answer_cot"])
        for item in data
    ]
    return made, "GSM-Symbolic"


def rows(folder: Path, count: int) -> tuple[dict[str, str], str]:
    """Files of rows for each command: solutions, and solutions against those of other problems."""
    chosen, source = questions(count)
    others = chosen[:]
    random.Random(3).shuffle(others)  # noqa: S311

    def message(role: str, text: str) -> list[Message]:
        return [Message(role=role, content=text)]

    examples: list[Record] = [
        Example(prompt=message("user", one.question), completion=message("assistant", one.solution)) for one in chosen
    ]
    pairs: list[Record] = [
        Pair(
            prompt=message("user", one.question),
            chosen=message("assistant", one.solution),
            rejected=message("assistant", other.solution),
        )
        for one, other in zip(chosen, others, strict=True)
        if one is not other
    ]
    files = {"sft": folder / "sft.jsonl", "dpo": folder / "dpo.jsonl"}
    for name, records in (("sft", examples), ("dpo", pairs)):
        files[name].write_text("".join(json.dumps(to_row(record)) + "\n" for record in records), encoding="utf-8")
    return {name: str(file) for name, file in files.items()}, source


def cell(asked: dict[str, Any]) -> dict[str, Any]:
    """One training run in this process: seconds of each step after the first, losses, tokens, peak memory."""
    from porism.train import _progress

    ends: list[float] = []
    worked: list[float] = []
    plain = _progress.Progressing.on_step_end

    def timed(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        ends.append(time.perf_counter())
        worked.append(time.process_time())
        plain(self, args, state, control, **more)

    _progress.Progressing.on_step_end = timed  # type: ignore[method-assign]
    stage = pipeline.prepare("train", asked["command"], asked["settings"])
    manifest = pipeline.execute(stage, asked["output"])
    steps = [row for _, row in store.rows(Path(asked["output"]) / "metrics.jsonl")]
    return {
        "seconds": [later - earlier for earlier, later in itertools.pairwise(ends)],
        "cpu_seconds": [later - earlier for earlier, later in itertools.pairwise(worked)],
        "losses": [step["loss"] for step in steps],
        "peak_memory_mb": manifest.peak_memory_mb,
    }


def run(
    name: str, backend: str, file: str, folder: Path, *, batch: int, steps: int, micro: int, dtype: str
) -> dict[str, Any]:
    """One training run in a process of its own."""
    command, settings = METHODS[name]
    asked = {
        "command": command,
        "settings": {
            "input": [file],
            "model": MODEL,
            "backend": backend,
            "batch_size": batch,
            "micro_batch_size": micro,
            "max_steps": steps,
            "schedule": "constant_with_warmup",
            "warmup": 0.0,
            "checkpoint_every": 10_000,
            "threads": THREADS,
            "dtype": dtype,
            **settings,
        },
        "output": tempfile.mkdtemp(dir=folder) + "/out",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--cell", json.dumps(asked)], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "settings": f"{dtype}, {micro} rows at once"}


def tokens_of(name: str, file: str, batch: int) -> float:
    """Tokens of a step, on average over all rows: both sides see the same."""
    from porism.models.load import load
    from porism.train import _pairs, _rows

    tokenizer = load(MODEL).tokenizer
    if METHODS[name][0] == "dpo":
        pairs = _pairs.render(tokenizer, _pairs.pairs([file]), 1024)
        sizes = [len(row.prompt) + len(row.chosen) + len(row.rejected) for row in pairs if not row.reason]
    else:
        rendered = _rows.render(tokenizer, _rows.examples([file], allow_unverified=False), 1024)
        sizes = [len(row.tokens.prompt) + len(row.tokens.completion) for row in rendered if not row.reason]
    return batch * statistics.fmean(sizes)


def compared(
    name: str, file: str, folder: Path, *, batch: int, steps: int, rounds: int, micros: Sequence[int]
) -> dict[str, Any]:
    """One method on both sides."""
    dtypes = ["float32"] if choose_dtype("auto") == "float32" else ["float32", "bfloat16"]
    ours = choose_dtype("auto")
    each = tokens_of(name, file, batch)
    sweep = {}
    for dtype, micro in itertools.product(dtypes, micros):
        found = run(name, "trl", file, folder, batch=batch, steps=2, micro=micro, dtype=dtype)
        sweep[dtype, micro] = round(each / statistics.median(found["seconds"]), 1)
        console.notice(f"{name}: TRL {dtype}, {micro} rows at once: {sweep[dtype, micro]} tokens/s")
    best = max(sweep, key=lambda key: sweep[key])
    rates: dict[str, list[float]] = {"porism": [], "trl": []}
    last: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        for side, (dtype, micro) in (("porism", (ours, max(micros))), ("trl", best)):
            last[side] = run(name, side, file, folder, batch=batch, steps=steps, micro=micro, dtype=dtype)
            rates[side].append(round(each * len(last[side]["seconds"]) / sum(last[side]["seconds"]), 1))
            console.notice(f"{name}, round {number + 1}: {side} {rates[side][-1]} tokens/s")
    losses = {side: [round(loss, 5) for loss in found["losses"]] for side, found in last.items()}
    apart = max(abs(a - b) / abs(b) for a, b in zip(losses["porism"], losses["trl"], strict=True))
    if apart > SAME and ours == best[0]:
        raise SystemExit(f"{name}: the losses differ by {apart:.1%}: {losses}")
    return {
        "ratio": round(statistics.median(rates["porism"]) / statistics.median(rates["trl"]), 2),
        "tokens_per_second": rates,
        "peak_memory_mb": {side: found["peak_memory_mb"] for side, found in last.items()},
        "settings": {side: found["settings"] for side, found in last.items()},
        "trl_sweep": {f"{dtype}, {micro} rows at once": rate for (dtype, micro), rate in sweep.items()},
        "cpu_seconds_a_step": {side: round(statistics.fmean(found["cpu_seconds"]), 2) for side, found in last.items()},
        "losses": losses,
        "largest_difference_of_losses": round(apart, 5),
    }


def limit() -> dict[str, float]:
    """Tokens a second that the arithmetic of the linear layers alone allows: three products forward and backward."""
    from porism.models.load import load
    from porism.models.machine import prepare
    from sampling import limit as of_products

    prepare(THREADS)
    found = of_products(choose_dtype("auto"), load(MODEL))
    return {**found, "tokens_per_second": round(found["tokens_per_second"] / 3)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few steps, printed, not stored")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=5, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="in which both sides take turns")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(json.loads(arguments.cell))))
        return
    steps, rounds, micros = (2, 1, [2]) if arguments.small else (arguments.steps, arguments.rounds, [2, 4, 8])
    batch = SMALL_BATCH if arguments.small else BATCH
    names = ["sft-lora"] if arguments.small else list(METHODS)
    with tempfile.TemporaryDirectory() as place:
        files, source = rows(Path(place), batch * (steps + 1))
        found = {
            name: compared(
                name, files[METHODS[name][0]], Path(place), batch=batch, steps=steps, rounds=rounds, micros=micros
            )
            for name in names
        }
    bound = limit()
    result = {
        "ratio_trl": {name: each["ratio"] for name, each in found.items()},
        "targets": TARGETS,
        "rows": source,
        "methods": found,
        "limit": bound,
        "share_of_limit": {
            name: round(statistics.median(each["tokens_per_second"]["porism"]) / bound["tokens_per_second"], 3)
            for name, each in found.items()
        },
        "command": " ".join(["python benchmarks/training.py", *sys.argv[1:]]),
        "threads": THREADS,
    }
    finish("training", result, ["porism", "torch", "transformers", "trl", "peft"], small=arguments.small)


if __name__ == "__main__":
    main()
