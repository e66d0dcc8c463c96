"""Random choices that depend on a seed and on the content of records, and on nothing else."""

from __future__ import annotations

import hashlib

__all__ = ["draw"]


def draw(seed: int, *what: object) -> int:
    """A random 64-bit number that depends on a seed and on what it is drawn for, and on nothing else."""
    text = "\0".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
