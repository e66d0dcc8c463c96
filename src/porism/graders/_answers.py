"""Two answers as text → whether they say the same: by what is written, by exact values, at last by symbolic algebra."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from porism.graders._parse import Node, parse
from porism.graders._pool import Overran, shared
from porism.graders._same import Rules, same
from porism.graders._tokens import Excessive, Unreadable, clean
from porism.graders._values import TooHard, TooLarge
from porism.records import Status

__all__ = ["SECONDS", "Outcome", "compare", "is_words"]

SECONDS = 3.0
"""Deadline of one symbolic comparison."""

_PLAIN_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ '-][^\W\d_]+)*")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SPACES = re.compile(r"\s+")
_PARTS = re.compile(r"[\w,.]\s+\w")
_DECIMAL_COMMA = re.compile(r"([-+]?(?:0(?=,)|\d+(?!,\d{3}\Z)))[,](\d+)")
_INFINITE = re.compile(r"(?=.*(?:∞|\\infty))(?:[\s\d^+*{}()-]|∞|\\infty)*")
"""Reckoning with infinity and whole numbers alone. Math-Verify now and then takes ∞^∞ for equal to a number."""
_DOTS = re.compile(r"\\[lcd]?dots|\.\.\.|…|⋯")
_SIGNS = re.compile(r"[\\^_=+<>|/*]|(?:\A|\s)-")
_PLAIN_TEXT = re.compile(r"[\w\s.,'’()]+")
_ALL_TEXT = re.compile(r"\\text\s?\{\s*[^\W\d_][^{}]*\}")
_ARTICLE = re.compile(r"\A(?:an?|the)\s+")
_NOTHING = frozenset({r"\emptyset", r"\{\}", r"\{ \}"})
_NO_SOLUTION = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "empty set", "the empty set"}
)
_WORDS_IN_PLACE = re.compile(r"[^\W\d_]{3,}")


class Outcome(NamedTuple):
    """What came of a comparison."""

    status: Status
    reason: str = ""

    @property
    def correct(self) -> bool:
        """True where the two say the same."""
        return self.status is Status.CORRECT


def compare(
    gold: str, answer: str, rules: Rules | None = None, *, seconds: float = SECONDS, symbolic: bool = True
) -> Outcome:
    """Whether an answer says what the reference says.

    Args:
        gold: the reference answer, LaTeX or plain.
        answer: the answer as it was read in the text.
        rules: what counts as the same.
        seconds: deadline of the symbolic comparison, where there has to be one.
        symbolic: whether there may be one; else what would need it is ``unparsed``.
    """
    rules = rules or Rules()
    if not answer.strip():
        return Outcome(Status.UNPARSED, "the answer is empty")
    if _squeezed(gold) == _squeezed(answer) or _same_word(gold, answer):
        return Outcome(Status.CORRECT)
    cleaned: list[str] = []
    for text, status in ((gold, Status.GOLD_UNPARSED), (answer, Status.UNPARSED)):
        try:
            cleaned.append(clean(text))
        except Unreadable as error:
            return Outcome(status, str(error))
    words = _words(cleaned[0])
    if words is not None:
        got = _words(cleaned[1])
        if got is None and _PLAIN_TEXT.fullmatch(cleaned[1]) and words == _letters(cleaned[1]):  # "June 20"
            got = words
        if got is None and not _SIGNS.search(_TEXT.sub("", cleaned[1])):
            got = _letters(cleaned[1])
        return Outcome(Status.CORRECT if words == got else Status.WRONG)
    return _as_mathematics(gold, answer, cleaned, rules, seconds if symbolic else 0)


def _as_mathematics(gold: str, answer: str, cleaned: list[str], rules: Rules, seconds: float) -> Outcome:
    read: list[Node | None] = []
    for text, status in ((gold, Status.GOLD_UNPARSED), (answer, Status.UNPARSED)):
        try:
            read.append(parse(text))
        except Excessive as error:
            return Outcome(status, str(error))
        except Unreadable:
            read.append(None)
    wanted, got = read
    if wanted is not None and got is not None:
        try:
            equal = same(wanted, got, rules) or _with_decimal_comma(cleaned, rules)
            return Outcome(Status.CORRECT if equal else Status.WRONG)
        except (TooLarge, RecursionError) as error:
            return Outcome(Status.UNPARSED, f"beyond what is computed: {error}")
        except TooHard:
            pass
    if any(_DOTS.search(text) for text in cleaned):
        return Outcome(Status.UNPARSED, "dots stand for what is not written")
    if wanted is not None and (why := _other_kind(*cleaned, is_read=got is not None)):
        return Outcome(Status.WRONG, why)
    if not seconds:
        return Outcome(Status.UNPARSED, "only symbolic algebra could tell")
    return _symbolically(cleaned, rules, seconds)


def _other_kind(gold: str, answer: str, *, is_read: bool) -> str:
    """Why an answer cannot equal a reference that is read as mathematics; empty where it may."""
    if _INFINITE.fullmatch(answer) and "∞" not in gold and "\\infty" not in gold:
        return "infinity, where the reference is not"
    return "words, where the reference is mathematics" if not is_read and _is_prose(answer) else ""


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
    """Without spaces, but for those that part numbers ("1 2/3", "1, 234") and words."""
    bare = text.strip().strip("$").removesuffix(".").strip()
    return _SPACES.sub(
        lambda found: " " if _PARTS.search(bare, max(0, found.start() - 1), found.end() + 1) else "", bare
    )


def _same_word(gold: str, answer: str) -> bool:
    """``yes`` and ``Yes``."""
    return len(gold) > 1 and gold.isalpha() and gold.casefold() == answer.strip(" .").casefold() and not gold.isupper()


def is_words(answer: str) -> bool:
    """Whether an answer is in words, not mathematics."""
    try:
        return _words(clean(answer)) is not None
    except Unreadable:
        return False


def _words(cleaned: str) -> str | None:
    r"""What an answer in words says (``\text{Evelyn}``, ``even``, ``(C)``), in lower case; None for mathematics."""
    if cleaned in _NOTHING:
        return "no solution"
    inside = _TEXT.sub(lambda found: found[1], cleaned)
    bare = inside.strip(" .(){}[]").casefold()
    if _ALL_TEXT.fullmatch(cleaned):  # also "June 20"
        return _letters(bare)
    if inside != cleaned and not _SIGNS.search(inside) and not re.search(r"\d", inside):
        return _letters(bare)
    return _letters(bare) if _PLAIN_WORDS.fullmatch(bare) and len(bare) > 3 and not _is_known(bare) else None


def _letters(text: str) -> str:
    plain = _TEXT.sub(lambda found: found[1], text).casefold().strip(" .")
    if plain.strip("()") in _NO_SOLUTION:
        return "no solution"
    plain = _ARTICLE.sub("", plain)
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if c.isalnum())


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
