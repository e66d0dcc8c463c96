"""Yes or no, true or false, 是 or 否, はい or いいえ.

A statement ("the answer is yes", a boxed False) counts first; then the word that the response begins with; then the
last such word that stands by itself. "Not true" is false.
"""

from __future__ import annotations

import re

from porism import chains
from porism.graders._extract import profile_of, read, unstated
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["grade"]

_YES = r"yes|true|yeah|yep|correct|没错|是的|是|对的|对|正确|真|はい|正しい"
_NO = (
    r"no(?!\s+(?:doubt|one|way|matter|longer|more|less|problem)\b)|false|nope|incorrect|不是的|不是|否|不对|错误|并非|错(?!误)|假"
    r"|不正确|いいえ|違います|違う|そうではない|正しくない|間違い"
)
_NOT = (
    r"(?:(?:not|never|cannot|n['’]t)\s+(?:be\s+)?(?:always|necessarily|quite|really|entirely|exactly|strictly|generally)?\s*|hardly\s+)"
    r"(?:yes|true|correct)"
)
_NOT_FALSE = r"(?:not|n['’]t)\s+(?:no|false|incorrect)"
_WORD = re.compile(
    rf"(?P<turned>\b(?:is|are|was|were|be)?{_NOT_FALSE}\b|不假)|(?P<no>(?:is|are|was|were|be)?\s?{_NOT}\b|(?:{_NO})(?![A-Za-z]))"
    rf"|(?P<yes>(?:{_YES})(?![A-Za-z]))",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\b(?:not|never|cannot|hardly)|n['’]t)\s+(?:\w+\s+){0,2}\Z", re.IGNORECASE)
_ASCII_BEFORE = re.compile(r"[A-Za-z'’-]\Z")
_BEGINS = re.compile(
    rf"\W*(?:(?P<no>{_NO}|不(?=[，,。]))|(?P<yes>{_YES}))(?=\s*(?:[,.;:!。，、！*\n]|\Z))", re.IGNORECASE
)
_BY_ITSELF = re.compile(
    rf"(?:(?<=[\s\"'(*])|^)(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?=\s*(?:[,.;:!?)\"'*。，！]|\Z|\n))",
    re.IGNORECASE | re.MULTILINE,
)


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is yes or no.

    Raises:
        RecipeError: no such profile.
    """
    known = profile_of(profile)
    wanted = _only(problem.answer)
    if wanted is None:
        return Verdict(
            status=Status.GOLD_UNPARSED, reason=f"the reference is neither yes nor no: {problem.answer[:60]!r}"
        )
    reading = read(attempt.text, known)
    if reading is None:
        return unstated(known)
    rule, said = reading.rule, _only(reading.statement) if reading.rule != "last" else None
    if reading.rule == "last":
        begins = _BEGINS.match(chains.read(attempt.text).response.of(attempt.text)) if known.name == "auto" else None
        rule = "first" if begins else "last"
        matches = [begins] if begins else list(_BY_ITSELF.finditer(reading.statement))
        said = _meant(reading.statement, matches[-1]) if matches else None
    if said is None:
        rule = "" if reading.rule == "last" else rule
        return Verdict(status=Status.UNPARSED, rule=rule, reason="neither yes nor no, or both, where the answer stands")
    status = Status.CORRECT if said == wanted else Status.WRONG
    return Verdict(status=status, answer="yes" if said else "no", rule=rule)


def _only(statement: str) -> bool | None:
    """What a statement says; None where it says both or neither."""
    said = set()
    for match in _WORD.finditer(statement):
        if match[0][0].isascii() and _ASCII_BEFORE.search(statement, max(0, match.start() - 1), match.start()):
            continue
        said.add(match["no"] is None)
    return said.pop() if len(said) == 1 else None


def _meant(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - 24) : match.start()]
    denied = _DENIED.search(before) is not None
    return (match["yes"] is not None) != denied
