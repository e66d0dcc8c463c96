"""One self-contained page about curated data: counts through each step, distributions, clusters, what was dropped."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from porism import __version__, store
from porism.curate._tags import Tags, found
from porism.curate._text import question_of, readable, response_of
from porism.files import Malformed, each
from porism.placed import DROPPED, RECORDS
from porism.records import Record

__all__ = ["page"]

_MOST_VALUES, _SHOWN_VALUES = 5_000, 15
_LONG = 600
"""Characters of a text that the page shows."""
_OF = re.compile(r"^(?P<kind>(?:\w+ )?duplicate): of (?P<head>[0-9a-f]{16})(?P<rest>.*)$")
_WITH = re.compile(r"^(?P<kind>(?:[\w-]+ )?overlap): (?P<rest>.*)$", re.DOTALL)
_TAKES = {"curate pair": 2}
"""Records that one of a step's results is made of."""
_LONGEST_KIND = 80
_HITS = 4
"""Hits in test sets that are shown, for each example."""
_UNSEEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BINS = (10, 20, 40, 80, 160, 320, 640, 1280)


class _Step(NamedTuple):
    """What the page says of a stage."""

    name: str
    stage: str
    read: int
    kept: int
    dropped: list[tuple[str, int]]
    parts: list[tuple[str, int]]
    seconds: float
    tags: dict[str, list[tuple[str, int, float]]]
    examples: dict[str, list[tuple[str, str, str]]]
    clusters: list[Mapping[str, Any]]
    hits: list[tuple[str, str, str]]

    @property
    def share(self) -> str:
        """Of what was read the share that was kept: less than 100 % where anything was dropped."""
        if not self.read:
            return "–"
        percent = 100 * self.kept / self.read
        return f"{min(percent, 99.9) if self.kept < self.read else percent:.1f} %"


def page(
    stages: Sequence[str],
    *,
    tags: Annotated[list[str], Field(description="tags whose distributions are shown")] = [  # noqa: B006
        "source",
        "language",
        "subject",
        "difficulty",
        "safety",
        "status",
        "judge.quality",
        "judge.difficulty",
        "judge.category",
        "pass_rate",
        "split",
    ],
    examples: Annotated[int, Field(description="examples of each reason, and clusters, that are shown", ge=0)] = 5,
) -> str:
    """The page. It needs no network and no other file; whatever comes from data is shown as text.

    Args:
        stages: folders or files of stages, in the order in which they ran.
        tags: see above; those that no record has are left out.
        examples: see above.

    Raises:
        DataError: a stage is not there.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown_text,
    )
    steps = [_step(path, tags, examples) for path in stages]
    return environment.get_template("report.html.j2").render(steps=steps, version=__version__)


def _shown_text(value: Any) -> Any:
    """A value of the page: of a text the signs that a browser cannot show, or that would mix up the rest, as U+FFFD."""
    return _UNSEEN.sub("\ufffd", readable(value)) if isinstance(value, str) else value


def _step(path: str, tags: Sequence[str], examples: int) -> _Step:
    records = store.locate(path)
    out = store.Output(path)
    manifest = _manifest(records, out)
    counts, lengths, kept, marked = _distributions(records, tags, examples)
    dropped, told, clusters, hits = _dropped(out.dropped, examples)
    prefix = "" if out.alone else f"{records.stem}."
    parts = [
        (name, count)
        for name, count in manifest["counts"].items()
        if f"{prefix}{name}.jsonl" in manifest["outputs"] and name not in (RECORDS, DROPPED)
    ]
    distributions = {name: _bars(counter) for name, counter in counts.items() if counter}
    if lengths:
        distributions["words of the question"] = _bars(lengths, ordered=True)
    return _Step(
        name=Path(path).name,
        stage=manifest["stage"],
        read=kept * _TAKES.get(manifest["stage"], 1) + sum(dropped.values()) + sum(count for _, count in parts),
        kept=kept,
        dropped=dropped.most_common(),
        parts=parts,
        seconds=manifest["seconds"],
        tags=distributions,
        examples=told,
        clusters=_with_heads(records, clusters, examples),
        hits=[*hits, *(marked if manifest["stage"] == "curate decontaminate" else ())][: _HITS * examples],
    )


def _manifest(records: Path, out: store.Output) -> dict[str, Any]:
    """What is known of the stage; a plain file has no manifest."""
    place = out.folder / f"{'' if out.alone else records.stem + '.'}manifest.json"
    if not place.is_file():
        return {"stage": "file", "counts": {}, "outputs": {}, "seconds": 0.0}
    made = store.Manifest.load(place)
    return {"stage": made.key.stage, "counts": made.counts, "outputs": made.outputs, "seconds": made.seconds}


def _distributions(
    file: Path, tags: Sequence[str], examples: int
) -> tuple[dict[str, Counter[str]], Counter[str], int, list[tuple[str, str, str]]]:
    """How often each value of each tag stands in the records, how long questions are, and hits that were kept."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in tags}
    lengths: Counter[str] = Counter()
    kept, marked = 0, list[tuple[str, str, str]]()
    for record in store.read_each(file):
        if isinstance(record, Malformed):
            continue
        kept += 1
        own = Tags(record)
        for name, counter in counts.items():
            value = found(own, name)
            text = str(value)[:80]
            if value not in (None, "") and (text in counter or len(counter) < _MOST_VALUES):
                counter[text] += 1
        if "contaminated" in record.meta and len(marked) < _HITS * examples:
            marked.append(_marked(record))
        words = len(question_of(record).split())
        lengths[next((f"up to {bound}" for bound in _BINS if words <= bound), f"over {_BINS[-1]}")] += 1
    return counts, lengths, kept, marked


