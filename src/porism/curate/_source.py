"""The records that a step gets: read from disk each time that they are gone through, so that memory stays flat."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from porism import console, store
from porism.errors import DataError
from porism.files import Malformed
from porism.records import Record

__all__ = ["Source", "others"]


class Source:
    """The records of several files, in order. It can be gone through any number of times.

    Lines that are no records are passed over here; :meth:`malformed` tells of them.

    Args:
        paths: files or stage folders.

    Raises:
        DataError: one of them is not there.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)
        self._files: list[Path] = [store.locate(path) for path in paths]
        self.done: int | None = None
        """How many decisions, from the first on, an earlier session has stored; known when a step is asked for one."""

    def __iter__(self) -> Iterator[Record]:
        for found in self._all():
            if not isinstance(found, Malformed):
                yield found

    def __len__(self) -> int:
        return self._counted[0]

    @property
    def parts(self) -> list[Source]:
        """One source a file."""
        return [Source([path]) for path in self.paths]

    @property
    def unread(self) -> int:
        """How many lines are no records."""
        return self._counted[1]

    def malformed(self) -> Iterator[tuple[Mapping[str, str], str]]:
        """Each line that is no record, as a row to be kept, with the reason why it is dropped."""
        for found in self._all() if self.unread else ():
            if isinstance(found, Malformed):
                yield {"line": found.line}, f"malformed: {found.complaint}"

    def _all(self) -> Iterator[Record | Malformed]:
        for file in self._files:
            yield from store.read_each(file)

    @functools.cached_property
    def _counted(self) -> tuple[int, int]:
        records = unread = 0
        for found in self._all():
            if isinstance(found, Malformed):
                unread += 1
            else:
                records += 1
        return records, unread


def others(paths: Sequence[str]) -> Iterator[tuple[str, Record]]:
    """The records of further files that a step reads, each with its path.

    Lines that are no records are passed over, and told of.

    Args:
        paths: files or stage folders.

    Raises:
        DataError: one of them is not there, or no line of it is a record.
    """
    for path in paths:
        records = unread = 0
        first = ""
        for found in store.read_each(path):
            if isinstance(found, Malformed):
                unread, first = unread + 1, first or found.complaint
            else:
                records += 1
                yield path, found
        if unread and not records:
            raise DataError(f"{path}: expected records, found none. {first}")
        if unread:
            console.notice(f"  {path}: {unread:,} lines are no records and are passed over. The first: {first}")
