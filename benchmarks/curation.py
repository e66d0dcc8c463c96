"""Deduplication against flat search and semhash, planted contamination, memory of streaming steps, the rule tagger.

python benchmarks/curation.py                       # 10k, 100k and 1M records → results/curation.json
python benchmarks/curation.py --sizes 10000 100000  # without the largest
python benchmarks/curation.py --quick               # 10k and 100k once, a tenth of the flat search: a first look
python benchmarks/curation.py --small               # a few records, to standard output: does it still work?

The same vectors are handed to all sides: Porism's cells, FAISS's flat index with the 500 nearest of each (the method of
Magpie's own script) and semhash. Each run has a process of its own, so that peak memory is its own; sides alternate.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import _kit
from _corpus import Corpus, Records, contaminated, corpus, sentences, vectors
from porism import store

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PORISM_DATA") or ROOT.parent / "shared" / "data")
TARGETS = {
    "ratio_flat": 10,
    "exponent": 1.2,
    "recall_planted": 0.98,
    "precision": 0.99,
    "peak_gb_at_1M": 8,
    "contamination_recall": {"verbatim": 0.99, "renamed": 0.99},
    "false_alarms": 0.001,
}
THRESHOLD = 0.975
"""Cosine: Magpie's squared distance of 0.05."""
NEIGHBOURS = 500
SENTENCES = 4_000
"""What records are made of: enough that two records seldom have two of them in common by chance."""
LONGEST_FLAT = 100_000
"""Beyond, the time of the flat search is extrapolated with the square of the size."""
SUBJECTS = {"counting & probability": "counting and probability"}
AS_IN_MATH = {
    "arithmetic": "prealgebra",
    "statistics": "prealgebra",
    "linear algebra": "precalculus",
    "calculus": "precalculus",
}


def porism_semantic(given: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a record with what stands for its cluster."""
    from porism.curate import _cells
    from porism.curate._clusters import settle

    def find(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        some = given if len(places) == len(given) else given[places]
        found, _, _ = _cells.alike(some, THRESHOLD, best=len(places) == len(given))
        return places[found.first], places[found.second], found.complete

    heads = settle(len(given), find)
    return [(at, head) for at, head in enumerate(heads.tolist()) if at != head]


def flat(given: np.ndarray) -> list[tuple[int, int]]:
    """All pairs, by an exact index: each with the earliest of its 500 nearest that is close enough."""
    import faiss

    index = faiss.IndexFlatL2(given.shape[1])
    index.add(given)
    limit = 2 - 2 * THRESHOLD
    found = []
    wanted = round(len(given) * float(os.environ.get("FLAT_SHARE", "1")))
    for start in range(0, wanted, 1_000):
        distances, places = index.search(given[start : start + 1_000], min(NEIGHBOURS, len(given)))
        for row in range(len(distances)):
            near = [int(at) for at in places[row][distances[row] < limit] if at < start + row]
            if near:
                found.append((start + row, min(near)))
    return found


def semhash(given: np.ndarray) -> list[tuple[int, int]]:
    """Semhash with its defaults."""
    from semhash import SemHash

    class Unused:
        def encode(self, inputs: Any, **_: Any) -> np.ndarray:
            raise RuntimeError(f"{len(inputs)} records were to be embedded again")

    names = [str(at) for at in range(len(given))]
    made = SemHash.from_embeddings(embeddings=given, records=names, model=Unused())
    done = made.self_deduplicate(threshold=THRESHOLD)
    return [(int(one.record), int(one.duplicate_of)) for one in done.filtered]


def near(folder: Path) -> list[tuple[int, int]]:
    """Porism's near-duplicates of the texts."""
    from porism.curate._similar import find

    found = find(Records(_load(folder), sentences(DATA, _limit(folder))), method="near", by="question")
    return [(at, head) for at, head in enumerate(found.head.tolist()) if at != head]


SIDES = {"porism": porism_semantic, "flat": flat, "semhash": semhash}


def one(side: str, folder: Path) -> dict[str, Any]:
    """One run of one side on one corpus, timed from the vectors (or texts) in memory to the pairs."""
    if side == "near":
        began = time.perf_counter()
        pairs = near(folder)
    else:
        given = np.load(folder / "vectors.npy")
        began = time.perf_counter()
        pairs = SIDES[side](given)
    seconds = time.perf_counter() - began
    if side == "flat":  # every query costs the same
        seconds /= float(os.environ.get("FLAT_SHARE", "1"))
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's memory too
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    return {"seconds": round(seconds, 3), "peak_gb": round(peak, 2), **_quality(side, folder, pairs)}


def _quality(side: str, folder: Path, pairs: list[tuple[int, int]]) -> dict[str, Any]:
    """How many planted twins were found, and how many of those found are twins: planted, or alike by what they are of.

    Only planted twins that are as similar as the threshold asks are expected of the semantic sides.
    """
    made = _load(folder)
    planted = np.flatnonzero(made.original >= 0)
    if side != "near":
        given = np.load(folder / "vectors.npy", mmap_mode="r")
        cosine = np.array([float(given[at] @ given[made.original[at]]) for at in planted])
        planted = planted[cosine >= THRESHOLD]
    group = dict(pairs)
    together = sum(
        group.get(int(at), int(at)) == group.get(int(made.original[at]), int(made.original[at])) for at in planted
    )
    false = 0
    for at, other in pairs:
        shared = Counter(made.parts[at].tolist()) & Counter(made.parts[other].tolist())
        false += shared.total() < 2
    return {
        "dropped": len(pairs),
        "planted": len(planted),
        "recall_planted": round(together / max(1, len(planted)), 4),
        "precision": round(1 - false / max(1, len(pairs)), 4),
    }


def _load(folder: Path) -> Corpus:
    kept = np.load(folder / "corpus.npz")
    return Corpus(kept["parts"], kept["changed"], kept["original"])


def _limit(folder: Path) -> int:
    return int(np.load(folder / "corpus.npz")["limit"])


def measured(side: str, folder: Path) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--one", side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{folder.name} {side}: {found}\n")
    return found


