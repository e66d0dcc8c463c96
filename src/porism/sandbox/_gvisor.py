"""The tier gvisor: every process in a sandbox of its own, run by gVisor's runsc.

What a program asks of the kernel is answered by gVisor, a kernel written in Go, in a process that may itself do little.
Each start takes some tenths of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porism.sandbox._started import SandboxError, Started
from porism.sandbox._tiers import BOX, FLAGS, HERE, Refused, mounts, python
from porism.sandbox.inside.wire import Gone

__all__ = ["GvisorBox"]

_END = 10.0
_INSTEAD = "Programs are not run. Choose another sandbox, such as bubblewrap."


class GvisorBox:
    """Starts processes in sandboxes of gVisor.

    Raises:
        Refused: runsc is not installed, or does not work.
    """

    tier = "gvisor"
    alive = True

    def __init__(self) -> None:
        runsc = shutil.which("runsc")
        if not runsc:
            raise Refused(f"sandbox: gVisor's runsc is not installed. {_INSTEAD}")
        self._runsc = runsc
        self._folder = Path(tempfile.mkdtemp(prefix="porism-gvisor-"))
        for role in ("program", "answers", "tests"):
            bundle = self._folder / role
            (bundle / "rootfs").mkdir(parents=True)
            (bundle / "config.json").write_text(json.dumps(_config(role)), encoding="utf-8")
        self._lock = threading.Lock()
        try:
            self._try()
        except SandboxError as error:
            self.close()
            raise Refused(f"sandbox: gvisor does not work on this machine ({error}). {_INSTEAD}") from None

    def _try(self) -> None:
        limits = {"cpu": 5, "wall": 30, "memory": 1 << 30, "processes": 8, "folder": 8, "file": 1 << 20}
        wanted = {"source": "print(6 * 7)", "stdin": "", "limits": {**limits, "output": 1 << 16, "files": 64}}
        started = self.start(b"program", wanted)
        try:
            report = started.report(_END)
        finally:
            started.close()
        if bytes.fromhex(report["out"]) != b"42\n":
            raise SandboxError(bytes.fromhex(report["err"]).decode("utf-8", "replace")[-300:] or "no output")

    def start(self, role: bytes, wanted: Mapping[str, Any], ends: tuple[socket.socket, ...] = ()) -> Started:
        """Start a process.

        Args:
            role: program, answers or tests.
            wanted: what it is to run, and its limits.
            ends: sockets that it gets; ours to close.

        Raises:
            SandboxError: it cannot be started.
        """
        name = f"porism-{secrets.token_hex(8)}"
        command = [self._runsc, "--rootless", "--network=none", "--ignore-cgroups", f"--root={self._folder / 'state'}"]
        command += ["run", "-bundle", str(self._folder / role.decode()), name]
        ours, theirs = socket.socketpair()
        unused, nobody = socket.socketpair()  # runsc changes the owner of what it is given: never a device
        others = [end.fileno() for end in ends] + [unused.fileno()] * (2 - len(ends))
        with theirs, unused, nobody:
            try:
                process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=others[0], stderr=others[1], start_new_session=True
                )
            except OSError as error:
                ours.close()
                raise SandboxError(f"runsc cannot be started: {error}") from None
        try:
            return Started(ours, wanted, lambda: self._end(process, name))
        except (SandboxError, Gone) as error:
            ours.close()
            self._end(process, name)
            raise SandboxError(str(error)) from None

    def _end(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Wait for a sandbox to end by itself, since its control socket is closed; else kill it."""
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            delete = [self._runsc, "--rootless", f"--root={self._folder / 'state'}", "delete", "-force", name]
            subprocess.run(delete, capture_output=True, check=False)

    def forget(self) -> None:
        """In a forked child: there is nothing to give up."""

    def close(self) -> None:
        """Remove what was written for it."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _config(role: str) -> dict[str, Any]:
    """The OCI description of a sandbox."""
    shown = [
        {"destination": target, "type": "bind", "source": str(source), "options": ["ro", "rbind"]}
        for source, target in ((_real(source, target), target) for source, target in (*mounts(), (HERE, BOX)))
    ]
    own = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=64m", "mode=1777"]},  # noqa: S108
        {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": ["size=16m", "mode=1777"]},  # noqa: S108
    ]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 1000, "gid": 1000},
            "args": [python(), *FLAGS, f"{BOX}/start.py", "-1", "gvisor", role],
            "env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONHASHSEED=0"],
            "cwd": "/tmp",  # noqa: S108
            "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [*shown, *own],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _real(source: Path | str, target: str) -> Path:
    """A symbolic link's target, which is shown in its place."""
    return source if isinstance(source, Path) else Path(target).resolve()
