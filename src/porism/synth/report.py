"""A joint report on synthesised data: what was kept, what dropped and why, how various it is, and what came of it.

It reads the stages' records, what they dropped and the products beside them, and writes ``report.md``, which ends with
the commands that train on them, and the same figures as ``report.json``. SFT rows that were curated are a stage too.
"""

from __future__ import annotations

import math
import random
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from porism import recipe, store
from porism.errors import DataError
from porism.records import Attempt, Example, Problem
from porism.synth import _measures
from porism.synth._products import NAMES

__all__ = ["Settings", "inputs", "run"]

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, which could steer a terminal, and those that turn the direction of a line."""
_PLAIN = re.compile(r"[\w ,.:;%/()+-]*")
_SHOWN = 300


class Settings(recipe.Settings):
    """Settings of ``porism synth report``."""

    reads = (Problem, Attempt, Example)
    makes = ()

    input: Annotated[list[str], Field(description="stages of synthesis, in their order: files or stage folders")]
    examples: Annotated[int, Field(description="how many kept and dropped ones to show for each stage", ge=0)] = 5
    seed: Annotated[recipe.Seed, Field(description="of the choice of examples")] = 0


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the records, of what was dropped, and of the products."""
    return store.hashes(file for path in settings.input for file in _files(path).values() if file.is_file())


def run(settings: Settings, out: store.Output) -> None:
    """Write the report.

    Raises:
        DataError: a stage is missing, or holds no instruction.
    """
    names = [Path(path).name for path in settings.input]
    labels = [name if names.count(name) == 1 else path for name, path in zip(names, settings.input, strict=True)]
    stages = {label: _measured(path, settings) for label, path in zip(labels, settings.input, strict=True)}
    figures, page = out.beside("report.json"), out.beside("report.md")
    store.write_json(figures, stages)
    lines = [*_page(stages), *_next(stages, dict(zip(labels, settings.input, strict=True)))]
    store.write_text(page, "\n".join(lines) + "\n")
    out.add(figures, page)
    out.counts["stages"] = len(stages)


def _files(path: str) -> dict[str, Path]:
    """The files of a stage by what is in them."""
    records = store.locate(path)
    stem = records.name.removesuffix("records.jsonl") if records.name == "records.jsonl" else f"{records.stem}."
    return {"records": records, **{name: records.with_name(f"{stem}{name}") for name in ("dropped.jsonl", *NAMES)}}


def _measured(path: str, settings: Settings) -> dict[str, Any]:
    """The figures of one stage."""
    files = _files(path)
    records = [record for record in store.read(files["records"]) if isinstance(record, Problem | Attempt | Example)]
    dropped = [row for _, row in store.rows(files["dropped.jsonl"])] if files["dropped.jsonl"].is_file() else []
    unwritten = [row for row in dropped if "problem" not in row]
    unanswered = [store.parse(_without_reason(row)) for row in dropped if "problem" in row]
    problems = _problems([*records, *(record for record in unanswered if isinstance(record, Attempt))])
    questions = [problem.question for problem in problems]
    if not questions:
        raise DataError(f"{path}: expected problems, attempts or SFT rows, found none.")
    written = len(questions) + len(unwritten)
    chance = random.Random(settings.seed)
    found: dict[str, Any] = {
        "instructions": {
            "written": written,
            "kept": len(questions),
            "kept share": len(questions) / written,
            "dropped": _counted(str(row["reason"]).partition(":")[0] for row in unwritten),
            "by domain": _by_domain(problems, unwritten),
            "different": len(set(questions)),
            "characters": statistics.fmean(map(len, questions)),
            "distinct-1": _defined(_measures.distinct(questions, 1)),
            "distinct-2": _defined(_measures.distinct(questions, 2)),
            "nearest neighbour": {name: _defined(value) for name, value in _measures.nearest(questions).items()},
            "languages": _measures.languages(questions),
        },
        "examples": {
            "kept": chance.sample(questions, min(settings.examples, len(questions))),
            "dropped": [
                [str(row["reason"]), _question_of(row)]
                for row in chance.sample(unwritten, min(settings.examples, len(unwritten)))
            ],
        },
    }
    attempts = [record for record in records if isinstance(record, Attempt)]
    if attempts:
        found["responses"] = _responses(attempts, [row for row in dropped if "problem" in row])
        found["products"] = _products(files)
    elif any(isinstance(record, Example) for record in records):
        found["products"] = {"SFT rows": len(records)}
    return found


def _without_reason(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "reason"}


def _question_of(row: Mapping[str, Any]) -> str:
    """What was asked, in a row that was dropped: a problem's, or an SFT row's."""
    turns = row.get("prompt") or [{}]
    return str(row.get("question") or turns[-1].get("content", ""))


def _problems(records: Sequence[Problem | Attempt | Example]) -> list[Problem]:
    """The instructions, each once, however many responses it has."""
    found: dict[tuple[Any, ...], Problem] = {}
    for record in records:
        problem = _problem_of(record)
        key = (problem.group, problem.meta.get("index"), problem.meta.get("turn"), problem.question)
        found.setdefault(key, problem)
    return list(found.values())


def _problem_of(record: Problem | Attempt | Example) -> Problem:
    if isinstance(record, Example):
        asked = record.prompt[-1]["content"] if record.prompt else ""
        return Problem(question=asked, answer="", group=str(record.meta.get("group", "")), meta={"index": record.id})
    return record if isinstance(record, Problem) else record.problem


