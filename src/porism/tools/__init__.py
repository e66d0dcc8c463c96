"""Tools that a strategy may let a model call: text in, text out.

A tool is a module with ``call(text, *, …) -> Answer``. What goes wrong is an answer as well, since the model is to read
it: :attr:`Answer.failed` tells the two apart. Nothing in a text is evaluated by this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from porism.find import find

__all__ = ["PARTS", "Answer", "tool"]

PARTS = "porism.tools"


class Answer(NamedTuple):
    """What a tool says."""

    text: str
    failed: bool = False
    """The text says what was wrong with the call."""
    sandbox: str = ""
    """The tier in which a program ran."""


def tool(name: str) -> Callable[..., Answer]:
    """The function of a tool.

    Args:
        name: a file of this package, ``package.module:name``, or ``path/file.py:name``.

    Raises:
        RecipeError: no such tool.
    """
    found: Callable[..., Answer] = find(PARTS, name, "call")
    return found
