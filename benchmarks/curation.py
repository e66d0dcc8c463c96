"""Deduplication against flat search and semhash, planted contamination, memory of streaming steps, the rule tagger.

python benchmarks/curation.py                       # 10k, 100k and 1M records → results/curation.json
python benchmarks/curation.py --sizes 10000 100000  # without the largest
python benchmarks/curation.py --quick               # 10k and 100k once, a tenth of the flat search: a first look
python benchmarks/curation.py --small               # a few records, to standard output: does it still work?

The same vectors are handed to all sides: Porism's cells, FAISS's flat index with the 500 nearest of each (the method of
Magpie's own script) and semhash. Each run has a process of its own, so that peak memory is its own; sides alternate.

Up to 100,000 records there are three rounds. There the flat search, which takes minutes, does a third of its queries in
each round, so that all pairs are compared once; its seconds are those of a round times three. One million records are
run once, and the flat search is extrapolated. A side that is not done after ``--limit`` seconds is stopped, which the
result says, and it is not started at a size at which it would take longer, going by the size before.

Each run is stored as soon as it is done (``results/curation.partial.json``). The same command goes on after an
interruption; it begins anew where the code, the versions or the sizes are others.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import _kit
from _corpus import corpus, sentences, vectors
from _leaks import contamination, streaming, tagger
from _twins import LONGEST_FLAT, THRESHOLD, one, store_corpus
from porism import store

ROOT = Path(__file__).parents[1]
PARTIAL = _kit.RESULTS / "curation.partial.json"
PACKAGES = ["porism", "faiss-cpu", "semhash", "numpy", "torch"]
TARGETS = {
    "ratio_flat": 10,
    "exponent": 1.2,
    "recall_planted": 0.98,
    "precision": 0.99,
    "peak_gb_at_1M": 8,
    "contamination_recall": {"verbatim": 0.99, "renamed": 0.99},
    "false_alarms": 0.001,
}
LONG = 60
"""Seconds of one run of semhash beyond which it is not repeated."""
SENTENCES = 4_000
"""What records are made of: enough that two records seldom have two of them in common by chance."""
OURS = ("porism", "near")
PLAIN = ["exact", "ngrams", "near"]


class Plan(NamedTuple):
    """What is measured."""

    sizes: list[int]
    rounds: int
    flat_parts: int
    """Parts of the flat search, one a round."""
    limit: float
    """Seconds after which a side is stopped."""
    sentences: int
    of_each: int
    clean: int
    lines: list[int]
    with_semantic: bool


class Parts:
    """What is done, on disk as soon as it is.

    Args:
        file: where it is kept; nowhere if None.
        key: what the figures depend on.
    """

    def __init__(self, file: Path | None, key: str) -> None:
        self._file, self._key = file, key
        kept = store.load_json(file) if file and file.is_file() else {}
        self._done: dict[str, Any] = kept["parts"] if kept.get("key") == key else {}

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """What a part gave, made now if it is not done yet."""
        if name not in self._done:
            began = time.perf_counter()
            self._done[name] = make()
            seconds = time.perf_counter() - began
            sys.stderr.write(f"{name} ({seconds:.0f} s): {json.dumps(self._done[name])[:400]}\n")
            if self._file:
                store.write_json(self._file, {"key": self._key, "parts": self._done})
        return self._done[name]

    def has(self, name: str) -> bool:
        """Whether a part is done."""
        return name in self._done


def measured(side: str, folder: Path, part: int, of: int, limit: float | None) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--one", side, str(folder), str(part), str(of)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"stopped_after": limit}
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def duplicates(plan: Plan, parts: Parts, scratch: Path) -> dict[str, Any]:
    """Every side at every size, in turns."""
    results: dict[str, Any] = {}
    for size in plan.sizes:
        sides = ["porism", "near", "semhash", *(["flat"] if size <= LONGEST_FLAT else [])]
        rounds = 1 if size > LONGEST_FLAT else plan.rounds
        folder = scratch / str(size)
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for number in range(rounds):
            for side in sides:
                if side == "semhash" and (left := _left_out(results, plan, size, runs[side])):
                    runs[side] = runs[side] or [{"not_run": left}]
                    continue
                name = f"{size} {side} {number}"
                if not parts.has(name) and not folder.is_dir():
                    _made(size, plan.sentences, folder)
                share = (number, plan.flat_parts) if side == "flat" else (0, 1)
                limit = plan.limit if side == "semhash" else None
                run = parts.get(name, functools.partial(measured, side, folder, *share, limit))
                runs[side].append(run)
        results[str(size)] = {side: _summed(side, done) for side, done in runs.items()}
        (folder / "vectors.npy").unlink(missing_ok=True)
    return results


def _made(size: int, limit: int, folder: Path) -> None:
    folder.mkdir()
    texts = sentences(_kit.DATA, limit)
    made = corpus(size, len(texts.plain))
    store_corpus(folder, made, vectors(made, texts), limit)


def _left_out(results: dict[str, Any], plan: Plan, size: int, runs: list[dict[str, Any]]) -> str:
    """Why semhash is not run, or not once more; empty if it is."""
    if runs:
        return "once is enough" if runs[0].get("seconds", math.inf) > LONG else ""
    before = max((smaller for smaller in plan.sizes if smaller < size), default=0)
    if not before:
        return ""
    if "seconds" not in results[str(before)]["semhash"]:
        return "it was not done at a smaller size"
    expected = _seconds(results, before, "semhash") * size / before
    return f"at least {expected:.0f} s are expected" if expected > plan.limit else ""


def _summed(side: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of one side at one size; parts of the flat search are added up."""
    if "seconds" not in runs[0]:
        return runs[0]
    names = ("dropped", "planted", "found", "not_planted", "false", "planted_close", "found_close")
    whole = {
        name: sum(run[name] for run in runs) if side == "flat" else runs[-1][name] for name in names if name in runs[-1]
    }
    drops = whole["dropped"] - whole["not_planted"]
    return {
        "seconds": [run["seconds"] for run in runs],
        "peak_gb": max(run["peak_gb"] for run in runs),
        **whole,
        "recall_planted": round(whole["found"] / max(1, whole["planted"]), 4),
        "precision": round(1 - whole["false"] / max(1, drops), 4),
        "examples": runs[-1]["examples"],
    }


