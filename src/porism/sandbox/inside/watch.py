"""Waits for a program to end or to reach a limit, and says which."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import socket
import time
from typing import Any, NamedTuple

from porism.sandbox.inside.wire import Gone

__all__ = ["Watch"]

_TICK = 0.05
"""Seconds between two looks at what all processes together use."""
_TICKS_IN_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TAIL = 4000
"""Bytes of the standard error that are kept."""
_NEARLY = 0.7
"""Share of the limit of processor time that its use may seem to be when it is reached: the kernel counts twice."""
_AT_WORK = 0.05
"""Share of a second's processor time above which a program that has no more time is taken to compute, not to wait,
where the kernel does not say how long it waited for a processor."""


class _Used(NamedTuple):
    """What the processes of a program use together."""

    processes: int
    memory: int
    seconds: float


class Watch:
    """One look after one program.

    Args:
        child: its first process.
        limits: of :class:`porism.sandbox.Limits`, in bytes and seconds.
        control: readable when nobody asks for the program any more.
        processes: a descriptor of the ``/proc`` in which all of its processes stand; -1 if there is none.
        outputs: pipes of its standard output and error, or none.
    """

    def __init__(
        self, child: int, limits: dict[str, Any], control: socket.socket, processes: int, outputs: list[int]
    ) -> None:
        self._child, self._limits, self._processes, self._outputs = child, limits, processes, outputs
        self._read = {descriptor: bytearray() for descriptor in outputs}
        self._began = time.monotonic()
        self._recent: collections.deque[float] = collections.deque(maxlen=round(1 / _TICK))
        self._seen: dict[str, int] = {}
        self._control = control.fileno()
        try:
            self._pidfd = os.pidfd_open(child)
        except OSError:  # a kernel that has none: the child is looked after with each tick
            self._pidfd = -1
        self._poll = select.poll()
        for descriptor in (*([self._pidfd] if self._pidfd >= 0 else []), self._control, *outputs):
            self._poll.register(descriptor, select.POLLIN)
        for descriptor in outputs:
            os.set_blocking(descriptor, False)

    def report(self) -> dict[str, Any]:
        """Wait; then how the program ended, what it wrote, and what it used.

        Raises:
            Gone: nobody asks any more.
        """
        limit = self._wait()
        if limit:
            os.kill(self._child, signal.SIGKILL)
        _, status, used = os.wait4(self._child, 0)
        for descriptor in self._outputs:
            limit = self._drain(descriptor) or limit
        seconds, code = used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status)
        killed = code == -signal.SIGKILL and seconds > _NEARLY * self._limits["cpu"]  # it ignored the first signal
        if not limit and (killed or code == -signal.SIGXCPU):
            limit = "cpu"
        out, err = (bytes(self._read[descriptor]) for descriptor in self._outputs) if self._outputs else (b"", b"")
        return {
            "limit": limit,
            "code": code,
            "out": out.hex(),
            "err": err[-_TAIL:].hex(),
            "seconds": round(seconds, 3),
        }

    def _wait(self) -> str:
        """Until the child has ended, with no limit, or one is reached."""
        while True:
            for descriptor, _ in self._poll.poll(_TICK * 1000):
                if descriptor == self._pidfd:
                    return ""
                if descriptor == self._control:
                    raise Gone("nobody asks any more")
                if self._drain(descriptor):
                    return "output"
            if self._pidfd < 0 and os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return ""
            limit = self._over()
            if limit:
                return limit

    def _drain(self, descriptor: int) -> str:
        """Read what a pipe holds; ``output`` where that is more than is allowed."""
        read = self._read[descriptor]
        with contextlib.suppress(BlockingIOError):
            while part := os.read(descriptor, 1 << 16):
                read += part
                if len(read) > self._limits["output"]:
                    del read[self._limits["output"] :]
                    return "output"
            with contextlib.suppress(KeyError):
                self._poll.unregister(descriptor)
        return ""

    def _over(self) -> str:
        """The limit that is reached by now, if any."""
        late = time.monotonic() - self._began > self._limits["wall"]
        if self._processes < 0:
            return "wall" if late else ""
        used = self._used()
        self._recent.append(used.seconds)
        if used.processes > 1 and used.memory > self._limits["memory"]:
            return "memory"
        if used.processes > self._limits["processes"]:
            return "processes"
        if used.seconds > self._limits["cpu"] + 1:
            return "cpu"
        if late:
            return "starved" if self._starves(used) else "wall"
        return ""

    def _starves(self, used: _Used) -> bool:
        """Whether a program that has no more time would have used up its processor time, had others left it that.

        That is so where a thread computed, or was ready to and waited, for as long; and waited longer than for the
        program's own other threads.
        """
        times = self._times()
        if not times:
            return used.seconds - self._recent[0] > _AT_WORK
        limit = self._limits["cpu"]
        return any(ran + waited >= limit and waited > used.seconds - ran for ran, waited in times)

    def _times(self) -> list[tuple[float, float]]:
        """Seconds that each thread ran, and those in which it was ready to and others had the processors.

        Empty where the kernel does not say.
        """
        found = []
        for process in self._numbers():
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                threads = os.open(f"{process}/task", flags, dir_fd=self._processes)
                try:
                    names = os.listdir(threads)  # noqa: PTH208  (a descriptor as well)
                    told = [_contents(f"{name}/schedstat", threads).split() for name in names]
                finally:
                    os.close(threads)
                found += [(int(one[0]) / 1e9, int(one[1]) / 1e9) for one in told if len(one) > 1]
        return found

    def _numbers(self) -> list[str]:
        """The program's processes."""
        names = os.listdir(self._processes)  # noqa: PTH208  (a descriptor: no path leads there)
        return [name for name in names if name.isdigit() and name != "1"]

    def _used(self) -> _Used:
        count = pages = ticks = 0
        for name in self._numbers():
            fields = _contents(f"{name}/stat", self._processes).rpartition(b")")[2].split()  # a name may be anything
            if len(fields) > 21:
                own, waited_for = (sum(map(int, fields[at : at + 2])) for at in (11, 13))
                count += 1
                pages += int(fields[21])
                ticks += own + waited_for
                self._seen[name] = own
        # A process that nobody waits for takes its time with it when it ends, but what was seen of it.
        return _Used(count, pages * _PAGE, max(ticks, sum(self._seen.values())) / _TICKS_IN_A_SECOND)


def _contents(name: str, folder: int) -> bytes:
    """A file of ``/proc``; nothing where its process has ended."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return b""
    try:
        return os.read(file, 4096)
    except OSError:
        return b""
    finally:
        os.close(file)