def _marked(record: Record) -> tuple[str, str, str]:
    """A hit in a test set that was kept, beside what it matched."""
    hit = record.meta["contaminated"]
    told = hit if isinstance(hit, Mapping) else {}
    matched = f"{told.get('score', '')} with {told.get('with', '')}: {told.get('question', '')!r}"
    return question_of(record)[:_LONG], f"{told.get('method', '')}, kept"[:_LONGEST_KIND], matched[:_LONG]


def _bars(counter: Counter[str], *, ordered: bool = False) -> list[tuple[str, int, float]]:
    """Value, count, share of the largest; the commonest first, or by number."""
    if ordered:
        names = [*(f"up to {bound}" for bound in _BINS), f"over {_BINS[-1]}"]
        shown = [(name, counter[name]) for name in names if counter[name]]
    else:
        shown = counter.most_common(_SHOWN_VALUES)
        rest = counter.total() - sum(count for _, count in shown)
        shown += [(f"{len(counter) - _SHOWN_VALUES} others", rest)] if rest else []
    largest = max((count for _, count in shown), default=1)
    return [(name, count, count / largest) for name, count in shown]


def _dropped(
    file: Path, examples: int
) -> tuple[
    Counter[str], dict[str, list[tuple[str, str, str]]], dict[str, list[tuple[str, str]]], list[tuple[str, str, str]]
]:
    """Reasons with their counts, examples of each, the largest clusters, hits in test sets beside what they match."""
    counts: Counter[str] = Counter()
    told: dict[str, list[tuple[str, str, str]]] = {}
    sizes: Counter[str] = Counter()
    members: dict[str, list[tuple[str, str]]] = {}
    hits: list[tuple[str, str, str]] = []
    for _, row in each(file) if file.is_file() else ():
        if isinstance(row, Malformed):
            continue
        reason = str(row.pop("reason", ""))
        kind = reason.partition(":")[0][:_LONGEST_KIND]
        counts[kind] += 1
        question, answer = _shown(row)
        cluster, hit = _OF.match(reason), _WITH.match(reason)
        if cluster:
            sizes[cluster["head"]] += 1
            some = members.setdefault(cluster["head"], []) if len(members) < _MOST_VALUES else []
            if len(some) < examples:
                some.append((question, cluster["rest"].lstrip(";, ")))
        elif hit:
            if len(hits) < _HITS * examples:
                hits.append((question, hit["kind"], hit["rest"][:_LONG]))
        elif len(told.setdefault(kind, [])) < examples:
            told[kind].append((question, answer, reason.partition(":")[2].strip()[:_LONG]))
    largest = {head: members[head] for head, _ in sizes.most_common() if head in members}
    chosen = dict(list(largest.items())[:examples])
    return counts, told, chosen, hits


def _shown(row: Mapping[str, Any]) -> tuple[str, str]:
    """Question and answer of a row that was dropped, which may be no record at all."""
    try:
        record = store.parse(row)
    except ValueError:
        line = row.get("line")
        return (line if isinstance(line, str) else json.dumps(row))[:_LONG], ""
    return question_of(record)[:_LONG], response_of(record)[:_LONG]


def _with_heads(file: Path, clusters: Mapping[str, list[tuple[str, str]]], examples: int) -> list[Mapping[str, Any]]:
    """Each cluster with the record that was kept of it."""
    heads: dict[str, Record] = {}
    for record in store.read_each(file) if clusters else ():
        if not isinstance(record, Malformed) and record.id in clusters:
            heads[record.id] = record
    return [
        {
            "kept": question_of(heads[head])[:_LONG] if head in heads else f"({head})",
            "repeats": heads[head].meta.get("repeat_count") if head in heads else None,
            "members": members,
        }
        for head, members in list(clusters.items())[:examples]
    ]
