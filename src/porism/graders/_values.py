"""What an expression is worth: exact where it is rational, else to 50 digits, at sample points where it has variables.

Equality of expressions with variables is tested at points drawn from their names (Schwartz, 1980; Zippel, 1979): two
formulas that agree to 35 digits at three points in general position are equal for every purpose of grading, and two
that differ at one are not. Nothing is simplified, so nothing can take long: what would be too large is refused.
"""

from __future__ import annotations

import hashlib
import math
import operator
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from porism.graders._parse import Node

__all__ = ["TooHard", "TooLarge", "exact", "names", "same_value"]

_DIGITS = 60
_AGREE = 35
_MAX_POWER = 10_000
_MAX_BITS = 60_000
_MAX_FACTORIAL = 20_000
_SIZES = (1, -1, 40, -40, 6, -700, 3, 900, -9)
"""Rough size and sign of the variables at each point: what differs only far out is found too."""
_POINTS = 5


class TooHard(Exception):
    """The value cannot be told here: the expression is not a number, or not one that this module computes."""


class TooLarge(TooHard):
    """Computing it would take too long for anybody."""


@lru_cache(maxsize=8192)
def exact(node: Node) -> Fraction | None:
    """The rational value of an expression without variables; None where it has no such value, or a very large one."""
    kind, args = node.kind, node.args
    if kind == "num":
        return node.value  # type: ignore[no-any-return]  # a Fraction by construction
    if kind == "decimal":
        return node.value[0]  # type: ignore[no-any-return]
    if kind in ("unit", "degree"):
        return exact(args[0])
    if kind not in _EXACT and kind != "call":
        return None
    values = [exact(arg) for arg in args]
    if any(value is None for value in values):
        return None
    known = [value for value in values if value is not None]
    try:
        result = _exact_call(node.value, known) if kind == "call" else _EXACT[kind](*known)
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    if result is not None and max(abs(result.numerator), result.denominator).bit_length() > _MAX_BITS:
        return None
    return result


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        small = abs(exponent.numerator) <= 20 and base.numerator.bit_length() < 1000
        return _root(base**exponent.numerator, Fraction(exponent.denominator)) if small else None
    size = max(abs(base.numerator), base.denominator).bit_length()
    if abs(exponent) > _MAX_POWER or size * abs(exponent) > _MAX_BITS:
        return None
    return Fraction(base**exponent.numerator)


def _root(value: Fraction, degree: Fraction) -> Fraction | None:
    if degree.denominator != 1 or not 2 <= degree <= 20:
        return None
    n = degree.numerator
    if value < 0:
        return None
    top, bottom = _whole_root(value.numerator, n), _whole_root(value.denominator, n)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _whole_root(value: int, n: int) -> int | None:
    if n == 2:
        found = math.isqrt(value)
    else:
        if value.bit_length() > 3000:
            return None
        low, high = 0, 1 << (value.bit_length() // n + 1)
        while low < high:
            middle = (low + high) // 2
            if middle**n < value:
                low = middle + 1
            else:
                high = middle
        found = low
    return found if found**n == value else None


def _factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL // 4:
        return None
    return Fraction(math.factorial(value.numerator))


def _exact_call(name: str, values: list[Fraction]) -> Fraction | None:
    if name == "abs" and len(values) == 1:
        return abs(values[0])
    if name in ("floor", "ceil") and len(values) == 1:
        return Fraction(math.floor(values[0]) if name == "floor" else math.ceil(values[0]))
    if name in ("max", "min") and values:
        return max(values) if name == "max" else min(values)
    whole = [value.numerator for value in values if value.denominator == 1]
    if len(whole) != len(values) or not values:
        return None
    if name in ("gcd", "lcm"):
        return Fraction(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))
    if name == "binomial" and len(whole) == 2 and 0 <= whole[1] <= whole[0] <= _MAX_FACTORIAL // 4:
        return Fraction(math.comb(*whole))
    return None


