"""A process in a sandbox, as this side has it."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from porism.errors import PorismError
from porism.sandbox.inside.wire import Gone, Line, Unsendable

__all__ = ["SandboxError", "Started", "readable"]


def readable(seconds: float, *ends: socket.socket) -> bool:
    """Whether one of the sockets can be read before the time is over; there may be any number of open files."""
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


class SandboxError(PorismError):
    """The sandbox itself failed: nothing is known of the program."""


class Started:
    """A process that a sandbox was asked for.

    Args:
        control: to the process that watches it.
        wanted: what it is to run, and its limits.
        end: what is left to do once the control socket is closed.
    """

    def __init__(
        self, control: socket.socket, wanted: Mapping[str, Any], end: Callable[[], None] | None = None
    ) -> None:
        self.line = Line(control)
        self._end = end
        try:
            self.line.send(dict(wanted))
        except Unsendable as error:
            raise SandboxError(f"the program, its input or its tests are {error}") from None
        self._wall = float(wanted["limits"]["wall"])
        self._report: dict[str, Any] | None = None

    def report(self, grace: float) -> dict[str, Any]:
        """How it ended: waits for that.

        Args:
            grace: seconds to wait beyond its limit of wall time.

        Raises:
            SandboxError: it did not start, or whoever watches it was killed from outside.
        """
        if self._report is None:
            try:
                self._report = self.line.receive(time.monotonic() + self._wall + grace)
            except Gone:
                raise SandboxError("a sandboxed process ended without a report; the sandbox was killed") from None
            if "failed" in self._report:
                raise SandboxError(f"a sandboxed process could not be started: {self._report['failed']}")
        return self._report

    def close(self) -> None:
        """End it, with all that it started."""
        self.line.close()
        if self._end:
            self._end()
