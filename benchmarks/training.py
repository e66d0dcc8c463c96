"""Training against TRL: tokens a second, peak memory and loss curves of SmolLM2-135M on this machine's cores.

python benchmarks/training.py            # → results/training.json, about 25 minutes on two cores
python benchmarks/training.py --go-on    # the same, with the cells that an earlier run has finished
python benchmarks/training.py --small    # a few steps of few rows, to standard output: does it still work?

Supervised fine-tuning of all weights and of adapters, DPO of all weights, on GSM8K's training rows (GSM-Symbolic ones
where that file is absent). Both sides run through the same command with the same rows in the same order, equal batches
and a constant learning rate, so that their losses must agree step by step; that is checked. TRL is swept over the rows
in memory at once, its packing (for SFT), and dtypes where the processor multiplies bfloat16 natively, on two steps;
then the two sides take turns, each run in a process of its own. The first step is not counted. Tokens are those of the
rows, padding left out; a DPO pair's prompt counts once. Where TRL packs, its steps hold other rows than ours: its rate
counts all tokens that it logs, and losses are compared with its best setting that does not pack.

Each finished cell is stored at once, so a run that is cut off leaves what it has measured.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import _kit
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
BATCH = {"sft-full": 8, "sft-lora": 8, "dpo-full": 4}
SMALL_BATCH = 4
PACKED = 1024
"""Tokens of a row that TRL packs."""
SAME = 0.01
"""Largest relative difference of the losses of a step."""
THREADS = len(os.sched_getaffinity(0))
PACKAGES = ["porism", "torch", "transformers", "trl", "peft"]


class Way(NamedTuple):
    """How one side runs."""

    side: str
    dtype: str
    micro: int
    """Rows in memory at once."""
    packed: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}, " + ("packed" if self.packed else f"{self.micro} rows at once")


class Cells:
    """Runs by name: each is stored as soon as it is finished.

    Args:
        file: where to; None to store nothing.
        go_on: take those that are there.
    """

    def __init__(self, file: Path | None, *, go_on: bool) -> None:
        self._file = file
        self._there: dict[str, Any] = {}
        if go_on and file and file.is_file():
            self._there = json.loads(file.read_text(encoding="utf-8")).get("cells", {})

    def measured(self, name: str, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell of that name, run now if it is not there."""
        if name not in self._there:
            self._there[name] = run()
            if self._file:
                partial = {"partial": "cut off before its end; see cells", "cells": self._there, "targets": TARGETS}
                _kit.finish("training", {"ratio_trl": {}, **partial, "command": COMMAND}, PACKAGES, small=False)
        found: dict[str, Any] = self._there[name]
        return found

    @property
    def raw(self) -> dict[str, Any]:
        """All of them."""
        return self._there


COMMAND = " ".join(["python benchmarks/training.py", *sys.argv[1:]])


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


def rows(folder: Path, count: int, pairs_count: int) -> tuple[dict[str, str], str]:
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
    for name, records in (("sft", examples), ("dpo", pairs[:pairs_count])):
        files[name].write_text("".join(json.dumps(to_row(record)) + "\n" for record in records), encoding="utf-8")
    return {name: str(file) for name, file in files.items()}, source


