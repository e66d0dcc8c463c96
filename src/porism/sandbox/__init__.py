"""Runs untrusted Python: with walls that the kernel holds up, limits, and a verdict that is made outside.

Every program runs in namespaces of its own, without network, with a read-only system, an empty folder, no capabilities
and a filter on system calls. They are forked from one process that stands ready, so that none has to wait for Python
to start, and nothing of one is there for the next.

:func:`run` runs a whole program; :func:`judge` holds tests against one, in another process. Each result names the tier
in which it came about.
"""

from __future__ import annotations

from porism.sandbox._box import ready
from porism.sandbox._running import Judged, Limits, Outcome, Ran, judge, run
from porism.sandbox._started import SandboxError
from porism.sandbox._tiers import AUTO, TIERS, UNSAFE, Refused, described

__all__ = [
    "AUTO",
    "TIERS",
    "UNSAFE",
    "Judged",
    "Limits",
    "Outcome",
    "Ran",
    "Refused",
    "SandboxError",
    "described",
    "judge",
    "ready",
    "run",
]
