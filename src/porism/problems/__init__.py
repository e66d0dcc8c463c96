"""Problem sources, and the stage that turns one into records.

A source is a module with ``load(split, *, …) -> Iterator[Problem | Unreadable]``. One that reads files also has
``files(split, *, …) -> list[Path]``, so that a changed file is noticed; it takes the same settings, or some of them.
One that reads records of some classes only has ``READS``, a tuple of these.

A row that makes no problem is no error: it is dropped with its place and its reason. Only where most rows are like that
does the stage stop.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

from pydantic import Field

from porism import console, files, recipe, store
from porism.errors import DataError, RecipeError
from porism.find import find
from porism.records import Problem, to_row

__all__ = ["PARTS", "MissingData", "Settings", "Unreadable", "check", "inputs", "run", "settings"]

PARTS = "porism.problems"
_LONGEST = 1_000_000
"""Characters of a question, an answer or a solution. The longest chains of thought that are published have a tenth."""
_SURE = 1_000
"""Rows after which a source that cannot be read is given up."""
_SHOWN = 200


class Settings(recipe.Settings):
    """Settings of every ``porism problems SOURCE``."""

    makes = (Problem,)

    split: Annotated[str, Field(description="train or test, as the source names them")] = "train"
    limit: Annotated[int | None, Field(description="take at most this many", ge=1)] = None
    shuffle: Annotated[recipe.Seed | None, Field(description="shuffle with this seed before the limit")] = None
    buffer: Annotated[
        int | None, Field(description="shuffle a stream through so many problems, not the whole source", ge=2)
    ] = None
    set: Annotated[str, Field(description="the name under which results are reported; the source's if empty")] = ""
    optional: Annotated[bool, Field(description="go on with no problems where the source's file is missing")] = False


class Unreadable(NamedTuple):
    """A row that makes no problem."""

    place: str
    """File and line, or item."""
    reason: str
    """What is counted, and after a colon what was found."""
    row: str = ""
    """The row, or as much of it as could be read."""
    is_defect: bool = True
    """False for what the source leaves out by its nature; only defects can be too many."""


class MissingData(DataError):
    """A source's file is not there."""


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a source: the verb's and its own.

    Raises:
        RecipeError: no such source.
    """
    del values
    load = find(PARTS, part, "load")
    found = recipe.settings_of(load, Settings)
    found.reads = getattr(sys.modules.get(load.__module__), "READS", ())
    return found


def check(part: str, settings: Settings) -> None:
    """Find before anything runs that there is a buffer and nothing to shuffle.

    Raises:
        RecipeError: there is.
    """
    if settings.buffer is not None and settings.shuffle is None:
        raise RecipeError(f"problems {part}: 'buffer' is for shuffling. Set 'shuffle' to a seed too.")


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the files that the source reads."""
    listing = getattr(sys.modules.get(find(PARTS, part, "load").__module__), "files", None)
    return store.hashes(recipe.bind(listing, settings)(settings.split)) if listing else {}


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Write the problems of a source, and apart from them the rows that make none.

    Raises:
        DataError: the source is missing or damaged, most of its rows make no problem, or none does.
    """
    load: Callable[..., Iterator[Problem | Unreadable]] = recipe.bind(find(PARTS, part, "load"), settings)
    rows = _Rows(part, settings)
    try:
        out.write(rows.placed(load(settings.split), out.folder))
    except MissingData as error:
        if not settings.optional:
            raise
        console.notice(f"  skipped: {error}")
        out.write(())
    if not out.counts["records"] and not settings.optional:
        place = next((str(value) for name in ("path", "dataset") if (value := getattr(settings, name, ""))), "")
        raise DataError(f"{place}{': ' if place else ''}the source gave no problem. Check the split and the limit.")
    out.counts.update(rows.reasons)


class _Rows:
    """What a source gives, on its way into the output."""

    def __init__(self, part: str, settings: Settings) -> None:
        self._part, self._settings = part, settings
        self._dropped: list[store.Placed] = []
        self._seen = self._bad = 0
        self._first: Unreadable | None = None
        self.reasons: Counter[str] = Counter()
        """How often each reason was given, up to its colon."""

    def placed(self, found: object, folder: Path) -> Iterator[store.Placed]:
        """Problems in their order, shuffled and limited, and dropped rows between them.

        Raises:
            DataError: most rows make no problem.
            RecipeError: the source gives something else than problems.
        """
        problems = self._problems(found)
        seed, buffer = self._settings.shuffle, self._settings.buffer
        if seed is not None:
            problems = _through(problems, seed, buffer) if buffer else _shuffled(problems, seed, folder)
        at = 0
        for problem in islice(problems, self._settings.limit):
            for placed in (*self._taken(), store.Placed(0, _named(problem, self._settings.set))):
                yield placed._replace(at=at)
                at += 1
        self._judge(least=0)
        for placed in self._taken():
            yield placed._replace(at=at)
            at += 1

    def _taken(self) -> list[store.Placed]:
        taken, self._dropped = self._dropped, []
        return taken

    def _problems(self, found: object) -> Iterator[Problem]:
        for item in _checked(self._part, found):
            self._seen += 1
            reason = item.reason if isinstance(item, Unreadable) else _unfit(item)
            if isinstance(item, Problem) and not reason:
                yield item
                continue
            row = item if isinstance(item, Unreadable) else Unreadable("", reason, item.question[:_SHOWN])
            self._first = self._first or (row if row.is_defect else None)
            self._bad += row.is_defect
            self.reasons[f"dropped: {reason.partition(':')[0]}"] += 1
            told = {name: text for name, text in (("place", row.place), ("row", row.row[:_SHOWN].strip())) if text}
            self._dropped.append(store.Placed(0, told, reason))
            self._judge(least=_SURE)

    def _judge(self, *, least: int) -> None:
        """Stop where most of at least so many rows make no problem.

        Raises:
            DataError: it is so.
        """
        bad = self._bad
        if bad > least and bad * 2 > self._seen and self._first is not None:
            where = f"{self._first.place}: " if self._first.place else ""
            kinds = ", ".join(
                f"{count} {name.removeprefix('dropped: ')}" for name, count in self.reasons.most_common(3)
            )
            raise DataError(
                f"{where}{self._first.reason.rstrip('.')}. Of {self._seen} rows {bad} make no problem ({kinds}). "
                "Check the file and its layout, or mend the rows."
            )


def _shuffled(problems: Iterator[Problem], seed: int, folder: Path) -> Iterator[Problem]:
    """The problems in an order of which every one is equally likely.

    They wait in a file, so that memory holds eight bytes for each.
    """
    places = array("Q")
    with tempfile.TemporaryFile(dir=folder) as waiting:
        for problem in problems:
            places.append(waiting.tell())
            waiting.write(files.to_line(to_row(problem)))
        random.Random(seed).shuffle(places)
        for place in places:
            waiting.seek(place)
            yield cast("Problem", store.parse(json.loads(waiting.readline())))


def _through(problems: Iterator[Problem], seed: int, size: int) -> Iterator[Problem]:
    """The problems in an order that is random within about ``size`` of them: a stream need not be read to its end."""
    rng = random.Random(seed)
    waiting = list(islice(problems, size))
    for problem in problems:
        at = rng.randrange(size)
        yield waiting[at]
        waiting[at] = problem
    rng.shuffle(waiting)
    yield from waiting


def _checked(part: str, found: object) -> Iterator[Problem | Unreadable]:
    """What a source gives, as it comes.

    Raises:
        RecipeError: it is no problem.
    """
    if not isinstance(found, Iterable):
        raise RecipeError(f"problems {part}: expected load(split, …) to yield Problem records, got {found!r:.80}.")
    for item in found:
        if not isinstance(item, Unreadable) and not (
            isinstance(item, Problem)
            and all(isinstance(text, str) for text in (item.question, item.answer, item.solution))
        ):
            raise RecipeError(
                f"problems {part}: expected load(split, …) to yield Problem records with question, answer and solution "
                f"as texts, got {item!r:.120}."
            )
        yield item


def _unfit(problem: Problem) -> str:
    """Why a problem cannot be used, whatever its source; empty if it can."""
    for name in ("question", "answer", "solution"):
        text = getattr(problem, name)
        if len(text) > _LONGEST:
            return f"too long: {len(text):,} characters of {name}"
        if "\0" in text:
            return f"NUL: a NUL character in the {name} {text[:40]!r}"
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            return f"half of a surrogate pair: in the {name} {text[:40]!r}, which no model can read"
    return "" if problem.question.strip() else "empty question: there is nothing to ask"


def _named(problem: Problem, name: str) -> Problem:
    """The problem under the name of a set; where none is given, the source's."""
    return dataclasses.replace(problem, set=name or problem.set or problem.source)
