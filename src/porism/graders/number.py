r"""Problems whose answer is one number: read it, compare it exactly.

The profiles are those of :mod:`porism.graders._extract`. ``strict``, ``flexible`` and their kin compare texts as
lm-eval does; the others compare values: 18, 18.0, $18.00 and 36/2 are equal, and so are 1,200 and 1200; 50% is 0.5,
and also 50 where the reference says 50. A statement that is a calculation or a formula is computed as
:mod:`porism.graders.math` does.
"""

from __future__ import annotations

import re
from fractions import Fraction

from porism.graders._answers import Outcome, compare
from porism.graders._extract import Reading, profile_of, read, unstated
from porism.graders._numbers import last_number, only_number, value
from porism.graders._tokens import MAX_LENGTH
from porism.records import JUDGED, Attempt, Problem, Status, Verdict

__all__ = ["grade", "judge_text"]

_FORMULA = re.compile(r"[\\^√∛π±_=+*×÷<>]|\d\s?[-−–(/]\s?\d|\d[A-Za-z(]|-\s?\(|\A[\s(\[{]*[\d.,\s]+[)\]}]?\Z")
_CONCLUDES = re.compile(
    r"\b(?:is|are|equals?|makes?|gives?|gets?)\s(?:[^\W\d_]+\s){0,2}?([-−–]?[$€£¥]?\d[\d,.]*)(?!\s?[*/^×])"
)
_HAS_FULL_WIDTH = re.compile(r"[\uff01-\uff5e]")
_FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)}


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is a number.

    Args:
        problem: its answer is a number, or a GSM8K solution that ends in ``#### number``.
        attempt: its text is judged.
        profile: which extraction rules may fire.

    Raises:
        RecipeError: no such profile.
    """
    return judge_text(problem.answer, attempt.text, profile=profile)


def judge_text(gold: str, text: str, *, profile: str = "auto") -> Verdict:
    """Compare the number that a text states with a reference: a number, or a solution that ends in ``#### number``."""
    known = profile_of(profile)
    gold = gold.rpartition("####")[2].strip()
    wanted = value(gold)
    if wanted is None:
        return Verdict(status=Status.GOLD_UNPARSED, reason=f"the reference answer is not a number: {gold[:60]!r}")
    reading = read(text, known)
    if reading is None:
        return unstated(known)
    if reading.rule != "last" and len(reading.statement) > MAX_LENGTH:
        return Verdict(status=Status.UNPARSED, rule=reading.rule, reason="the statement is too long to be an answer")
    if not text.isascii() and _HAS_FULL_WIDTH.search(text):
        reading = reading._replace(statement=reading.statement.translate(_FULL_WIDTH))
    found, outcome = _read_number(reading, gold)
    if outcome is not None:
        return Verdict(status=outcome.status, answer=found, rule=reading.rule, reason=outcome.reason)
    got = value(found) if found is not None else None
    if got is None:
        rule = "" if reading.rule == "last" and found is None else reading.rule
        reason = "no number in the text" if not rule else "no number, or more than one, where the answer stands"
        return Verdict(status=Status.UNPARSED, rule=rule, answer=found, reason=reason)
    status = Status.CORRECT if _equal(got, wanted, str(found), gold) else Status.WRONG
    return Verdict(status=status, answer=found, rule=reading.rule, grader="number", profile=known.label)


def _equal(got: Fraction, wanted: Fraction, found: str, gold: str) -> bool:
    """Values are equal; 50% is also 50, but 0.5% is not 0.5."""
    if got == wanted:
        return True
    if "%" not in found and "%" not in gold and "percent" not in found and "percent" not in gold:
        return False
    per_cent = [text.rstrip().endswith(("%", "percent")) for text in (found, gold)]
    if per_cent[0] == per_cent[1]:
        return False
    return (got * 100 == wanted and abs(wanted) >= 1) if per_cent[0] else (wanted * 100 == got and abs(got) >= 1)


def _read_number(reading: Reading, gold: str) -> tuple[str | None, Outcome | None]:
    """The number that is read, or the outcome where a formula had to be computed."""
    statement = reading.statement.strip()
    if reading.rule == "last":
        return last_number(statement), None
    if value(statement) is not None:
        return statement, None
    number = only_number(statement)
    if number is not None and reading.rule != "boxed":
        return number, None
    if reading.rule == "boxed" or _FORMULA.search(statement):
        outcome = compare(gold, statement)
        if outcome.status in (*JUDGED, Status.TIMEOUT) or reading.rule == "boxed":
            return statement, outcome
        return statement, Outcome(Status.UNPARSED, "a formula that cannot be read where the answer stands")
    if reading.rule == "phrase":
        sentence = re.split(r"[.!?](?:\s|\Z)", reading.rest)[0]
        return _concluded(statement + sentence), None
    return None, None


def _concluded(sentence: str) -> str | None:
    """Of "the product of 0 and 8, which equals 8", what the sentence comes to."""
    found = _CONCLUDES.findall(sentence)
    return found[-1].rstrip(".,") if found else None
