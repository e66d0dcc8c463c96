"""What can be done with a program: run it, or hold tests against it."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from porism.errors import RecipeError
from porism.sandbox._box import AnyBox, shared
from porism.sandbox._started import SandboxError, Started, readable
from porism.sandbox._tiers import AUTO, described
from porism.sandbox.inside.wire import Gone, Line

__all__ = ["Judged", "Limits", "Outcome", "Ran", "judge", "run"]

Limit = Literal["", "cpu", "wall", "memory", "output", "processes", "starved"]
"""The limit that ended a program. ``starved``: the machine was too busy to give it its processor time."""

_GRACE = 10.0
"""Seconds beyond its limit of wall time that a program's watcher may take to report."""
_CLOSED = 2.0
"""Seconds after which a program that gives no more answers, and has not ended, is taken to have closed its channel."""
_MEGABYTE = 1 << 20
_MOST_OUTPUT = 3 * 1024
"""Kilobytes of output that a report has room for."""
_NOTHING: dict[str, Any] = {
    "setup": "",
    "helpers": "",
    "functions": [],
    "aliases": {},
    "tolerance": 0.0,
    "unordered": False,
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use."""

    cpu_seconds: int = 10
    """Processor time of each process, and of all together."""
    wall_seconds: float = 40.0
    memory_mb: int = 1024
    """Address space of each process; resident memory of all together where there are several."""
    processes: int = 32
    """Processes and threads, the one that watches among them."""
    folder_mb: int = 64
    """What its folder may hold; also the largest file."""
    output_kb: int = 1024
    """Standard output, and standard error; 3,072 at most."""
    files: int = 64
    """Open files of each process; what the kernel keeps for pipes and pairs of sockets is bounded by it."""

    def __post_init__(self) -> None:
        if self.output_kb > _MOST_OUTPUT:
            raise RecipeError(f"output_kb: expected at most {_MOST_OUTPUT}, got {self.output_kb}.")

    def plain(self) -> dict[str, Any]:
        """In seconds and bytes, as the inside reads them."""
        return {
            "cpu": self.cpu_seconds,
            "wall": self.wall_seconds,
            "memory": self.memory_mb * _MEGABYTE,
            "processes": self.processes,
            "folder": self.folder_mb,
            "file": self.folder_mb * _MEGABYTE,
            "output": self.output_kb * 1024,
            "files": self.files,
        }


class Ran(NamedTuple):
    """How a whole program went."""

    out: str
    """Its standard output; bytes that are no UTF-8 as escapes."""
    err: str
    """The end of its standard error."""
    code: int
    """Its exit code; negative for the signal that ended it."""
    limit: Limit
    seconds: float
    """Of processor time."""
    tier: str


class Outcome(NamedTuple):
    """How one test went."""

    status: Literal["passed", "failed", "raised", "ended"]
    why: str = ""
    asked: int = 0
    """How often it called the program."""


@dataclass(frozen=True)
class Judged:
    """How a program did in tests."""

    tests: Sequence[Outcome]
    """Up to the one in which the program ended, if it did."""
    tier: str
    failed: str = ""
    """Why the program could not be loaded."""
    broken: str = ""
    """What is wrong with the tests themselves."""
    limit: Limit = ""


def run(source: str, stdin: str = "", *, limits: Limits | None = None, sandbox: str = AUTO) -> Ran:
    r"""Run a program as ``python program.py`` does.

    Args:
        source: its text.
        stdin: what it can read.
        limits: what it may use.
        sandbox: the tier.

    Raises:
        Refused: the tier cannot be had here.
        SandboxError: the sandbox itself failed.

    >>> run("print(int(input()) + 1)", "41").out
    '42\n'
    """
    chosen = limits or Limits()
    wanted = {"source": source, "stdin": stdin, "limits": chosen.plain()}
    with shared(described(sandbox)) as box, _ended(box.start(b"program", wanted)) as started:
        report = started.report(_GRACE)
        out, err = (bytes.fromhex(report[name]).decode("utf-8", "backslashreplace") for name in ("out", "err"))
        limit: Limit = report["limit"]
        if not limit and report["code"] and _out_of_memory(err):
            limit = "memory"
        return Ran(out, err, report["code"], limit, report["seconds"], box.tier)


def _out_of_memory(err: str) -> bool:
    lines = err.rstrip().splitlines()
    return bool(lines) and lines[-1].startswith("MemoryError")


def judge(
    source: str,
    tests: Mapping[str, Any],
    *,
    limits: Limits | None = None,
    sandbox: str = AUTO,
) -> Judged:
    """Hold tests against a program; each of the two runs in a process that the other cannot reach.

    Args:
        source: the program's text.
        tests: either ``tests``, a list of code, one each, with ``setup`` (code that is run before them), ``helpers``
            (code whose names are the tests' own, whatever the program defines), ``functions`` (names that are always
            the program's) and ``aliases`` (other names for them); or ``calls``, a list of objects with ``args``,
            ``kwargs`` and ``expected``, with ``function``, ``tolerance`` and ``unordered``.
        limits: what the program may use; the tests may use twice as much.
        sandbox: the tier.

    Raises:
        Refused: the tier cannot be had here.
        SandboxError: the sandbox itself failed.
    """
    chosen = limits or Limits()
    nonce = secrets.token_hex(16)
    own = chosen.plain()
    own.update(cpu=2 * chosen.cpu_seconds, wall=chosen.wall_seconds + _GRACE / 2, memory=2 * own["memory"])
    wanted = {**_NOTHING, **tests, "nonce": nonce, "limits": own}
    with shared(described(sandbox)) as box, _answering(box, source, chosen) as (link, started):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                tests_run = box.start(b"tests", wanted, (link, theirs))
            with _ended(tests_run):
                link.close()  # the judge's end is the only one now
                seconds = own["wall"] + _GRACE
                return _judged(box.tier, tests_run, started, (ours, nonce, time.monotonic() + seconds))


def _judged(tier: str, tests_run: Started, program: Started, report: tuple[socket.socket, str, float]) -> Judged:
    """What the tests' process reports: on a socket of its own, with a nonce, before a deadline."""
    ours, nonce, deadline = report
    readable(deadline - time.monotonic(), ours, tests_run.line.end)
    try:
        outcome = Line(ours).receive(deadline)
    except Gone:
        ended = tests_run.report(_GRACE)
        limit = _limit(program)
        if limit:
            return Judged((), tier, failed="the program ended", limit=limit)
        if ended["limit"] == "starved":
            return Judged((), tier, failed="the tests ran out of time", limit="starved")
        why = ended["limit"] or f"exit code {ended['code']}"
        return Judged((), tier, failed=f"the tests did not come to their end with what the program gave ({why})")
    if outcome.get("nonce") != nonce:
        raise SandboxError("the tests' process sent a report that is not its own")
    try:
        tests = [Outcome(one["status"], str(one["why"]), int(one["asked"])) for one in outcome["tests"]]
        failed, broken = str(outcome.get("failed", "")), str(outcome.get("broken", ""))
    except (TypeError, ValueError, KeyError):
        raise SandboxError("the tests' process sent a report that cannot be read") from None
    stopped = "ended" in outcome or any(one.status == "ended" for one in tests)
    limit = _limit(program) if stopped else ""
    if not limit and any("MemoryError" in why for why in (failed, *(one.why for one in tests))):
        limit = "memory"
    return Judged(tests, tier, failed=failed, broken=broken, limit=limit)


@contextmanager
def _answering(box: AnyBox, source: str, limits: Limits) -> Iterator[tuple[socket.socket, Started]]:
    """A process that holds a program and answers questions; our end of its channel."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            started = box.start(b"answers", {"source": source, "limits": limits.plain()}, (theirs,))
        with _ended(started):
            yield ours, started


@contextmanager
def _ended(started: Started) -> Iterator[Started]:
    """A process that is ended with the block."""
    try:
        yield started
    finally:
        started.close()


def _limit(program: Started) -> Limit:
    """The limit that ended a program, if one did; none where it lives and has only closed its channel."""
    if not readable(_CLOSED, program.line.end):
        return ""
    found: Limit = program.report(_GRACE)["limit"]
    return found
