"""What a function takes: its parameters with their types, and examples of calls in the text of a problem."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Parameter", "examples", "signature"]

_LONGEST = 4_000
"""Characters of one call."""
_MOST = 50
"""Calls that are read in one text."""
_MOST_LOOKED_AT = 200
_OPEN, _CLOSE = "([{", ")]}"


class Parameter(NamedTuple):
    """One parameter that a call has to give."""

    name: str
    type: ast.expr | None
    """As it is annotated."""


def signature(code: str, function: str) -> list[Parameter] | None:
    """The parameters of a function without a default; None where the code does not define it.

    A start that ends in the function's head or docstring is read too.
    """
    for text in (code, f"{code.rstrip()}\n    pass\n"):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in reversed(tree.body):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                given = [*node.args.posonlyargs, *node.args.args]
                needed = given[: len(given) - len(node.args.defaults)]
                return [Parameter(one.arg, one.annotation) for one in needed]
    return None


def examples(text: str, function: str) -> list[list[Any]]:
    r"""The arguments of calls of a function that stand in a text, each once, as JSON has them: tuples are lists.

    Nothing is evaluated: only literals are read.

    >>> examples(">>> add(2, [3])\n5", "add")
    [[2, [3]]]
    """
    found: dict[str, list[Any]] = {}
    for call in _calls(text, function):
        try:
            node = ast.parse(call, mode="eval").body
            if not isinstance(node, ast.Call) or node.keywords:
                continue
            written = json.dumps([ast.literal_eval(argument) for argument in node.args], allow_nan=False)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            continue
        found.setdefault(written, json.loads(written))
    return list(found.values())[:_MOST]


def _calls(text: str, function: str) -> Iterator[str]:
    """Every ``function(…)`` with balanced brackets; what stands in quotes counts as no bracket."""
    for match in itertools.islice(re.finditer(rf"\b{re.escape(function)}\(", text), _MOST_LOOKED_AT):
        depth, quote, at = 1, "", match.end()
        while at < min(len(text), match.end() + _LONGEST) and depth:
            sign = text[at]
            if quote:
                if sign == "\\":
                    at += 1
                elif sign == quote:
                    quote = ""
            elif sign in "'\"":
                quote = sign
            else:
                depth += (sign in _OPEN) - (sign in _CLOSE)
            at += 1
        if not depth:
            yield text[match.start() : at]
