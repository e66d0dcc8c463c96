"""What a person sees while something runs: progress with rate and time left, one-line notices.

Progress goes to standard error and only to a terminal; notices go to standard error always.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import rich.progress as rp

__all__ = ["Progress", "notice", "printable", "progress", "quiet"]


_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Progress(Protocol):
    """A bar that can be moved forward."""

    def advance(self, count: float = 1) -> None:
        """Move the bar by ``count`` of its units."""


class _Silent:
    def advance(self, count: float = 1) -> None:
        """Nothing is shown off a terminal."""


def notice(text: str) -> None:
    """Say one line about what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    r"""The text with every character that could steer a terminal, or turn around what is read, as an escape.

    >>> printable("a\x1b[2J\tb\n")
    'a\\x1b[2J\tb\n'
    """
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what other libraries write to standard error, such as their progress bars, unless it is a terminal."""
    if sys.stderr.isatty():
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        yield


@contextmanager
def progress(title: str, total: float, unit: str = "records", done: float = 0) -> Iterator[Progress]:
    """Show a progress bar with rate and time left while the block runs; show nothing off a terminal.

    Args:
        title: what is being done.
        total: how many units there are in all.
        unit: what is counted.
        done: how many units an earlier, interrupted run has done already; they do not count in the rate.
    """
    if not sys.stderr.isatty() or total <= 0:
        yield _Silent()
        return
    import rich.console
    import rich.progress as rp

    columns = (
        rp.TextColumn("{task.description}"),
        rp.BarColumn(),
        rp.MofNCompleteColumn(),
        rp.TextColumn("{task.fields[rate]}"),
        rp.TimeRemainingColumn(),
    )
    with rp.Progress(*columns, console=rich.console.Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=total, completed=int(done), rate="")
        yield _Bar(bars, task, unit)


class _Bar:
    def __init__(self, bars: rp.Progress, task: rp.TaskID, unit: str) -> None:
        self._bars, self._task, self._unit = bars, task, unit

    def advance(self, count: float = 1) -> None:
        """Move the bar and refresh its rate."""
        self._bars.advance(self._task, count)
        speed = self._bars.tasks[self._task].speed
        self._bars.update(self._task, rate=f"{speed:.1f} {self._unit}/s" if speed else "")
