"""Curation: each step keeps or drops records, and says why it dropped one.

A step is a module with ``curate(records, *, …) -> Iterator[tuple[Record, str]]``: every record that came in, in order,
with an empty reason if it is kept. One that writes files of its own has ``write(records, place, add, *, …)`` instead,
which yields the same: ``place(name)`` is where a file stands, and ``add(path)`` makes it part of the output. One that reads
other files has ``files(*, …) -> list[Path]`` with the same settings;
one that takes some classes of records only has ``READS``, a tuple of these.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

from pydantic import Field

from porism import recipe, store
from porism.errors import DataError, RecipeError
from porism.find import find
from porism.records import Record

__all__ = ["PARTS", "Settings", "inputs", "run", "settings"]

PARTS = "porism.curate"
_CHUNK = 1_000


class Settings(recipe.Settings):
    """Settings of every ``porism curate STEP``."""

    input: Annotated[list[str], Field(description="records: files or stage folders")]


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a step.

    Raises:
        RecipeError: no such step.
    """
    del values
    step = find(PARTS, part, "curate", "write")
    found = recipe.settings_of(step, Settings)
    found.reads = getattr(sys.modules.get(step.__module__), "READS", ())
    return found


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the records, and of the files that the step itself reads."""
    listing = getattr(sys.modules.get(find(PARTS, part, "curate", "write").__module__), "files", None)
    own = recipe.bind(listing, settings)() if listing else []
    return store.hashes([*(store.locate(path) for path in settings.input), *own])


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Keep or drop every record.

    Raises:
        DataError: no record came in, or none was kept.
    """
    total = sum(1 for path in settings.input for _ in store.rows(store.locate(path)))
    if not total:
        raise DataError(f"{', '.join(settings.input)}: no records in the input.")
    function = find(PARTS, part, "curate", "write")
    bound: Callable[..., Iterator[tuple[Record, str]]] = recipe.bind(function, settings)
    files = (out.beside, out.add) if function.__name__ == "write" else ()
    decisions = enumerate(_checked(part, bound(chain.from_iterable(store.read(path) for path in settings.input), *files)))

    def work(chunk: range) -> Iterator[store.Placed]:
        """A step may remember what it has seen, so what an earlier session did is decided again, and not stored."""
        at = -1
        for at, (record, reason) in decisions:
            if at in chunk:
                yield store.Placed(at, record, reason)
            if at == chunk[-1] and at + 1 < total:
                return
        if at + 1 != total:
            raise RecipeError(
                f"curate {part}: expected one decision on each of {total} records, in order, got {at + 1}. "
                "A step yields every record, with a reason if it is dropped."
            )

    chunks = [range(start, min(start + _CHUNK, total)) for start in range(0, total, _CHUNK)]
    out.process(chunks, work, title=f"curate {part}")
    out.counts.update(_reasons(out))
    if not out.counts["records"]:
        raise DataError(f"curate {part} dropped all {total} records. See {out.dropped} for the reasons.")


def _checked(part: str, found: object) -> Iterator[tuple[Record, str]]:
    """What a step yields, as it comes.

    Raises:
        RecipeError: it is no record with a reason.
    """
    if not isinstance(found, Iterable):
        raise RecipeError(f"curate {part}: expected curate(records, …) to yield (record, reason), got {found!r:.80}.")
    for item in found:
        if not (
            isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Record) and isinstance(item[1], str)
        ):
            raise RecipeError(
                f"curate {part}: expected curate(records, …) to yield (record, reason), the reason empty for what is "
                f"kept, got {item!r:.120}."
            )
        yield item


def _reasons(out: store.Output) -> Counter[str]:
    """How often each reason was given, up to its colon."""
    if not out.dropped.is_file():
        return Counter()
    return Counter(f"dropped: {row['reason'].partition(':')[0]}" for _, row in store.rows(out.dropped))
