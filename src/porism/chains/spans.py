"""Reads a model's text: which part is reasoning, which is the response, and where it states its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from porism.chains._boxed import boxed
from porism.chains._hash import hashes
from porism.chains._parts import Rule, Span, Statement
from porism.chains._phrases import phrases
from porism.chains._sections import answer_tags, sections
from porism.chains._stops import Layout, trimmed

__all__ = ["Chain", "Rule", "Span", "Statement", "is_bare", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A text, read. All spans are offsets into ``text``."""

    text: str
    reasoning: Span | None
    """What stands between the think tags, or None where there are no tags."""
    response: Span
    """What stands after them: the whole text where there are none, nothing where they are never closed."""
    statements: tuple[Statement, ...]
    """Every place, in the reasoning too, where the text states its answer, in order of position."""
    denied: tuple[Span, ...] = ()
    """Where the text says what the answer is not: a number in there is no answer."""
    closed: bool = True
    """False where the reasoning was never closed, as in a text that was cut off."""


def read(text: str) -> Chain:
    r"""Find the reasoning, the response and the statements of the answer. Takes linear time on any text.

    The reasoning stands between ``<think>``, ``<thinking>``, ``<reasoning>``, ``<thought>``, ``<seed:think>``,
    ``<|begin_of_thought|>``, ``[THINK]`` or ``◁think▷`` and the last closing tag of the same kind; a closing tag alone
    ends reasoning that begins with the text. The response is what follows; marks around all of it
    (``<|begin_of_solution|>``, ``<answer>``) are taken off.

    Statements are ``#### 18``, ``\boxed{18}``, ``<answer>18</answer>`` and phrases in English, Chinese and Japanese.
    They may overlap: "The answer is $\boxed{18}$" makes two. Fenced code in a programming language states nothing.

    Args:
        text: what a model wrote, without its prompt.
    """
    if is_bare(text):
        whole = Span(0, len(text))
        return Chain(text=text, reasoning=None, response=whole, statements=())
    found = sections(text)
    stated: list[Statement] = []
    denied: list[Span] = []
    for section in (found.before, found.reasoning, found.rest):
        if section and section.start < section.end:
            layout = Layout(text, section)
            in_words, refused = phrases(layout)
            denied += refused
            stated += _marked(layout, in_reasoning=section is found.reasoning)
            stated += in_words
    stated.sort(key=lambda statement: (statement.span.start, -statement.span.end))
    return Chain(
        text=text,
        reasoning=found.reasoning,
        response=found.response,
        statements=tuple(_not_denied(stated, denied)),
        denied=tuple(denied),
        closed=found.closed,
    )


_ANS = re.compile(r"\bans\b")
_EASTERN_HINTS = "答选選◁解正"


def is_bare(text: str) -> bool:
    """True where a look at a few words shows that no tag and no statement can stand in the text."""
    low = text.lower()
    if "answer" in low or "####" in low or "boxed" in low or "fbox" in low or "think" in low or "thought" in low:
        return False
    if (
        ("ans" in low and _ANS.search(low))
        or "reasoning" in low
        or "solution" in low
        or ("result" in low and "final" in low)
    ):
        return False
    if "option" in low or "choice" in low or "alternative" in low:
        return not ("correct" in low or "right" in low or "best" in low)
    return low.isascii() or not any(hint in low for hint in _EASTERN_HINTS)


def _marked(layout: Layout, *, in_reasoning: bool) -> Iterator[Statement]:
    """The statements that are made with marks instead of words."""
    text, section = layout.text, layout.section
    yield from hashes(layout)
    for statement in boxed(text, section):
        if not layout.in_program(statement.span.start):
            yield statement
    for tagged in answer_tags(text, section, unclosed=not in_reasoning):
        answer = trimmed(text, *tagged.inside)
        if answer.start < answer.end:
            yield Statement("tag", tagged.whole, answer, tagged.closed)


def _not_denied(stated: list[Statement], denied: list[Span]) -> Iterator[Statement]:
    r"""The statements, in order, but for those that stand inside a denial: "not \boxed{5}"."""
    number = 0
    for statement in stated:
        while number < len(denied) and denied[number].end <= statement.span.start:
            number += 1
        if number == len(denied) or not denied[number].covers(statement.span):
            yield statement
