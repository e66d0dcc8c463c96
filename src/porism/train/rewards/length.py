"""A penalty for answers that near the token limit: 0 up to it less a buffer, then a straight line down to −1.

Overlong reward shaping: Yu et al., 2025, arXiv:2503.14476 (DAPO), equation 13.
"""

from __future__ import annotations

from collections.abc import Sequence

from porism.records import Attempt

__all__ = ["reward"]


def reward(attempts: Sequence[Attempt], *, max_tokens: int = 256, overlong_buffer: int = 64) -> list[float | None]:
    """0 to −1 for each attempt; −1 for one that was cut off; nothing for one that the engine failed on.

    Args:
        attempts: with their number of tokens.
        max_tokens: longest answer.
        overlong_buffer: tokens before the limit over which the penalty grows.
    """
    found: list[float | None] = []
    for attempt in attempts:
        over = attempt.completion_tokens - (max_tokens - overlong_buffer)
        if attempt.finish == "error":
            found.append(None)
        elif attempt.finish == "length":
            found.append(-1.0)
        else:
            found.append(-min(1.0, max(0.0, over / max(1, overlong_buffer))))
    return found
