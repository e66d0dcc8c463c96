"""What an answer earns in reinforcement learning, one reward a file: ``reward(attempts, …) -> list[float | None]``.

The attempts are graded. None says that there is nothing to go by; such an answer has no reward at all, whatever other
rewards say. Keyword-only parameters are settings of ``porism train rl``.
"""

from __future__ import annotations
