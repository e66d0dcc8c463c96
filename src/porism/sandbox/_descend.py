"""Where Porism is run by root: starts bubblewrap as nobody, who could not reach what root alone may see.

In a mount namespace of its own, which ends with the command, the folders that the sandbox shows are put where everybody
can find them; then root's rights are given up. ``python _descend.py USER FOLDER… -- COMMAND`` stands each folder at
``/tmp/0``, ``/tmp/1``, … in turn.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["PLACE", "main"]

PLACE = "/tmp"  # noqa: S108  (in a namespace of its own)
_NEW_MOUNTS, _PRIVATE, _BIND, _ALL_BELOW = 0x20000, 1 << 18, 1 << 12, 1 << 14


def main() -> None:
    """Mount, become the user, and be the command."""
    user, *rest = sys.argv[1:]
    at = rest.index("--")
    folders, command = rest[:at], rest[at + 1 :]
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
        if libc.mount(source, target, kind, flags, data):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target.decode())

    if libc.unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    mount(b"none", b"/", None, _PRIVATE | _ALL_BELOW, None)
    descriptors = [os.open(folder, os.O_PATH) for folder in folders]  # which the new mount may hide
    opened = [f"/proc/self/fd/{descriptor}".encode() for descriptor in descriptors]
    mount(b"none", PLACE.encode(), b"tmpfs", 0, b"size=64k,mode=755")
    for number, source in enumerate(opened):
        place = Path(PLACE, str(number))
        place.mkdir()
        mount(source, bytes(place), None, _BIND | _ALL_BELOW, None)
        os.close(descriptors[number])
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    os.execv(command[0], command)  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"root could not give up its rights: {error}")
