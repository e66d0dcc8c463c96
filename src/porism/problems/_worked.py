"""Worked solutions for reasoning-gym's arithmetic tasks.

Each ``worked_<task>`` takes an item's metadata and returns a few short lines, each a true statement, then ``#### N``.
It never looks at the item's answer, so that grading the solution checks both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from math import gcd as _gcd
from typing import Any

__all__ = ["WORKED", "Unsolvable"]

_TERM = re.compile(r"(?P<sign>[+-]?)(?:(?P<coef>\d+)\*)?(?P<body>[a-z]|\d+)")


class Unsolvable(ValueError):
    """No exact solution in whole numbers can be written for this item."""


def _finish(lines: list[str], answer: int) -> str:
    """Join the steps and add the final ``#### N`` line."""
    return "\n".join([*lines, f"#### {answer}"])


def worked_chain_sum(metadata: Mapping[str, Any]) -> str:
    """Running total over ``a + b - c`` (also with negative constants)."""
    parts = str(metadata["expression"]).split()
    total = int(parts[0])
    lines: list[str] = []
    for op, raw in zip(parts[1::2], parts[2::2], strict=True):
        value = int(raw)
        new = total + value if op == "+" else total - value
        lines.append(f"{total} {op} {value} = {new}")
        total = new
    return _finish(lines, total)


def _place_values(number: int) -> list[int]:
    """Split a number by decimal place: 205 -> [200, 5], -34 -> [-30, -4]."""
    sign = -1 if number < 0 else 1
    digits = str(abs(number))
    return [sign * int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits) if digit != "0"]


def _product_lines(left: int, right: int) -> list[str]:
    """Steps for ``left * right``: split one factor by decimal place and add."""
    left_parts, right_parts = _place_values(left), _place_values(right)
    if len(right_parts) > 1:
        pairs = [(left, part) for part in right_parts]
    elif len(left_parts) > 1 and right_parts:
        pairs = [(part, right) for part in left_parts]
    else:
        pairs = [(left, right)]
    lines = [f"{a} * {b} = {a * b}" for a, b in pairs]
    return lines + _sum_lines([a * b for a, b in pairs])


def _sum_lines(values: list[int]) -> list[str]:
    """Running-total lines over ``values`` (none for a single value)."""
    lines: list[str] = []
    total = values[0]
    for value in values[1:]:
        lines.append(f"{total} + {value} = {total + value}")
        total += value
    return lines


def worked_products(metadata: Mapping[str, Any]) -> str:
    """Multiply from left to right, splitting one factor by decimal place."""
    factors = [int(f) for f in str(metadata["expression"]).split(" * ")]
    total = factors[0]
    lines: list[str] = []
    for factor in factors[1:]:
        lines += _product_lines(total, factor)
        total *= factor
    return _finish(lines, total)


def worked_simple_equations(metadata: Mapping[str, Any]) -> str:
    """Solve ``a*x + b = c`` for an integer x: isolate ``a*x``, then divide."""
    variable = str(metadata["variable"])
    equation = str(metadata["equation"])
    left, right_text = equation.split(" = ")
    right = int(right_text)
    compact = left.replace(" ", "")
    coef, const, pos = 0, 0, 0
    while pos < len(compact):
        match = _TERM.match(compact, pos)
        if match is None:
            raise Unsolvable(f"not a linear equation: {equation}")
        sign = -1 if match["sign"] == "-" else 1
        if match["body"] == variable:
            coef += sign * int(match["coef"] or 1)
        elif match["body"].isdigit() and match["coef"] is None:
            const += sign * int(match["body"])
        else:
            raise Unsolvable(f"not a linear equation: {equation}")
        pos = match.end()
    if coef == 0 or (right - const) % coef:
        raise Unsolvable(f"no integer solution: {equation}")
    name = {1: variable, -1: f"-{variable}"}.get(coef, f"{coef}*{variable}")
    lines: list[str] = []
    scaled = right - const
    if const > 0:
        lines.append(f"{name} = {right} - {const} = {scaled}")
    elif const < 0:
        lines.append(f"{name} = {right} + {-const} = {scaled}")
    answer = scaled // coef
    if coef != 1:
        lines.append(f"{variable} = {scaled} / {coef} = {answer}")
    elif not lines:
        lines.append(f"{variable} = {answer}")
    return _finish(lines, answer)


def worked_leg_counting(metadata: Mapping[str, Any]) -> str:
    """One line per animal (count times legs), then running totals."""
    # imported here, so that this module imports without reasoning_gym
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    lines: list[str] = []
    legs: list[int] = []
    for animal, count in metadata["animals"].items():
        each = ANIMALS[animal]
        legs.append(count * each)
        lines.append(f"{animal}: {count} * {each} = {count * each}")
    return _finish(lines + _sum_lines(legs), sum(legs))


