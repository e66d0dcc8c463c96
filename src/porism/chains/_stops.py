"""Where a statement of an answer ends, and what of it is the answer."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from porism.chains._parts import Span
from porism.chains._regions import regions
from porism.chains._sentences import breaks, unmasked

__all__ = ["Layout", "trimmed"]

_LINE_END = re.compile(r"[\n<](?:(?<=\n)|\||/?s>|/?answer>|eos>|end_of_turn>)")
_PLAIN_FENCES = {"", "text", "txt", "plaintext", "plain", "markdown", "md", "latex", "tex", "math", "output", "answer"}
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "「": "」", "『": "』", "【": "】"}
_KINDS = (("([", ")]"), ("{", "}"), ("（", "）"), ("【", "】"), ("「", "」"))
_CLOSERS = frozenset("".join(closing for _, closing in _KINDS))
_LAST_WORD = re.compile(r"[,，]?\s(?:and|so|or|thus|hence|therefore)\Z|[，,](?:所以|因此|故)\Z", re.IGNORECASE)
_DOTTED = re.compile(r"(?:\b[A-Za-z]\.[A-Za-z]|\.)\Z")
_NEAR = 500
"""Brackets are balanced, and quotes paired, over this many characters at most."""


class Layout:
    """The formulas, fences and sentence ends of a part of a text."""

    def __init__(self, text: str, section: Span) -> None:
        self.text, self.section = text, section
        found = regions(text, *section, open_fences=False)
        self.fences = [region for region in found if region.kind == "fence"]
        self.masks = [region for region in found if region.kind != "fence"]
        self._starts = [region.start for region in self.masks]
        self._fence_starts = [region.start for region in self.fences]
        self._stops: list[int] | None = None
        self._lines: list[int] = []

    def in_program(self, position: int) -> bool:
        """Whether the position stands in fenced code of a programming language."""
        fence = self.fence(position) if self.fences else 0
        return bool(fence and self.fences[fence - 1].info.split(" ")[0].lower() not in _PLAIN_FENCES)

    def fence(self, position: int) -> int:
        """The number of the fence, from 1, that the position stands in, or 0."""
        number = bisect_right(self._fence_starts, position)
        return number if number and position < self.fences[number - 1].end else 0

    def fenced(self, number: int) -> Span:
        """What stands between a fence's first and last line."""
        fence = self.fences[number - 1]
        start = self.text.find("\n", fence.start, fence.end) + 1
        end = fence.end
        while end > start and self.text[end - 1] in "`~ \t":
            end -= 1
        return Span(start, end)

    def formula_end(self, position: int) -> int | None:
        """The end of the formula or code that the position stands inside, or None."""
        number = bisect_right(self._starts, position)
        mask = self.masks[number - 1] if number else None
        return mask.end if mask and mask.start < position < mask.end else None

    def opens_formula(self, position: int) -> bool:
        """Whether a formula or code begins at the position."""
        number = bisect_left(self._starts, position)
        return number < len(self._starts) and self._starts[number] == position

    def outside(self, pattern: re.Pattern[str], start: int, end: int) -> re.Match[str] | None:
        """The pattern's first match that is not inside a formula."""
        return next(
            (match for match in pattern.finditer(self.text, start, end) if not self.formula_end(match.start())), None
        )

    def stop(self, start: int) -> int:
        """The end of the sentence or line that goes on at ``start``; a bracket that opens after it is not cut open."""
        if self._stops is None:
            ends = ((match.start(), match.end()) for match in _LINE_END.finditer(self.text, *self.section))
            self._lines = [position for position, _ in unmasked(ends, self.masks)]
            self._stops = sorted({*self._lines, *breaks(self.text, *self.section, self.masks), self.section.end})
        line = bisect_left(self._lines, start)
        last = self._lines[line] if line < len(self._lines) else self.section.end
        first = bisect_left(self._stops, start)
        for stop in self._stops[first : first + 5]:
            if stop >= last:
                break
            if stop - start > _NEAR or _balanced(self.text[start:stop]):
                return stop
        ending = self._stops[first] if first < len(self._stops) else self.section.end
        return last if last - start <= _NEAR and _balanced(self.text[start:last]) else min(ending, last)


def trimmed(text: str, start: int, end: int) -> Span:
    """Without white space, emphasis, quotation marks, the final stop, and brackets that lack their partner."""
    near = end - start <= _NEAR
    while start < end:
        before = start, end
        if text[start].isspace() or text[start] == "*" or text.startswith("__", start, end):
            start += 1
        elif _is_trailing(text, start, end):
            end -= 1
        elif near:
            start, end = _unwrapped(text, start, end)
        if (start, end) == before:
            break
    return Span(start, end)


def _is_trailing(text: str, start: int, end: int) -> bool:
    last = text[end - 1]
    if last in ".。．!！":
        return not _DOTTED.search(text, max(start, end - 5), end - 1)
    return last.isspace() or last in "*,，;；:：、" or text.endswith("__", start, end)


def _unwrapped(text: str, start: int, end: int) -> tuple[int, int]:
    """One step of taking off quotation marks, lone brackets and the word that leads on."""
    body, first, last = text[start:end], text[start], text[end - 1]
    inner = body[1:-1]
    if len(body) > 2 and _QUOTES.get(first) == last and first not in inner and last not in inner:
        return start + 1, end - 1
    if last in _CLOSERS and _surplus(body, last) > 0:
        return start, end - 1
    if first in _CLOSERS and _surplus(body, first) > 0:
        return start + 1, end
    if (
        last in "\"”’'`"
        and body.count(last) % 2
        and not body.count("“")
        and not (last == "'" and body[-2:-1].isdigit())
    ):
        return start, end - 1
    if last == "$" and body.count("$") % 2 and len(body) > 1:
        return start, end - 1
    lead = _LAST_WORD.search(body)
    return (start, start + lead.start()) if lead else (start, end)


def _surplus(body: str, closer: str) -> int:
    """How many closing brackets of this kind lack an opening one; round and square ones may pair: ``(0, 1]``."""
    for opening, closing in _KINDS:
        if closer in closing:
            return sum(map(body.count, closing)) - sum(map(body.count, opening))
    return 0


def _balanced(body: str) -> bool:
    return sum(map(body.count, "([{（【「")) <= sum(map(body.count, ")]}）】」"))
