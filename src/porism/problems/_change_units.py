"""A quantity of a question in a smaller unit: 3 hours as 180 minutes.

The answer stays what it is only where the question says in what it is to be given: how many of something, or in a unit.
Units that are also something else (a working day, a foot, a yard, a pound of money) are changed only behind words that
leave no doubt, or not at all.
"""

from __future__ import annotations

import dataclasses
import random
import re
from fractions import Fraction
from typing import NamedTuple

from porism.problems import _arithmetic
from porism.problems._arithmetic import NotArithmetic
from porism.problems._changing import Token, Unchanged, is_formal, is_japanese_or_chinese, sentences, tokens
from porism.records import Problem

__all__ = ["units"]

_MEASURED = r"(?=\s+(?:long|tall|high|wide|deep|away|apart|of|in (?:length|width|height|depth)|from|per|to|and)\b|[.,])"


class _Unit(NamedTuple):
    pattern: re.Pattern[str]
    """What follows the number."""
    one: str
    many: str
    factor: int
    """Of the smaller unit in this one."""


def _unit(pattern: str, one: str, many: str, factor: int) -> _Unit:
    return _Unit(re.compile(rf"\s(?P<unit>{pattern})(?![\w/-])"), one, many, factor)


_UNITS = (
    _unit(r"hours?", "minute", "minutes", 60),
    _unit(r"minutes?", "second", "seconds", 60),
    _unit(r"kilometers?", "meter", "meters", 1000),
    _unit(r"kilometres?", "metre", "metres", 1000),
    _unit(r"km", "m", "m", 1000),
    _unit(rf"meters?{_MEASURED}", "centimeter", "centimeters", 100),
    _unit(rf"metres?{_MEASURED}", "centimetre", "centimetres", 100),
    _unit(r"kilograms?", "gram", "grams", 1000),
    _unit(r"kg", "g", "g", 1000),
    _unit(r"lit(?:er|re)s?(?= of\b)", "milliliter", "milliliters", 1000),
    _unit(r"(?:feet|foot)(?= (?:long|tall|high|wide|deep|away|apart)\b)", "inch", "inches", 12),
    _unit(r"yards?(?= (?:long|wide|away|apart)\b)", "foot", "feet", 3),
    _unit(r"pounds?(?= of\b)", "ounce", "ounces", 16),
    _unit(r"gallons?(?= of\b)", "quart", "quarts", 4),
)
_MEASURES = (
    r"seconds?|minutes?|hours?|days?|weeks?|months?|years?|inch(?:es)?|feet|foot|yards?|miles?|meters?|metres?|km|cm"
    r"|kilomet(?:er|re)s?|centimet(?:er|re)s?|millimet(?:er|re)s?|grams?|kilograms?|kg|pounds?|ounces?|tons?"
    r"|lit(?:er|re)s?|millilit(?:er|re)s?|gallons?|quarts?|pints?|cups?|dollars?|cents?|percent"
)
_ASKS_COUNT = re.compile(r"\bhow many (?:more |fewer |total |additional |extra )?(?P<what>[A-Za-z]+)", re.IGNORECASE)
_ASKS_MEASURE = re.compile(rf"\bin (?:{_MEASURES})\b|%\s*\?|\bwhat percent", re.IGNORECASE)
_NOT_IN_MONEY = re.compile(r"[£]")
_NO_KIND = re.compile(
    r"(?:does|do|did|is|are|was|were|will|can|could|would|has|have|had|in|of|left|remain)\b", re.IGNORECASE
)


def units(problem: Problem, rng: random.Random) -> Problem:
    """The problem with one quantity in a smaller unit; the worked solution says first what it is in the old one.

    Raises:
        Unchanged: no quantity with a known unit, or a question that leaves the answer's unit to the reader.
    """
    question = problem.question
    if is_formal(question) or problem.kind == "choice" or is_japanese_or_chinese(question):
        raise Unchanged("a formula or options: quantities cannot be told")
    if not _says_unit(list(sentences(question))[-1]):
        raise Unchanged("no unit is asked for: another one in the question might change the answer's")
    spots = [
        (token, unit, match)
        for token in tokens(question)
        if token.is_free and not token.percent and token.value > 0
        for unit in _UNITS
        if (match := unit.pattern.match(question, token.end))
        and not (unit.one == "ounce" and _NOT_IN_MONEY.search(question))
        and not re.search(r"[$€£¥/-]\s?\Z", question[: token.start])
    ]
    if not spots:
        raise Unchanged("no quantity: none in the question has a unit that can be changed")
    token, unit, match = rng.choice(spots)
    try:
        written = _written(token, unit)
    except NotArithmetic as error:
        raise Unchanged(f"no decimal number: {error}") from None
    old = question[token.start : match.end("unit")]
    solution = f"{written} = {old}.\n{problem.solution}" if problem.solution else ""
    return dataclasses.replace(
        problem,
        question=question[: token.start] + written + question[match.end("unit") :],
        solution=solution,
        meta={name: value for name, value in problem.meta.items() if name != "annotated"},
    )


def _written(token: Token, unit: _Unit) -> str:
    value = token.value * unit.factor
    shown = _arithmetic.plain(value, like="1,000" if value >= 10_000 else "")
    return f"{shown} {unit.one if value == Fraction(1) else unit.many}"


def _says_unit(asked: str) -> bool:
    """Whether the last sentence says what the answer counts, or in which unit it is."""
    if _ASKS_MEASURE.search(asked):
        return True
    found = _ASKS_COUNT.search(asked)
    return found is not None and not _NO_KIND.match(found["what"])
