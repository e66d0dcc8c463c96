"""What this machine computes best with: dtype, threads, and an allocator that keeps its memory."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Literal

from porism import console

__all__ = ["Dtype", "choose_dtype", "choose_threads", "prepare", "processors", "said_threads"]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # from glibc's malloc.h


def choose_dtype(wanted: str = "auto") -> str:
    """The dtype to compute in: bfloat16 where the processor multiplies it natively, float32 elsewhere.

    Without AMX or AVX512-BF16, bfloat16 matrix products are emulated and run several times slower than float32.
    """
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    capabilities = torch.cpu.get_capabilities()
    return "bfloat16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "float32"


def choose_threads(wanted: int = 0) -> int:
    """How many threads torch may use: as asked for, or (0) ``OMP_NUM_THREADS``, or as many as processors are idle.

    Two threads on two processors that something else keeps busy can be several times slower than one: each step waits
    for the slower of them. Where not all processors are idle, a line on standard error says what was chosen.
    """
    if wanted:
        return wanted
    there = processors()
    if said_threads():
        return min(there, said_threads())
    idle = min(there, max(1, _idle(there)))
    if idle < there:
        console.notice(
            f"Computing with {idle} of {there} threads: other programs keep the rest busy. threads={there} takes all."
        )
    return idle


def said_threads() -> int:
    """What ``OMP_NUM_THREADS`` says; 0 where it says nothing."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isascii() and said.isdigit() else 0


def processors() -> int:
    """Processors that this process may run on, and that its control group pays for."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return there
    return there if quota == "max" else max(1, min(there, round(int(quota) / int(period))))


def _idle(most: int, looks: int = 5, watch: float = 0.3) -> int:
    """How many of this process's processors are idle, at the best of several looks: a moment's work does not count.

    Args:
        most: processors at which no further look is needed; also the answer where the system does not tell.
        looks: how often to look.
        watch: seconds of each look.
    """
    found = 0.0
    try:
        for _ in range(looks):
            before = _idle_ticks()
            time.sleep(watch)
            after = _idle_ticks()
            shares = [
                (after[name][1] - idle) / max(1, after[name][0] - total) for name, (total, idle) in before.items()
            ]
            found = max(found, sum(shares))
            if round(found) >= most:
                break
    except (OSError, LookupError, ValueError):
        return most
    return round(found)


def _idle_ticks() -> dict[str, tuple[int, int]]:
    """Of each processor of this process: clock ticks in all, and idle ones (Linux: ``/proc/stat``)."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    found = {}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *ticks = line.split()
        if name in ours:
            found[name] = sum(map(int, ticks[:8])), int(ticks[3]) + int(ticks[4])
    return found


def prepare(threads: int) -> None:
    """Set torch's threads, and let glibc keep freed memory instead of handing it back to the kernel.

    Activations are allocated and freed thousands of times a step; faulting their pages in again each time costs
    about a fifth of a training step on a virtual machine. What is freed is held until the process ends.
    """
    import torch

    torch.set_num_threads(threads)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20)):
                mallopt(option, value)
