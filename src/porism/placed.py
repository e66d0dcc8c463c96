"""Results of a stage in the order in which they are made, and the files that they are put into in the end.

A line of the partial file holds a result's place, the reason if it was dropped, the file if it is not the main one, and
the row. Where the places rise from line to line, as those of a stage that goes through its input do, the files are
written in one pass, in memory that does not depend on how many there are.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from porism.files import to_line
from porism.records import Record, to_row

__all__ = ["DROPPED", "RECORDS", "Placed", "as_line", "assemble"]

RECORDS, DROPPED = "records", "dropped"
"""Names of the two files that every stage may write."""

_START = len('{"at": ')


class Placed(NamedTuple):
    """A result with its place in the output; with a reason, it is a record that was dropped."""

    at: int
    record: Record | Mapping[str, Any]
    """A record, or the plain row of a line that was dropped because it is none."""
    reason: str = ""
    part: str = ""
    """The file of records that it goes to, beside the main one; empty for the main one."""


def as_line(placed: Placed) -> bytes:
    """A result as a line of the partial file."""
    value: dict[str, Any] = {"at": placed.at}
    if placed.reason:
        value["reason"] = placed.reason
    if placed.part:
        value["part"] = placed.part
    row = placed.record if isinstance(placed.record, Mapping) else to_row(placed.record)
    return to_line({**value, "row": row})


def assemble(partial: Path, file_of: Callable[[str], Path]) -> Counter[str]:
    """Write the results of a partial file in the order of their places; the last result of a place counts.

    Args:
        partial: what :func:`as_line` made.
        file_of: the file for a part's name, :data:`RECORDS` or :data:`DROPPED`. That of the records is always written.

    Returns:
        How many results went to each.
    """
    counts: Counter[str] = Counter({RECORDS: 0, DROPPED: 0})
    with partial.open("rb") as source, ExitStack() as open_files:
        writers: dict[str, BinaryIO] = {}

        def writer(name: str) -> BinaryIO:
            if name not in writers:
                writers[name] = open_files.enter_context(_temporary(file_of(name)).open("wb"))
            return writers[name]

        writer(RECORDS)
        for text in _ordered(source):
            value = json.loads(text)
            reason = value.get("reason", "")
            name = DROPPED if reason else value.get("part") or RECORDS
            writer(name).write(to_line({"reason": reason, **value["row"]} if reason else value["row"]))
            counts[name] += 1
        for written in writers.values():
            written.flush()
            os.fsync(written.fileno())
    for name in writers:
        _temporary(file_of(name)).replace(file_of(name))
    return counts


def _temporary(file: Path) -> Path:
    return file.with_name(file.name + ".tmp")


def _ordered(source: BinaryIO) -> Iterable[bytes]:
    """The lines by their places."""
    if _rises(source):
        source.seek(0)
        return source
    last: dict[int, int] = {}
    offset = 0
    source.seek(0)
    for text in source:
        last[_at(text)] = offset
        offset += len(text)
    return _picked(source, [last[at] for at in sorted(last)])


def _picked(source: BinaryIO, offsets: Iterable[int]) -> Iterator[bytes]:
    for offset in offsets:
        source.seek(offset)
        yield source.readline()


def _rises(source: BinaryIO) -> bool:
    before = -1
    for text in source:
        at = _at(text)
        if at <= before:
            return False
        before = at
    return True


def _at(text: bytes) -> int:
    """The place that a line begins with, read without the rest of it."""
    return int(text[_START : text.index(b",", _START)])