def _gcd_lines(a: int, b: int) -> list[str]:
    """Euclid's algorithm as lines ``a = b * q + r`` down to ``r = 0``."""
    a, b = max(a, b), min(a, b)
    lines: list[str] = []
    while b:
        lines.append(f"{a} = {b} * {a // b} + {a % b}")
        a, b = b, a % b
    return lines


def worked_gcd(metadata: Mapping[str, Any]) -> str:
    """Euclid's algorithm, folded over the numbers."""
    numbers = [int(n) for n in metadata["numbers"]]
    current = numbers[0]
    lines: list[str] = []
    for number in numbers[1:]:
        lines += _gcd_lines(current, number)
        current = _gcd(current, number)
    return _finish(lines, current)


def worked_lcm(metadata: Mapping[str, Any]) -> str:
    """Per pair: Euclid for the gcd, divide, multiply."""
    numbers = [int(n) for n in metadata["numbers"]]
    current = numbers[0]
    lines: list[str] = []
    for number in numbers[1:]:
        lines += _gcd_lines(current, number)
        common = _gcd(current, number)
        quotient = current // common
        lines.append(f"{current} / {common} = {quotient}")
        lines += _product_lines(quotient, number)
        current = quotient * number
    return _finish(lines, current)


def worked_basic_arithmetic(metadata: Mapping[str, Any]) -> str:
    """Evaluate the expression operation by operation, in Python's precedence.

    A division that leaves a remainder raises ``ValueError`` (the generator
    floors it).  With ``allow_parentheses=False`` reasoning-gym evaluates mixed
    operators from left to right, so its *answers* are wrong there: keep
    ``allow_parentheses=True``, or operators of one precedence only.
    """
    lines: list[str] = []
    operators: dict[type[ast.operator], str] = {
        ast.Add: "+",
        ast.Sub: "-",
        ast.Mult: "*",
        ast.Div: "/",
    }

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = value(node.operand)
            if not isinstance(node.operand, ast.Constant):
                lines.append(f"-({inner}) = {-inner}")
            return -inner
        if isinstance(node, ast.BinOp) and type(node.op) in operators:
            left, right = value(node.left), value(node.right)
            op = operators[type(node.op)]
            if op == "+":
                result = left + right
            elif op == "-":
                result = left - right
            elif op == "*":
                result = left * right
            elif right == 0 or left % right:
                raise Unsolvable(f"inexact division: {metadata['expression']}")
            else:
                result = left // right
            lines.append(f"{left} {op} {right} = {result}")
            return result
        raise Unsolvable(f"unsupported expression: {metadata['expression']}")

    answer = value(ast.parse(str(metadata["expression"]), mode="eval").body)
    return _finish(lines, answer)


def worked_number_sequence(metadata: Mapping[str, Any]) -> str:
    """Name the rule, then apply it to the last visible term.

    Reasoning-gym's ``alt`` and ``compose`` operations do nothing and are not in the rule text; an empty rule text, or
    one that does not reproduce the whole sequence, is unsolvable.
    """
    rule = str(metadata["rule"])
    terms = [int(t) for t in metadata["sequence"]]
    if not rule:
        raise Unsolvable("the sequence has no rule")
    for position in range(len(terms) - 2):
        if _apply_rule(rule, terms, position)[1] != terms[position + 1]:
            raise Unsolvable(f"the rule does not give the sequence: {rule}")
    lines, answer = _apply_rule(rule, terms, len(terms) - 2)
    return _finish([f"Rule: {rule}", *lines], answer)


def _apply_rule(rule: str, terms: list[int], position: int) -> tuple[list[str], int]:
    """The steps from one term to the next, and where they lead."""
    lines: list[str] = []
    number = terms[position]
    for part in rule.split(" then "):
        match part.split():
            case ["square"]:
                text, result = f"{number} * {number}", number * number
            case ["double"]:
                text, result = f"{number} * 2", number * 2
            case ["halve"]:
                text, result = f"{number} // 2", number // 2
            case ["add", "previous"]:
                if position == 0:
                    continue
                text, result = f"{number} + {terms[position - 1]}", number + terms[position - 1]
            case ["add", amount]:
                text, result = f"{number} + {amount}", number + int(amount)
            case ["multiply", "by", factor]:
                text, result = f"{number} * {factor}", number * int(factor)
            case _:
                raise Unsolvable(f"unknown rule: {rule}")
        lines.append(f"{text} = {result}")
        number = result
    return lines, number


WORKED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "chain_sum": worked_chain_sum,
    "products": worked_products,
    "simple_equations": worked_simple_equations,
    "leg_counting": worked_leg_counting,
    "gcd": worked_gcd,
    "lcm": worked_lcm,
    "basic_arithmetic": worked_basic_arithmetic,
    "number_sequence": worked_number_sequence,
}
