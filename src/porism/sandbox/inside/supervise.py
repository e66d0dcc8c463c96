"""The first process of a program's namespaces: it starts the program, watches it, and takes everything with it.

When this process ends, the kernel kills whatever else is left in the namespaces, and their folders are gone. It ends
when the program does, when a limit is reached, or when whoever asked for the program closes the control socket.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

from porism.sandbox.inside.cage import Cage
from porism.sandbox.inside.watch import Watch
from porism.sandbox.inside.wire import Gone, Line

__all__ = ["supervise"]

Run = Callable[[dict[str, Any]], None]
_CONFINED = "confined"
_TROUBLE = 1000


def supervise(cage: Cage, control: socket.socket, ends: list[socket.socket], run: Run) -> NoReturn:
    """Run one program and report how it ended.

    Args:
        cage: the walls.
        control: to whoever asked; the first object is what to run, ours is the report.
        ends: sockets of the program's, which are closed here.
        run: what the program's own process does.
    """
    line = Line(control)
    with contextlib.suppress(Gone):
        wanted = line.receive()
        try:
            report = _run(cage, wanted, control, ends, run)
        except OSError as error:
            report = {"failed": f"{type(error).__name__}: {error}"}
        line.send(report)
    os._exit(0)


def _run(
    cage: Cage, wanted: dict[str, Any], control: socket.socket, ends: list[socket.socket], run: Run
) -> dict[str, Any]:
    processes = cage.furnish(wanted["limits"]["folder"])
    own = "" if cage.isolated else tempfile.mkdtemp(prefix="porism-unsafe-")
    os.chdir(own or "/tmp")  # noqa: S108  (which is the namespace's own)
    outputs = [os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)] if "stdin" in wanted else []
    told, tell = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _become(cage, wanted, (control, processes), (tell, outputs), run)
    os.close(tell)
    trouble = os.read(told, _TROUBLE).decode("utf-8", "replace")
    os.close(told)
    if trouble != _CONFINED:
        raise OSError(f"the walls could not be built: {trouble or 'the process ended'}")
    for _, write in outputs:
        os.close(write)
    for end in ends:
        end.close()
    try:
        return Watch(child, wanted["limits"], control, processes, [read for read, _ in outputs]).report()
    finally:
        if own:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            shutil.rmtree(own, ignore_errors=True)


def _become(
    cage: Cage,
    wanted: dict[str, Any],
    kept: tuple[socket.socket, int],
    pipes: tuple[int, list[tuple[int, int]]],
    run: Run,
) -> NoReturn:
    """Be the program's process: standard streams, walls, then ``run``. Nothing returns from here."""
    code, (tell, outputs) = 1, pipes
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        kept[0].close()  # which are the watcher's
        if kept[1] >= 0:
            os.close(kept[1])
        source = _file_of(wanted["stdin"]) if outputs else os.open(os.devnull, os.O_RDONLY)
        targets = [write for _, write in outputs] or [
            os.open(os.devnull, os.O_WRONLY),
            os.open(os.devnull, os.O_WRONLY),
        ]
        for number, descriptor in enumerate((source, *targets)):
            os.dup2(descriptor, number)
        for descriptor in (source, *targets, *(read for read, _ in outputs)):
            os.close(descriptor)
        try:
            cage.confine(wanted["limits"])
        except (OSError, ValueError) as error:
            os.write(tell, f"{type(error).__name__}: {error}".encode()[:_TROUBLE])
            os._exit(1)
        os.write(tell, _CONFINED.encode())
        os.close(tell)
        run(wanted)
        code = 0
    finally:
        os._exit(code)


def _file_of(text: str) -> int:
    """A descriptor of a nameless file with this text, so that nobody has to feed a pipe."""
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.seek(0)
        return os.dup(file.fileno())
