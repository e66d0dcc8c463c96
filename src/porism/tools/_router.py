"""Which tool a text is for, by rules: no model is asked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from porism.problems._python import tree

__all__ = ["route"]

_CODE = re.compile(r"^\s*(?:import |from \w+ import |def |for |while |print\()|[^=<>!]=[^=]|\n", re.MULTILINE)
_NEAR = 0.6


def route(text: str, names: Sequence[str], wanted: str = "") -> str:
    """The tool that a text suits.

    A name that somebody wrote for the tool decides, if it is nearly one. Else what can be computed is for the
    calculator, what reads as a program for Python, and the rest, where no name was written, for the first tool that is
    neither.

    Args:
        text: what the tool would be given.
        names: the tools that there are.
        wanted: the name that was written, if any.

    Returns:
        Its name; empty where none suits.

    >>> route("3 * (4 + 5)", ["python", "calculator"]), route("print(3)", ["python", "calculator"])
    ('calculator', 'python')
    """
    if wanted in names:
        return wanted
    lower = wanted.strip().lower()
    near = [name for name in names if lower and (name.startswith(lower) or lower.startswith(name))]
    near = near or difflib.get_close_matches(lower, names, n=1, cutoff=_NEAR)
    if near:
        return near[0]
    if "calculator" in names and _computes(text):
        return "calculator"
    if "python" in names and _CODE.search(text) and tree(text) is not None:
        return "python"
    return "" if lower else next((name for name in names if name not in ("calculator", "python")), "")


def _computes(text: str) -> bool:
    from porism.tools import calculator

    return not calculator.call(text).failed
