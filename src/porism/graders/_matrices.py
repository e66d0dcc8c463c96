"""Arithmetic on matrices, entry by entry: sums, products and multiples become one matrix."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce

from porism.graders._parse import Node
from porism.graders._values import TooHard

__all__ = ["folded", "has_matrix"]


def has_matrix(node: Node) -> bool:
    """Whether a matrix stands in the expression, outside of lists and tuples."""
    if node.kind in ("list", "set", "tuple", "union", "relation"):
        return False
    return node.kind == "matrix" or any(map(has_matrix, node.args))


def folded(node: Node) -> Node:
    """The expression as one matrix, or as it is where none stands in it.

    Raises:
        TooHard: shapes that do not fit, or an operation other than +, − and ·.
    """
    if node.kind == "matrix" or not has_matrix(node):
        return node
    if node.kind == "neg":
        return _each(folded(node.args[0]), lambda cell: Node("neg", (cell,)))
    if node.kind in ("unit", "percent") or len(node.args) != 2:
        raise TooHard("an operation on a matrix")
    left, right = map(folded, node.args)
    if node.kind == "add":
        if left.kind != right.kind or left.value != right.value:
            raise TooHard("a sum of matrices that differ in shape")
        return Node("matrix", tuple(Node("add", pair) for pair in zip(left.args, right.args, strict=True)), left.value)
    if node.kind == "mul" and "matrix" not in (left.kind, right.kind):
        return node
    if node.kind == "mul" and left.kind == right.kind:
        return _product(left, right)
    if node.kind == "mul":
        matrix, factor = (left, right) if left.kind == "matrix" else (right, left)
        return _each(matrix, lambda cell: Node("mul", (factor, cell)))
    if node.kind == "div" and left.kind == "matrix":
        return _each(left, lambda cell: Node("div", (cell, right)))
    raise TooHard(f"{node.kind} of a matrix")


def _each(matrix: Node, change: Callable[[Node], Node]) -> Node:
    return Node("matrix", tuple(change(cell) for cell in matrix.args), matrix.value)


def _product(left: Node, right: Node) -> Node:
    (rows, inner), (height, columns) = left.value, right.value
    if inner != height:
        raise TooHard("a product of matrices that do not fit")
    cells = []
    for row in range(rows):
        for column in range(columns):
            terms = (Node("mul", (left.args[row * inner + k], right.args[k * columns + column])) for k in range(inner))
            cells.append(reduce(lambda a, b: Node("add", (a, b)), terms, Node("num", value=Fraction(0))))
    return Node("matrix", tuple(cells), (rows, columns))
