"""1 where the answer is stated as such (``####``, a box, an answer tag, "the answer is"), 0 where it is not."""

from __future__ import annotations

from collections.abc import Sequence

from porism import chains
from porism.records import Attempt

__all__ = ["reward"]


def reward(attempts: Sequence[Attempt], *, format_rules: Sequence[str] = ()) -> list[float | None]:
    """1 or 0 for each attempt; nothing for one that the engine failed on.

    Args:
        attempts: their texts are read; verdicts do not matter.
        format_rules: the ways of stating that count, such as ``hash`` and ``boxed``; all if empty.
    """
    return [None if one.finish == "error" else float(_states(one.text, format_rules)) for one in attempts]


def _states(text: str, rules: Sequence[str]) -> bool:
    return any(not rules or one.rule in rules for one in chains.read(text).statements)