def _by_domain(problems: Sequence[Problem], dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Domain → how many were kept, and why others were not."""
    kept = Counter(problem.group for problem in problems)
    groups = [str(row.get("group") or row.get("meta", {}).get("group", "")) for row in dropped]
    names = sorted({*kept, *groups})
    found = {}
    for name in names:
        reasons = (
            str(row["reason"]).partition(":")[0] for row, group in zip(dropped, groups, strict=True) if group == name
        )
        found[name] = {"kept": kept[name], "dropped": _counted(reasons)}
    return found


def _responses(attempts: Sequence[Attempt], dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "kept": len(attempts),
        "dropped": _counted(str(row["reason"]).partition(":")[0] for row in dropped),
        "cut off": sum(one.finish == "length" for one in attempts),
        "with reasoning": sum("reasoning" in one.meta for one in attempts),
        "verdicts": _counted(str(one.verdict.status) if one.verdict else "none" for one in attempts),
        "verified by": _counted(str(one.meta.get("verified", "nothing")) for one in attempts),
        "tokens": statistics.fmean(one.completion_tokens for one in attempts),
    }


def _products(files: Mapping[str, Path]) -> dict[str, Any]:
    """How many rows and pairs there are, how pairs were decided, and why others were not."""
    sft, align, unpaired = (
        [row for _, row in store.rows(files[name])] if files[name].is_file() else [] for name in NAMES
    )
    return {
        "SFT rows": len(sft),
        "pairs": _counted(str(row["meta"]["by"]) for row in align),
        "no pair": _counted(str(row["reason"]).partition(":")[0] for row in unpaired),
    }


def _defined(value: float) -> float | None:
    """The value as JSON has it: undefined is null."""
    return None if math.isnan(value) else value


def _counted(items: Iterator[str] | Sequence[str] | Any) -> dict[str, int]:
    return dict(Counter(items).most_common())


# --- the page ---


def _page(stages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "# Synthesised data"
    for name, figures in stages.items():
        yield f"\n## {_cell(name)}\n"
        own = figures["instructions"]
        share = f"{own['kept']:,} of {own['written']:,} instructions kept ({own['kept share']:.1%})"
        yield f"{share}, {own['different']:,} different.\n"
        yield from _reasons(own["by domain"])
        near = own["nearest neighbour"]
        yield (
            f"\n{own['characters']:.0f} characters on average; distinct-1 {_shown(own['distinct-1'])}, distinct-2 "
            f"{_shown(own['distinct-2'])}; distance to the nearest neighbour {_shown(near['mean'])} on average, "
            f"{_shown(near['median'])} in the median. Languages: "
            + ", ".join(f"{language} {share:.1%}" for language, share in own["languages"].items())
            + "."
        )
        for part in ("responses", "products"):
            for label, value in figures.get(part, {}).items():
                yield f"\n- {part}, {label}: {_listed(value)}"
        for label, examples in figures["examples"].items():
            if examples:
                yield f"\n### Examples, {label}\n"
            yield from (_example(one) for one in examples)


def _reasons(domains: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A table: a line a reason, a column a domain."""
    reasons = Counter[str]()
    for figures in domains.values():
        reasons.update(figures["dropped"])
    yield f"| | {' | '.join(_cell(name) or 'all' for name in domains)} | sum |"
    yield "|---|" + "---:|" * (len(domains) + 1)
    kept = [figures["kept"] for figures in domains.values()]
    yield f"| kept | {' | '.join(map(str, kept))} | {sum(kept)} |"
    for reason, total in reasons.most_common():
        counts = (str(figures["dropped"].get(reason, 0)) for figures in domains.values())
        yield f"| {_cell(reason)} | {' | '.join(counts)} | {total} |"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {name}" for name, count in value.items()) or "none"
    return f"{value:,.0f}" if isinstance(value, float) else f"{value:,}"


def _example(one: str | Sequence[str]) -> str:
    """One line: what it says, shortened, as code, so that no text of a model becomes Markdown or HTML."""
    reason, text = ("", one) if isinstance(one, str) else (f"{_cell(one[0])}: ", one[1])
    plain = " ".join(_UNSEEN.sub(" ", text).split()).replace("`", "'")
    return f"- {reason}`{plain[:_SHOWN]}{'…' if len(plain) > _SHOWN else ''}`"


def _cell(name: str) -> str:
    """A name or a reason in a line: as code where it could become Markdown or HTML, or end a table's cell."""
    plain = " ".join(_UNSEEN.sub(" ", name).split())
    if _PLAIN.fullmatch(plain):
        return plain
    quoted = plain[:_SHOWN].replace("`", "'").replace("|", "/")
    return f"`{quoted}`"


def _next(stages: Mapping[str, Mapping[str, Any]], paths: Mapping[str, str]) -> Iterator[str]:
    """What to do with the products: the commands that train on the last SFT rows, curated ones first, and pairs."""
    sft = curated = align = ""
    for name, figures in stages.items():
        made, files = figures.get("products", {}), _files(paths[name])
        if made.get("SFT rows") and "responses" in figures:
            sft = str(files[NAMES[0]])
        elif made.get("SFT rows"):
            curated = str(files["records"])
        if made.get("pairs"):
            align = str(files[NAMES[1]])
    sft = curated or sft
    if sft or align:
        yield "\n## Next\n"
    if sft:
        yield f"1. `porism train sft --input {shlex.quote(sft)}`"
    if align:
        model = " with the model that comes of it" if sft else ""
        yield f"{1 + bool(sft)}. `porism train dpo --input {shlex.quote(align)}`{model}"
