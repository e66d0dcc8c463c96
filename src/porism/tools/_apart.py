"""A function of the user's in processes of its own, so that one that hangs or dies takes nothing else with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from porism.errors import RecipeError
from porism.sandbox.inside.wire import Gone, Line, Unsendable
from porism.tools._answer import Answer

__all__ = ["Apart"]

_START = 60.0
"""Seconds that a process may take to import the user's code."""


class _Worker:
    def __init__(self, name: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "porism.tools._worker", name, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.line = Line(ours)

    def close(self) -> None:
        self.process.kill()
        self.line.close()
        self.process.wait()


class Apart:
    """Calls a function by name in processes that are kept for the next call, and killed where they overrun.

    Args:
        name: ``package.module:name`` or ``path/file.py:name``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _end, self._idle)

    def call(self, arguments: Mapping[str, Any], seconds: float) -> Answer:
        """What the function says, or why it says nothing.

        Args:
            arguments: plain values.
            seconds: how long it may take.

        Raises:
            RecipeError: the user's code cannot be imported.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or self._started()
        began = time.monotonic()
        try:
            worker.line.send(dict(arguments))
            said = worker.line.receive(began + seconds)
            answer = Answer(str(said["text"]), bool(said["failed"]), str(said["sandbox"]))
        except Unsendable as error:
            worker.close()
            return Answer(f"the call is {error}", failed=True)
        except Gone:
            overran = time.monotonic() - began >= seconds
            worker.close()
            why = f"stopped: it took longer than {seconds:g} s" if overran else "the tool's process ended"
            return Answer(why, failed=True)
        except BaseException:
            worker.close()
            raise
        with self._lock:
            self._idle.append(worker)
        return answer

    def _started(self) -> _Worker:
        worker = _Worker(self._name)
        try:
            said = worker.line.receive(time.monotonic() + _START)
        except Gone:
            worker.close()
            raise RecipeError(
                f"{self._name}: this code of yours was not ready within {_START:g} s, or ended."
            ) from None
        except BaseException:
            worker.close()
            raise
        if "failed" in said:
            worker.close()
            raise RecipeError(str(said["failed"]))
        return worker

    def close(self) -> None:
        """End the processes that stand ready."""
        with self._lock:
            _end(self._idle)


def _end(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().close()
