"""What a training on its own answers did, for the report: curves, pass rates by group, answers before and after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porism import store
from porism.errors import DataError
from porism.evaluate import plots
from porism.records import Attempt

__all__ = ["section"]

_CURVES = {
    "reward": "reward",
    "pass_rate": "share of right answers",
    "length": "tokens an answer",
    "entropy": "entropy, nats a token",
    "kl": "KL from the reference, nats a token",
}
_RATES = ("unjudged", "truncated", "failed", "zero_variance", "sampler_difference", "clipped", "retired")
_SHOWN = 6


def section(folder: Path, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the report shows of a stage that learnt from roll-outs; None for one that did not.

    Args:
        folder: the stage's.
        steps: its ``metrics.jsonl``.
    """
    rolled = [row for row in steps if "zero_variance" in row]
    if not rolled:
        return None
    third = max(1, len(rolled) // 3)
    names = sorted({name for row in rolled for name in row if name.startswith("pass_rate/")})
    return {
        "plots": {
            title: plots.curve(
                [at for at, _ in points], [value for _, value in points], title, from_zero=name != "reward"
            )
            for name, title in _CURVES.items()
            if len(points := [(row["step"], row[name]) for row in steps if name in row]) > 1
        },
        "groups": {
            name.partition("/")[2]: (_mean(rolled[:third], name), _mean(rolled[-third:], name)) for name in names
        },
        "rates": {name.replace("_", " "): _mean(rolled, name) for name in _RATES if any(name in row for row in rolled)},
        "samples": _samples(folder),
    }


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else None


def _samples(folder: Path) -> list[dict[str, Any]]:
    """The first answer to a problem and the last, of some problems that were rolled out again."""
    first: dict[str, Attempt] = {}
    last: dict[str, Attempt] = {}
    seen: dict[str, set[int]] = defaultdict(set)
    try:
        for record in store.read(folder, Attempt):
            if isinstance(record, Attempt):
                first.setdefault(record.problem.id, record)
                last[record.problem.id] = record
                seen[record.problem.id].add(record.meta.get("iteration", 0))
    except DataError:  # a stage of another kind, whose figures happen to be called so
        return []
    apart = sorted((one for one in seen if len(seen[one]) > 1), key=lambda one: min(seen[one]) - max(seen[one]))
    return [{"question": first[one].problem.question, "answer": first[one].problem.answer, "sides": (
        _side("before", first[one]), _side("after", last[one]),
    )} for one in apart[:_SHOWN]]  # fmt: skip


def _side(name: str, attempt: Attempt) -> dict[str, Any]:
    return {
        "name": name,
        "iteration": attempt.meta.get("iteration", 0) + 1,
        "status": attempt.verdict.status if attempt.verdict else "",
        "reward": attempt.meta.get("reward"),
        "text": attempt.text,
    }
