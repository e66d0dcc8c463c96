"""Retrieval: planted neighbours among 10,000 questions, leaks, and the speed and memory of the index against FAISS.

python benchmarks/knowledge.py             # → results/knowledge.json
python benchmarks/knowledge.py --small     # a few hundred questions, to standard output: does it still work?

The index holds questions of GSM8K, AQuA and StrategyQA as solved problems. The queries are questions of it that were
changed: other names, words or numbers, sentences in another order, or only half of them. Recall@5 is the share for
which the question that was changed is among the first five. For leaks the same index is asked for the unchanged and
the renamed questions as problems that are to be solved.

The peer is FAISS's flat index: an exact search of the same vectors, one query at a time. Each run has a process of its
own, so that peak memory is its own; the sides alternate, and must find the same five.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import _kit
from _corpus import Neighbour, neighbours, questions
from porism import embeddings, knowledge, store
from porism.knowledge import BuildSettings, Index
from porism.models.names import home
from porism.records import Problem, to_row

ITEMS, OF_EACH, ROUNDS = 10_000, 200, 3
TOP = 5
TIMED = 100
"""Queries that are asked one at a time, to see how long one takes."""
MODES = ("hybrid", "vectors", "words")
TARGETS = {"recall_at_5": 0.95, "own_solutions_found": 0}
PACKAGES = ["porism", "lancedb", "faiss-cpu", "sentence-transformers", "numpy", "torch"]


def prepare(folder: Path, items: int, of_each: int) -> float:
    """Write the questions as solved problems, the queries, and the vectors of both; seconds of embedding."""
    known = questions(_kit.DATA, items)
    planted = neighbours(known, of_each)
    rows = [to_row(Problem(question=text, answer=str(at), solution=f"#### {at}")) for at, text in enumerate(known)]
    (folder / "solved.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    store.write_json(folder / "queries.json", [list(one) for one in planted])
    began = time.perf_counter()
    vectors = embeddings.embed(known)
    seconds = time.perf_counter() - began
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "asked.npy", embeddings.embed([one.question for one in planted], cache=False))
    return seconds


def one(side: str, folder: Path) -> dict[str, Any]:
    """One run of one side; its peak memory is added."""
    sides: dict[str, Callable[[Path], dict[str, Any]]] = {
        "build": build,
        "again": build,
        "porism": nearest,
        "flat": flat,
        "recall": recall,
    }
    found = sides[side](folder)
    return {**found, "peak_mb": round(peak_mb())}


def peak_mb() -> float:
    """This process's own peak; what ``getrusage`` says is at least that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def build(folder: Path) -> dict[str, Any]:
    """Bring the index up to date; the vectors are in the cache, so that no time is spent on the model."""
    embeddings.fingerprint()  # what is imported for it is not counted
    settings = BuildSettings(input=[str(folder / "solved.jsonl")], index=str(folder / "index"))
    made = knowledge.build(settings)
    size = sum(file.stat().st_size for file in (folder / "index").rglob("*") if file.is_file())
    return {"items": made.items, "added": made.added, "seconds": made.seconds, "disk_mb": round(size / 2**20, 1)}


def nearest(folder: Path) -> dict[str, Any]:
    """The store alone: vectors in, the five nearest out."""
    from porism.knowledge._stores import connect

    kept = connect(str(folder / "index"))
    vectors = np.load(folder / "asked.npy")
    kept.nearest(vectors[0], TOP)
    began = time.perf_counter()
    found = [[name for name, _ in kept.nearest(vector, TOP)] for vector in vectors]
    seconds = time.perf_counter() - began
    names = sorted({name for row in found for name in row})
    places = {name: int(json.loads(data)["answer"]) for name, data in kept.get(names).items()}
    return {"seconds": round(seconds, 4), "queries": len(vectors), "found": [[places[n] for n in row] for row in found]}


def flat(folder: Path) -> dict[str, Any]:
    """FAISS, exact."""
    import faiss

    vectors, asked = np.load(folder / "vectors.npy"), np.load(folder / "asked.npy")
    began = time.perf_counter()
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    build_seconds = time.perf_counter() - began
    index.search(asked[:1], TOP)
    began = time.perf_counter()
    found = [index.search(vector[None], TOP)[1][0].tolist() for vector in asked]
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 4),
        "build_seconds": round(build_seconds, 4),
        "queries": len(asked),
        "found": found,
    }


