r"""A small language for conditions on a record's tags, read with Python's parser and computed here: nothing is run.

``difficulty >= 3 and subject in ["algebra", "geometry"] and not contains(question, "figure")``

Values are texts, numbers, true, false, null and lists of these. A name that a record lacks is null. Comparisons with
null, or of a text with a number, are false, so a strange record stops nothing; ``== null`` asks whether it is missing.
A backslash is a backslash, so that a formula can be written as it is: ``contains(question, "\frac")``; but ``\n`` and
``\t`` that no letter follows are a new line and a tabulator.
Two texts of one scale (``very easy`` … ``very hard``, ``very poor`` … ``excellent``) are compared by their rank.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from porism.curate._tags import found
from porism.errors import RecipeError

__all__ = ["FUNCTIONS", "SCALES", "Expression"]

SCALES = (
    ("very easy", "easy", "medium", "hard", "very hard"),
    ("very poor", "poor", "average", "good", "excellent"),
)
"""Texts that have an order."""

_LONGEST, _DEEPEST = 4_000, 60
_ESCAPE = re.compile(r"""\\(?:([\\"']|[nt](?![A-Za-z]))|)""")
"""A backslash, and what makes it an escape; by itself it is what it is, as in LaTeX."""
_LINE_END = re.compile(r"\s*\n\s*")
_RANKS = {name: (scale, rank) for scale, names in enumerate(SCALES) for rank, name in enumerate(names)}
_CONSTANTS = {"null": None, "true": True, "false": False, "None": None, "True": True, "False": False}

Value = Any
Node = Callable[[Mapping[str, Any]], Value]


def _text(function: Callable[[str, str], bool]) -> Callable[..., Value]:
    def computed(one: Value, other: Value) -> bool:
        return isinstance(one, str) and isinstance(other, str) and function(one.casefold(), other.casefold())

    return computed


FUNCTIONS: Mapping[str, tuple[int, Callable[..., Value]]] = {
    "contains": (2, _text(lambda one, other: other in one)),
    "starts_with": (2, _text(str.startswith)),
    "ends_with": (2, _text(str.endswith)),
    "length": (1, lambda value: len(value) if isinstance(value, (str, list, tuple, dict)) else None),
    "lower": (1, lambda value: value.casefold() if isinstance(value, str) else None),
}
"""Name → number of arguments, and what it computes. Case does not matter to those that look into texts."""


class Expression:
    """A condition.

    Args:
        text: as the user wrote it.

    Raises:
        RecipeError: it is not of this language; the message says what is allowed.
    """

    def __init__(self, text: str) -> None:
        self.text = _LINE_END.sub(" ", text).strip()
        self.names: set[str] = set()
        """The names that it asks for."""
        if len(text) > _LONGEST:
            raise RecipeError(f"where: expected at most {_LONGEST} characters, got {len(text)}.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(_ESCAPE.sub(lambda found: found[0] if found[1] else r"\\", self.text), mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            why = getattr(error, "msg", None) or type(error).__name__
            raise RecipeError(f"where: {self.text[:80]!r} is no condition ({why}). Example: {_EXAMPLE}") from None
        if _is_deep(tree):
            raise RecipeError(f"where: nested more than {_DEEPEST} deep.")
        self._compute = self._node(tree.body)

    def __call__(self, tags: Mapping[str, Any]) -> bool:
        """Whether it holds for a record's tags."""
        return bool(self._compute(tags))

    def _node(self, node: ast.AST) -> Node:  # noqa: C901, PLR0911, PLR0912 (a case for each kind of node)
        inner = self._node
        match node:
            case ast.Constant(value=str() | int() | float() | bool() | None as constant):
                return lambda _: constant
            case ast.Name(id=name) if name in _CONSTANTS:
                return lambda _: _CONSTANTS[name]
            case ast.Name() | ast.Attribute():
                return self._name(_dotted(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                parts = [inner(item) for item in items]
                return lambda tags: [part(tags) for part in parts]
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [inner(value) for value in values]
                return lambda tags: all(part(tags) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = [inner(value) for value in values]
                return lambda tags: any(part(tags) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                negated = inner(operand)
                return lambda tags: not negated(tags)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return lambda _: -number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                one, other, compute = inner(left), inner(right), _ARITHMETIC[type(op)]
                return lambda tags: _computed(compute, one(tags), other(tags))
            case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARE for op in ops):
                parts, tests = [inner(part) for part in (left, *comparators)], [_COMPARE[type(op)] for op in ops]
                return lambda tags: _chained(tests, [part(tags) for part in parts])
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                wanted, function = FUNCTIONS[name]
                if len(arguments) != wanted:
                    raise RecipeError(f"where: {name} takes {wanted} values, got {len(arguments)}.")
                parts = [inner(argument) for argument in arguments]
                return lambda tags: function(*(part(tags) for part in parts))
            case _:
                raise RecipeError(
                    f"where: {ast.unparse(node)[:60]!r} is not allowed. A condition has names of tags, texts, numbers, "
                    f"lists, and, or, not, in, == != < <= > >= + - * / and the functions {', '.join(FUNCTIONS)}. "
                    f"Example: {_EXAMPLE}"
                )

    def _name(self, name: str) -> Node:
        self.names.add(name)
        return lambda tags: found(tags, name)


def _is_deep(tree: ast.AST) -> bool:
    """Whether more nodes stand within one another than are read."""
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        level = [inner for node in level for inner in ast.iter_child_nodes(node)]
    return bool(level)


_EXAMPLE = """difficulty >= 3 and subject in ["algebra", "geometry"]"""


def _dotted(node: ast.AST) -> str:
    """``judge.quality`` for the tag of that name, or the entry of that tag.

    Raises:
        RecipeError: something else than names stands between the dots, or one begins with an underscore.
    """
    match node:
        case ast.Name(id=name) if not name.startswith("_"):
            return name
        case ast.Attribute(value=value, attr=name) if not name.startswith("_"):
            return f"{_dotted(value)}.{name}"
    raise RecipeError(f"where: expected the name of a tag, got {ast.unparse(node)[:60]!r}.")


def _number(value: Value) -> bool:
    return isinstance(value, (int, float))


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    """A comparison of numbers, of texts on one scale, or of other texts; else false."""

    def compared(one: Value, other: Value) -> bool:
        if _number(one) and _number(other):
            return test(one, other)
        if isinstance(one, str) and isinstance(other, str):
            here, there = _RANKS.get(one.casefold()), _RANKS.get(other.casefold())
            if here and there:
                return here[0] == there[0] and test(here[1], there[1])
            return test(one, other)
        return False

    return compared


def _equal(one: Value, other: Value) -> bool:
    return bool(one == other) if _number(one) == _number(other) else False


def _inside(one: Value, other: Value) -> bool:
    if isinstance(other, str):
        return isinstance(one, str) and one in other
    return isinstance(other, (list, tuple)) and any(_equal(one, item) for item in other)


_COMPARE: Mapping[type, Callable[[Value, Value], bool]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda one, other: not _equal(one, other),
    ast.Is: _equal,
    ast.IsNot: lambda one, other: not _equal(one, other),
    ast.Lt: _ordered(lambda one, other: one < other),
    ast.LtE: _ordered(lambda one, other: one <= other),
    ast.Gt: _ordered(lambda one, other: one > other),
    ast.GtE: _ordered(lambda one, other: one >= other),
    ast.In: _inside,
    ast.NotIn: lambda one, other: not _inside(one, other),
}
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda one, other: one + other,
    ast.Sub: lambda one, other: one - other,
    ast.Mult: lambda one, other: one * other,
    ast.Div: lambda one, other: one / other,
}


def _chained(tests: list[Callable[[Value, Value], bool]], values: list[Value]) -> bool:
    return all(test(one, other) for test, one, other in zip(tests, values[:-1], values[1:], strict=True))


def _computed(compute: Callable[[Any, Any], Any], one: Value, other: Value) -> Value:
    """Arithmetic on numbers; null for anything else, and for what is too large or not defined."""
    if not (_number(one) and _number(other)):
        return None
    try:
        return compute(float(one), float(other))
    except (OverflowError, ZeroDivisionError):
        return None
