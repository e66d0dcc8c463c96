"""Vectors that were made before: one SQLite file a model. A cache: it may be removed at any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from porism import console
from porism.errors import RecipeError
from porism.models.names import home

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Kept"]

_AT_ONCE = 500
_DEFAULT_MB = 4096
_BUSY = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"


class Kept:
    """The vectors of one model.

    Args:
        fingerprint: of the model; it names the file.
        keep: whether to use it at all.

    Raises:
        RecipeError: ``$PORISM_EMBEDDINGS_MB`` is no number.
    """

    def __init__(self, fingerprint: str, *, keep: bool = True) -> None:
        name = re.sub(r"[^0-9A-Za-z]", "", fingerprint)[:32]
        self.file = home() / "embeddings" / f"{name}.sqlite"
        self._most = _most() if keep else 0

    def get(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors of those texts that are there."""
        if not self._most or not self.file.is_file():
            return {}
        import numpy as np

        by_key = {_key(text): text for text in texts}
        keys = list(by_key)
        rows: list[tuple[bytes, bytes]] = []
        try:
            with contextlib.closing(sqlite3.connect(self.file, timeout=_BUSY)) as database:
                for start in range(0, len(keys), _AT_ONCE):
                    some = keys[start : start + _AT_ONCE]
                    marks = ",".join("?" * len(some))
                    rows += database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", some)  # noqa: S608
        except sqlite3.Error as error:
            self._give_up(error)
            return {}
        return {by_key[key]: np.frombuffer(vector, np.float32) for key, vector in rows}

    def put(self, vectors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Keep vectors, as long as there is room."""
        if not self._most or (self.file.is_file() and self.file.stat().st_size > self._most):
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.closing(sqlite3.connect(self.file, timeout=_BUSY)) as database, database:
                database.execute(_TABLE)
                rows = [(_key(text), vector.tobytes()) for text, vector in vectors.items()]
                database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        console.notice(f"{self.file} cannot be used ({error}): vectors are not kept. Remove it where it is damaged.")
        self._most = 0


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _most() -> int:
    wanted = os.environ.get("PORISM_EMBEDDINGS_MB", "").strip() or str(_DEFAULT_MB)
    if not wanted.isascii() or not wanted.isdigit():
        raise RecipeError(f"the environment variable PORISM_EMBEDDINGS_MB: expected whole megabytes, got {wanted!r}.")
    return int(wanted) << 20
