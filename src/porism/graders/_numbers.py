r"""Numbers as people and models write them: ``1,200``, ``$12\,000``, ``1 1/2``, ``1.5 \times 10^3``, ``-5%``."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

__all__ = ["last_number", "only_number", "value"]

_SIGN = r"(?:(?<![\w)\]%])(?<![\w)\]%]\s)[-−–]\s?|(?<![\w)\]%])[-−–])?"  # behind a digit or a bracket it subtracts
_GROUP = r"(?:,|\{,\}|,\\!\s?|\\[,!]|[ \u00a0\u2009\u202f])"
_PLAIN = rf"(?:(?:\d{{1,3}}(?:{_GROUP}\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|(?<!\d)\.\d+)"
_POWER = r"\^\s?\{?[-−+]?\d{1,4}\}?"
_SCALE = r"(?:[eE][-+]?\d{1,3}(?![\w.])|\s?(?:\\times|\\cdot|×|·|x|\*)\s?10" + _POWER + r"|" + _POWER + r")"
_NAMED = r"(?:\s?(?:thousand|million|billion|trillion|万|亿|億))(?![A-Za-z])"
_BEHIND = rf"(?:(?::\d+)+|\s?/\s?\d+|{_SCALE}|{_NAMED})"
_NUMBER = rf"{_SIGN}\\?[$€£¥]?{_SIGN}(?:\d+\s\d+\s?/\s?\d+|{_PLAIN}{_BEHIND}?)(?:\s?(?:\\?%|percent\b))?"
_ANY = re.compile(_NUMBER)
_NEGATIVE = re.compile(r"(?:(?<![\d)\]])(?<![\d)\]]\s)\b(?:negative|minus)|负|マイナス|零下)\Z", re.IGNORECASE)
_NEGATIVE_ENDS = frozenset("esES负ス下")
_UP_TO_LAST_DIGIT = re.compile(r".*\d", re.DOTALL)
_IN_NUMBERS = "0123456789.,/-−–+$€£¥\\{}!:^eEx×·*timescdo \u00a0\u2009\u202f\t\n\r"
"""Characters before a number's last digit: what stands before any other one cannot be part of it."""

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_SEPARATOR = re.compile(r"(?<=\d)(?:\{,\}|,\\!\s?|\\[,!]|,|[ \u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_VALUE = re.compile(
    r"(?P<sign>[-+]?)\s?(?:(?P<whole>\d+)\s(?P<top>\d+)\s?/\s?(?P<under>\d+)"
    r"|(?P<number>\d+\.?\d*|\.\d+)(?:\s?/\s?(?P<bottom>\d+)"
    r"|\s?(?:\\?times|\\?cdot|×|·|x|\*)\s?10\s?\^\s?\{?(?P<power>[-+]?\d+)\}?|\s?\^\s?\{?(?P<self>[-+]?\d+)\}?"
    r"|[eE](?P<e>[-+]?\d+)|\s?(?P<named>thousand|million|billion|trillion|万|亿|億))?)\s?(?P<percent>\\?%|percent)?",
    re.ASCII,
)
_SCALES = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "万": 10**4, "亿": 10**8, "億": 10**8,
}  # fmt: skip
_NEAR = 40
_MAX_POWER = 400
_MAX_DIGITS = 1_000
"""Longest number that is compared; a longer one is not an answer, and converting it takes quadratic time."""

_REMARK = re.compile(r"\s*[,，;；]?\s*(?:\b(?:not|rather than|instead of)\b|不是|而不是)")
_OTHERWISE = re.compile(
    r"[\\^√∛π±∓∞!]|\d\s?[*+×·÷=<>]|[*+×·÷=<>/]\s?[\d(]|\d\s[-−–]\s\d|\d\(|-\(|[A-Za-z]\d|\d[a-zA-Z](?![A-Za-z])|分之|几|多|とは違|ではな|じゃな"
    r"|\b(?:squared|cubed|half|halves|quarters?|thirds?|dozens?|hundreds?|thousands|millions|billions|pi|sqrt|root"
    r"|out of|power|times|plus|factorial|per ?cent of|twice|double|triple|product|sum|difference|quotient|ratio|not|or"
    r"|neither|between|less|more|least|most|unknown)\b|或",
    re.IGNORECASE,
)
"""What makes a sentence with one number in it say another number, or none."""


@lru_cache(maxsize=65_536)
def value(text: str) -> Fraction | None:
    """The exact value of one number.

    Returns:
        None where the text is not one number, divides by zero, or has more digits than any answer has.
    """
    if _WHOLE.fullmatch(text):
        return Fraction(int(text))
    plain = text.strip().rstrip(".").replace("−", "-").replace("–", "-")
    plain = re.sub(r"\\?[$€£¥]\s?", "", _SEPARATOR.sub("", plain)).strip()
    match = _VALUE.fullmatch(plain)
    if match is None or len(plain) > _MAX_DIGITS:
        return None
    size = _size(match)
    if size is None:
        return None
    return size * (-1 if match["sign"] == "-" else 1) / (100 if match["percent"] else 1)


def _size(match: re.Match[str]) -> Fraction | None:
    if match["whole"]:
        under = int(match["under"])
        part = Fraction(int(match["top"]), under) if under else Fraction(1)
        return int(match["whole"]) + part if part < 1 else None
    size = Fraction(match["number"])
    if match["bottom"]:
        return size / int(match["bottom"]) if int(match["bottom"]) else None
    exponent, own = int(match["power"] or match["e"] or 0), int(match["self"] or 1)
    if max(abs(exponent), abs(own)) > _MAX_POWER or (size == 0 and own < 0):
        return None
    return Fraction(size**own) * Fraction(10) ** exponent * _SCALES.get(match["named"] or "", 1)


def last_number(text: str) -> str | None:
    """The last number of a text, as it is written there; "negative 5" and "负5" with a minus."""
    words = text.rsplit(None, 2)
    if len(words) == 3 and _WHOLE.fullmatch(words[2]) and words[1][-1] in ":.=," and len(words[1]) < _NEAR:
        return words[2]  # "A: 18", as most texts end
    upto = _UP_TO_LAST_DIGIT.match(text)
    if upto is None:
        return None
    start = max(len(text[: upto.end()].rstrip(_IN_NUMBERS)), upto.end() - 2 * _MAX_DIGITS)
    match = None
    for match in _ANY.finditer(text, start):  # noqa: B007  # the last one
        pass
    return None if match is None else _signed(text, match)


def only_number(statement: str) -> str | None:
    """The number that a statement of an answer comes to: the only one in it, or the only one behind its last ``=``.

    Returns:
        None where there is none, where there are several, or where words or signs around it say another value
        ("3 * 4", "the square root of 2", "5 or 6").
    """
    behind = _REMARK.split(statement.rpartition("=")[2])[0]
    numbers = list(_ANY.finditer(behind))
    if len(numbers) != 1:
        return None
    number = numbers[0]
    around = f"{behind[: number.start()]}#{behind[number.end() :]}"
    if _OTHERWISE.search(around.replace("#", "0")) or _OTHERWISE.search(around.replace("#", " ")):
        return None
    return _signed(behind, number)


def _signed(text: str, number: re.Match[str]) -> str:
    before = text[max(0, number.start() - 12) : number.start()].rstrip(" $")
    said = number[0].strip()
    return f"-{said}" if before[-1:] in _NEGATIVE_ENDS and _NEGATIVE.search(before) else said
