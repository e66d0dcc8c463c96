"""The process from which every program of a sandbox is forked: Python has started, common modules are loaded.

It reads no program and no test: what it passes on is sockets, so nothing of one program is in the memory that the next
one inherits. ``python start.py FD TIER`` listens on the socket FD.
``python start.py - gvisor ROLE`` is for one program alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["main"]

_COMMON = (
    "abc",
    "argparse",
    "array",
    "ast",
    "base64",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "inspect",
    "io",
    "itertools",
    "json",
    "math",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "pprint",
    "queue",
    "random",
    "re",
    "statistics",
    "string",
    "struct",
    "sys",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "unittest",
    "uuid",
)
"""Modules that programs often import; they are loaded once."""
_PACKAGES = ("site-packages", "dist-packages")
"""Where what was installed beside this Python lies: a program sees the same modules on every machine."""
_PLACES = 3
_MOST_DESCRIPTORS = 4096


def main() -> None:
    """Fork a program for every message, until the socket is closed."""
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from porism.sandbox.inside.cage import Cage

    cage = Cage(sys.argv[2])
    for name in _COMMON:
        importlib.import_module(name)
    import porism.sandbox.inside.judge
    import porism.sandbox.inside.program
    import porism.sandbox.inside.supervise  # noqa: F401

    sys.path.pop(0)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.path[:] = [place for place in sys.path if Path(place).name not in _PACKAGES]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # or a program could interrupt those that watch it
    if sys.argv[2] == "gvisor":
        _alone(cage, sys.argv[3])
    number = int(sys.argv[1])
    os.closerange(3, number)  # what was needed to start the sandbox
    os.closerange(number + 1, _MOST_DESCRIPTORS)
    control = socket.socket(fileno=number)
    gc.collect()
    gc.freeze()
    gc.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that only start others
    control.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, _PLACES)
        if not message:
            os._exit(0)
        with contextlib.suppress(OSError):  # too many processes: whoever asked sees its socket closed
            if os.fork() == 0:
                control.close()
                _start(cage, message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _alone(cage: Any, role: str) -> NoReturn:
    """Be the one process that a sandbox was started for; its sockets are the standard streams."""
    from porism.sandbox.inside.supervise import supervise

    count = {"program": 1, "answers": 2, "tests": 3}[role]
    ends = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(number)) for number in range(count)]
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    supervise(cage, ends[0], ends[1:], lambda wanted: _run(role.encode(), ends[1:], wanted))


def _start(cage: Any, message: bytes, descriptors: list[int]) -> NoReturn:
    """In the child: leave for new namespaces, and fork the first process there."""
    from porism.sandbox.inside.supervise import supervise
    from porism.sandbox.inside.wire import Line

    ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            cage.separate()
            first = os.fork()
        except OSError as error:
            Line(ends[0]).send({"failed": f"{type(error).__name__}: {error}"})
            os._exit(1)
        if first == 0:
            supervise(cage, ends[0], ends[1:], lambda wanted: _run(message, ends[1:], wanted))
    finally:
        os._exit(0)


def _run(message: bytes, ends: list[socket.socket], wanted: dict[str, Any]) -> None:
    """What the confined process does."""
    from porism.sandbox.inside import judge, program
    from porism.sandbox.inside.wire import Line

    if message == b"program":
        program.run(wanted["source"])
    elif message == b"answers":
        program.answer(Line(ends[0]), wanted["source"])
    else:
        judge.judge(Line(ends[0]), Line(ends[1]), wanted)


if __name__ == "__main__":
    main()
