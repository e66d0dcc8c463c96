"""Other numbers in a question that is one calculation, a greatest common divisor or a least common multiple.

The question is changed only if computing it as it stands gives the known answer, and it holds no other number.
"""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Sequence
from fractions import Fraction

from porism.problems import _arithmetic
from porism.problems._arithmetic import NotArithmetic
from porism.problems._changing import Unchanged
from porism.records import Problem

__all__ = ["expression"]

_VALUE = r"\d{1,12}(?:\.\d{1,6})?"
_CALCULATION = re.compile(rf"(?<![\w.,])-?\(*-?{_VALUE}\)*(?:\s?[-+*/×÷]\s?-?\(*-?{_VALUE}\)*){{1,40}}(?!\w)(?![.,]\d)")
_LIST = re.compile(rf"(?<![\w.,-]){_VALUE}(?:(?:,\s?(?:and )?|\s+and\s+){_VALUE}){{1,20}}(?!\w)(?![.,]\d)")
_COMMON = ((re.compile(r"greatest common divisor|\bgcd\b", re.IGNORECASE), math.gcd),
           (re.compile(r"least common multiple|\blcm\b", re.IGNORECASE), math.lcm))  # fmt: skip
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TRIES = 200


def expression(problem: Problem, rng: random.Random) -> Problem:
    """The problem with other numbers and the answer that they give; its worked solution is left out.

    Raises:
        Unchanged: it is no such question, or no numbers fit.
    """
    question = problem.question
    found = list(_LIST.finditer(question) if _common(question) else _CALCULATION.finditer(question))
    if len(found) != 1 or _NUMBER.search(question[: found[0].start()] + question[found[0].end() :]):
        raise Unchanged("no calculations: the solution has no calculator annotations")
    (match,) = found
    try:
        known = _arithmetic.read_number(problem.answer)
        if _value(question, match[0]) != known:
            raise Unchanged("no calculations: the question's own does not give the answer")
    except NotArithmetic:
        raise Unchanged("no calculations: the question's own cannot be computed") from None
    for _ in range(_TRIES):
        changed = _NUMBER.sub(lambda number: _other(number[0], rng), match[0])
        try:
            value = _value(question, changed)
            if changed != match[0] and value != known and _fits(known, value):
                text = question[: match.start()] + changed + question[match.end() :]
                return dataclasses.replace(problem, question=text, answer=_arithmetic.plain(value), solution="")
        except NotArithmetic:
            continue
    raise Unchanged("no numbers: none were found that fit as the old ones do")


def _common(question: str) -> bool:
    return any(pattern.search(question) for pattern, _ in _COMMON)


def _value(question: str, text: str) -> Fraction:
    """What is asked about a calculation or a list of numbers.

    Raises:
        NotArithmetic: it cannot be computed exactly.
    """
    for pattern, function in _COMMON:
        if pattern.search(question):
            numbers: Sequence[str] = _NUMBER.findall(text)
            if any("." in number for number in numbers):
                raise NotArithmetic("no whole numbers")
            return Fraction(function(*map(int, numbers)))
    return _arithmetic.evaluate(text)


def _other(number: str, rng: random.Random) -> str:
    """A number of as many digits before and behind the point."""
    whole, point, rest = number.partition(".")
    low = 10 ** (len(whole) - 1) if len(whole) > 1 else 1
    digits = "".join(str(rng.randint(0, 9)) for _ in rest)
    return f"{rng.randint(low, 10 ** len(whole) - 1)}{point}{digits}"


def _fits(old: Fraction, new: Fraction) -> bool:
    """Whole results stay whole, and positive ones positive."""
    return (old.denominator != 1 or new.denominator == 1) and (old < 0 or new >= 0)
