"""Looks a text up in an index: the solved problems or passages that are nearest to it."""

from __future__ import annotations

from porism.errors import UserError
from porism.knowledge import ALL, Found, Leaks, Mode, Place, Top, opened
from porism.records import Problem
from porism.tools import Answer

__all__ = ["call"]

_SHOWN = 4_000
_MOST_SIGNS = 4_000


def call(
    text: str, *, index: Place, top: Top = 3, mode: Mode = "hybrid", asked: Problem | None = None, leaks: Leaks = ALL
) -> Answer:
    """What is found, numbered, the best first. An index that cannot be used is an answer as well.

    Args:
        text: what is looked for.
        index: see :data:`porism.knowledge.Place`.
        top: how many at most.
        mode: ``hybrid``, ``vectors`` or ``words``.
        asked: the problem that is being solved, whose own solution is never found.
        leaks: what is taken for its own solution.
    """
    if not text.strip():
        return Answer("nothing to look for: write what you want to know", failed=True)
    try:
        result = opened(index).search(text[:_MOST_SIGNS], top=top, mode=mode, asked=asked, leaks=leaks)
    except UserError as error:
        return Answer(f"nothing can be looked up: {error}", failed=True)
    if not result.found:
        return Answer("nothing was found")
    each = _SHOWN // len(result.found)
    return Answer("\n\n".join(f"[{rank}] {_told(found, each)}" for rank, found in enumerate(result.found, 1)))


def _told(found: Found, most: int) -> str:
    item = found.item
    whole = f"{item.text}\n{item.solution}".strip()
    return whole if len(whole) <= most else f"{whole[:most]}…"
