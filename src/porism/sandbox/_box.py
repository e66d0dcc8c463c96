"""A running sandbox: one process that forks others for this one, each in namespaces of its own."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from porism.sandbox._gvisor import GvisorBox
from porism.sandbox._started import SandboxError, Started, readable
from porism.sandbox._tiers import Refused, described, launch
from porism.sandbox.inside.wire import Gone

__all__ = ["AnyBox", "Box", "ready", "shared"]

_START = 60.0
"""Seconds a sandbox may take to start; the machine may be busy."""
_END = 10.0
"""Seconds it may take to end."""


class Box:
    """A sandbox of one tier.

    Args:
        tier: its name.

    Raises:
        Refused: it cannot be had here.
    """

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self.process = self._started(theirs)
            self._wait_until_ready()
        except Refused:
            self._control.close()
            raise

    def _started(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        command = launch(self.tier, theirs.fileno())
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"sandbox: {self.tier} cannot be started ({error}). {_INSTEAD}") from None

    def _wait_until_ready(self) -> None:
        if readable(_START, self._control) and self._control.recv(16) == b"ready":
            return
        self.process.kill()
        _, complaint = self.process.communicate()
        why = " ".join(complaint.decode("utf-8", "replace").split())[-400:] or "it does not answer"
        raise Refused(f"sandbox: {self.tier} does not work on this machine ({why}). {_INSTEAD}")

    @property
    def alive(self) -> bool:
        """Whether it can be asked for processes."""
        return self.process.poll() is None

    def start(self, role: bytes, wanted: Mapping[str, Any], ends: tuple[socket.socket, ...] = ()) -> Started:
        """Start a process.

        Args:
            role: program, answers or tests.
            wanted: what it is to run, and its limits.
            ends: sockets that it gets; ours to close.

        Raises:
            SandboxError: the sandbox is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._lock:
                    descriptors = [theirs.fileno(), *(end.fileno() for end in ends)]
                    socket.send_fds(self._control, [role], descriptors)
            except OSError:
                ours.close()
                raise SandboxError("the sandbox has ended") from None
        try:
            return Started(ours, wanted)
        except SandboxError:
            ours.close()
            raise
        except Gone:
            ours.close()
            raise SandboxError("the sandbox has ended") from None

    def forget(self) -> None:
        """In a forked child: it is the parent's, neither to be ended nor to be waited for here."""
        self._control.close()
        self.process.returncode = 0

    def close(self) -> None:
        """End it and all that runs in it."""
        self._control.close()  # at which its first process ends, and all others with it
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()


_INSTEAD = (
    "Programs are not run. Isolation needs user namespaces that are open to all users: see the page on the sandbox. To "
    "run code that you trust without isolation, set sandbox to unsafe."
)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


AnyBox = Box | GvisorBox
_boxes: dict[str, AnyBox] = {}
_at_work = threading.Semaphore(_processors())
_lock = threading.Lock()


@contextmanager
def shared(tier: str) -> Iterator[AnyBox]:
    """This process's sandbox of a tier, started when it is first needed; as many programs at once as processors.

    A forked child gets one of its own.

    Raises:
        Refused: it cannot be had here.
    """
    with _at_work:
        with _lock:
            box = _boxes.get(tier)
            if box is None or not box.alive:
                if box is not None:
                    box.close()
                box = _boxes[tier] = GvisorBox() if tier == "gvisor" else Box(tier)
        yield box


def ready(name: str) -> str:
    """Start this process's sandbox, so that it is known to work.

    Args:
        name: a tier, or ``auto``.

    Returns:
        The tier.

    Raises:
        RecipeError: there is no such tier.
        Refused: it cannot be had here.
    """
    with shared(described(name)) as box:
        return box.tier


def _close_all() -> None:
    for box in _boxes.values():
        box.close()
    _boxes.clear()


def _after_fork() -> None:
    """In a forked child: the parent's locks may be held, and its sandboxes are not ours to end."""
    global _at_work, _lock
    _at_work, _lock = threading.Semaphore(_processors()), threading.Lock()
    for box in _boxes.values():
        box.forget()
    _boxes.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
