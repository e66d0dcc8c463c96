r"""Answers in ``\boxed{}`` and ``\fbox{}``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from porism.chains._parts import Span, Statement

__all__ = ["boxed"]

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])[ \t]{0,4}+")
_BRACE = re.compile(r"[\\{}\n](?:(?<=[{}])|(?<=\\).|(?<=\n)[ \t\r]*+\n)", re.DOTALL)
_BREAK = re.compile(r"(?<!\\)\$|\\[)\]]|\n|<\|")
_COMMAND = re.compile(r"\\([A-Za-z]{1,30})\*?")
_TOKEN_END = re.compile(r"[\s}]|(?<!\\)\$|\\[)\]]|[。，,;；](?!\d)")
_ARGUMENTS = {"frac": 2, "dfrac": 2, "tfrac": 2, "cfrac": 2, "binom": 2, "sqrt": 1, "text": 1, "mathrm": 1, "mathbf": 1,
              "textbf": 1, "mbox": 1, "overline": 1, "mathcal": 1, "mathbb": 1}  # fmt: skip
_MAX_UNBRACED = 200
_PLACEHOLDERS = {"", "...", "…", r"\ldots", r"\dots", r"\cdots", "answer", "your answer", "final answer"}


def boxed(text: str, section: Span) -> Iterator[Statement]:
    r"""Every box in a part of a text, nested ones too.

    Braces nest; escaped ones do not count; a blank line ends every group, so that a brace that is never closed does not
    swallow the text after it. The answer of such a box lasts to the end of the formula or line. ``\boxed 5`` and
    ``\boxed\frac12`` are read as TeX's users mean them. An empty box, or one with a placeholder, states nothing.
    """
    boxes = list(_BOX.finditer(text, *section))
    if not boxes:
        return
    braces = {box.end() for box in boxes if text.startswith("{", box.end(), section.end)}
    partners = _partners(text, Span(boxes[0].start(), section.end))
    ends = _Ends(text, section.end)
    for box in boxes:
        start, closed = box.end(), True
        if start in braces:
            partner = partners.get(start)
            start += 1
            closed = partner is not None
            end = ends.after(start) if partner is None else partner
            whole = Span(box.start(), end if partner is None else end + 1)
        else:
            end = _unbraced(text, start, section.end, partners)
            whole = Span(box.start(), end)
        answer = _stripped(text, start, end)
        if not _is_placeholder(text, answer):
            yield Statement("boxed", whole, answer, closed)


class _Ends:
    """Where the formula or line ends, without the space before, for rising positions."""

    def __init__(self, text: str, stop: int) -> None:
        self.text, self.stop = text, stop
        self.known = self.visible = -1

    def after(self, start: int) -> int:
        if self.known < start:
            found = _BREAK.search(self.text, start, self.stop)
            self.known = self.visible = found.start() if found else self.stop
            while self.visible > start and self.text[self.visible - 1].isspace():
                self.visible -= 1
        return max(start, self.visible)


def _partners(text: str, section: Span) -> dict[int, int]:
    """The closing brace of each opening one, in one pass."""
    found: dict[int, int] = {}
    stack: list[int] = []
    for match in _BRACE.finditer(text, *section):
        kind = match[0]
        if kind == "{":
            stack.append(match.start())
        elif kind == "}":
            if stack:
                found[stack.pop()] = match.start()
        elif kind[0] == "\n":
            stack.clear()
    return found


def _unbraced(text: str, start: int, stop: int, partners: dict[int, int]) -> int:
    r"""The end of what ``\boxed`` takes without braces: one command with its arguments, or up to a space or ``$``."""
    command = _COMMAND.match(text, start, stop)
    if not command:
        near = min(stop, start + _MAX_UNBRACED)
        found = _TOKEN_END.search(text, start, near)
        return found.start() if found else near
    end = command.end()
    for _ in range(_ARGUMENTS.get(command[1], 0)):
        end = _argument(text, end, stop, partners)
    return end


def _argument(text: str, start: int, stop: int, partners: dict[int, int]) -> int:
    """The end of one argument: a group in braces (after one in brackets), a command, or one character."""
    if text.startswith("[", start, stop):
        closing = text.find("]", start, min(stop, start + _MAX_UNBRACED))
        start = closing + 1 if closing >= 0 else start
    if text.startswith(" ", start, stop):
        start += 1
    if text.startswith("{", start, stop):
        return partners.get(start, start) + 1
    command = _COMMAND.match(text, start, stop)
    return command.end() if command else min(start + 1, stop)


def _is_placeholder(text: str, answer: Span) -> bool:
    if answer.end - answer.start > _MAX_UNBRACED:
        return False
    return answer.of(text).lower().removeprefix(r"\text{").rstrip("}") in _PLACEHOLDERS


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if text[end - 1 : end] == "." and end - 1 > start and text[end - 2] not in ".\\":
        end -= 1
    return Span(start, end)
