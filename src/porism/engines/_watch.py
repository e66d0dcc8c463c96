"""Runs a server for as long as the process that asked for it lives. A script, of the standard library alone.

    python -I -S _watch.py PARENT GRACE COMMAND …

Standard input is a pipe that the parent holds open. When it is closed, or the parent is gone in any other way, killed
included, the server is asked to end, and after GRACE seconds its whole process group is killed. The script ends with
the server's exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

__all__ = ["main"]

_LOOK = 0.25
"""Seconds between two looks at the server and the parent."""
_PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def main() -> int:
    """Start the server, watch, and clean up."""
    parent, grace, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def dies_with_watcher() -> None:
        if libc:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=dies_with_watcher)  # noqa: PLW1509
    while server.poll() is None and not asked and os.getppid() == parent:
        if select.select([0], [], [], _LOOK)[0]:  # nothing is ever written: it was closed
            break
    if server.poll() is None:
        server.terminate()
    end = time.monotonic() + grace
    while server.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    code = server.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