def recall(folder: Path) -> dict[str, Any]:
    """Recall@5 by kind and way of ranking, leaks, and milliseconds a query from the text on."""
    planted = [Neighbour(*row) for row in store.load_json(folder / "queries.json")]
    place = str(folder / "index")
    index = Index(place)
    recalls: dict[str, dict[str, float]] = {}
    for mode in MODES:
        hits: dict[str, list[bool]] = {}
        for query, search in zip(
            planted, index.search_all([query.question for query in planted], top=TOP, mode=mode), strict=True
        ):
            hits.setdefault(query.kind, []).append(any(int(one.item.answer) == query.original for one in search.found))
        everything = [hit for kind in hits.values() for hit in kind]
        recalls[mode] = {kind: round(sum(some) / len(some), 4) for kind, some in {**hits, "all": everything}.items()}
    found = {"recall": recalls, "leaks": leaks(folder, index, planted)}
    os.environ["PORISM_EMBEDDINGS_MB"] = "0"  # from here on every query is embedded
    return {
        **found,
        "query_ms": waited(Index(place), [query.question for query in planted[:: len(planted) // TIMED or 1]]),
    }


def waited(index: Index, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds a query, one at a time: the median."""
    index.search("warm up")
    found: dict[str, float] = {}
    for mode in MODES:
        took = []
        for text in texts:
            began = time.perf_counter()
            index.search(text, top=TOP, mode=mode)
            took.append(1000 * (time.perf_counter() - began))
        found[mode] = round(statistics.median(took), 2)
    return found


def leaks(folder: Path, index: Index, planted: Sequence[Neighbour]) -> dict[str, dict[str, int]]:
    """How often a problem's own solution is found where it must not be, and how often something is found at all."""
    known = [row["question"] for _, row in store.rows(folder / "solved.jsonl")]
    renamed = [query for query in planted if query.kind == "renamed"]
    asked = {
        "verbatim": [Neighbour("verbatim", known[query.original], query.original) for query in renamed],
        "renamed": renamed,
    }
    found: dict[str, dict[str, int]] = {}
    for kind, queries in asked.items():
        problems = [Problem(question=query.question, answer=str(query.original)) for query in queries]
        searches = index.search_all([query.question for query in queries], top=TOP, asked=problems)
        own = sum(
            any(int(each.item.answer) == query.original for each in search.found)
            for query, search in zip(queries, searches, strict=True)
        )
        full = sum(len(search.found) == TOP for search in searches)
        found[kind] = {"problems": len(queries), "own_solutions_found": own, "with_five_others": full}
    return found


def measured(side: str, folder: Path) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--one", side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{side}: {json.dumps({name: value for name, value in found.items() if name != 'found'})}\n")
    return found


def compare(folder: Path, items: int, of_each: int, rounds: int) -> dict[str, Any]:
    """All runs."""
    embedding = prepare(folder, items, of_each)
    built, again = measured("build", folder), measured("again", folder)
    runs: dict[str, list[dict[str, Any]]] = {"porism": [], "flat": []}
    for _ in range(rounds):
        for side, done in runs.items():
            done.append(measured(side, folder))
    same = [
        set(ours) == set(theirs)
        for ours, theirs in zip(runs["porism"][0]["found"], runs["flat"][0]["found"], strict=True)
    ]
    if sum(same) < 0.999 * len(same):  # equal cosines may be told apart differently
        raise SystemExit(f"the two sides find other neighbours of {len(same) - sum(same)} queries of {len(same)}")
    seconds = {side: [run["seconds"] for run in done] for side, done in runs.items()}
    rates = {side: runs[side][0]["queries"] / statistics.median(took) for side, took in seconds.items()}
    searched = measured("recall", folder)
    return {
        "recall_at_5": searched["recall"]["hybrid"]["all"],
        "own_solutions_found": sum(each["own_solutions_found"] for each in searched["leaks"].values()),
        "ratio_flat": round(rates["porism"] / rates["flat"], 3),
        "targets": TARGETS,
        "recall": searched["recall"],
        "leaks": searched["leaks"],
        "items": built["items"],
        "planted": runs["porism"][0]["queries"],
        "embedding": {"seconds": round(embedding, 1), "items_per_second": round(items / embedding, 1)},
        "index": {
            "seconds": built["seconds"],
            "seconds_when_nothing_is_new": again["seconds"],
            "disk_mb": built["disk_mb"],
            "flat_seconds": runs["flat"][0]["build_seconds"],
        },
        "query_ms_from_the_text_on": searched["query_ms"],
        "queries_per_second_of_vectors": {side: round(rate, 1) for side, rate in rates.items()},
        "seconds": seconds,
        "peak_mb": {
            "build": built["peak_mb"],
            "search_from_the_text_on": searched["peak_mb"],
            **{f"{side}_vectors_only": max(run["peak_mb"] for run in done) for side, done in runs.items()},
        },
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few hundred questions")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        sys.stdout.write(json.dumps(one(chosen.one[0], Path(chosen.one[1]))) + "\n")
        return
    if not _kit.has_data("gsm8k_train.jsonl"):
        return
    embeddings.fingerprint()  # the encoder comes into the usual cache
    models = home() / "models"
    items, of_each, rounds = (300, 5, 1) if chosen.small else (ITEMS, OF_EACH, ROUNDS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        own = folder / "home"
        own.mkdir()
        (own / "models").symlink_to(models)
        os.environ["PORISM_HOME"] = str(own)  # vectors of earlier runs would cost nothing
        result = compare(folder, items, of_each, rounds)
    command = f"python benchmarks/knowledge.py{' --small' if chosen.small else ''}"
    _kit.finish("knowledge", {**result, "command": command}, PACKAGES, small=chosen.small)


if __name__ == "__main__":
    main()
