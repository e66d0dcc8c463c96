"""Roll-outs on disk as they are made, so that none is made twice: a line is there whole, or not at all.

Each line has its own checksum and is on the disk before anything goes on. What a cut-off session left half-written is
dropped when the journal is opened.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from porism import console
from porism.files import to_line

__all__ = ["Journal", "Place"]


class Place(NamedTuple):
    """What a line is about."""

    iteration: int
    round: int
    """0, and more where an iteration rolls out again."""
    phase: str
    """``sampled`` or ``judged``."""


class Journal:
    """Lines by their place. Only where they stand is kept in memory.

    Args:
        folder: its own; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / "journal.jsonl"
        self._file.touch()
        self._at: dict[Place, tuple[int, int]] = {}
        end = self._read()
        if end < self._file.stat().st_size:
            console.notice("  the last roll-out was not written to its end, and is made again")
            os.truncate(self._file, end)

    def __contains__(self, place: Place) -> bool:
        return place in self._at

    def get(self, place: Place) -> Any:
        """What was stored.

        Raises:
            KeyError: nothing was.
        """
        start, length = self._at[place]
        with self._file.open("rb") as source:
            source.seek(start)
            return json.loads(source.read(length))["value"]

    def put(self, place: Place, value: Any) -> None:
        """Store something that JSON can say, and wait until it is on the disk."""
        body = to_line({"place": list(place), "value": value})
        line = body[:-2] + b', "crc": %d}\n' % zlib.crc32(body)
        with self._file.open("ab") as target:
            start = target.tell()
            target.write(line)
            target.flush()
            os.fsync(target.fileno())
        self._at[place] = start, len(line)

    def _read(self) -> int:
        """Find the lines; where the good ones end."""
        end = 0
        with self._file.open("rb") as source:
            for line in source:
                place = _checked(line)
                if place is None:
                    break
                self._at[place] = end, len(line)
                end += len(line)
        return end


def _checked(line: bytes) -> Place | None:
    """The place of a line that is whole."""
    body, mark, crc = line.rpartition(b', "crc": ')
    if not mark or not line.endswith(b"}\n"):
        return None
    try:
        if zlib.crc32(body + b"}\n") != int(crc[:-2]):
            return None
        return Place(*json.loads(line)["place"])
    except (ValueError, TypeError, KeyError):
        return None
