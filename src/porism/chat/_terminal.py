"""Where a conversation is held: a terminal, or a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from porism import console
from porism.chat._thoughts import Part
from porism.errors import RecipeError

__all__ = ["Terminal"]

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_FENCE = '"""'
_KEPT = 1_000
"""Lines of history that are kept."""


class Terminal:
    """Reads questions, and writes answers.

    Args:
        source: where questions come from.
        target: where answers go.
        history: a file with the questions of earlier sessions; None to keep none.
    """

    def __init__(self, source: TextIO = sys.stdin, target: TextIO = sys.stdout, history: Path | None = None) -> None:
        self._source, self._target, self._history = source, target, history
        self._within = False
        self.interactive = source.isatty() and target.isatty()
        self._coloured = (
            self.interactive and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        )

    def questions(self) -> Iterator[str]:
        """What the user types, until Ctrl-D, Ctrl-C, or the end of the pipe. Several lines stand between ``\"\"\"``.

        Raises:
            RecipeError: what comes through the pipe is not UTF-8.
        """
        if not self.interactive:
            yield from self._joined(self._piped())
            return
        with self._remembered():
            yield from self._joined(self._typed())

    def write(self, part: Part) -> None:
        """Show a piece of an answer at once, thoughts dimmed. What could steer the terminal is escaped."""
        text = console.printable(part.text) if self.interactive else part.text
        self._target.write(f"{_DIM}{text}{_PLAIN}" if part.thought and self._coloured else text)
        self._target.flush()
        self._within = True

    def end(self) -> None:
        """Close the line of an answer."""
        self._target.write("\n")
        self._target.flush()
        self._within = False

    def remark(self, text: str) -> None:
        """Say something that is no part of an answer: in the terminal, dimmed; over a pipe, to standard error."""
        if not self.interactive:
            console.notice(text)
            return
        text = console.printable(text)
        self._target.write(f"{_DIM}{text}{_PLAIN}\n" if self._coloured else f"{text}\n")
        self._target.flush()

    def complain(self, text: str) -> None:
        """Say in the terminal what went wrong, below what there may be of an answer."""
        if self._within:
            self.end()
        self._target.write(f"{console.printable(text)}\n")
        self._target.flush()

    def _piped(self) -> Iterator[str]:
        try:
            for line in self._source:
                line.encode()  # in some locales bytes that are no text come as lone surrogates
                yield line.rstrip("\r\n")
        except UnicodeError:
            raise RecipeError("standard input: expected UTF-8 text, got other bytes. Convert it first.") from None

    def _typed(self) -> Iterator[str]:
        while True:
            try:
                yield input("> ")
            except (EOFError, KeyboardInterrupt):
                self.end()
                return

    @staticmethod
    def _joined(lines: Iterator[str]) -> Iterator[str]:
        """Each line, or the lines from one that begins with ``\"\"\"`` to one that ends with it as one text."""
        for line in lines:
            text = line
            if text.lstrip().startswith(_FENCE):
                text = text.lstrip()[len(_FENCE) :]
                while not text.rstrip().endswith(_FENCE):
                    more = next(lines, None)
                    if more is None:
                        break
                    text += f"\n{more}"
                text = text.rstrip().removesuffix(_FENCE)
            if text.strip():
                yield text.strip()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        """Line editing, with the questions of earlier sessions, which only this user may read."""
        try:
            import readline
        except ImportError:  # not on every system
            yield
            return
        if self._history is None:
            yield
            return
        with contextlib.suppress(OSError):
            self._history.parent.mkdir(parents=True, exist_ok=True)
            self._history.touch(mode=0o600)
            readline.read_history_file(self._history)
        readline.set_history_length(_KEPT)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                readline.write_history_file(self._history)