def cell(asked: dict[str, Any]) -> dict[str, Any]:
    """One training run in this process: seconds of each step after the first, losses, tokens, peak memory."""
    from porism.train import _progress

    ends: list[float] = []
    worked: list[float] = []
    plain = _progress.Progressing.on_step_end
    watch = _Watch() if asked["profile"] else None

    def timed(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        ends.append(time.perf_counter())
        worked.append(time.process_time())
        if watch:
            watch.step_ended(len(ends))
        plain(self, args, state, control, **more)

    _progress.Progressing.on_step_end = timed  # type: ignore[method-assign]
    if asked["packed"]:
        _let_trl_pack()
    stage = pipeline.prepare("train", asked["command"], asked["settings"])
    manifest = pipeline.execute(stage, asked["output"])
    steps = [row for _, row in store.rows(Path(asked["output"]) / "metrics.jsonl")]
    return {
        "seconds": [later - earlier for earlier, later in itertools.pairwise(ends)],
        "cpu_seconds": [later - earlier for earlier, later in itertools.pairwise(worked)],
        "losses": [round(step["loss"], 6) for step in steps],
        "tokens": [step.get("num_tokens") for step in steps],
        "peak_memory_mb": round(manifest.peak_memory_mb),
        **({"shares": watch.shares()} if watch else {}),
    }


def _let_trl_pack() -> None:
    """Make TRL's trainer lay rows end to end, which Porism's settings for it do not."""
    import trl

    plain = trl.SFTConfig

    def packing(**given: Any) -> Any:
        return plain(**{**given, "packing": True, "packing_strategy": "bfd", "max_length": PACKED})

    trl.SFTConfig = packing


class _Watch:
    """Where the processor's time of the second step goes."""

    def __init__(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        self._profile = profile(activities=[ProfilerActivity.CPU])
        self._began = self._seconds = 0.0

    def step_ended(self, number: int) -> None:
        """Begin after the first step, stop after the second."""
        if number == 1:
            self._profile.start()
            self._began = time.perf_counter()
        elif number == 2:
            self._seconds = time.perf_counter() - self._began
            self._profile.stop()

    def shares(self) -> dict[str, float]:
        """Shares of the step's time: operations' own times by kind, the optimiser, and what is none of these."""
        kinds = {
            "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
            "attention": ("aten::_scaled_dot_product", "aten::_flash_attention", "aten::scaled_dot_product"),
        }
        found = dict.fromkeys([*kinds, "optimiser"], 0.0)
        for event in self._profile.key_averages():
            if event.key.startswith("Optimizer.step"):
                found["optimiser"] += event.cpu_time_total
            for kind, names in kinds.items():
                if event.key.startswith(names):
                    found[kind] += event.self_cpu_time_total
        shares = {name: value / 1e6 / self._seconds for name, value in found.items()}
        shares["the rest: norms, activations, loss, copies, Python"] = max(0.0, 1 - sum(shares.values()))
        return {name: round(share, 3) for name, share in shares.items()}


def run(
    name: str, way: Way, file: str, folder: Path, *, batch: int, steps: int, each: float, watched: bool = False
) -> dict[str, Any]:
    """One training run in a process of its own."""
    command, settings = METHODS[name]
    micro = min(way.micro, batch)
    if way.packed:
        batch, micro = max(1, round(each / PACKED)), 1
    asked = {
        "command": command,
        "settings": {
            "input": [file],
            "model": MODEL,
            "backend": way.side,
            "batch_size": batch,
            "micro_batch_size": micro,
            "max_steps": steps,
            "schedule": "constant_with_warmup",
            "warmup": 0.0,
            "checkpoint_every": 10_000,
            "threads": THREADS,
            "dtype": way.dtype,
            **settings,
        },
        "output": tempfile.mkdtemp(dir=folder) + "/out",
        "packed": way.packed,
        "profile": watched,
    }
    done = subprocess.run(
        [sys.executable, __file__, "--cell", json.dumps(asked)], stdout=subprocess.PIPE, check=not way.packed, text=True
    )
    if done.returncode:
        console.notice(f"{name}: TRL cannot pack here")
        return {"way": str(way), "tokens_per_second": 0.0, "failed": True}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    counted = [count or 0 for count in found["tokens"]]
    made = counted[-1] - counted[0] if way.packed else each * len(found["seconds"])
    rate = round(made / sum(found["seconds"]), 1)
    console.notice(f"{name}: {way.side}, {way}: {rate} tokens/s")
    return {**found, "way": str(way), "tokens_per_second": rate}


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


def ways(name: str, batch: int, *, small: bool) -> list[Way]:
    """TRL's settings that are tried."""
    dtypes = ["float32"] if choose_dtype("auto") == "float32" else ["float32", "bfloat16"]
    micros = [2] if small else [2, batch]
    found = [Way("trl", dtype, micro) for dtype in dtypes for micro in micros]
    if METHODS[name][0] == "sft" and not small:
        found += [Way("trl", dtypes[-1], 1, packed=True)]
    return found


def compared(
    name: str, file: str, folder: Path, cells: Cells, *, steps: int, rounds: int, small: bool
) -> dict[str, Any]:
    """One method on both sides."""
    batch = SMALL_BATCH if small else BATCH[name]
    each = tokens_of(name, file, batch)

    def measured(label: str, way: Way, count: int, *, watched: bool = False) -> dict[str, Any]:
        return cells.measured(
            f"{name}, {label}: {way.side}, {way}",
            lambda: run(name, way, file, folder, batch=batch, steps=count, each=each, watched=watched),
        )

    sweep = {way: measured("sweep", way, 2) for way in ways(name, batch, small=small)}
    best = max(sweep, key=lambda way: float(sweep[way]["tokens_per_second"]))
    plain = max((way for way in sweep if not way.packed), key=lambda way: float(sweep[way]["tokens_per_second"]))
    ours = Way("porism", choose_dtype("auto"), batch)
    found: dict[str, list[dict[str, Any]]] = {"porism": [], "trl": []}
    for number in range(rounds):
        for way in (ours, best):
            found[way.side].append(measured(f"round {number + 1}", way, steps))
    rates = {side: [one["tokens_per_second"] for one in each_side] for side, each_side in found.items()}
    losses = {"porism": found["porism"][-1]["losses"]}
    losses["trl"] = found["trl"][-1]["losses"] if best == plain else sweep[plain]["losses"]
    apart = max(abs(a - b) / abs(b) for a, b in zip(losses["porism"], losses["trl"], strict=False))
    if apart > SAME and ours.dtype == plain.dtype:
        raise SystemExit(f"{name}: the losses differ by {apart:.1%}: {losses}")
    profiled = None if small else measured("profile", ours, 2, watched=True)
    return {
        "ratio": round(statistics.median(rates["porism"]) / statistics.median(rates["trl"]), 2),
        "tokens_per_second": rates,
        "peak_memory_mb": {side: max(one["peak_memory_mb"] for one in each_side) for side, each_side in found.items()},
        "settings": {"porism": str(ours), "trl": str(best)},
        "rows_in_a_step": batch,
        "trl_sweep": {str(way): one["tokens_per_second"] for way, one in sweep.items()},
        "cpu_seconds_a_step": {
            side: round(statistics.fmean(each_side[-1]["cpu_seconds"]), 2) for side, each_side in found.items()
        },
        "losses": losses,
        "largest_difference_of_losses": round(apart, 6),
        **({"where_our_time_goes": profiled["shares"]} if profiled else {}),
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
    parser = _kit.parser(__doc__, "a few steps")
    parser.add_argument("--go-on", action="store_true", help="take the cells that an earlier run has finished")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=3, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="in which both sides take turns")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(json.loads(arguments.cell))))
        return
    steps, rounds = (2, 1) if arguments.small else (arguments.steps, arguments.rounds)
    names = ["sft-lora"] if arguments.small else list(METHODS)
    cells = Cells(None if arguments.small else _kit.RESULTS / "training.json", go_on=arguments.go_on)
    bound = cells.measured("limit", limit)
    with tempfile.TemporaryDirectory() as place:
        files, source = rows(Path(place), 10 * (steps + 1), BATCH["dpo-full"] * (steps + 1))
        found = {
            name: compared(
                name, files[METHODS[name][0]], Path(place), cells, steps=steps, rounds=rounds, small=arguments.small
            )
            for name in names
        }
    result = {
        "ratio_trl": {name: each["ratio"] for name, each in found.items()},
        "targets": TARGETS,
        "rows": source,
        "methods": found,
        "limit": {"dtype": choose_dtype("auto"), **bound},
        "share_of_limit": {
            name: round(statistics.median(each["tokens_per_second"]["porism"]) / bound["tokens_per_second"], 3)
            for name, each in found.items()
        },
        "command": COMMAND,
        "threads": THREADS,
        "cells": cells.raw,
    }
    _kit.finish("training", result, PACKAGES, small=arguments.small)


if __name__ == "__main__":
    main()
