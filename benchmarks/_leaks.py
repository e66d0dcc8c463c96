"""The other parts of the benchmark of curation: planted contamination, memory of streaming steps, the rule tagger."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _corpus import contaminated
from porism import store

__all__ = ["AS_IN_MATH", "SUBJECTS", "contamination", "streaming", "tagger"]

SHOWN = 8
SUBJECTS = {"counting & probability": "counting and probability"}
"""MATH's names that differ from those of the rules."""
AS_IN_MATH = {
    "arithmetic": "prealgebra",
    "statistics": "prealgebra",
    "linear algebra": "precalculus",
    "calculus": "precalculus",
}
"""Subjects that MATH does not have, as it files them."""
RUN = """
import json, sys
from porism import pipeline
m = pipeline.execute(pipeline.prepare('curate', sys.argv[1], json.loads(sys.argv[2])), sys.argv[3])
print(json.dumps({'peak_mb': m.peak_memory_mb, 'seconds': m.seconds, 'records': m.counts['records']}))
"""
STEPS: dict[str, dict[str, Any]] = {
    "filter": {"where": "contains(question, '7')"},
    "tag": {"tags": ["language", "words"]},
    "decontaminate": {"action": "drop"},
}


def contamination(data: Path, of_each: int, clean: int, methods: list[str], numbers: str) -> dict[str, Any]:
    """Recall of planted rows by kind, and false alarms on GSM8K's training set against its test set.

    Args:
        data: of the real data sets.
        of_each: planted rows of each kind.
        clean: other rows, and training rows that are looked at for false alarms.
        methods: of comparison.
        numbers: ``apart`` or ``alike``.
    """
    from porism.curate import _matching

    rows, test = contaminated(data, of_each, clean)
    train = [row["question"] for _, row in store.rows(data / "gsm8k_train.jsonl")][:clean]
    gsm8k = [row["question"] for _, row in store.rows(data / "gsm8k_test.jsonl")]
    began = time.perf_counter()
    hits = _matching.Matcher(test, methods=methods, numbers=numbers).hits([question for _, question in rows])
    seconds = time.perf_counter() - began
    kinds = Counter(kind for kind, _ in rows)
    caught = Counter(kind for (kind, _), hit in zip(rows, hits, strict=True) if hit)
    alarms = _matching.Matcher(gsm8k, methods=methods, numbers=numbers).hits(train)
    false = [(question, hit) for question, hit in zip(train, alarms, strict=True) if hit]
    return {
        "rows": len(rows),
        "test_questions": len(test),
        "recall": {kind: round(caught[kind] / count, 4) for kind, count in sorted(kinds.items()) if kind},
        "clean_rows_hit": caught[""],
        "false_alarms_gsm8k_train": len(false),
        "false_alarm_rate": round(len(false) / len(train), 5),
        "alarms": [
            f"{hit.label} {hit.score}: {question[:160]!r} / {gsm8k[hit.place][:160]!r}"
            for question, hit in false[:SHOWN]
        ],
        "seconds": round(seconds, 1),
    }


def streaming(size: int, scratch: Path) -> dict[str, Any]:
    """Peak memory of steps that go through their input, each in a process of its own, all at the same time."""
    rows, test = scratch / f"rows-{size}.jsonl", scratch / "test.jsonl"
    test.write_text('{"question": "How many figs does the baker have left over?", "answer": "3"}\n', encoding="utf-8")
    with rows.open("w", encoding="utf-8") as file:
        for at in range(size):
            question = f"How much is {at} and {at * 7} and what is left of {at % 97}?"
            file.write(json.dumps({"question": question, "answer": str(at * 8)}) + "\n")
    running = {}
    for step, settings in STEPS.items():
        values = {"input": [str(rows)], **settings, **({"against": [str(test)]} if step == "decontaminate" else {})}
        command = [sys.executable, "-c", RUN, step, json.dumps(values), str(scratch / f"{step}-{size}")]
        running[step] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = {}
    for step, process in running.items():
        text, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"streaming {step}: it ended with {process.returncode}")
        found[step] = json.loads(text.splitlines()[-1])
    rows.unlink()
    return found


def tagger(data: Path) -> dict[str, Any]:
    """Accuracy of the rules on MATH-500's labels: they were written with the even rows in view, not the odd ones."""
    from porism.curate import _rules

    rows = [row for _, row in store.rows(data / "math500_test.jsonl")]
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