_EXACT: dict[str, Callable[..., Fraction | None]] = {
    "add": lambda a, b: a + b,
    "mixed": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "percent": lambda a: a / 100,
    "pow": _power,
    "root": _root,
    "fact": _factorial,
}


# --- to many digits ---

_own = threading.local()


def _mp() -> Any:
    """An mpmath context of this thread's own: the global one's precision is shared by all threads."""
    context = getattr(_own, "context", None)
    if context is None:
        from mpmath import MPContext

        context = _own.context = MPContext()
        context.dps = _DIGITS
    return context


def names(node: Node) -> frozenset[str]:
    """The variables of an expression."""
    if node.kind == "sym":
        return frozenset({node.value})
    return frozenset().union(*map(names, node.args)) if node.args else frozenset()


def same_value(a: Node, b: Node, renamed: Mapping[str, str] | None = None) -> bool:
    """Whether two numeric expressions are equal for all values of their variables.

    Args:
        a: one expression.
        b: the other one.
        renamed: variables of ``b`` that stand for others in ``a``.

    Raises:
        TooHard: it cannot be told within the limits.
    """
    left, right = exact(a), exact(b)
    if left is not None and right is not None:
        return left == right
    variables = names(a) | names(b)
    compared = 0
    for point in range(len(_SIZES) if variables else 1):
        try:
            equal = _agree(a, b, {name: _sample(name, point) for name in variables}, renamed or {})
        except _Undefined:
            continue
        except TooLarge:
            if not variables:
                raise
            continue
        if not equal:
            return False
        compared += 1
        if compared == _POINTS:
            break
    if not compared:
        raise TooHard("undefined wherever it was tried")
    return True


class _Undefined(Exception):
    """The expression has no finite value at this point."""


def _sample(name: str, point: int) -> Fraction:
    """A value for a variable, from a third to thrice the point's size."""
    digest = hashlib.sha256(f"{name}/{point}".encode()).digest()
    return (Fraction(int.from_bytes(digest[:6], "big"), 2**48) * 3 + Fraction(3, 10)) * _SIZES[point]


def _agree(a: Node, b: Node, at: dict[str, Fraction], renamed: Mapping[str, str]) -> bool:
    mp = _mp()
    there = {**at, **{name: at[other] for name, other in renamed.items() if other in at}}
    left, right = _value(a, at, mp), _value(b, there, mp)
    if left == right:
        return True
    largest = max(abs(left), abs(right))
    if abs(left - right) <= largest * mp.mpf(10) ** -_AGREE:
        return True
    if largest > mp.mpf(10) ** -30:
        return False
    # both are tiny: left over from a cancellation, in which case more digits make them smaller yet, or truly small
    before = largest
    try:
        mp.dps = 2 * _DIGITS
        left, right = _value(a, at, mp), _value(b, there, mp)
        return bool(max(abs(left), abs(right)) < before * mp.mpf(10) ** -_AGREE)
    finally:
        mp.dps = _DIGITS


def _value(node: Node, at: Mapping[str, Fraction], mp: Any) -> Any:
    kind = node.kind
    rational = exact(node)
    if rational is not None:
        return mp.mpf(rational.numerator) / rational.denominator
    if kind == "sym":
        return mp.mpf(at[node.value].numerator) / at[node.value].denominator
    if kind == "const":
        return _constant(node.value, mp)
    if kind in ("unit", "degree"):
        return _value(node.args[0], at, mp)
    if kind not in _APPROXIMATE and kind not in _APPROXIMATE_BY and kind != "call":
        raise TooHard(f"{kind} is not a number")
    values = [_value(arg, at, mp) for arg in node.args]
    if at and kind in ("root", "pow", "call") and _leaves_the_reals(node, values, mp):
        raise _Undefined
    try:
        result = _applied(node, values, mp)
    except (ZeroDivisionError, OverflowError, ValueError):
        raise _Undefined from None
    if not mp.isfinite(result):
        raise _Undefined
    return result


