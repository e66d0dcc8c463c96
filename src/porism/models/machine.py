"""What this machine computes best with: dtype, threads, and an allocator that keeps its memory."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Literal

__all__ = ["Dtype", "choose_dtype", "choose_threads", "prepare"]

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
    """How many threads torch may use: as asked for, or all processors that this process may run on (0)."""
    return wanted or len(os.sched_getaffinity(0))


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
