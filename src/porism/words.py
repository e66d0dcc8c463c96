"""Texts made equal in what does not matter, their words and their numbers: what texts are compared by."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping

__all__ = [
    "CJK",
    "bare",
    "digest",
    "normal",
    "numbers",
    "numerals",
    "readable",
    "tokens",
    "without_numbers",
    "words_of",
]

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3"
"""Kana, ideographs and Hangul syllables, of which each one counts as a word."""

_TOKEN = re.compile(rf"[{CJK}\u0e00-\u0eff]|[^\W_{CJK}\u0e00-\u0eff]+|[-+*/=<>^%]")
_PUNCTUATION = re.compile(r"[.,;:!?\"'`…“”‘’()\[\]{}]")  # signs of arithmetic change a question
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "\0": " "})
_NUMBER_WORDS: Mapping[str, str] = {
    word: str(number)
    for words, first, step in (
        ("two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen", 2, 1),
        ("seventeen eighteen nineteen", 17, 1),
        ("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10),
        ("twice thrice", 2, 1),
    )
    for number, word in zip(range(first, 10_000, step), words.split(), strict=False)
}
_WORDS = r"(?<![^\W_])(?:" + "|".join(sorted(_NUMBER_WORDS, reverse=True)) + r")(?![^\W_])"
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*|" + _WORDS)
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[+*/=<>^]|-(?=\s*\d)|" + _WORDS)


def normal(text: str) -> str:
    """The text with compatibility characters, case and runs of white space made equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(text: str) -> str:
    """The normal text without punctuation; signs of arithmetic stay, since they change a question.

    >>> bare("What is  3+4 ?")
    'what is 3+4'
    """
    return " ".join(_PUNCTUATION.sub(" ", normal(text)).split())


def readable(text: str) -> str:
    """The text with each half of a surrogate pair, which JSON can hold and no encoder can read, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def digest(text: str) -> bytes:
    """A hash of a text, 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def tokens(text: str) -> list[str]:
    """Words of a normal text, signs of arithmetic among them; in scripts without spaces each character is one.

    >>> tokens("3+4 苹果 x_1")
    ['3', '+', '4', '苹', '果', 'x', '1']
    """
    return _TOKEN.findall(text.translate(_SIGNS))


def words_of(text: str) -> list[str]:
    """Words of a text as it is written, each name (whatever begins with a capital letter) as ``N``.

    A question whose names were changed has the same words.

    >>> words_of("Ann has 3 figs. How many?")
    ['N', 'has', '3', 'figs', 'N', 'many']
    """
    written = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return ["N" if word[0].isupper() else word.casefold() for word in _TOKEN.findall(written)]


def without_numbers(text: str) -> str:
    """A normal text with each number and number word as 0."""
    return _DIGITS.sub("0", text)


def numerals(text: str) -> list[str]:
    """The numbers and signs of arithmetic in a normal text, in their order; number words count.

    >>> numerals("two pens at 1,000.50 + 3")
    ['2', '1000.5', '+', '3']
    """
    found = []
    for token in _NUMBER.findall(text.translate(_SIGNS)):
        if token[0].isdigit():
            value = token.replace(",", "")
            found.append((value.rstrip("0").rstrip(".") if "." in value else value).lstrip("0") or "0")
        elif token in _NUMBER_WORDS:
            found.append(_NUMBER_WORDS[token])
        else:
            found.append(token)
    return found


def numbers(text: str) -> int:
    """A 64-bit hash of the numbers and signs of arithmetic in a normal text, in whatever order.

    >>> numbers("two pens at 1,000") == numbers("at 1000, 2 pens")
    True
    """
    found = " ".join(sorted(numerals(text))).encode()
    return int.from_bytes(hashlib.blake2b(found, digest_size=8).digest(), "little")
