"""Which part of a text is reasoning and which is the response, by the tags that models put around them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from porism.chains._parts import Span

__all__ = ["Sections", "Tagged", "answer_tags", "sections"]

_TAG = re.compile(
    r"[<\[◁](?:(?<=<)(?i:(?P<slash>/?)(?P<name>think|thinking|reasoning|thought|seed:think)>)"
    r"|(?<=<)\|(?P<edge>begin|end)_of_thought\|>|(?<=\[)(?P<square>/?)THINK\]|(?<=◁)(?P<diamond>/?)think▷)"
)
_SOLUTION = re.compile(r"<\|(begin|end)_of_solution\|>")
_ANSWER = re.compile(r"<(?i:(/?)answer>)")


class Sections(NamedTuple):
    """The parts of a text; tags belong to none of them."""

    before: Span
    """What stands before the reasoning begins."""
    reasoning: Span | None
    rest: Span
    """What stands after the reasoning."""
    response: Span
    """The same without the tags around it."""
    closed: bool
    """False where the reasoning was opened and never closed."""


class Tagged(NamedTuple):
    """``<answer>…</answer>``, or ``<answer>…`` to the end of the section."""

    whole: Span
    inside: Span
    closed: bool


class _Tag(NamedTuple):
    kind: str
    opens: bool
    start: int
    end: int


def sections(text: str) -> Sections:
    """Find reasoning and response.

    The first kind of tag that is closed somewhere counts, or else the first that is opened. The reasoning ends at the
    last closing tag of that kind, so that tags may nest or repeat. Without an opening tag it begins with the text: the
    chat template has opened it in the prompt. Tags in code fences count, because a fence that the reasoning leaves open
    would otherwise hide the tag that ends it.
    """
    tags = list(_tags(text))
    end = len(text)
    whole = Sections(Span(0, 0), None, Span(0, end), _response(text, Span(0, end)), closed=True)
    if not tags:
        return whole
    closing = {tag.kind for tag in tags if not tag.opens}
    kind = next((tag.kind for tag in tags if tag.kind in closing), tags[0].kind)
    same = [tag for tag in tags if tag.kind == kind]
    first = same[0]
    before = first.start if first.opens else 0
    start = first.end if first.opens else 0
    if not closing:
        return Sections(Span(0, before), Span(start, end), Span(end, end), Span(end, end), closed=False)
    last = next(tag for tag in reversed(same) if not tag.opens)
    rest = Span(last.end, end)
    return Sections(Span(0, before), Span(start, last.start), rest, _response(text, rest), closed=True)


def answer_tags(text: str, section: Span, *, unclosed: bool) -> Iterator[Tagged]:
    """Every ``<answer>`` with its ``</answer>``; of several openings the nearest counts, so a mention before is none.

    Args:
        text: the whole text.
        section: the part to read.
        unclosed: whether one that is never closed is told too: it was cut off, or its end tag was a stop string.
    """
    opened: re.Match[str] | None = None
    for match in _ANSWER.finditer(text, *section):
        if not match[1]:
            opened = match
        elif opened:
            yield Tagged(Span(opened.start(), match.end()), Span(opened.end(), match.start()), closed=True)
            opened = None
    if opened and unclosed:
        yield Tagged(Span(opened.start(), section.end), Span(opened.end(), section.end), closed=False)


def _tags(text: str) -> Iterator[_Tag]:
    for match in _TAG.finditer(text):
        if match["name"]:
            kind, opens = match["name"].lower(), not match["slash"]
        elif match["edge"]:
            kind, opens = "begin_of_thought", match["edge"] == "begin"
        elif match["square"] is not None:
            kind, opens = "[THINK]", not match["square"]
        else:
            kind, opens = "◁think▷", not match["diamond"]
        yield _Tag(kind, opens, match.start(), match.end())


def _response(text: str, span: Span) -> Span:
    """Without the tags around it: solution marks always, ``<answer>`` where nothing else stands beside it."""
    marks = list(_SOLUTION.finditer(text, *span))
    begin = next((mark.end() for mark in marks if mark[1] == "begin"), span.start)
    end = next((mark.start() for mark in reversed(marks) if mark[1] == "end" and mark.start() >= begin), span.end)
    span = Span(begin, end)
    found = next(answer_tags(text, span, unclosed=True), None)
    if found and not text[span.start : found.whole.start].strip() and not text[found.whole.end : span.end].strip():
        return found.inside
    return span
