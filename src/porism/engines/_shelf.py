"""Values on disk under a hash, in one SQLite file that several processes may use at once.

The file is a cache: it may be removed at any time, is kept below a size by removing the oldest entries, and where it is
damaged it is begun anew. What goes wrong here is said once, and stops nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from porism import console
from porism.errors import RecipeError
from porism.models.names import home

__all__ = ["Shelf", "Size", "replies"]

T = TypeVar("T")

_BUSY = 30.0
"""Seconds to wait for another process that is writing."""
_AT_ONCE = 500
"""Keys in one query; older versions of SQLite take no more than 999."""
_LEFT = 0.8
"""Share of the greatest size that stays when the oldest entries are removed."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""No database, a broken one, or one with another layout."""
_DEFAULT_MB = 1024
_TABLE = "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, key BLOB UNIQUE, crc INTEGER, value BLOB)"


class Size(NamedTuple):
    """How much a shelf holds."""

    entries: int
    bytes: int


class Shelf:
    """JSON values under keys.

    Args:
        file: the database; it and its folder are made when something is first put there.
        most: greatest size in bytes; 0 keeps nothing.
    """

    def __init__(self, file: Path, most: int) -> None:
        self.file, self.most = file, most

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """The values of those keys that are there."""
        wanted = list(dict.fromkeys(keys))

        def read(database: sqlite3.Connection) -> list[tuple[bytes, int, bytes]]:
            rows: list[tuple[bytes, int, bytes]] = []
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows += database.execute(f"SELECT key, crc, value FROM entries WHERE key IN ({marks})", some).fetchall()  # noqa: S608
            return rows

        nothing: list[tuple[bytes, int, bytes]] = []
        rows = self._safely(read, nothing) if self.most and self.file.is_file() else nothing
        return {key: json.loads(value) for key, crc, value in rows if zlib.crc32(value) == crc}

    def put(self, values: Mapping[bytes, Any]) -> None:
        """Keep values, all or none; those that are there already are replaced."""
        texts = [(key, json.dumps(value, separators=(",", ":")).encode()) for key, value in values.items()]
        rows = [(key, zlib.crc32(text), text) for key, text in texts]

        def write(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR REPLACE INTO entries (key, crc, value) VALUES (?, ?, ?)", rows)
            while (used := _used(database)) > self.most and (count := _count(database)):
                gone = max(1, int(count * (1 - _LEFT * self.most / used)))
                database.execute(
                    "DELETE FROM entries WHERE number IN (SELECT number FROM entries ORDER BY number LIMIT ?)", [gone]
                )

        if rows and self.most:
            self._safely(write, None)

    def size(self) -> Size:
        """What it holds."""
        if not self.file.is_file():
            return Size(0, 0)
        return self._safely(lambda database: Size(_count(database), _used(database)), Size(0, 0))

    def clear(self) -> None:
        """Remove everything."""
        with self._locked():
            self._remove()

    def _safely(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Work in a transaction. A damaged file is removed; where the disk does not let us, nothing more is kept."""
        try:
            with self._locked():
                try:
                    with contextlib.closing(
                        sqlite3.connect(self.file, timeout=_BUSY, isolation_level=None)
                    ) as database:
                        database.execute("BEGIN IMMEDIATE")
                        database.execute(_TABLE)
                        done = work(database)
                        database.execute("COMMIT")
                        return done
                except sqlite3.Error as error:
                    if error.sqlite_errorcode not in _DAMAGED:
                        raise
                    console.notice(f"{self.file} is damaged ({error}): the replies that were kept there are lost")
                    self._remove()
        except (sqlite3.Error, OSError) as error:
            console.notice(f"{self.file} cannot be used ({error}): replies are not kept")
            self.most = 0
        return otherwise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file: SQLite itself cannot know that it is removed by another process."""
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.file.with_suffix(".lock").open("w") as held:
            end = time.monotonic() + _BUSY
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.01)
            yield

    def _remove(self) -> None:
        for end in ("", "-journal"):  # in this order: a journal without its database is ignored
            self.file.with_name(self.file.name + end).unlink(missing_ok=True)


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT COUNT(*) FROM entries").fetchone()[0])


def _used(database: sqlite3.Connection) -> int:
    """Bytes that hold something."""
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def replies() -> Shelf:
    """Where replies are kept: ``$PORISM_HOME/replies``, at most ``$PORISM_REPLIES_MB`` megabytes (1024; 0 for none).

    Raises:
        RecipeError: that variable is no number.
    """
    wanted = os.environ.get("PORISM_REPLIES_MB", "").strip() or str(_DEFAULT_MB)
    if not wanted.isascii() or not wanted.isdigit():
        raise RecipeError(f"the environment variable PORISM_REPLIES_MB: expected whole megabytes, got {wanted!r}.")
    return Shelf(home() / "replies" / "replies.sqlite", int(wanted) << 20)
