"""The output of a training in processes that do not write: of several that were launched, the first one leads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from porism import store
from porism.errors import DataError, StorageError

__all__ = ["Follower"]

_LONGEST = 600.0
"""Seconds in which the first process must have begun."""


class Follower(store.Output):
    """Looks like a stage's output, and leaves all that stands there alone."""

    def is_done(self, key: store.Key) -> bool:
        """Wait until the first process has begun on this key.

        Returns:
            Whether it found the output complete, so that there is nothing to do.

        Raises:
            StorageError: it did not begin.
        """
        file = self.folder / "manifest.json"
        end = time.monotonic() + _LONGEST
        while time.monotonic() < end:
            try:
                self.manifest = store.Manifest.load(file) if file.is_file() else None
            except DataError:  # a first process that is about to write it
                self.manifest = None
            if self.manifest and self.manifest.key == key:
                return self.manifest.status == "complete"
            time.sleep(0.2)
        raise StorageError(f"{file}: the first process did not begin within {_LONGEST:.0f} s. See what it says.")

    def keep(self, name: str, value: Any) -> Any:
        """What the first process has kept, or this one's own value."""
        return self.manifest.environment.get(name, value) if self.manifest else value

    def beside(self, name: str) -> Path:
        """The path."""
        return self.folder / name

    def process(self, units: Any, work: Callable[[Any], Iterable[store.Placed]], **_: Any) -> None:
        """Nothing: the first process does it.

        Raises:
            StorageError: rows that are made by the stage itself cannot be waited for here.
        """
        del units, work
        raise StorageError("labels from roll-outs are made by one process. Run without accelerate launch first.")

    def write(self, results: Iterable[store.Placed]) -> None:
        """Nothing."""
        for _ in results:
            pass

    def save(self) -> None:
        """Nothing."""
