"""Arithmetic as it stands in worked solutions, computed exactly: ``48/2``, ``(3+4)*0.5``, ``20%*50``.

Expressions are parsed here; nothing is evaluated as code. Values are fractions, so that an equality is one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

__all__ = ["NotArithmetic", "Number", "evaluate", "numbers", "plain", "read_number", "rewrite"]

_LONGEST = 200
_DEEPEST = 20
_DIGITS = 15
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?P<percent>\s?%)?|(?P<sign>[-+*/()×÷−xX]))")
_SAME = {"×": "*", "x": "*", "X": "*", "÷": "/", "−": "-"}


class NotArithmetic(ValueError):
    """A text is no arithmetic that can be computed exactly."""


class Number(NamedTuple):
    """A number that stands in an expression."""

    start: int
    end: int
    value: Fraction
    """As written, a percent sign not counted."""
    percent: bool


def read_number(text: str) -> Fraction:
    """The value of a number as it is written: ``1,200``, ``.5``, ``3.25``.

    Raises:
        NotArithmetic: it is none, or has more digits than worked solutions have.
    """
    bare = text.strip().replace(",", "")
    if not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", bare) or len(bare) > _DIGITS:
        raise NotArithmetic(f"no number: {text[:40]!r}")
    return Fraction(bare)


def numbers(expression: str) -> list[Number]:
    """The numbers of an expression, in order.

    Raises:
        NotArithmetic: something else stands in it.
    """
    return [token for token in _tokens(expression) if isinstance(token, Number)]


def evaluate(expression: str, values: Callable[[int, Number], Fraction] | None = None) -> Fraction:
    """The exact value of an expression.

    Args:
        expression: numbers, ``+ - * /`` (also ×, ÷, x), brackets, percent signs.
        values: what the n-th number stands for; its own value if left out. A percent sign divides it by 100.

    Raises:
        NotArithmetic: it is no such expression, or divides by zero.
    """
    return _Parser(_tokens(expression), values or (lambda _, number: number.value)).whole()


def rewrite(expression: str, values: Callable[[int, Number], Fraction]) -> str:
    """The expression with its numbers written anew.

    Raises:
        NotArithmetic: see :func:`numbers`.
    """
    parts, end = [], 0
    for at, number in enumerate(numbers(expression)):
        parts += [expression[end : number.start], plain(values(at, number))]
        end = number.end
    return "".join([*parts, expression[end:]])


def plain(value: Fraction, *, like: str = "") -> str:
    """A value in digits.

    Args:
        value: what to write.
        like: a number as it was written: its commas, and its places if there are two or more, are kept.

    Raises:
        NotArithmetic: it has no end as a decimal number, or more than six places.
    """
    commas, shown = "," in like, len(like.partition(".")[2])
    for places in range(shown if shown > 1 else 0, 7):
        scaled = value * 10**places
        if scaled.denominator == 1:
            whole, rest = divmod(abs(scaled.numerator), 10**places)
            digits = f"{whole:,}" if commas else str(whole)
            return f"{'-' if value < 0 else ''}{digits}{f'.{rest:0{places}d}' if places else ''}"
    raise NotArithmetic(f"no decimal number: {value}")


@functools.lru_cache(4096)
def _tokens(expression: str) -> tuple[Number | str, ...]:
    if len(expression) > _LONGEST:
        raise NotArithmetic("too long")
    text, at, found = expression.rstrip(), 0, list[Number | str]()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotArithmetic(f"no arithmetic: {text[at : at + 20]!r}")
        if match["sign"]:
            found.append(_SAME.get(match["sign"], match["sign"]))
        else:
            start, end = match.span("number")
            found.append(Number(start, end, read_number(match["number"]), match["percent"] is not None))
        at = match.end()
    return tuple(found)


class _Parser:
    """Recursive descent: sums of products of numbers and brackets."""

    def __init__(self, tokens: Sequence[Number | str], values: Callable[[int, Number], Fraction]) -> None:
        self._tokens, self._values = tokens, values
        self._at = self._seen = self._depth = 0

    def whole(self) -> Fraction:
        value = self._sum()
        if self._at < len(self._tokens):
            raise NotArithmetic(f"no arithmetic: {self._tokens[self._at]!r:.20} where an operation is expected")
        return value

    def _next(self) -> Number | str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _sum(self) -> Fraction:
        value = self._product()
        while self._next() in ("+", "-"):
            sign = self._take()
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while self._next() in ("*", "/") or self._next() == "(":
            sign = self._take() if self._next() != "(" else "*"
            factor = self._factor()
            if sign == "/" and factor == 0:
                raise NotArithmetic("division by zero")
            value = value * factor if sign == "*" else value / factor
        return value

    def _factor(self) -> Fraction:
        token = self._take()
        if isinstance(token, Number):
            value = self._values(self._seen, token)
            self._seen += 1
            return value / 100 if token.percent else value
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotArithmetic("nested too deeply")
        sign = str(token)
        if sign in ("-", "+"):
            value = self._factor() if sign == "+" else -self._factor()
        elif sign == "(":
            value = self._sum()
            if self._take() != ")":
                raise NotArithmetic("a bracket is not closed")
        else:
            raise NotArithmetic(f"no arithmetic: {token!r:.20} where a number is expected")
        self._depth -= 1
        return value

    def _take(self) -> Number | str:
        token = self._next()
        self._at += 1
        return token
