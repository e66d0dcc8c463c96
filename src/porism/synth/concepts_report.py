"""A page on concepts and what became of them: problems, rationales, verdicts, what was dropped, by round and stage.

It reads the stages' records, what they dropped and their manifests, and writes ``report.html`` and the figures as
``report.json``. Texts of models are escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field

from porism import recipe, store
from porism.records import Attempt, Concepts, Example, Pair, Problem
from porism.synth._judging import CRITERIA, RATINGS

__all__ = ["Settings", "inputs", "run"]

_SHOWN = 1_500
_TESTS = {"tests", "killed", "mutants", "weak"}
_WORST = ("perfect", "acceptable", "bad")
"""Verdicts, the best first."""


class Settings(recipe.Settings):
    """Settings of ``porism synth concepts-report``."""

    reads = (Attempt, Concepts, Example, Pair, Problem)
    makes = ()

    input: Annotated[list[str], Field(description="stages that work with concepts, in their order")]
    examples: Annotated[int, Field(description="how many kept and dropped records to show of each", ge=0)] = 5


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the records, of what was dropped, and of the manifests."""
    return store.hashes(file for path in settings.input for file in _files(path) if file.is_file())


def run(settings: Settings, out: store.Output) -> None:
    """Write the page.

    Raises:
        DataError: a stage is missing, or a line is no record.
    """
    import jinja2

    stages = [_stage(path, settings.examples) for path in settings.input]
    rounds = [stage for stage in stages if "log_likelihood" in stage["figures"]]
    text = resources.files("porism.synth").joinpath("concepts_report.html.j2").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
    target, figures = out.beside("report.html"), out.beside("report.json")
    judged = [stage for stage in stages if stage["quality"]]
    shown = page.render(stages=stages, rounds=rounds, judged=judged, criteria=CRITERIA, ratings=RATINGS)
    store.write_text(target, shown + "\n")
    store.write_json(
        figures,
        [
            {key: stage[key] for key in ("name", "stage", "counts", "figures", "verdicts", "quality")}
            for stage in stages
        ],
    )
    out.add(target, figures)
    out.counts["stages"] = len(stages)


def _files(path: str) -> tuple[Path, Path, Path]:
    """Records, dropped records and manifest of a stage."""
    records = store.locate(path)
    stem = "" if records.name == "records.jsonl" else f"{records.stem}."
    return records, records.with_name(f"{stem}dropped.jsonl"), records.with_name(f"{stem}manifest.json")


def _stage(path: str, examples: int) -> dict[str, Any]:
    """What the page shows of one stage."""
    records, dropped, manifest = _files(path)
    made = store.Manifest.load(manifest) if manifest.is_file() else None
    rows = [row for _, row in store.rows(records)]
    away = [row for _, row in store.rows(dropped)] if dropped.is_file() else []
    stage = made.key.stage.replace("_", "-") if made else ""  # the shell writes underscores, a recipe what it says
    judged = stage in ("", "synth concepts-generate")  # later stages keep the judges of what they work on
    verdicts: Counter[str] = Counter()
    for row in [*rows, *away] if judged else ():
        for judge in _judges(row):
            for name, rating in judge["ratings"].items():
                verdicts[f"{name} {rating}"] += 1
    return {
        "name": Path(path).name,
        "stage": stage,
        "counts": dict(made.counts) if made else {"records": len(rows), "dropped": len(away)},
        "counted": _counted(len(rows), [str(row.get("reason", "")) for row in away]),
        "figures": dict(made.figures) if made else {},
        "verdicts": dict(verdicts),
        "quality": _quality(rows, away) if judged else {},
        "shares": {"kept": len(rows), "dropped": len(away)},
        "kept": [_shown(row) for row in rows[:examples]],
        "dropped": [_shown(row) for row in _spread(away, examples)],
    }


def _counted(kept: int, reasons: Sequence[str]) -> str:
    """What a stage kept and dropped, in words: ``1 kept, 3 dropped (2 format, 1 cut off)``."""
    if not reasons:
        return f"{kept} kept"
    counts = Counter(reason.partition(":")[0] for reason in reasons)
    told = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{kept} kept, {len(reasons)} dropped ({told})"


