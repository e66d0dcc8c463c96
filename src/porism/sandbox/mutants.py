"""Small changes to a program, one at a time: what a test suite should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from porism.problems._python import tree

__all__ = ["mutants"]

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


def mutants(source: str, function: str = "") -> Iterator[tuple[str, str]]:
    """Name of the operator and changed program: comparison, arithmetic, constant, condition, return.

    Args:
        source: the program.
        function: what is changed; the whole program if none is named.

    Yields:
        Nothing where the source is no Python.
    """
    whole = tree(source)
    if whole is None:
        return
    functions = [node for node in whole.body if isinstance(node, ast.FunctionDef) and node.name == function]
    own: list[ast.AST] = [*functions] or [whole]
    inside = {id(node) for one in own for node in ast.walk(one)}
    for at, node in enumerate(ast.walk(whole)):
        if id(node) not in inside:
            continue
        for name in _operators(node):
            changed = copy.deepcopy(whole)
            _change(name, next(other for n, other in enumerate(ast.walk(changed)) if n == at))
            yield name, ast.unparse(ast.fix_missing_locations(changed))


def _operators(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        yield "comparison"
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield "arithmetic"
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant"
    if isinstance(node, ast.If | ast.While):
        yield "condition"
    if isinstance(node, ast.Return) and node.value is not None:
        yield "return"


def _change(name: str, node: ast.AST) -> None:
    match node:
        case ast.Compare() if name == "comparison":
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
        case ast.BinOp() if name == "arithmetic":
            node.op = _ARITHMETIC[type(node.op)]()
        case ast.Constant() if isinstance(node.value, int):
            node.value += 1
        case ast.If() | ast.While():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Return():
            node.value = None
