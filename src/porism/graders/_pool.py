"""Processes that do symbolic work under a hard deadline: one that overruns is killed and replaced.

A request is handed to an idle worker by whichever thread asks; there is no signal, no shared event loop and no
thread of the pool's own, so it works from any thread, from asyncio (through ``asyncio.to_thread``), and in a forked
process, which starts workers of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

from porism.errors import MissingExtra, PorismError

__all__ = ["Died", "Overran", "Pool", "shared"]

_START = 120.0
"""Seconds a worker may take to start; the machine may be busy."""
_RETIRE_AFTER = 500
"""Requests after which a worker is replaced: SymPy's caches grow without end."""
_SPARE = 2
"""Workers that stand ready once one had to be killed; loading takes a second or two."""


class Overran(Exception):
    """The deadline passed; the worker was killed."""


class Died(Overran):
    """The worker ended before it answered."""


class _Worker:
    def __init__(self) -> None:
        self.served = 0
        self._rest = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "porism.graders._symbolic"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.ready = False

    def wait_until_ready(self) -> None:
        """Wait for the worker to have loaded what it needs; no deadline runs before.

        Raises:
            MissingExtra: Math-Verify is not installed.
        """
        if not self.ready:
            hello = self._read(time.monotonic() + _START)
            if "missing" in hello:
                raise MissingExtra("math_verify", "'math-verify[antlr4_13_2]'", "symbolic grading")
            self.ready = True

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send one request and wait for its reply.

        Raises:
            Overran: no reply in time, or the worker died of the request.
        """
        deadline = time.monotonic() + seconds
        pipe = self.process.stdin
        if pipe is None:
            raise PorismError("a grading worker has no input")
        self.served += 1
        try:
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise Died("the grading worker died") from None
        return self._read(deadline)

    def _read(self, deadline: float) -> dict[str, Any]:
        pipe = self.process.stdout
        if pipe is None:
            raise PorismError("a grading worker has no output")
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise Overran("the deadline passed")
            chunk = os.read(pipe.fileno(), 65_536)
            if not chunk:
                raise Died("the grading worker died")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self.process.wait()


class Pool:
    """At most ``size`` workers at work, started when they are first needed, and one or two that stand ready.

    Args:
        size: most requests at once; more wait their turn.
    """

    def __init__(self, size: int) -> None:
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply to a request.

        Args:
            request: what the worker reads; JSON.
            seconds: how long it may take once a worker has it.

        Raises:
            Overran: it took longer, or took the worker down.
            MissingExtra: Math-Verify is not installed.
        """
        began = time.monotonic()
        try:
            return self._ask(request, seconds)
        except Died:
            if time.monotonic() - began > seconds / 2:
                raise
            # It was killed from outside, not by this request, and those that stand ready may be dying, too.
            return self._ask(request, seconds, fresh=True)

    def _ask(self, request: dict[str, Any], seconds: float, fresh: bool = False) -> dict[str, Any]:
        with self._free:
            worker = self._borrow(fresh)
            try:
                worker.wait_until_ready()
                reply = worker.ask(request, seconds)
            except BaseException:  # also Ctrl-C: a worker with an open request must not get another one
                self._drop(worker)
                raise
            if worker.served >= _RETIRE_AFTER:
                self._drop(worker)
            else:
                with self._lock:
                    self._idle.append(worker)
            return reply

    def _borrow(self, fresh: bool) -> _Worker:
        with self._lock:
            if fresh:
                return self._started()
            for worker in [worker for worker in self._idle if worker.process.poll() is not None]:  # killed from outside
                self._idle.remove(worker)
                self._all.remove(worker)
                worker.close()
            chosen = next((worker for worker in self._idle if worker.ready), None) or next(iter(self._idle), None)
            if chosen is None:
                chosen = self._started()
                self._idle.append(self._started())
            else:
                self._idle.remove(chosen)
            return chosen

    def _started(self) -> _Worker:
        worker = _Worker()
        self._all.append(worker)
        return worker

    def _drop(self, worker: _Worker) -> None:
        """End a worker and start others in its place: the next request that overruns shall find one that has loaded."""
        with self._lock:
            if worker not in self._all:  # the pool was closed meanwhile
                return
            self._all.remove(worker)
            while len(self._idle) < _SPARE:
                self._idle.append(self._started())
        worker.close()

    @property
    def workers(self) -> list[int]:
        """The process numbers of the workers that live."""
        with self._lock:
            return [worker.process.pid for worker in self._all]

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            ending, self._all, self._idle = self._all, [], []
        for worker in ending:
            worker.close()


_shared: tuple[int, Pool] | None = None
_shared_lock = threading.Lock()


def shared() -> Pool:
    """This process's pool: one worker a processor. A forked child gets one of its own, not its parent's pipes."""
    global _shared  # noqa: PLW0603  # one pool a process is the point
    with _shared_lock:
        if _shared is None or _shared[0] != os.getpid():
            pool = Pool(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
            _shared = os.getpid(), pool
            atexit.register(pool.close)
        return _shared[1]


def _after_fork() -> None:
    """In a forked child: the parent's lock may be held, and its workers are not ours to close."""
    global _shared, _shared_lock  # noqa: PLW0603
    _shared_lock = threading.Lock()
    if _shared is not None:
        atexit.unregister(_shared[1].close)
        _shared = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
