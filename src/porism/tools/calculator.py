"""An exact calculator: numbers stay fractions, and what is not rational is an error, not a rounded value.

It reads ``+ - * / // % ^ **``, brackets, percent (``15%``), decimals and thousands (``1,250.5``), ``×``, ``÷`` and
``−``, and the functions ``abs``, ``ceil``, ``comb``, ``factorial``, ``floor``, ``gcd``, ``lcm``, ``max``, ``min``,
``round`` and ``sqrt``. The text is read by a parser of its own: nothing is evaluated as Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from porism.tools import Answer

__all__ = ["call", "value"]

_MOST_DIGITS = 4_000
_MOST_SIGNS = 2_000
_MOST_DEEP = 60
_NUMBER = r"(?P<number>{}(?:\.\d+)?|\.\d+)(?![\w.])"
_OTHER = r"(?P<name>[A-Za-z]+)|(?P<sign>\*\*|//|[-+*/%^(),×÷−·])"
_GROUPED = "(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_TOKEN = re.compile("\\s*(?:" + _NUMBER.replace("{}", _GROUPED) + "|" + _OTHER + ")")
_IN_A_CALL = re.compile("\\s*(?:" + _NUMBER.replace("{}", "[0-9]+") + "|" + _OTHER + ")")
_ALIKE = {"of": "*", "×": "*", "·": "*", "÷": "/", "−": "-", "^": "**"}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}

_PATTERN = r"^(?:[0-9+*/%^(). ,-]|abs|ceil|comb|factorial|floor|gcd|lcm|max|min|round|sqrt){1,80}$"  # no other words
Expression = Annotated[
    str,
    Field(
        description="an expression, with + - * / % ^ and brackets",
        json_schema_extra={"pattern": _PATTERN},
    ),
]
"""The pattern is for a model that is held to it; what else the calculator reads is taken, too."""


class _Wrong(ValueError):
    """The text cannot be computed; the message says why."""


def call(text: Expression) -> Answer:
    """The value of an expression: a whole number, an exact decimal, or a fraction with its decimal value.

    Args:
        text: the expression; an ``=`` at its end is ignored.

    >>> call("15% * (1,200 - 1/3)").text
    '179.95'
    """
    try:
        return Answer(_written(value(text)))
    except _Wrong as error:
        return Answer(f"cannot be computed: {error}", failed=True)


def value(text: str) -> Fraction:
    """The value of an expression.

    Raises:
        ValueError: it is none, is not rational, or is too large.
    """
    if len(text) > _MOST_SIGNS:
        raise _Wrong(f"longer than {_MOST_SIGNS} signs")
    parser = _Parser(_tokens(text.strip().removesuffix("=")))
    return parser.whole()


def _written(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    places = number.denominator.bit_length()
    if rest == 1 and places <= 40:
        return _decimal(number, places)
    return f"{number.numerator}/{number.denominator} ≈ {_decimal(Fraction(round(number * 10**12), 10**12), 12)}"


def _decimal(number: Fraction, places: int) -> str:
    """A number that ends after so many places, in full."""
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return (f"{sign}{digits[:-places]}.{digits[-places:]}").rstrip("0").rstrip(".")


def _tokens(text: str) -> list[str]:
    """The tokens; within the brackets of a function a comma parts its numbers, elsewhere it groups digits."""
    found: list[str] = []
    calls: list[bool] = []
    at = 0
    while at < len(text.rstrip()):
        match = (_IN_A_CALL if calls and calls[-1] else _TOKEN).match(text, at)
        if match is None:
            raise _Wrong(f"{text[at:].strip()[:12]!r} is not understood")
        sign = match["number"] or match["name"] or match["sign"]
        if sign == "(":
            calls.append(bool(found) and found[-1] in _FUNCTIONS)
        elif sign == ")" and calls:
            calls.pop()
        found.append(_ALIKE.get(sign, sign))
        at = match.end()
    return found


class _Parser:
    """Precedence climbing over tokens; ``**`` binds to the right and tighter than a sign in front."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at, self._deep = tokens, 0, 0

    def whole(self) -> Fraction:
        found = self._sum(1)
        if self._next():
            raise _Wrong(f"{self._next()!r} is not expected")
        return found

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        sign = self._next()
        if not sign or (wanted and sign != wanted):
            raise _Wrong(f"expected {wanted or 'a number'!r}, got {sign or 'the end'!r}")
        self._at += 1
        return sign

    def _sum(self, least: int) -> Fraction:
        self._deep += 1
        if self._deep > _MOST_DEEP:
            raise _Wrong("nested too deeply")
        left = self._signed()
        while _BINDS.get(self._next(), 0) >= least:
            sign = self._take()
            left = _small(_OPERATORS[sign](left, self._sum(_BINDS[sign] + 1)))
        self._deep -= 1
        return left

    def _signed(self) -> Fraction:
        if self._next() in ("+", "-"):
            self._deep += 1
            if self._deep > _MOST_DEEP:
                raise _Wrong("nested too deeply")
            found = self._signed() if self._take() == "+" else -self._signed()
            self._deep -= 1
            return found
        base = self._percent()
        if self._next() != "**":
            return base
        self._take()
        return _small(_power(base, self._signed()))

    def _percent(self) -> Fraction:
        found = self._atom()
        while self._next() == "%" and not self._operand_follows():
            self._take()
            found /= 100
        return found

    def _operand_follows(self) -> bool:
        """Whether what stands behind the next sign begins a number: then ``%`` is the remainder."""
        after = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        return bool(after) and (after[0].isalnum() or after[0] in ".(")

    def _atom(self) -> Fraction:
        sign = self._take()
        if sign == "(":
            found = self._sum(1)
            self._take(")")
            return found
        if sign[0].isdigit() or sign[0] == ".":
            return _small(Fraction(sign.replace(",", "")))
        if sign in _FUNCTIONS:
            return _small(self._applied(sign))
        raise _Wrong(f"{sign!r} is not understood")

    def _applied(self, name: str) -> Fraction:
        self._take("(")
        arguments = [self._sum(1)]
        while self._next() == ",":
            self._take()
            arguments.append(self._sum(1))
        self._take(")")
        least, most, function = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise _Wrong(f"{name} takes {least if least == most else f'{least} or more'} numbers, got {len(arguments)}")
        return function(*arguments)


