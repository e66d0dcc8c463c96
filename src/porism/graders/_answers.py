"""Two answers as text → whether they say the same: by what is written, by exact values, at last by symbolic algebra."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from porism.graders._parse import parse
from porism.graders._pool import Overran, shared
from porism.graders._same import Rules, same
from porism.graders._tokens import Excessive, Unreadable, clean
from porism.graders._values import TooHard, TooLarge
from porism.records import Status

__all__ = ["SECONDS", "Outcome", "compare", "words_of"]

SECONDS = 3.0
"""Deadline of one symbolic comparison."""

_PLAIN_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ '-][^\W\d_]+)*")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SPACES = re.compile(r"\s+")
_DECIMAL_COMMA = re.compile(r"([-+]?\d+),(\d+)")
_SIGNS = re.compile(r"[\\^_=+<>|/*]|(?:\A|\s)-")
_WORDS_IN_PLACE = re.compile(r"[^\W\d_]{3,}")


class Outcome(NamedTuple):
    """What came of a comparison."""

    status: Status
    reason: str = ""

    @property
    def correct(self) -> bool:
        """True where the two say the same."""
        return self.status is Status.CORRECT


def compare(gold: str, answer: str, rules: Rules | None = None, *, seconds: float = SECONDS) -> Outcome:
    """Whether an answer says what the reference says.

    Args:
        gold: the reference answer, LaTeX or plain.
        answer: the answer as it was read in the text.
        rules: what counts as the same.
        seconds: deadline of the symbolic comparison, where there has to be one.
    """
    rules = rules or Rules()
    if not answer.strip():
        return Outcome(Status.UNPARSED, "the answer is empty")
    if _squeezed(gold) == _squeezed(answer):
        return Outcome(Status.CORRECT)
    cleaned: list[str] = []
    for text, status in ((gold, Status.GOLD_UNPARSED), (answer, Status.UNPARSED)):
        try:
            cleaned.append(clean(text))
        except Unreadable as error:
            return Outcome(status, str(error))
    words = words_of(cleaned[0])
    if words is not None:
        got = words_of(cleaned[1])
        if got is None and not _SIGNS.search(_TEXT.sub("", cleaned[1])):
            got = _letters(cleaned[1])
        return Outcome(Status.CORRECT if words == got else Status.WRONG)
    return _as_mathematics(gold, answer, cleaned, rules, seconds)


def _as_mathematics(gold: str, answer: str, cleaned: list[str], rules: Rules, seconds: float) -> Outcome:
    try:
        wanted = parse(gold)
    except Excessive as error:
        return Outcome(Status.GOLD_UNPARSED, str(error))
    except Unreadable:
        wanted = None
    try:
        got = parse(answer)
    except Excessive as error:
        return Outcome(Status.UNPARSED, str(error))
    except Unreadable:
        got = None
    if wanted is not None and got is not None:
        try:
            if same(wanted, got, rules) or _with_decimal_comma(cleaned, rules):
                return Outcome(Status.CORRECT)
            return Outcome(Status.WRONG)
        except (TooLarge, RecursionError) as error:
            return Outcome(Status.UNPARSED, f"beyond what is computed: {error}")
        except TooHard:
            pass
    if got is None and wanted is not None and _is_prose(cleaned[1]):
        return Outcome(Status.WRONG, "words, where the reference is mathematics")
    return _symbolically(cleaned, rules, seconds)


def _symbolically(cleaned: list[str], rules: Rules, seconds: float) -> Outcome:
    options = {
        "float_rounding": rules.precision,
        "strict": rules.strict,
        "allow_set_relation_comp": rules.set_is_relation,
    }
    try:
        reply = shared().ask({"gold": cleaned[0], "answer": cleaned[1], "options": options}, seconds)
    except Overran as error:
        return Outcome(Status.TIMEOUT, f"symbolic comparison: {error}")
    if reply.get("error"):
        return Outcome(Status.UNPARSED, f"Math-Verify: {reply['error']}")
    if reply.get("unread") == "gold":
        return Outcome(Status.GOLD_UNPARSED, f"not an answer that can be read: {cleaned[0][:60]!r}")
    if reply.get("unread"):
        return Outcome(Status.UNPARSED, f"not an expression that can be read: {cleaned[1][:60]!r}")
    return Outcome(Status.CORRECT if reply["equal"] else Status.WRONG, "compared by Math-Verify")


def _with_decimal_comma(cleaned: list[str], rules: Rules) -> bool:
    """``1,22`` is a list or, in half of the world, a decimal: either may be meant."""
    read = [_DECIMAL_COMMA.fullmatch(text) for text in cleaned]
    if not any(read):
        return False
    pointed = [f"{match[1]}.{match[2]}" if match else text for match, text in zip(read, cleaned, strict=True)]
    return same(parse(pointed[0]), parse(pointed[1]), rules)


def _squeezed(text: str) -> str:
    return _SPACES.sub("", text).strip("$.")


def words_of(cleaned: str) -> str | None:
    r"""What an answer in words says (``\text{Evelyn}``, ``even``, ``(C)``), in lower case; None for mathematics."""
    inside = _TEXT.sub(lambda found: found[1], cleaned)
    bare = inside.strip(" .(){}[]").casefold()
    if inside != cleaned and not _SIGNS.search(inside) and not re.search(r"\d", inside):
        return _letters(bare)
    return _letters(bare) if _PLAIN_WORDS.fullmatch(bare) and len(bare) > 3 and not _is_known(bare) else None


def _letters(text: str) -> str:
    plain = _TEXT.sub(lambda found: found[1], text)
    return "".join(c for c in unicodedata.normalize("NFKD", plain).casefold() if c.isalnum())


def _is_known(name: str) -> bool:
    try:
        parse(name)
    except Unreadable:
        return False
    return True


def _is_prose(cleaned: str) -> bool:
    """Words and no formula: nothing that symbolic algebra could read."""
    without = _TEXT.sub(" ", cleaned)
    return not re.search(r"[\\^_=]", without) and bool(_WORDS_IN_PLACE.search(without))