def _seconds(results: dict[str, Any], size: int, side: str) -> float:
    return float(statistics.median(results[str(size)][side]["seconds"]))


def ratios(results: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    """The figures that have targets, and the ratio to semhash at the largest size that it was done with."""
    compared, largest = max(size for size in sizes if size <= LONGEST_FLAT), max(sizes)
    found: dict[str, Any] = {
        "ratio_flat": round(_seconds(results, compared, "flat") / _seconds(results, compared, "porism"), 1),
        "ratio_flat_at": compared,
    }
    peer = max((size for size in sizes if "seconds" in results[str(size)]["semhash"]), default=0)
    if peer:
        ratio = _seconds(results, peer, "semhash") / _seconds(results, peer, "porism")
        found |= {"ratio_semhash": round(ratio, 1), "ratio_semhash_at": peer}
    if largest > compared:
        for side in OURS:
            times = _seconds(results, largest, side) / _seconds(results, compared, side)
            found[f"exponent_{side}"] = round(math.log(times) / math.log(largest / compared), 3)
        flat_seconds = _seconds(results, compared, "flat") * (largest / compared) ** 2
        found["flat_extrapolated_seconds"] = round(flat_seconds)
        found["ratio_flat_at_largest"] = round(flat_seconds / _seconds(results, largest, "porism"), 1)
    for side in OURS:
        at = [results[str(size)][side] for size in sizes]
        found[f"recall_planted_{side}"] = min(one["recall_planted"] for one in at)
        found[f"precision_{side}"] = min(one["precision"] for one in at)
        found[f"peak_gb_{side}"] = at[-1]["peak_gb"]
    return found


def leaks(plan: Plan, parts: Parts) -> dict[str, Any]:
    """Planted contamination with the default methods, with numbers kept apart, and with embeddings too."""
    ways = [("default", PLAIN, "alike"), ("numbers_apart", PLAIN, "apart")]
    ways += [("with_semantic", [*PLAIN, "semantic"], "alike")] if plan.with_semantic else []
    return {
        name: parts.get(
            f"contamination {name}",
            functools.partial(contamination, _kit.DATA, plan.of_each, plan.clean, methods, numbers),
        )
        for name, methods, numbers in ways
    }


def memory(plan: Plan, parts: Parts, scratch: Path) -> dict[str, Any]:
    """Peak memory of streaming steps at two sizes, and by how much it grows."""
    at = {str(size): parts.get(f"streaming {size}", functools.partial(streaming, size, scratch)) for size in plan.lines}
    first, last = at[str(plan.lines[0])], at[str(plan.lines[-1])]
    return {
        step: {
            **{size: found[step] for size, found in at.items()},
            "growth_mb": round(last[step]["peak_mb"] - first[step]["peak_mb"], 1),
        }
        for step in first
    }


def _key(plan: Plan) -> str:
    """A hash of all that the figures depend on."""
    files = sorted([*(ROOT / "src/porism/curate").glob("*.*"), *Path(__file__).parent.glob("_*.py"), Path(__file__)])
    told = json.dumps([list(plan), _kit.versions(PACKAGES), _kit.machine()]).encode()
    return hashlib.sha256(b"\0".join([told, *(file.read_bytes() for file in files)])).hexdigest()


def _plan(chosen: argparse.Namespace) -> Plan:
    if chosen.small:
        return Plan([1_000, 2_000], 1, 1, chosen.limit, 150, 20, 200, [200, 400], with_semantic=False)
    if chosen.quick:
        return Plan(
            [10_000, 100_000], 1, 10, chosen.limit, SENTENCES, 200, 9_000, [10_000, 100_000], with_semantic=False
        )
    sizes, lines = sorted(chosen.sizes), [100_000, 1_000_000]
    return Plan(sizes, chosen.rounds, chosen.rounds, chosen.limit, SENTENCES, 200, 9_000, lines, with_semantic=True)


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few records")
    parser.add_argument("--quick", action="store_true", help="a first look, also on a busy machine")
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000, 1_000_000], help="records")
    parser.add_argument("--rounds", type=int, default=3, help="how often sides take turns up to 100,000 records")
    parser.add_argument("--limit", type=float, default=400.0, help="seconds after which semhash is stopped")
    parser.add_argument("--one", nargs=4, metavar=("SIDE", "FOLDER", "PART", "OF"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        side, folder, part, of = chosen.one
        sys.stdout.write(json.dumps(one(side, Path(folder), _kit.DATA, int(part), int(of))) + "\n")
        return
    if not _kit.has_data("gsm8k_train.jsonl"):
        return
    plan = _plan(chosen)
    parts = Parts(None if chosen.small else PARTIAL, _key(plan))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tags = parts.get("tagger", functools.partial(tagger, _kit.DATA))
        found = leaks(plan, parts)
        results = duplicates(plan, parts, scratch)
        flat_memory = memory(plan, parts, scratch)
    result = {
        **ratios(results, plan.sizes),
        "contamination_recall": found["default"]["recall"],
        "false_alarms": found["default"]["false_alarm_rate"],
        "streaming_growth_mb": {step: one["growth_mb"] for step, one in flat_memory.items()},
        "targets": TARGETS,
        "duplicates": results,
        "threshold": THRESHOLD,
        "rounds": {
            size: {side: len(one.get("seconds", [])) for side, one in at.items()} for size, at in results.items()
        },
        "flat_parts": plan.flat_parts,
        "contamination": found,
        "streaming": flat_memory,
        "tagger_on_math500": tags,
        "command": " ".join(["python benchmarks/curation.py", *sys.argv[1:]]),
    }
    _kit.finish("curation", result, PACKAGES, small=chosen.small)
    if not chosen.small:
        PARTIAL.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
