"""Reads Python text that somebody else wrote; nothing of it is run."""

from __future__ import annotations

import ast
import threading
import warnings

__all__ = ["tree"]

_reading = threading.Lock()


def tree(code: str) -> ast.Module | None:
    """The syntax tree of a text; None where it is no Python, or has a ``return`` outside of a function and the like.

    What Python would warn of, such as unknown escapes, is passed over.
    """
    with _reading, warnings.catch_warnings():  # which is the process's, not the thread's
        warnings.simplefilter("ignore")
        try:
            found = ast.parse(code)
            compile(found, "<text>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return found
