r"""Problems whose answer is one number: read it, compare it exactly.

The profiles are those of :mod:`porism.graders._extract`. ``strict``, ``flexible`` and their kin compare texts as
lm-eval does; the others compare values: 18, 18.0, $18.00 and 36/2 are equal, and so are 1,200 and 1200; 50% is 0.5 or
50.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from porism.graders._answers import compare
from porism.graders._extract import Reading, as_lm_eval, profile_of, read
from porism.graders._tokens import MAX_LENGTH
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["grade", "last_number", "value"]

_SIGN = r"(?:(?<![\w)\]%])[-−+])?"  # a minus that follows a digit or a bracket subtracts
_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\d)\.\d+)"
_NUMBER = rf"{_SIGN}\\?[$€£¥]?{_SIGN}{_DIGITS}(?:\s?/\s?\d+)?\s?(?:\\?%)?"
_ANY = re.compile(_NUMBER)
_BEGINS = re.compile(rf"(?:[^\W\d_]+\s){{0,2}}[*_$]{{0,3}}{_NUMBER}")
_CONCLUDES = re.compile(rf"\b(?:is|are|equals?|makes?|gives?|gets?|=)\s(?:[^\W\d_]+\s){{0,2}}?({_NUMBER})")
_UP_TO_LAST_DIGIT = re.compile(r".*\d", re.DOTALL)
_FORMULA = re.compile(r"[\\^√π_]|\d[A-Za-z(]|[A-Za-z)]\s?/\s?\d")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_IN_NUMBERS = "0123456789.,/-−+$€£¥\\ \t\n\r"
"""Characters before a number's last digit: what stands before any other one cannot be part of it."""
_FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)}

_MAX_DIGITS = 1_000
"""Longest number that is compared; a longer one is not an answer, and converting it takes quadratic time."""


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is a number.

    Args:
        problem: its answer is a number, or a GSM8K solution that ends in ``#### number``.
        attempt: its text is judged.
        profile: which extraction rules may fire.

    Raises:
        RecipeError: no such profile.
    """
    gold, text = problem.answer, attempt.text
    known = profile_of(profile)
    if known.pattern is not None:
        return as_lm_eval(problem, text, known)
    wanted = value(gold.rpartition("####")[2])
    if wanted is None:
        return Verdict(status=Status.GOLD_UNPARSED, reason=f"the reference answer is not a number: {gold[:60]!r}")
    reading = read(text, known)
    if reading is None:
        return Verdict(status=Status.UNPARSED, reason=f"no statement that the profile {profile} accepts")
    return _judged(reading, gold, wanted)


def _judged(reading: Reading, gold: str, wanted: Fraction) -> Verdict:
    rule, statement = reading.rule, reading.statement
    if rule != "last" and len(statement) > MAX_LENGTH:
        return Verdict(status=Status.UNPARSED, rule=rule, reason="the statement is too long to be an answer")
    if not statement.isascii():
        statement = statement.translate(_FULL_WIDTH)
    if rule == "last":
        found = last_number(statement)
        if found is None:
            return Verdict(status=Status.UNPARSED, reason="no number in the text")
    elif (got := value(statement)) is not None:
        found = statement
    elif rule == "boxed" or _FORMULA.search(statement):
        outcome = compare(gold.rpartition("####")[2], statement)
        if outcome.status in (Status.CORRECT, Status.WRONG) or rule == "boxed":
            return Verdict(status=outcome.status, answer=statement.strip(), rule=rule, reason=outcome.reason)
        found = _stated(statement)
    elif rule == "phrase":
        found = _said(statement, reading.rest)
    else:
        found = _stated(statement)
    got = value(found) if found is not None else None
    if found is None or got is None:
        return Verdict(status=Status.UNPARSED, rule=rule, answer=found, reason="no number where the answer stands")
    equal = got == wanted or ("%" in found and "%" not in gold and got * 100 == wanted)
    return Verdict(status=Status.CORRECT if equal else Status.WRONG, answer=found.strip(), rule=rule)


@lru_cache(maxsize=65_536)
def value(text: str) -> Fraction | None:
    """The exact value of a number as people write it: sign, currency, thousands separators, fraction, percent.

    Returns:
        None where the text is not one number, divides by zero, or has more digits than any answer has.
    """
    if _WHOLE.fullmatch(text):
        return Fraction(int(text))
    plain = re.sub(r"[\s$€£¥,]", "", text).replace("−", "-").rstrip(".").replace("\\", "")
    percent = plain.endswith("%")
    if len(plain) > _MAX_DIGITS or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(/\d+)?%?", plain, re.ASCII):
        return None
    top, _, bottom = plain.rstrip("%").partition("/")
    if bottom and int(bottom) == 0:
        return None
    return Fraction(top) / Fraction(bottom or 1) / (100 if percent else 1)


def last_number(text: str) -> str | None:
    """The last number of a text, as it is written there."""
    upto = _UP_TO_LAST_DIGIT.match(text)
    if upto is None:
        return None
    start = len(text[: upto.end()].rstrip(_IN_NUMBERS))
    found = _ANY.findall(text, start)
    return found[-1] if found else None


def _said(statement: str, rest: str) -> str | None:
    """The number of "the answer is …"; of "the product of 0 and 8, which equals 8", what the sentence comes to."""
    if len(_ANY.findall(statement)) > 1 and "=" not in statement and not _BEGINS.match(statement):
        concluded = _CONCLUDES.findall(statement + re.split(r"[.!?](?:\s|\Z)", rest)[0])
        if concluded:
            return _stated(concluded[-1])
    return _stated(statement)


def _stated(text: str) -> str | None:
    """The number that a statement of the answer gives: the first in it, or the first after its last ``=``."""
    number = _ANY.search(text.rpartition("=")[2])
    return number[0] if number else None
