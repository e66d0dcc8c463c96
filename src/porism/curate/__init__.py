"""Curation: records in; records out; a reason for each that is not.

A step is a module with one of four functions. ``records`` is a :class:`Source`, which may be gone through more than
once: a step that has to see all records before it can decide remembers what it needs, not the records. A stage that
was cut off goes through them from the first on, too: a step that remembers nothing may pass on the first
``records.done`` as they are, since what is decided on them is stored already.

``curate(records, *, …) -> Iterator[tuple[Record, str]]``
    decides on each record by itself: all that came in, in order, each with an empty reason if it is kept. The record
    may be a changed one: with tags, say.
``make(records, *, …) -> Iterator[Made]``
    makes other records of them, in whatever number and order: pairs, a mixture, the parts of a split.
``write(records, place, add, *, …) -> Iterator[tuple[Record, str]]``
    writes files for others, and says of each record whether it could: ``place(name)`` is where a file stands,
    ``add(path)`` makes it part of the output.
``page(stages, *, …) -> str``
    looks at the outputs of stages and makes no records, but one HTML page.

A module may also have ``files(*, …) -> list[Path]``, other files that the step reads, and ``hashes(*, …) ->
dict[str, str]``, anything else that its result depends on, such as a model's fingerprint, both with the same settings;
``check(*, …)``, which raises for settings that do not fit, before anything runs; ``READS``, the classes of records that
it takes; and ``MAKES``, those that it makes, where they are others.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from porism import console, recipe, store
from porism.curate._source import Source
from porism.errors import DataError, RecipeError
from porism.files import Malformed, each
from porism.find import find
from porism.records import Record

__all__ = ["PARTS", "Made", "Settings", "Source", "check", "inputs", "run", "settings"]

PARTS = "porism.curate"
PAGE = "report.html"
_CHUNK = 1_000


class Settings(recipe.Settings):
    """Settings of every ``porism curate STEP``."""

    input: Annotated[list[str], Field(description="records: files or stage folders")]


class Made(NamedTuple):
    """A record that a step made, or one that it left out."""

    record: Record
    reason: str = ""
    """Why it was left out; empty for what is kept."""
    part: str = ""
    """The file of records that it goes to, beside the main one: ``test`` for ``test.jsonl``."""


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a step.

    Raises:
        RecipeError: no such step.
    """
    del values
    step = _step(part)
    found = recipe.settings_of(step, Settings)
    found.reads = _of_module(step, "READS", ())
    found.makes = () if step.__name__ == "page" else _of_module(step, "MAKES", None)
    return found


def check(part: str, settings: Settings) -> None:
    """Find before anything runs that settings do not fit.

    Raises:
        RecipeError: see the step.
    """
    own = _of_module(_step(part), "check", None)
    if own:
        recipe.bind(own, settings)()


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the records, and of all else that the step itself reads."""
    step = _step(part)
    listing, other = _of_module(step, "files", None), _of_module(step, "hashes", None)
    own: list[Path] = recipe.bind(listing, settings)() if listing else []
    found = store.hashes([*(store.locate(path) for path in settings.input), *own])
    return found | (recipe.bind(other, settings)() if other else {})


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Decide on every record, or make others of them, or make a page.

    Raises:
        DataError: no record came in, or none was kept.
    """
    step = _step(part)
    bound: Callable[..., Any] = recipe.bind(step, settings)
    if step.__name__ == "page":
        _page(bound, settings, out)
        return
    source = Source(settings.input)
    if not len(source):
        raise DataError(_nothing(settings, source))
    if source.unread:
        console.notice(f"  {source.unread:,} lines are no records; they are in {out.dropped}")
    if step.__name__ == "make":
        out.write(_placed(_checked(part, bound(source), Made), source))
    else:
        writes = step.__name__ == "write"
        decide = (lambda records: bound(records, out.beside, out.add)) if writes else bound
        _decide(part, decide, source, out, to_the_end=writes)
    reasons = _reasons(out)
    out.counts.update(reasons)
    if not out.counts["records"]:
        told = ", ".join(f"{count} {name.removeprefix('dropped: ')}" for name, count in reasons.most_common(3))
        raise DataError(f"curate {part} dropped all {len(source)} records ({told}). See {out.dropped} for the reasons.")