def _applied(node: Node, values: list[Any], mp: Any) -> Any:
    if node.kind == "call":
        if node.value in _SAME_NAME and node.args[0].kind == "degree":
            values[0] *= mp.pi / 180
        return _call(node.value, values, mp)
    if node.kind in _APPROXIMATE:
        return _APPROXIMATE[node.kind](*values)
    return _APPROXIMATE_BY[node.kind](mp, *values)


def _leaves_the_reals(node: Node, values: list[Any], mp: Any) -> bool:
    """Whether a root or logarithm of a negative number stands here: variables are real, so this point says nothing."""
    if mp.im(values[0]) != 0 or mp.re(values[0]) >= 0:
        return False
    if node.kind == "call":
        return node.value in ("ln", "log", "lg", "log_")
    exponent = 1 / values[1] if node.kind == "root" else values[1]
    return bool(mp.im(exponent) == 0 and exponent != mp.nint(exponent) and _odd_root(mp, values[0], exponent) is None)


def _constant(name: str, mp: Any) -> Any:
    if name == "pi":
        return +mp.pi
    if name == "e":
        return +mp.e
    if name == "i":
        return mp.mpc(0, 1)
    raise TooHard("infinity")


def _approximate_power(mp: Any, base: Any, exponent: Any) -> Any:
    odd = _odd_root(mp, base, exponent)
    if odd is not None:
        return odd
    if base == 0:
        return mp.mpf(base) ** exponent
    if abs(exponent) * (abs(mp.log(abs(base))) + 4) > 10**7:
        raise TooLarge("too large a power")
    return mp.power(base, exponent)


def _approximate_factorial(mp: Any, value: Any) -> Any:
    if abs(value) > 10**6:
        raise TooLarge("too large a factorial")
    return mp.gamma(value + 1)


def _approximate_root(mp: Any, value: Any, degree: Any) -> Any:
    return _approximate_power(mp, value, 1 / degree)


def _odd_root(mp: Any, base: Any, exponent: Any) -> Any:
    """School's real root of a negative number: ∛−8 is −2, and (−8)^(2/3) is 4. None where that is not meant."""
    if mp.im(base) != 0 or mp.re(base) >= 0 or mp.im(exponent) != 0:
        return None
    for degree in (3, 5, 7, 9):
        top = mp.re(exponent) * degree
        whole = mp.nint(top)
        if abs(top - whole) < mp.mpf(10) ** (10 - mp.dps) and whole % degree != 0 and abs(whole) < 1000:
            return (-1) ** int(whole) * mp.power(-mp.re(base), exponent)
    return None


_APPROXIMATE: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "mixed": operator.add,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "percent": lambda a: a / 100,
}
_APPROXIMATE_BY: dict[str, Callable[..., Any]] = {
    "pow": _approximate_power,
    "root": _approximate_root,
    "fact": _approximate_factorial,
}
_SAME_NAME = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch"})
_OTHER_NAME = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "ln": "log", "log": "log10",
    "lg": "log10", "exp": "exp", "abs": "fabs", "floor": "floor", "ceil": "ceil", "binomial": "binomial",
}  # fmt: skip
_LARGEST_ARGUMENT = 10**15


def _call(name: str, values: list[Any], mp: Any) -> Any:
    if any(abs(value) > _LARGEST_ARGUMENT for value in values) and name not in ("abs", "ln", "log", "log_", "lg"):
        raise TooLarge("too large an argument")
    if name == "log_" and len(values) == 2:
        return mp.log(values[0]) / mp.log(values[1])
    if name == "log" and len(values) == 1:  # school's log is to base 10, the university's is natural: both sides alike
        return mp.log10(values[0])
    if name in ("max", "min") and all(mp.im(value) == 0 for value in values):
        return (max if name == "max" else min)(map(mp.re, values))
    known = name if name in _SAME_NAME else _OTHER_NAME.get(name)
    if known is None or len(values) != (2 if name == "binomial" else 1):
        raise TooHard(f"{name} is not computed")
    return getattr(mp, known)(*values)
