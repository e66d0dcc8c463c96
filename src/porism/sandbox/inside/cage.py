"""The walls around one program: namespaces of its own, no capabilities, a system-call filter, resource limits.

:func:`separate` is called by a process that then forks the first process of the new namespaces; that one calls
:func:`furnish`, and the program's process calls :func:`confine` before it runs a line that is not trusted.
"""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path
from typing import Any

from porism.sandbox.inside import seccomp

__all__ = ["DEVICES", "Cage"]

_NEW_MOUNTS, _NEW_NAMES, _NEW_IPC, _NEW_USERS, _NEW_PROCESSES = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000
_NOSUID, _NODEV, _NOEXEC, _READ_ONLY, _PRIVATE, _ALL_BELOW = 2, 4, 8, 1, 1 << 18, 1 << 14
_AGAIN, _BIND = 1 << 5, 1 << 12
DEVICES = ("null", "full", "random", "urandom")
"""What there is under ``/dev``. Without ``zero``, which gives memory that no limit counts."""
_USER = 1000
"""The user that a program is to itself; outside of its namespace it is nobody in particular."""
_HIGHEST_CAPABILITY = 63
_MOST_SIGNALS = 64
"""Signals and timers that wait; the user has so many on the whole machine."""


class Cage:
    """What is needed to build the walls, loaded once.

    Args:
        tier: bubblewrap; gvisor, where every program has a kernel of its own and needs no namespaces; unsafe, which has
            limits and no walls.
    """

    def __init__(self, tier: str) -> None:
        self.isolated = tier != "unsafe"
        self._alone = tier == "gvisor"
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._filter = seccomp.program(os.uname().machine) if self.isolated else b""

    def separate(self) -> None:
        """Leave this process's namespaces for new ones; its next child is the first process in them.

        Raises:
            OSError: the kernel refuses.
        """
        if not self.isolated or self._alone:
            return
        user, group = os.getuid(), os.getgid()
        self._do("unshare", _NEW_USERS | _NEW_PROCESSES | _NEW_MOUNTS | _NEW_IPC | _NEW_NAMES)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{_USER} {user} 1"), ("gid_map", f"{_USER} {group} 1")):
            with Path(f"/proc/self/{name}").open("w", encoding="ascii") as file:
                file.write(text)

    def furnish(self, megabytes: int) -> int:
        """Give the namespace an empty folder of its own to write to, and take ``/proc`` away.

        Args:
            megabytes: what the folder may hold.

        Returns:
            A descriptor of the namespace's own ``/proc``, which no path leads to; -1 without isolation.
        """
        if not self.isolated:
            return -1
        if self._alone:
            return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._do("prctl", 4, 0, 0, 0, 0)  # nobody may trace this process
        self._do("mount", None, b"/", None, _PRIVATE | _ALL_BELOW, None)
        self._do("mount", b"proc", b"/proc", b"proc", _NOSUID | _NODEV | _NOEXEC, None)
        processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in DEVICES:  # which can be used as before, and not be changed, whoever owns them
            self._do(
                "mount", None, f"/dev/{name}".encode(), None, _READ_ONLY | _NOSUID | _NOEXEC | _AGAIN | _BIND, None
            )
        self._do("mount", b"none", b"/proc", b"tmpfs", _NOSUID | _NODEV | _NOEXEC | _READ_ONLY, b"size=4k,mode=555")
        room = f"size={megabytes}m,nr_inodes=4096,mode=700,uid={_USER},gid={_USER}".encode()
        self._do("mount", b"none", b"/tmp", b"tmpfs", _NOSUID | _NODEV, room)
        shared = f"size={max(1, megabytes // 4)}m,nr_inodes=256,mode=700,uid={_USER},gid={_USER}".encode()
        self._do("mount", b"none", b"/dev/shm", b"tmpfs", _NOSUID | _NODEV | _NOEXEC, shared)
        return processes

    def confine(self, limits: dict[str, Any]) -> None:
        """Set the limits, drop every capability, and put the filter on.

        Args:
            limits: ``memory``, ``file`` (bytes), ``cpu`` (seconds), ``processes``, ``files``.
        """
        seconds = int(limits["cpu"])
        for name, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_AS, limits["memory"]),
            (resource.RLIMIT_FSIZE, limits["file"]),
            (resource.RLIMIT_NOFILE, limits["files"]),
            (resource.RLIMIT_MEMLOCK, 0),
        ):
            hard = resource.getrlimit(name)[1]
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(name, (allowed, allowed))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        if not self.isolated:
            return
        if not self._alone:  # whose kernel has no such limits: the one who watches counts processes
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
            resource.setrlimit(resource.RLIMIT_SIGPENDING, (_MOST_SIGNALS,) * 2)
            resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"],) * 2)
        for capability in range(_HIGHEST_CAPABILITY + 1):
            if self._libc.prctl(24, capability, 0, 0, 0):
                break  # past the last one
        self._do("capset", ctypes.byref((ctypes.c_uint32 * 2)(0x20080522, 0)), ctypes.byref((ctypes.c_uint32 * 6)()))
        self._do("prctl", 38, 1, 0, 0, 0)  # no program gives new rights
        seccomp.install(self._libc, self._filter)

    def _do(self, name: str, *arguments: Any) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
