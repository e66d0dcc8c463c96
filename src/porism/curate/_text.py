"""What two records are compared by: their texts, made equal in what does not matter, and the numbers in them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from porism.records import Attempt, Concepts, Message, Pair, Problem, Record, Stepwise

__all__ = [
    "CJK",
    "LONGEST",
    "By",
    "by_of",
    "digest",
    "normal",
    "numbers",
    "question_of",
    "readable",
    "response_of",
    "tokens",
    "without_numbers",
    "words_of",
]

By = Annotated[
    Literal["question", "all"], Field(description="compare the question alone, or the answer's text too")
]  # fmt: skip

LONGEST = 20_000
"""Characters of a text that are looked at: one row must not cost as much as all others."""

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3"
"""Kana, ideographs and Hangul syllables, of which each one counts as a word."""

_TOKEN = re.compile(rf"[{CJK}\u0e00-\u0eff]|[^\W_{CJK}\u0e00-\u0eff]+|[-+*/=<>^%]")
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


def question_of(record: Record) -> str:
    """What the record asks: the question, or the last user turn of an example or a pair."""
    if isinstance(record, Problem):
        return record.question
    if isinstance(record, Attempt):
        return record.problem.question
    if isinstance(record, Concepts):
        return "; ".join(record.concepts)
    asked = [message["content"] for message in record.prompt if message["role"] == "user"]
    return asked[-1] if asked else record.prompt[-1]["content"] if record.prompt else ""


def response_of(record: Record) -> str:
    """What the record answers: the reference solution or answer, the attempt's text, the completion, the chosen one."""
    if isinstance(record, Problem):
        return record.solution or record.answer
    if isinstance(record, Attempt):
        return record.text
    if isinstance(record, Concepts):
        return ""
    if isinstance(record, Stepwise):
        return "".join(record.completions)
    return _joined(record.chosen if isinstance(record, Pair) else record.completion)


def by_of(record: Record, by: str) -> str:
    """The text that a record is compared by, at most :data:`LONGEST` characters of each part."""
    question = question_of(record)[:LONGEST]
    if by == "question":
        return question
    answer = record.answer if isinstance(record, Problem) else response_of(record)
    rest = [_joined(record.rejected)[:LONGEST]] if isinstance(record, Pair) else []
    return "\n".join([question, answer[:LONGEST], *rest])


def _joined(messages: object) -> str:
    turns: list[Message] = list(messages)  # type: ignore[call-overload]  # a sequence of messages
    return "\n".join(message["content"] for message in turns)


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


def numbers(text: str) -> int:
    """A 64-bit hash of the numbers and signs of arithmetic in a normal text, in whatever order; number words count.

    >>> numbers("two pens at 1,000") == numbers("at 1000, 2 pens")
    True
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
    return int.from_bytes(hashlib.blake2b(" ".join(sorted(found)).encode(), digest_size=8).digest(), "little")