def _quality(rows: Sequence[Mapping[str, Any]], away: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How good what was written is: its least verdicts, and the mean of all ratings. Empty where nothing was judged.

    Args:
        rows: what was kept.
        away: what was dropped.

    Returns:
        ``written``, ``judged`` (which had their form), ``perfect``, ``acceptable`` and ``bad`` by the least verdict of
        their judges, ``no verdict`` where one gave none, ``kept``; ``rating``: the mean over judges and criteria, where
        Perfect is 2, Acceptable 1 and Bad 0; None where there is none.
    """
    judged = [judges for row in (*rows, *away) if (judges := _judges(row))]
    if not judged:
        return {}
    least: Counter[str] = Counter()
    values: list[int] = []
    for judges in judged:
        said = [judge.get("overall", "") for judge in judges]
        least[max(said, key=_WORST.index) if all(one in _WORST for one in said) else "no verdict"] += 1
        ratings = [rating for judge in judges for rating in judge["ratings"].values()]
        values += [len(RATINGS) - 1 - RATINGS.index(rating) for rating in ratings if rating in RATINGS]
    return {
        "written": len(rows) + len(away),
        "judged": len(judged),
        **{name: least[name] for name in (*_WORST, "no verdict")},
        "rating": round(fmean(values), 4) if values else None,
        "kept": len(rows),
    }


def _spread(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Some rows, of different reasons first."""
    seen: Counter[str] = Counter()
    ranked = []
    for at, row in enumerate(rows):
        reason = str(row.get("reason", "")).partition(":")[0]
        ranked.append((seen[reason], at))
        seen[reason] += 1
    return [rows[at] for _, at in sorted(ranked)[:most]]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a record that a person wants to see; what has another form, as in a file from elsewhere, is not."""
    problem = _of(row, "problem", Mapping) or row
    meta = _of(row, "meta", Mapping) or {}
    passes, judged = meta.get("passes"), meta.get("judged")
    agreement, tests = _of(meta, "agreement", list) or [], _of(meta, "testcases", Mapping) or {}
    verdict = _of(row, "verdict", Mapping) or {}
    found = {
        "reason": row.get("reason", ""),
        "concepts": _of(row, "concepts", list) or _of(meta, "concepts", list) or [],
        "level": row.get("level") or meta.get("level", ""),
        "rationale": meta.get("rationale", ""),
        "question": problem.get("question", ""),
        "answer": problem.get("answer", ""),
        "agreement": agreement if len(agreement) == 2 else [],
        "judges": _judges(row),
        "text": row.get("text", "") or _said(row.get("completion", [])),
        "asked": _said(row.get("prompt", [])) if "chosen" in row else "",
        "chosen": _said(row.get("chosen", [])),
        "rejected": _said(row.get("rejected", [])),
        "verdict": verdict.get("status", ""),
        "passes": [passes, judged] if isinstance(passes, int) and isinstance(judged, int) else [],
        "log_likelihood": _of(meta, "log_likelihood", float),
        "testcases": tests if tests.keys() >= _TESTS and isinstance(tests["weak"], list) else {},
    }
    return {name: _cut(value) for name, value in found.items()}


def _judges(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The judges of a record, each with its ratings, of which there may be none."""
    judges = _of(_of(row, "meta", Mapping) or {}, "judges", list) or []
    return [
        {**judge, "ratings": _of(judge, "ratings", Mapping) or {}} for judge in judges if isinstance(judge, Mapping)
    ]


def _of(row: Mapping[str, Any], name: str, kind: Any) -> Any:
    """A field, where it is of that type; else None."""
    value = row.get(name)
    return value if isinstance(value, kind) else None


def _said(messages: Any) -> str:
    """The words of messages, or a text as it is."""
    if isinstance(messages, str):
        return messages
    turns = messages if isinstance(messages, list) else []
    return "\n".join(str(one.get("content", "")) for one in turns if isinstance(one, Mapping))


def _cut(value: Any) -> Any:
    return value[:_SHOWN] + "…" if isinstance(value, str) and len(value) > _SHOWN else value
