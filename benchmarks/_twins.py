"""One run of one side of the deduplication benchmark, and what its pairs are worth.

The same vectors are handed to all sides: Porism's cells, FAISS's flat index with the 500 nearest of each (the method of
Magpie's own script) and semhash. ``near`` is Porism's MinHash on the texts of the same records.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from _corpus import Corpus, Records, Texts, sentences

__all__ = ["LONGEST_FLAT", "THRESHOLD", "one", "store_corpus"]

THRESHOLD = 0.975
"""Cosine: Magpie's squared distance of 0.05."""
NEIGHBOURS = 500
LONGEST_FLAT = 100_000
"""Beyond, the time of the flat search is extrapolated with the square of the size."""
SHOWN = 3
"""Pairs of texts that are kept for a person to look at."""
Pairs = list[tuple[int, int]]


def store_corpus(folder: Path, made: Corpus, vectors: np.ndarray, limit: int) -> None:
    """Keep a corpus where :func:`one` finds it.

    Args:
        folder: an empty one.
        made: the corpus.
        vectors: of its records.
        limit: how many sentences it is made of.
    """
    np.savez(folder / "corpus.npz", parts=made.parts, changed=made.changed, original=made.original, limit=limit)
    np.save(folder / "vectors.npy", vectors)


def one(side: str, folder: Path, data: Path, part: int, of: int) -> dict[str, Any]:
    """One run, timed from the vectors (or texts) in memory to the pairs.

    Args:
        side: ``porism``, ``flat``, ``semhash`` or ``near``.
        folder: of the corpus.
        data: of the real data sets.
        part: which part of the queries the flat search does.
        of: how many parts there are: every query costs the same, so the whole would take so many times the time.
    """
    made, limit = _load(folder)
    total = len(made.original)
    queries = range(total * part // of, total * (part + 1) // of)
    if side == "near":
        texts = sentences(data, limit)
        began = time.perf_counter()
        pairs = _near(made, texts)
    else:
        given = np.load(folder / "vectors.npy")
        began = time.perf_counter()
        pairs = _flat(given, queries) if side == "flat" else _SIDES[side](given)
    seconds = (time.perf_counter() - began) * total / len(queries)
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's memory too
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    found = _quality(made, pairs, queries, None if side == "near" else folder / "vectors.npy")
    shown = {name: _texts(made, some, sentences(data, limit)) for name, some in found.pop("pairs").items() if some}
    return {"seconds": round(seconds, 3), "peak_gb": round(peak, 2), **found, "examples": shown}


def _porism(given: np.ndarray) -> Pairs:
    """Pairs of a record with what stands for its cluster."""
    from porism.curate import _cells
    from porism.curate._clusters import settle

    def find(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        some = given if len(places) == len(given) else given[places]
        found, _, _ = _cells.alike(some, THRESHOLD, best=len(places) == len(given))
        return places[found.first], places[found.second], found.complete

    heads = settle(len(given), find)
    return [(at, head) for at, head in enumerate(heads.tolist()) if at != head]


def _flat(given: np.ndarray, queries: range) -> Pairs:
    """All pairs, by an exact index: each query with the earliest of its 500 nearest that is close enough."""
    import faiss

    index = faiss.IndexFlatL2(given.shape[1])
    index.add(given)
    limit = 2 - 2 * THRESHOLD
    found = []
    for start in range(queries.start, queries.stop, 1_000):
        block = given[start : min(start + 1_000, queries.stop)]
        distances, places = index.search(block, min(NEIGHBOURS, len(given)))
        for row in range(len(distances)):
            near = [int(at) for at in places[row][distances[row] < limit] if at < start + row]
            if near:
                found.append((start + row, min(near)))
    return found


def _semhash(given: np.ndarray) -> Pairs:
    """Semhash with its defaults."""
    from semhash import SemHash

    class Unused:
        def encode(self, inputs: Any, **_: Any) -> np.ndarray:
            raise RuntimeError(f"{len(inputs)} records were to be embedded again")

    names = [str(at) for at in range(len(given))]
    made = SemHash.from_embeddings(embeddings=given, records=names, model=Unused())
    done = made.self_deduplicate(threshold=THRESHOLD)
    return [(int(one.record), int(one.duplicate_of)) for one in done.filtered]


def _near(made: Corpus, texts: Texts) -> Pairs:
    """Porism's near-duplicates of the texts."""
    from porism.curate._similar import find

    found = find(Records(made, texts), method="near", by="question")
    return [(at, head) for at, head in enumerate(found.head.tolist()) if at != head]


_SIDES = {"porism": _porism, "semhash": _semhash}


def _quality(made: Corpus, pairs: Pairs, queries: range, vectors: Path | None) -> dict[str, Any]:
    """How many planted twins were found, and how many of those that were found are twins.

    A dropped record is a twin of what stands for it if it was planted, or if two of their three sentences are the
    same: such pairs come about by chance, and are counted apart (``not_planted``). All else is ``false``.
    """
    planted = np.flatnonzero(made.original >= 0)
    later = np.maximum(planted, made.original[planted])
    planted = planted[(later >= queries.start) & (later < queries.stop)]
    group = dict(pairs)
    together = np.array(
        [group.get(at, at) == group.get(other, other) for at, other in zip(*_both(planted, made), strict=True)],
        np.bool_,
    )
    twins = {(max(at, other), min(at, other)) for at, other in zip(*_both(planted, made), strict=True)}
    others: dict[str, Pairs] = {"not_planted": [], "false": []}
    for at, other in pairs:
        if (max(at, other), min(at, other)) not in twins:
            shared = Counter(made.parts[at].tolist()) & Counter(made.parts[other].tolist())
            others["false" if shared.total() < 2 else "not_planted"].append((at, other))
    counts = {"dropped": len(pairs), "planted": len(planted), "found": int(together.sum())}
    if vectors is not None:  # planted twins whose vectors are as close as the threshold asks
        given = np.load(vectors, mmap_mode="r")
        close = np.array([float(given[at] @ given[other]) for at, other in zip(*_both(planted, made), strict=True)])
        counts |= {
            "planted_close": int((close >= THRESHOLD).sum()),
            "found_close": int(together[close >= THRESHOLD].sum()),
        }
    shown = {name: some[:SHOWN] for name, some in others.items()}
    return {**counts, **{name: len(some) for name, some in others.items()}, "pairs": shown}


def _both(planted: np.ndarray, made: Corpus) -> tuple[list[int], list[int]]:
    return planted.tolist(), made.original[planted].tolist()


def _texts(made: Corpus, pairs: Pairs, texts: Texts) -> list[list[str]]:
    """What the records of some pairs say."""

    def text(at: int) -> str:
        columns = enumerate(made.parts[at].tolist())
        return " ".join((texts.other if column == made.changed[at] else texts.plain)[part] for column, part in columns)

    return [[text(at), text(other)] for at, other in pairs]


def _load(folder: Path) -> tuple[Corpus, int]:
    kept = np.load(folder / "corpus.npz")
    return Corpus(kept["parts"], kept["changed"], kept["original"]), int(kept["limit"])
