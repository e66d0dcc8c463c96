"""Answers that are stated in words: "the answer is 18", 答案是18, 答えは18です."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from porism.chains import _wording as wording
from porism.chains._parts import Span, Statement
from porism.chains._stops import Layout, trimmed

__all__ = ["phrases"]

_LEAD = re.compile(r"(?:[ \t\r*_:：=、，,]|\n[ \t]*+(?:-{3,}(?=\s)|[-•][ \t]|#{1,6}[ \t])?)*+")
_LETTERS = re.compile(r"[A-Za-z]++(?=[*_]*\Z)")
_INTRODUCES = re.compile(r"[A-Za-z ,'’*_]{0,30}|[\u3040-\u9fff，、]{0,8}")

_BEFORE = 48
"""How many characters before a cue are looked at."""
_AFTER_DOUBT = ' \n\t。.!！*_"”’)）」'
_DISPLAYS = ("$$", r"\[", r"\(")


_Stance = Literal["states", "denies", "wonders"]
_Language = Literal["en", "zh", "ja"]


class _Cue(NamedTuple):
    start: int
    end: int
    stance: _Stance
    language: _Language


def phrases(layout: Layout) -> tuple[list[Statement], list[Span]]:
    """The statements in a part of a text, and the spans that deny an answer.

    An answer runs to the end of its sentence or line, or to the next announcement; where nothing follows on the
    line, it is on the next one that is not empty. A remark on it ("because …", ", not 5") is not part of it.
    Questions and suppositions are neither statements nor denials.
    """
    cues = sorted(_cues(layout))
    stated: list[Statement] = []
    denied: list[Span] = []
    for number, cue in enumerate(cues):
        if cue.stance == "wonders":
            continue
        following = cues[number + 1].start if number + 1 < len(cues) else layout.section.end
        body = _body(layout, cue, following)
        if body is None:
            continue
        if cue.stance == "denies":
            _deny(layout, cue, body, stated, denied)
        else:
            _state(layout, cue, body, stated, denied)
    return stated, denied


def _cues(layout: Layout) -> Iterator[_Cue]:
    text, section = layout.text, layout.section
    for match in wording.ENGLISH_CUE.finditer(text, *section):
        yield from _cue(layout, match, "en", match["en_not"], match["en_heading"])
    if any(text.find(sign, *section) >= 0 for sign in "答选選解"):
        for match in wording.CJK_CUE.finditer(text, *section):
            language: _Language = "zh" if match["zh"] else "ja"
            yield from _cue(layout, match, language, match["zh_not"], match["zh_heading"] or match["ja_heading"])


def _cue(
    layout: Layout, match: re.Match[str], language: _Language, denial: str | None, heading: str | None
) -> Iterator[_Cue]:
    """The cue with the words before it, which say whether it states, denies or wonders."""
    text, start = layout.text, match.start()
    if layout.in_program(start):
        return
    lowest = max(layout.section.start, start - _BEFORE)
    if heading is not None or match[0].endswith("\n"):
        line = text[lowest:start].rpartition("\n")[2].strip("#>*_ \t").lower()
        if line not in wording.HEADS:
            return
    words = text[lowest:start].split() if language == "en" and text[start - 1 : start].isspace() else []
    while words and (core := _LETTERS.search(words[-1])) and core[0].lower() in wording.LEADING:
        start = text.rindex(words.pop(), lowest, start) + core.start()
        if core.start():
            words.clear()
    while start > lowest and (text[start - 1] in "*_" or (heading is not None and text[start - 1] in "# ")):
        start -= 1
    yield _Cue(start, match.end(), _stance(text[lowest:start], words, denies=bool(denial)), language)


def _stance(before: str, words: list[str], *, denies: bool) -> _Stance:
    last = [word.lower() for word in words[-4:]]
    if last[-1:] in (["that"], ["then"]):
        last.pop()
    unsure = bool(last and last[-1] in wording.UNSURE) or before.endswith(wording.UNSURE_ENDS)
    negated = bool(last and last[-1] in ("doubt", "not") and last[-2:-1] != ["no"]) or before.endswith(
        wording.DENIED_ENDS
    )
    if len(last) > 1 and last[-1] in wording.THINK:
        negated = last[-3 if last[-2] == "the" else -2 :][0].endswith(wording.NOT)
    if len(last) > 1 and last[-1] in wording.SURE:
        unsure = last[-2].endswith(wording.NOT)
    if unsure or (negated and denies):
        return "wonders"
    return "denies" if negated or denies else "states"


def _body(layout: Layout, cue: _Cue, following: int) -> Span | None:
    """Where the answer's text stands, or None where another announcement takes over or nothing follows."""
    text, end = layout.text, layout.section.end
    start = _skip(text, cue.end, end)
    follows = wording.AS_FOLLOWS.match(text, start, end)
    if follows:
        start = _skip(text, follows.end(), end)
    if text[start : start + 2] in _DISPLAYS and not layout.opens_formula(start):  # cut off before it was closed
        start = _skip(text, start + 2, end)
    if start >= following:
        return None
    if following - start <= 40 and _INTRODUCES.fullmatch(text, start, following) and following < end:
        return None
    fence = layout.fence(start)
    if fence and not layout.fence(cue.start):
        return layout.fenced(fence)
    inside = layout.formula_end(cue.start)
    stop = min(layout.stop(start), following, inside or end)
    return Span(start, stop) if start < stop else None


def _skip(text: str, start: int, end: int) -> int:
    match = _LEAD.match(text, start, end)
    return match.end() if match else start


def _state(layout: Layout, cue: _Cue, body: Span, stated: list[Statement], denied: list[Span]) -> None:
    text = layout.text
    if text[max(body.start, body.end - 24) : body.end].rstrip(_AFTER_DOUBT).endswith(wording.DOUBTED_ENDS):
        return
    if wording.ASKED.match(text, *body) or wording.DESCRIPTION.match(text, *body):
        return
    if cue.language == "ja":
        refusal = wording.JAPANESE_NOT.search(text, body.start, min(body.end, body.start + 200))
        if refusal:
            denied.append(Span(cue.start, refusal.end()))
            if refusal["instead"]:
                _add(layout, cue._replace(start=refusal.end()), Span(refusal.end(), body.end), stated)
            return
    remark = layout.outside(wording.REMARK, body.start + 1, body.end)
    _add(layout, cue, Span(body.start, remark.start() if remark else body.end), stated)


def _deny(layout: Layout, cue: _Cue, body: Span, stated: list[Statement], denied: list[Span]) -> None:
    """Note the denied answer, and state the one that is put in its place."""
    over = layout.outside(wording.DENIED_END, body.start + 1, body.end)
    end = over.start() if over else body.end
    denied.append(Span(cue.start, end))
    correction = wording.CORRECTION.match(layout.text, end, body.end)
    if correction:
        _state(layout, cue._replace(start=correction.end()), Span(correction.end(), body.end), stated, denied)


def _add(layout: Layout, cue: _Cue, body: Span, stated: list[Statement]) -> None:
    answer = trimmed(layout.text, *body)
    if cue.language != "en":
        particle = wording.PARTICLES.search(layout.text, max(answer.start, answer.end - 8), answer.end)
        answer = trimmed(layout.text, answer.start, particle.start() if particle else answer.end)
    if answer.start < answer.end:
        stated.append(Statement("phrase", Span(cue.start, max(body.end, answer.end)), answer))
