"""Which sandboxes there are, which of them this machine has, and how each is started."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from porism.errors import RecipeError, nearest
from porism.sandbox.inside import seccomp

__all__ = ["AUTO", "TIERS", "UNSAFE", "Launch", "Refused", "described", "launch"]

AUTO = "auto"
UNSAFE = "unsafe"
TIERS = {
    "bubblewrap": "namespaces of its own, no network, read-only system, system-call filter, no capabilities, no root",
    "gvisor": "the same within gVisor's runsc, a kernel of its own in front of the machine's",
    UNSAFE: "no isolation: limits alone; for code that you trust",
}
"""Name → what it is. ``auto`` is bubblewrap."""

_NOBODY = 65534
"""Who programs run as where Porism itself is run by root."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_HERE = Path(__file__).parent / "inside"
_BOX = "/box/porism/sandbox/inside"
_INSTALL = "Install it with: pip install 'porism[sandbox]' (or Debian's package bubblewrap)."


class Refused(RecipeError):
    """There is no isolation to be had, or not of the kind that was asked for."""


class Launch(NamedTuple):
    """A command that starts a sandbox's first process, and what it needs."""

    command: list[str]
    descriptors: list[int]
    """Passed on, and closed after the start."""
    user: int | None
    executable: str | None = None


def described(name: str) -> str:
    """The tier that a setting means.

    Raises:
        RecipeError: there is no such tier.
    """
    chosen = "bubblewrap" if name == AUTO else name
    if chosen not in TIERS:
        raise RecipeError(
            f"sandbox: there is no {name!r}.{nearest(name, [AUTO, *TIERS])} Known: {', '.join([AUTO, *TIERS])}."
        )
    return chosen


def launch(tier: str, control: int) -> Launch:
    """How to start a sandbox.

    Args:
        tier: its name.
        control: the descriptor of the socket that it listens on.

    Raises:
        Refused: this machine lacks what it needs.
    """
    arguments = [str(control), tier]
    if tier == UNSAFE:
        return Launch([_python(), "-s", "-P", "-B", "-X", "utf8", str(_HERE / "start.py"), *arguments], [], None)
    if sys.platform != "linux" or platform.machine() not in seccomp.KNOWN_MACHINES:
        raise Refused(
            f"sandbox: isolation needs Linux on {' or '.join(seccomp.KNOWN_MACHINES)}; this is {sys.platform} on "
            f"{platform.machine()}. Programs are not run. Set sandbox to unsafe to run code that you trust."
        )
    return _bubblewrap(arguments)


def bwrap() -> str:
    """The path of the program bubblewrap: beside this Python, else on the search path.

    Raises:
        Refused: it is not installed.
    """
    places = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    found = shutil.which("bwrap", path=os.pathsep.join(places))
    if not found:
        raise Refused(
            f"sandbox: bubblewrap is not installed, so programs are not run. {_INSTALL} To run code that you trust "
            "without isolation, set sandbox to unsafe."
        )
    return found


def _bubblewrap(arguments: list[str]) -> Launch:
    program = os.open(bwrap(), os.O_RDONLY)
    descriptors = [program]
    root = os.geteuid() == 0
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    command += ["--hostname", "porism", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "PYTHONHASHSEED", "0"]
    command += ["--setenv", "LANG", "C.UTF-8"]
    for source, target in (*_mounts(), (_HERE, _BOX)):
        if isinstance(source, str):
            command += ["--symlink", source, target]
        elif root:  # the path to it may be closed to others
            descriptors.append(os.open(source, os.O_PATH))
            command += ["--ro-bind-fd", str(descriptors[-1]), target]
        else:
            command += ["--ro-bind", str(source), target]
    for name in _DEVICES:
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    command += ["--dir", "/dev/shm", "--dir", "/tmp", "--proc", "/proc", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108
    command += ["--", _python(), "-s", "-P", "-B", "-X", "utf8", f"{_BOX}/start.py", *arguments]
    return Launch(command, descriptors, _NOBODY if root else None, f"/proc/self/fd/{program}")


def _python() -> str:
    """The interpreter itself, not that of a virtual environment."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return str(Path(base).resolve())


def _mounts() -> list[tuple[Path | str, str]]:
    """What of the system is to be seen: a path is shown where it stands, a text is a symbolic link."""
    found: list[tuple[Path | str, str]] = []
    places = [*_SYSTEM, sys.base_prefix, sys.base_exec_prefix, str(Path(_python()).parent)]
    for place in dict.fromkeys(places):
        path = Path(place)
        if any(isinstance(source, Path) and path.is_relative_to(source) for source, _ in found):
            continue
        if path.is_symlink() and not stat.S_ISREG(path.stat().st_mode):
            found.append((os.readlink(path), place))
        elif path.exists():
            found.append((path, place))
    return found
