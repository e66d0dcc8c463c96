"""Tools that a strategy may let a model call: text in, text out.

A tool is a module with ``call(text, *, …) -> Answer``: what stands before the star is the model's to fill in, the rest
are settings. What goes wrong is an answer as well, since the model is to read it: :attr:`Answer.failed` tells the two
apart. Nothing in a text is evaluated by this process. A :class:`Toolbox` holds several, and lets nothing that a model
asks for, and nothing that a tool does, end the run.
"""

from __future__ import annotations

from collections.abc import Callable

from porism.find import find
from porism.tools._answer import Answer, Call
from porism.tools._calls import from_openai, from_text, result, written
from porism.tools._router import route
from porism.tools._toolbox import PARTS, Toolbox

__all__ = ["PARTS", "Answer", "Call", "Toolbox", "from_openai", "from_text", "result", "route", "tool", "written"]


def tool(name: str) -> Callable[..., Answer]:
    """The function of a tool.

    Args:
        name: a file of this package, ``package.module:name``, or ``path/file.py:name``.

    Raises:
        RecipeError: no such tool.
    """
    found: Callable[..., Answer] = find(PARTS, name, "call")
    return found