def _nothing(settings: Settings, source: Source) -> str:
    """What is said of an input without records."""
    first = next((reason for _, reason in source.malformed()), "")
    text = f"{', '.join(settings.input)}: no records in the input."
    return f"{text} {first} A data set of another layout is read by 'porism problems file' first." if first else text


def _step(part: str) -> Callable[..., Any]:
    found: Callable[..., Any] = find(PARTS, part, "curate", "make", "page", "write")
    return found


def _of_module(step: Callable[..., Any], name: str, otherwise: Any) -> Any:
    return getattr(sys.modules.get(step.__module__), name, otherwise)


def _decide(
    part: str, step: Callable[[Source], object], source: Source, out: store.Output, *, to_the_end: bool
) -> None:
    """Keep or drop every record, in chunks that a stage which was cut off does not store again.

    Args:
        part: the step's name.
        step: see :mod:`porism.curate`.
        source: the records.
        out: where decisions go.
        to_the_end: also run a step all of whose decisions an earlier session stored: it writes files of its own.
    """
    whole = len(source) + source.unread
    decisions = enumerate(_decisions(part, step, source))

    def work(chunk: range) -> Iterator[store.Placed]:
        """A step may remember what it has seen, so what an earlier session did is decided again, and not stored."""
        source.done = chunk[0] if source.done is None else source.done
        for at, (record, reason) in decisions:
            if at in chunk:
                yield store.Placed(at, record, reason)
            if at == chunk[-1] and at + 1 < whole:
                return

    chunks = [range(start, min(start + _CHUNK, whole)) for start in range(0, whole, _CHUNK)]
    out.process(chunks, work, title=f"curate {part}")
    if to_the_end:
        deque(decisions, maxlen=0)


def _decisions(
    part: str, step: Callable[[Source], object], source: Source
) -> Iterator[tuple[Record | Mapping[str, Any], str]]:
    """What the step decides on each record, then the lines that are none.

    Raises:
        RecipeError: the step does not decide on each record once.
    """
    total, decided = len(source), 0
    for decided, decision in enumerate(_checked(part, step(source), tuple), 1):
        if decided <= total:
            yield decision
    if decided != total:
        raise RecipeError(
            f"curate {part}: expected one decision on each of {total} records, in order, got {decided}. "
            "A step yields every record, with a reason if it is dropped."
        )
    yield from source.malformed()


def _placed(made: Iterable[Any], source: Source) -> Iterator[store.Placed]:
    at = 0
    for at, (record, reason, part) in enumerate(made, 1):
        yield store.Placed(at, record, reason, part)
    for number, (row, reason) in enumerate(source.malformed(), at + 1):
        yield store.Placed(number, row, reason)


def _page(step: Callable[[list[str]], str], settings: Settings, out: store.Output) -> None:
    """Write a page, and say in the counts of how many stages it tells."""
    text = step(settings.input)
    file = out.beside(PAGE)
    store.write_text(file, text)
    out.add(file)
    out.counts["steps"] = len(settings.input)


def _checked(part: str, found: object, kind: type[tuple[Any, ...]]) -> Iterator[Any]:
    """What a step yields, as it comes.

    Raises:
        RecipeError: it is no record with a reason.
    """
    wanted = f"{'make' if kind is Made else 'curate'}(records, …) to yield "
    wanted += "Made(record, …)" if kind is Made else "(record, reason)"
    if not isinstance(found, Iterable):
        raise RecipeError(f"curate {part}: expected {wanted}, got {found!r:.80}.")
    for item in found:
        fit = isinstance(item, Made) if kind is Made else isinstance(item, tuple) and len(item) == 2
        if not (fit and isinstance(item[0], Record) and isinstance(item[1], str)):
            raise RecipeError(
                f"curate {part}: expected {wanted}, the reason empty for what is kept, got {item!r:.120}."
            )
        yield item


def _reasons(out: store.Output) -> Counter[str]:
    """How often each reason was given, up to its colon."""
    if not out.dropped.is_file():
        return Counter()
    rows = (row for _, row in each(out.dropped) if not isinstance(row, Malformed))
    return Counter(f"dropped: {row['reason'].partition(':')[0]}" for row in rows)