def _small(number: Fraction) -> Fraction:
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > _MOST_DIGITS * 3.32:
        raise _Wrong(f"more than {_MOST_DIGITS} digits")
    return number


def _divided(left: Fraction, right: Fraction) -> Fraction:
    if not right:
        raise _Wrong("division by zero")
    return left / right


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if exponent.denominator == 2:
            return _power(_root(base), Fraction(exponent.numerator))
        raise _Wrong("the exponent is no whole number")
    if not base and exponent < 0:
        raise _Wrong("division by zero")
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) != 1 and size * abs(exponent.numerator) > _MOST_DIGITS * 4:
        raise _Wrong(f"more than {_MOST_DIGITS} digits")
    return Fraction(base ** (exponent.numerator % 2 if abs(base) == 1 else exponent.numerator))


def _root(number: Fraction) -> Fraction:
    if number < 0:
        raise _Wrong("the root of a negative number")
    found = Fraction(math.isqrt(number.numerator), math.isqrt(number.denominator))
    if found**2 != number:
        raise _Wrong(f"the root of {_written(number)[:40]} is not rational")
    return found


def _whole(number: Fraction, name: str, most: int = 10**_MOST_DIGITS) -> int:
    if number.denominator != 1:
        raise _Wrong(f"{name} takes whole numbers")
    if abs(number) > most:
        raise _Wrong(f"{name} takes numbers up to {most}")
    return number.numerator


def _factorial(number: Fraction) -> Fraction:
    whole = _whole(number, "factorial", 1_400)
    if whole < 0:
        raise _Wrong("factorial takes no negative numbers")
    return Fraction(math.factorial(whole))


def _comb(n: Fraction, k: Fraction) -> Fraction:
    of, chosen = _whole(n, "comb", 10_000), _whole(k, "comb", 10_000)
    if of < 0 or chosen < 0:
        raise _Wrong("comb takes no negative numbers")
    return Fraction(math.comb(of, chosen))


def _round(number: Fraction, places: Fraction = Fraction(0)) -> Fraction:
    """Half away from zero, as people round."""
    scale = Fraction(10) ** _whole(places, "round", 100)
    return Fraction(math.floor(abs(number) * scale + Fraction(1, 2)) * (-1 if number < 0 else 1)) / scale


_MANY = 100
_OPERATORS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "//": lambda left, right: Fraction(math.floor(_divided(left, right))),
    "%": lambda left, right: left - right * math.floor(_divided(left, right)),
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Fraction]]] = {
    "abs": (1, 1, abs),
    "ceil": (1, 1, lambda number: Fraction(math.ceil(number))),
    "comb": (2, 2, _comb),
    "factorial": (1, 1, _factorial),
    "floor": (1, 1, lambda number: Fraction(math.floor(number))),
    "gcd": (2, _MANY, lambda *numbers: Fraction(math.gcd(*(_whole(number, "gcd") for number in numbers)))),
    "lcm": (2, _MANY, lambda *numbers: Fraction(math.lcm(*(_whole(number, "lcm") for number in numbers)))),
    "max": (1, _MANY, lambda *numbers: max(numbers)),
    "min": (1, _MANY, lambda *numbers: min(numbers)),
    "round": (1, 2, _round),
    "sqrt": (1, 1, _root),
}