def duplicates(sizes: list[int], rounds: int, limit: int, scratch: Path, *, quick: bool) -> dict[str, Any]:
    """Every side at every size, in turns."""
    results: dict[str, Any] = {}
    texts = sentences(DATA, limit)
    for size in sizes:
        folder = scratch / str(size)
        folder.mkdir()
        made = corpus(size, len(texts.plain))
        np.savez(folder / "corpus.npz", parts=made.parts, changed=made.changed, original=made.original, limit=limit)
        np.save(folder / "vectors.npy", vectors(made, texts))
        sides = ["porism", "near", *(["semhash"] if size < LONGEST_FLAT or not quick else [])]
        sides += ["flat"] if size <= LONGEST_FLAT else []
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(1 if size > LONGEST_FLAT else rounds):
            for side in sides:
                runs[side].append(measured(side, folder))
        results[str(size)] = {
            side: {
                **done[-1],
                "seconds": [run["seconds"] for run in done],
                "peak_gb": max(run["peak_gb"] for run in done),
            }
            for side, done in runs.items()
        }
        (folder / "vectors.npy").unlink()
    return results


def _seconds(results: dict[str, Any], size: int, side: str) -> float:
    return float(statistics.median(results[str(size)][side]["seconds"]))


def ratios(results: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    """The figures that have targets."""
    compared = max(size for size in sizes if size <= LONGEST_FLAT)
    peer = max(size for size in sizes if "semhash" in results[str(size)])
    found: dict[str, Any] = {
        "ratio_flat": round(_seconds(results, compared, "flat") / _seconds(results, compared, "porism"), 1),
        "ratio_flat_at": compared,
        "ratio_semhash": round(_seconds(results, peer, "semhash") / _seconds(results, peer, "porism"), 1),
        "ratio_semhash_at": peer,
    }
    largest = max(sizes)
    if largest > compared:
        growth = math.log(largest / compared)
        for side in ("porism", "near", "semhash"):
            times = _seconds(results, largest, side) / _seconds(results, compared, side)
            found[f"exponent_{side}"] = round(math.log(times) / growth, 3)
        flat_seconds = _seconds(results, compared, "flat") * (largest / compared) ** 2
        found["flat_extrapolated_seconds"] = round(flat_seconds)
        found["ratio_flat_at_largest"] = round(flat_seconds / _seconds(results, largest, "porism"), 1)
    return found


def contamination(of_each: int, clean: int, *, quick: bool) -> dict[str, Any]:
    """Recall by kind, with the default methods, with numbers kept apart, and with embeddings too."""
    from porism.curate import _matching

    rows, test = contaminated(DATA, of_each, clean)
    train = [row["question"] for _, row in store.rows(DATA / "gsm8k_train.jsonl")][:clean]
    gsm8k = [row["question"] for _, row in store.rows(DATA / "gsm8k_test.jsonl")]
    found: dict[str, Any] = {"rows": len(rows), "test_questions": len(test)}
    plain = ["exact", "ngrams", "near"]
    for name, methods, numbers in (
        ("default", plain, "alike"),
        ("numbers_apart", plain, "apart"),
        *([] if quick else [("with_semantic", [*plain, "semantic"], "alike")]),
    ):
        began = time.perf_counter()
        hits = _matching.Matcher(test, methods=methods, numbers=numbers).hits([question for _, question in rows])
        seconds = time.perf_counter() - began
        kinds = Counter(kind for kind, _ in rows)
        caught = Counter(kind for (kind, _), hit in zip(rows, hits, strict=True) if hit)
        false = [
            (question, gsm8k[hit.place], hit.label, hit.score)
            for question, hit in zip(
                train, _matching.Matcher(gsm8k, methods=methods, numbers=numbers).hits(train), strict=True
            )
            if hit
        ]
        found[name] = {
            "recall": {kind: round(caught[kind] / count, 4) for kind, count in sorted(kinds.items()) if kind},
            "false_alarms_gsm8k_train": len(false),
            "false_alarm_rate": round(len(false) / len(train), 5),
            "alarms": [f"{label} {score}: {one[:160]!r} / {other[:160]!r}" for one, other, label, score in false[:8]],
            "seconds": round(seconds, 1),
        }
    return found


def streaming(sizes: list[int], scratch: Path) -> dict[str, Any]:
    """Peak memory of steps that go through their input, at two sizes, each in a process of its own."""
    found: dict[str, Any] = {}
    steps: dict[str, dict[str, Any]] = {
        "filter": {"where": "contains(question, '7')"},
        "tag": {"tags": ["language", "words"]},
        "decontaminate": {"against": [str(scratch / "test.jsonl")], "action": "drop"},
    }
    (scratch / "test.jsonl").write_text('{"question": "How many figs does the baker have left over?", "answer": "3"}\n')
    for size in sizes:
        rows = scratch / f"rows-{size}.jsonl"
        with rows.open("w", encoding="utf-8") as file:
            for at in range(size):
                row = {
                    "question": f"How much is {at} and {at * 7} and what is left of {at % 97}?",
                    "answer": str(at * 8),
                }
                file.write(json.dumps(row) + "\n")
        for step, settings in steps.items():
            out = scratch / f"{step}-{size}"
            code = (
                "import json, sys\nfrom porism import pipeline\n"
                "m = pipeline.execute(pipeline.prepare('curate', sys.argv[1], json.loads(sys.argv[2])), sys.argv[3])\n"
                "print(json.dumps({'peak_mb': m.peak_memory_mb, 'seconds': m.seconds}))"
            )
            values = json.dumps({"input": [str(rows)], **settings})
            command = [sys.executable, "-c", code, step, values, str(out)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.setdefault(step, {})[str(size)] = json.loads(done.stdout.splitlines()[-1])
            sys.stderr.write(f"streaming {step} {size}: {found[step][str(size)]}\n")
        rows.unlink()
    return found


def tagger() -> dict[str, Any]:
    """Accuracy of the rules on MATH-500's labels: they were written with the even rows in view, not the odd ones."""
    from porism.curate import _rules

    rows = [row for _, row in store.rows(DATA / "math500_test.jsonl")]
    found = {}
    for name, some in (("even_rows", rows[::2]), ("odd_rows", rows[1::2])):
        labels = [row["subject"].casefold() for row in some]
        subjects = [_rules.subject(row["problem"]) for row in some]
        levels = [_rules.difficulty(row["problem"], row["solution"]) for row in some]
        alone = [_rules.difficulty(row["problem"]) for row in some]
        true = [row["level"] for row in some]
        right = [
            AS_IN_MATH.get(ours, ours) == SUBJECTS.get(label, label)
            for ours, label in zip(subjects, labels, strict=True)
        ]
        found[name] = {
            "problems": len(some),
            "subject_accuracy": round(statistics.mean(right), 3),
            "commonest_subject": round(max(Counter(labels).values()) / len(some), 3),
            "level": _levels(levels, true),
            "level_from_the_question_alone": _levels(alone, true),
        }
    return found


def _levels(ours: list[int], true: list[int]) -> dict[str, float]:
    return {
        "exact": round(statistics.mean(one == other for one, other in zip(ours, true, strict=True)), 3),
        "within_1": round(statistics.mean(abs(one - other) <= 1 for one, other in zip(ours, true, strict=True)), 3),
        "correlation": round(statistics.correlation(ours, true), 3) if len(set(ours)) > 1 else 0.0,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few records, printed, not stored")
    parser.add_argument("--quick", action="store_true", help="a first look, also on a busy machine")
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000, 1_000_000], help="records")
    parser.add_argument("--rounds", type=int, default=3, help="how often sides take turns up to 100,000 records")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        sys.stdout.write(json.dumps(one(chosen.one[0], Path(chosen.one[1]))) + "\n")
        return
    if not (DATA / "gsm8k_train.jsonl").is_file():
        sys.stdout.write(json.dumps({"command": "", "skipped": f"no data in {DATA}; set PORISM_DATA"}) + "\n")
        return
    sizes, rounds = ([1_000, 2_000], 1) if chosen.small else (sorted(chosen.sizes), chosen.rounds)
    lines = [200, 400] if chosen.small else [100_000, 1_000_000]
    if chosen.quick:
        sizes, rounds, lines = [10_000, 100_000], 1, [10_000, 100_000]
        os.environ["FLAT_SHARE"] = "0.1"
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        results = duplicates(sizes, rounds, 150 if chosen.small else SENTENCES, scratch, quick=chosen.quick)
        result = {
            **ratios(results, sizes),
            "targets": TARGETS,
            "duplicates": results,
            "threshold": THRESHOLD,
            "contamination": contamination(
                *((20, 200) if chosen.small else (200, 9_000)), quick=chosen.quick or chosen.small
            ),
            "streaming": streaming(lines, scratch),
            "tagger_on_math500": tagger(),
            "command": " ".join(["python benchmarks/curation.py", *sys.argv[1:]]),
        }
    _kit.finish("curation", result, ["porism", "faiss-cpu", "semhash", "numpy", "torch"], small=chosen.small)


if __name__ == "__main__":
    main()
