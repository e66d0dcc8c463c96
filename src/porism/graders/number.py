r"""Problems whose answer is one number: read it, compare it exactly.

Rules, and the profiles that allow them:

=========  ==========================================================  =====================================
rule       reads                                                       profiles
=========  ==========================================================  =====================================
hash       the number stated after the last ``####``                   auto
boxed      the number in the last ``\boxed{}``, ``\frac`` included      auto
phrase     the number after the last "the answer is", "answer:", …     auto
last       the last number                                             auto (if nothing above fired), last
strict     ``#### (\-?[0-9\.\,]+)``, first match                       strict: lm-eval's ``strict-match``
flexible   ``(-?[$0-9.,]{2,})|(-?[0-9]+)``, last match                 flexible: lm-eval's ``flexible-extract``
=========  ==========================================================  =====================================

``strict`` and ``flexible`` use the expressions and the comparison of lm-eval's ``gsm8k`` task (version 3):
exact match of strings after ``,``, ``$``, everything before ``#### `` and a final ``.`` are removed. The others compare
values: 18, 18.0, $18.00 and 36/2 are equal, and so are 1,200 and 1200; 50% is 0.5 or 50.
"""

from __future__ import annotations

import re
from fractions import Fraction

from porism.errors import RecipeError, nearest
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["grade", "value"]

_SIGN = r"(?:(?<![\w)\]%])[-−+])?"  # a minus that follows a digit or a bracket subtracts
_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\d)\.\d+)"
_NUMBER = rf"{_SIGN}\\?[$€£¥]?{_SIGN}{_DIGITS}(?:\s?/\s?\d+)?\s?(?:\\?%)?"
_HASH = re.compile(r"####[ \t]*([^\n]{0,200})")
_BOXED = re.compile(r"\\boxed\s{0,3}\{((?:[^{}]|\{[^{}]*\})*)\}")
_PHRASE = re.compile(r"(?i)\banswer[ \t]{0,3}(?:is|=|:)([^\n]{0,200})")
_ANY = re.compile(_NUMBER)
_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_LM_EVAL_IGNORED = (re.compile(","), re.compile(r"\$"), re.compile(r"(?s).*#### "), re.compile(r"\.$"))

_MAX_DIGITS = 1_000
"""Longest number that is compared; a longer one is not an answer, and converting it takes quadratic time."""


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is a number.

    Args:
        problem: its answer is a number, or a GSM8K solution that ends in ``#### number``.
        attempt: its text is judged.
        profile: ``auto``, ``last``, ``strict`` or ``flexible``; see the module's text.

    Raises:
        RecipeError: no such profile.
    """
    gold, text = problem.answer, attempt.text
    if profile in ("strict", "flexible"):
        return _as_lm_eval(gold, text, profile)
    if profile not in ("auto", "last"):
        known = ("auto", "last", "strict", "flexible")
        raise RecipeError(f"no extraction profile {profile!r}.{nearest(profile, known)} Known: {', '.join(known)}.")
    wanted = value(gold.rpartition("####")[2])
    if wanted is None:
        return Verdict(status=Status.GOLD_UNPARSED, reason=f"the reference answer is not a number: {gold[:60]!r}")
    rule, found = _reading(text, profile)
    got = value(found) if found is not None else None
    if found is None and rule == "last":
        return Verdict(status=Status.UNPARSED, reason="no number in the text")
    if found is None or got is None:
        return Verdict(status=Status.UNPARSED, rule=rule, answer=found, reason="no number where the answer stands")
    equal = got == wanted or ("%" in found and "%" not in gold and got * 100 == wanted)
    return Verdict(status=Status.CORRECT if equal else Status.WRONG, answer=found.strip(), rule=rule)


def value(text: str) -> Fraction | None:
    """The exact value of a number as people write it: sign, currency, thousands separators, fraction, percent.

    Returns:
        None where the text is not one number, divides by zero, or has more digits than any answer has.
    """
    plain = re.sub(r"[\s$€£¥,]", "", text).replace("−", "-").rstrip(".").replace("\\", "")
    percent = plain.endswith("%")
    if len(plain) > _MAX_DIGITS or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(/\d+)?%?", plain, re.ASCII):
        return None
    top, _, bottom = plain.rstrip("%").partition("/")
    if bottom and int(bottom) == 0:
        return None
    return Fraction(top) / Fraction(bottom or 1) / (100 if percent else 1)


def _reading(text: str, profile: str) -> tuple[str, str | None]:
    """The rule that fires, the strongest first, and the number that it reads; None where there is none."""
    if profile == "auto":
        for rule, pattern in (("hash", _HASH), ("boxed", _BOXED), ("phrase", _PHRASE)):
            matches = pattern.findall(text)
            if matches:
                return rule, _stated(matches[-1])
    numbers = _ANY.findall(text)
    return "last", numbers[-1] if numbers else None


def _stated(text: str) -> str | None:
    """The number that a statement of the answer gives: the first in it, or the first after its last ``=``."""
    fraction = re.search(r"\\d?frac\{(-?\d{1,50})\}\{(\d{1,50})\}", text)
    if fraction:
        return f"{fraction[1]}/{fraction[2]}"
    number = _ANY.search(text.rpartition("=")[2])
    return number[0] if number else None


def _as_lm_eval(gold: str, text: str, profile: str) -> Verdict:
    """Extraction and exact match as lm-eval's gsm8k task does them."""
    if profile == "strict":
        match = _STRICT.search(text)
        found = match.group(1).strip() if match else ""
    else:
        matches = _FLEXIBLE.findall(text)
        found = next((group for group in matches[-1] if group), "").strip() if matches else ""
    if not found:
        return Verdict(status=Status.UNPARSED, reason=f"lm-eval's {profile} expression matches nothing")
    same = _lm_eval_normal(found) == _lm_eval_normal(gold)
    return Verdict(status=Status.CORRECT if same else Status.WRONG, answer=found, rule=profile)


def _lm_eval_normal(text: str) -> str:
    for pattern in _LM_EVAL_IGNORED:
        text = pattern.sub("", text)
    return text.lower()
