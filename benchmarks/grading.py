"""Grading against Math-Verify: throughput and agreement, on real outputs and on MATH-500's answers written otherwise.

python benchmarks/grading.py               # → results/grading.json
python benchmarks/grading.py --small       # a few records, to standard output: does it still work?

Both sides run in two processes that are started before the clock. Math-Verify is taken with its time limits (its
default) and without (faster), whichever is faster; both sides see the same records in alternating rounds.
"""

from __future__ import annotations

import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import _kit
from _rewriting import mutants, plain_value, rewritten
from porism import store
from porism.graders import check

TARGETS = {"ratio_math_verify_gsm8k": 50, "ratio_math_verify_math": 3}
PROCESSES = 2


class Case(NamedTuple):
    """A text to be judged, and what the judgement should be."""

    gold: str
    text: str
    expected: bool


def ours(kind: str, case: Case) -> bool:
    """Porism's judgement."""
    return check(gold=case.gold, text=case.text, kind=kind).correct


def theirs(seconds: int, case: Case) -> bool:
    """Math-Verify's judgement; 0 seconds for no time limit."""
    import logging

    from math_verify import parse, verify

    logging.disable()
    gold = parse(f"${case.gold}$", parsing_timeout=seconds)
    return bool(verify(gold, parse(case.text, parsing_timeout=seconds), timeout_seconds=seconds))


def gsm8k(data: Path) -> list[Case]:
    """5,276 outputs of four models, labelled by people."""
    rows = [row for _, row in store.rows(data / "grading" / "gsm8k_labelled_outputs.jsonl")]
    return [
        Case(row["ground_truth"].rpartition("A: ")[2], value["solution"], value["is_correct"])
        for row in rows
        for value in row.values()
        if isinstance(value, dict)
    ]


def math500(data: Path) -> list[Case]:
    """Each answer of MATH-500 against itself written otherwise, and against others that look like it."""
    golds = dict.fromkeys(row["answer"] for _, row in store.rows(data / "math500_test.jsonl"))
    cases = []
    for gold in golds:
        pairs = [(other, True) for other in rewritten(gold)]
        pairs += [(other, False) for _, other in mutants(gold)]
        for other, expected in pairs:
            equal_after_all = plain_value(gold) is not None and plain_value(gold) == plain_value(other)
            if other.replace(" ", "") != gold.replace(" ", "") and (expected or not equal_after_all):
                cases.append(Case(gold, rf"The answer is $\boxed{{{other}}}$.", expected))
    return cases


_CASES: Sequence[Case] = ()
"""What is judged: the processes have it in memory, so that no side waits for texts to be sent."""


def _judge_part(judge: Callable[[Case], bool], part: range) -> list[bool]:
    return [judge(_CASES[at]) for at in part]


def measure(judge: Callable[[Case], bool], pool: Any) -> tuple[float, list[bool]]:
    """Seconds for all cases, and the judgements."""
    size = -(-len(_CASES) // (PROCESSES * 8))
    parts = [range(start, min(start + size, len(_CASES))) for start in range(0, len(_CASES), size)]
    began = time.perf_counter()
    found = pool.map(functools.partial(_judge_part, judge), parts, chunksize=1)
    return time.perf_counter() - began, [got for part in found for got in part]


def agreement(cases: Sequence[Case], found: Sequence[bool]) -> dict[str, int]:
    """How often a side is right, and in which direction it errs."""
    return {
        "right": sum(case.expected == got for case, got in zip(cases, found, strict=True)),
        "false_positives": sum(got and not case.expected for case, got in zip(cases, found, strict=True)),
        "false_negatives": sum(case.expected and not got for case, got in zip(cases, found, strict=True)),
    }


def compare(name: str, cases: Sequence[Case], kind: str, rounds: int) -> dict[str, Any]:
    """Alternate the sides; the peer's faster setting counts."""
    sides: dict[str, Callable[[Case], bool]] = {
        "porism": functools.partial(ours, kind),
        "math_verify": functools.partial(theirs, 5),
        "math_verify_without_limits": functools.partial(theirs, 0),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    judged: dict[str, list[bool]] = {}
    global _CASES  # noqa: PLW0603  # set before the processes are forked
    _CASES = cases
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        for judge in sides.values():
            pool.map(judge, cases[:40], chunksize=1)
        for _ in range(rounds):
            for side, judge in sides.items():
                took, found = measure(judge, pool)
                seconds[side].append(round(took, 4))
                if judged.setdefault(side, found) != found:
                    raise SystemExit(f"{side} judged the same records differently in two rounds")
    best = min(("math_verify", "math_verify_without_limits"), key=lambda side: statistics.median(seconds[side]))
    ratio = statistics.median(seconds[best]) / statistics.median(seconds["porism"])
    return {
        "records": len(cases),
        "seconds": seconds,
        "records_per_second": {side: round(len(cases) / statistics.median(took)) for side, took in seconds.items()},
        "agreement": {side: agreement(cases, found) for side, found in judged.items()},
        "fastest_peer": best,
        f"ratio_math_verify_{name}": round(ratio, 1),
    }


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few records")
    small = parser.parse_args().small
    if not _kit.has_data("math500_test.jsonl"):
        return
    parts = {"gsm8k": (gsm8k(_kit.DATA), "number"), "math": (math500(_kit.DATA), "math")}
    results = {
        name: compare(name, cases[:: len(cases) // 60] if small else cases, kind, 1 if small else 3)
        for name, (cases, kind) in parts.items()
    }
    ratios = {key: value for part in results.values() for key, value in part.items() if key.startswith("ratio")}
    result = {
        **ratios,
        "targets": TARGETS,
        **results,
        "command": "python benchmarks/grading.py" + (" --small" if small else ""),
        "processes": PROCESSES,
    }
    _kit.finish("grading", result, ["porism", "math-verify", "sympy"], small=small)


if __name__ == "__main__":
    main()
