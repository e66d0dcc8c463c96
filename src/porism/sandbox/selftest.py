"""Proves on this machine that the sandbox holds: each wall and each limit is run against."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from porism.sandbox._running import Limits, Ran, judge, run
from porism.sandbox._started import SandboxError
from porism.sandbox._tiers import described

__all__ = ["Proof", "proofs"]

_SMALL = Limits(cpu_seconds=1, wall_seconds=10, memory_mb=256, processes=12, folder_mb=8, output_kb=64, files=32)


class Proof(NamedTuple):
    """What came of running against one wall or limit."""

    name: str
    holds: bool
    found: str


class _Trial(NamedTuple):
    name: str
    program: str
    holds: Callable[[Ran], bool]
    limits: Limits = _SMALL


def _said(word: str) -> Callable[[Ran], bool]:
    return lambda ran: ran.out.strip() == word


def _stopped(limit: str) -> Callable[[Ran], bool]:
    return lambda ran: ran.limit == limit


_TRY = """
import ctypes, errno, os, socket, sys
def refused(act):
    try:
        act()
    except OSError as error:
        return True
    return False
"""
_NETWORK = """
print(all(refused(lambda: socket.socket(kind)) for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)))
"""
_SYSTEM = """
places = ("/", "/usr", "/box/porism/sandbox/inside", "/etc", "/dev", "/proc", sys.base_prefix)
print(all(refused(lambda: open(os.path.join(place, "x"), "w")) for place in places))
"""
_RIGHTS = """
libc = ctypes.CDLL(None, use_errno=True)
calls = (libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.ptrace(0, 0, 0, 0))
print(all(call == -1 for call in calls) and refused(lambda: os.setuid(0)) and refused(lambda: os.chown("/tmp", 0, 0)))
"""
_ALONE = """
import os
print(not os.listdir("/proc") and os.getpid() < 10 and "HOME" not in os.environ and len(os.environ) < 8)
"""
_WATCHER = """
import resource, signal
watcher = os.getppid()
print(
    refused(lambda: os.kill(watcher, signal.SIGINT))
    and refused(lambda: resource.prlimit(watcher, resource.RLIMIT_NOFILE))
    and refused(lambda: os.sched_setscheduler(watcher, os.SCHED_IDLE, os.sched_param(0)))
)
"""
_SHARED = """
import mmap
print(refused(lambda: mmap.mmap(-1, 4096)) and not os.path.exists("/dev/zero"))
"""
_FORKS = """
import os, time
count = 0
try:
    while count < 200:
        if os.fork() == 0:
            time.sleep(30)
        count += 1
except OSError:
    pass
print("held" if count < 12 else count)
"""
_FILE = """
wrote = 0
with open("big", "wb", buffering=0) as file:
    while wrote < 1 << 26:
        wrote += file.write(bytes(1 << 20))
"""
_FOLDER = """
import os
wrote = 0
for number in range(64):
    with open(str(number), "wb", buffering=0) as file:
        wrote += file.write(bytes(1 << 20))
"""
_FILES = """
import os
try:
    for number in range(100):
        os.open("/dev/null", os.O_RDONLY)
except OSError:
    print("held")
"""
_MEMORY_OF_MANY = """
import os, time
for number in range(6):
    if os.fork() == 0:
        block = b"x" * (100 << 20)
        time.sleep(30)
time.sleep(30)
"""


def _trials() -> list[_Trial]:
    return [
        _Trial("network", _TRY + _NETWORK, _said("True")),
        _Trial("system", _TRY + _SYSTEM, _said("True")),
        _Trial("rights", _TRY + _RIGHTS, _said("True")),
        _Trial("processes of others", _ALONE, _said("True")),
        _Trial("who watches", _TRY + _WATCHER, _said("True")),
        _Trial("processor time", "while True: pass", _stopped("cpu")),
        _Trial("wall time", "import time\ntime.sleep(60)", _stopped("wall"), Limits(wall_seconds=1)),
        _Trial("memory", "block = bytearray(1 << 30)", _stopped("memory")),
        _Trial("memory of several processes", _MEMORY_OF_MANY, _stopped("memory")),
        _Trial("memory without an owner", _TRY + _SHARED, _said("True")),
        _Trial("processes", _FORKS, _said("held")),
        _Trial("file size", _FILE, lambda ran: ran.code != 0),
        _Trial("folder", _FOLDER, lambda ran: ran.code != 0 and "No space" in ran.err),
        _Trial("open files", _FILES, _said("held")),
        _Trial("output", "while True: print('x' * 1000)", _stopped("output")),
    ]


def proofs(sandbox: str = "auto") -> Iterator[Proof]:
    """Run against every wall and limit of a tier, one after the other.

    Args:
        sandbox: the tier.

    Raises:
        Refused: it cannot be had here.
    """
    tier = described(sandbox)
    yield _proof("files of this user", _files, tier)
    for trial in _trials():
        try:
            ran = run(trial.program, limits=trial.limits, sandbox=tier)
        except SandboxError as error:
            yield Proof(trial.name, holds=False, found=str(error))
            continue
        holds = trial.holds(ran)
        told = f"stopped by the limit {ran.limit}" if ran.limit else (ran.out + ran.err[-200:]).strip() or "refused"
        yield Proof(trial.name, holds, "holds" if holds else f"does not hold: {' '.join(told.split())[:200]}")
    yield _proof("nothing is left behind", _nothing_left, tier)
    yield _proof("verdicts", _verdict, tier)


def _proof(name: str, prove: Callable[[str], str], tier: str) -> Proof:
    try:
        wrong = prove(tier)
    except SandboxError as error:
        wrong = str(error)
    return Proof(name, not wrong, f"does not hold: {wrong}" if wrong else "holds")


def _files(tier: str) -> str:
    """A file of this user's, which exists outside, is not to be seen within."""
    with tempfile.NamedTemporaryFile(prefix="porism-secret-") as secret:
        path = str(Path(secret.name).resolve())
        seen = run(f"import os\nprint(os.path.exists({path!r}))", sandbox=tier).out.strip() != "False"
    return "a file outside can be read" if seen else ""


def _nothing_left(tier: str) -> str:
    """What one program writes, or leaves running, the next does not find."""
    run("import os, time\nopen('left', 'w').write('x')\nif os.fork() == 0: time.sleep(60)", limits=_SMALL, sandbox=tier)
    ran = run("import os\nprint(os.listdir('.'), os.listdir('/dev/shm'))", limits=_SMALL, sandbox=tier)
    return "" if ran.out.strip() == "[] []" else f"{ran.out.strip()[:200]} is there"


def _verdict(tier: str) -> str:
    """A program cannot mark itself as passed."""
    cheats = (
        "class A:\n def __eq__(self, other): return True\ndef f(): return A()",
        "import os\ndef f(): os._exit(0)",
        "import builtins\nbuiltins.AssertionError = None\ndef f(): raise SystemExit(0)",
    )
    outcomes = [judge(cheat, {"tests": ["assert f() == 1"]}, limits=_SMALL, sandbox=tier) for cheat in cheats]
    passed = any(one.status == "passed" for judged in outcomes for one in judged.tests)
    return "a wrong program passed" if passed else ""
