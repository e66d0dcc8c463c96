"""A GRPO step against TRL's GRPOTrainer: seconds of a step, and what of it is roll-out, grading and learning.

python benchmarks/rl.py            # → results/rl.json
python benchmarks/rl.py --small    # two short steps, to standard output: does it still work?

8 problems × 8 answers × 128 tokens with SmolLM2-135M, all weights, the same problems, prompts and reward on both sides,
through the same command. No token ends an answer on either side, so that each has exactly 128 tokens and both do the
same work; that is checked. TRL is swept over the problems whose answers are in memory at once, and over dtypes where
the processor multiplies bfloat16 natively; then the two sides take turns, each run in a process of its own. The first
step is not counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _kit import finish
from porism import console, pipeline, store
from porism.models.load import load
from porism.models.machine import choose_dtype
from porism.problems import procedural
from porism.records import to_row

MODEL = "smollm2-135m"
TARGET = 5
PROBLEMS, SAMPLES, TOKENS = 8, 8, 128
THREADS = len(os.sched_getaffinity(0))
OURS = 1
"""Problems at once on our side: the scores of so few answers are kept for the backward pass, and not computed again."""

REWARD = '''
def reward(prompts, completions, **columns):
    """The share of digits: cheap, the same on both sides, and never the same for all answers."""
    return [sum(letter.isdigit() for letter in one[0]["content"]) / (1 + len(one[0]["content"])) for one in completions]
'''


def endless(folder: Path) -> Path:
    """The model with no token that ends an answer, so that all answers have the same length."""
    loaded = load(MODEL)
    loaded.model.generation_config.eos_token_id = None
    loaded.model.config.eos_token_id = None
    target = folder / "endless"
    loaded.model.save_pretrained(target)
    tokenizer: Any = loaded.tokenizer
    tokenizer.add_tokens(["<|never|>"], special_tokens=True)
    tokenizer.eos_token = "<|never|>"  # noqa: S105  (a token of text)
    tokenizer.save_pretrained(target)
    return target


def cell(asked: dict[str, Any]) -> dict[str, Any]:
    """One training in this process: seconds of each step after the first, and of its parts."""
    from porism.train import _progress

    ends: list[float] = []
    plain = _progress.Progressing.on_step_end

    def timed(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        ends.append(time.perf_counter())
        plain(self, args, state, control, **more)

    _progress.Progressing.on_step_end = timed  # type: ignore[method-assign]
    manifest = pipeline.execute(pipeline.prepare("train", "rl", asked["settings"]), asked["output"])
    steps = [row for _, row in store.rows(Path(asked["output"]) / "metrics.jsonl")]
    seconds = [later - earlier for earlier, later in itertools.pairwise(ends)]
    parts: dict[str, Any] = {}
    if "seconds_rollout" in steps[-1]:
        rollout, grading = (
            statistics.fmean(row[f"seconds_{name}"] for row in steps[1:]) for name in ("rollout", "grading")
        )
        whole = statistics.fmean(seconds)
        parts = {
            "rollout": round(rollout, 2),
            "grading": round(grading, 2),
            "learning": round(whole - rollout - grading, 2),
        }
    lengths = [row["completion_tokens"] for _, row in store.rows(Path(asked["output"]) / "records.jsonl")]
    return {"seconds": seconds, "parts": parts, "tokens": sum(lengths), "peak_memory_mb": manifest.peak_memory_mb}


def run(backend: str, files: dict[str, str], *, steps: int, micro: int, dtype: str, size: tuple[int, int, int]) -> Any:
    """One training in a process of its own."""
    problems, samples, tokens = size
    asked = {
        "settings": {
            "input": [files["problems"]],
            "model": files["model"],
            "backend": backend,
            "rewards": {f"{files['reward']}:reward": 1.0},
            "batch_size": problems,
            "micro_batch_size": micro,
            "samples": samples,
            "max_tokens": tokens,
            "max_steps": steps,
            "max_truncated": 1.0,
            "max_failed": 1.0,
            "lr": 1e-6,
            "threads": THREADS,
            "dtype": dtype,
            "checkpoint_every": 10_000,
        },
        "output": tempfile.mkdtemp(dir=files["folder"]) + "/out",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--cell", json.dumps(asked)], stdout=subprocess.PIPE, check=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if found["tokens"] != steps * problems * samples * tokens:
        raise SystemExit(f"{backend}: {found['tokens']} tokens, {steps * problems * samples * tokens} were to be made")
    return found


def prepared(folder: Path, problems: int) -> dict[str, str]:
    """Problems, the reward, the model without an end."""
    made = procedural.load("train", tasks={"chain_sum": {"count": 4 * problems, "max_digits": 2}}, seed=3)
    file = folder / "problems.jsonl"
    file.write_text("".join(json.dumps(to_row(one)) + "\n" for one in made), encoding="utf-8")
    reward = folder / "reward.py"
    reward.write_text(REWARD, encoding="utf-8")
    return {"folder": str(folder), "problems": str(file), "reward": str(reward), "model": str(endless(folder))}


def compared(folder: Path, *, steps: int, rounds: int, micros: list[int], size: tuple[int, int, int]) -> dict[str, Any]:
    """Both sides, TRL at its best settings."""
    files = prepared(folder, size[0])
    ours = choose_dtype("auto")
    dtypes = ["float32"] if ours == "float32" else ["float32", "bfloat16"]
    sweep = {}
    for dtype, micro in itertools.product(dtypes, micros):
        found = run("trl", files, steps=2, micro=micro, dtype=dtype, size=size)
        sweep[dtype, micro] = round(statistics.median(found["seconds"]), 1)
        console.notice(f"TRL {dtype}, {micro} problems at once: {sweep[dtype, micro]} s a step")
    best = min(sweep, key=lambda key: sweep[key])
    raw: dict[str, list[list[float]]] = {"porism": [], "trl": []}
    last: dict[str, Any] = {}
    for number in range(rounds):
        for side, (dtype, micro) in (("porism", (ours, OURS)), ("trl", best)):
            last[side] = run(side, files, steps=steps, micro=micro, dtype=dtype, size=size)
            raw[side].append([round(one, 2) for one in last[side]["seconds"]])
            console.notice(f"round {number + 1}: {side} {statistics.fmean(raw[side][-1]):.1f} s a step")
    mean = {side: statistics.median(statistics.fmean(one) for one in runs) for side, runs in raw.items()}
    return {
        "ratio_trl": {"grpo": round(mean["trl"] / mean["porism"], 2)},
        "target": TARGET,
        "seconds_a_step": {side: round(value, 2) for side, value in mean.items()},
        "raw_seconds": raw,
        "porism_split": last["porism"]["parts"],
        "trl_sweep": {f"{dtype}, {micro} problems at once": value for (dtype, micro), value in sweep.items()},
        "settings": {"porism": ours, "trl": f"{best[0]}, {best[1]} problems at once"},
        "peak_memory_mb": {side: found["peak_memory_mb"] for side, found in last.items()},
        "work": "{} problems × {} answers × {} tokens".format(*size),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="two short steps, printed, not stored")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=2, help="of each run; the first is not counted")
    parser.add_argument("--rounds", type=int, default=3, help="in which both sides take turns")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(json.loads(arguments.cell))))
        return
    small = arguments.small
    with tempfile.TemporaryDirectory() as place:
        found = compared(
            Path(place),
            steps=2 if small else arguments.steps,
            rounds=1 if small else arguments.rounds,
            micros=[2] if small else [2, 4, 8],
            size=(2, 2, 8) if small else (PROBLEMS, SAMPLES, TOKENS),
        )
    result = {**found, "command": " ".join(["python benchmarks/rl.py", *sys.argv[1:]]), "threads": THREADS}
    finish("rl", result, ["porism", "torch", "transformers", "trl"], small=small)


if __name__ == "__main__":
    main()
