r"""Parts of a text that stay whole: mathematics and code. A full stop or a line's end inside them ends nothing.

=====  ======================================================================================================
kind   what
=====  ======================================================================================================
math   ``\[…\]``, ``\(…\)``, ``$$…$$``, ``$…$``, ``\begin{…}…\end{…}`` but for environments of prose
code   inline code on one line, ``[asy]…[/asy]``
fence  fenced code, from its opening line to its closing one
=====  ======================================================================================================

A single ``$`` opens mathematics only if the next one can close it: both or neither have a space on the inner side
(unless a command stands there), no
digit follows the second (Pandoc's rule), no blank line stands between them, and the inside is neither an amount
followed by a word nor, without any command, words side by side. So "$5 and $6" are two prices.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["Region", "regions"]

_TOKEN = re.compile(
    r"[\\$`~\[](?:(?<=\\)(?:(?:begin|end)\{[A-Za-z]{1,20}\*?\}|[\\$`()\[\]])"
    r"|(?<=\$)\$*+|(?<=`)`*+|(?<=~)~~++|(?<=\[)/?asy\])"
)
_CLOSERS = {r"\[": r"\]", r"\(": r"\)", "[asy]": "[/asy]", "$$": "$$"}
_BLANK = re.compile(r"\n[ \t\r]*+\n")
_PRICE = re.compile(r"\d[\d,.]*+[\s/]\s{0,3}[A-Za-z]{2,}[\s,.]|<<|\d[^.!?\\]{0,200}[.!?]\s+[A-Z]")
_WORDS = re.compile(r"\b[A-Za-z]{2,20}[ ,\n]{1,2}[A-Za-z]{2}")
_PROSE = {"itemize", "enumerate", "document", "center", "quote", "proof", "theorem", "lemma", "solution", "description"}
_MAX_INDENT = 12
_MAX_INLINE_CODE = 1_000


class Region(NamedTuple):
    """Characters ``start`` to ``end`` that belong together."""

    start: int
    end: int
    kind: Literal["math", "code", "fence"]
    info: str = ""
    """What follows a fence's opening marks: the language."""


class _Token(NamedTuple):
    start: int
    end: int
    text: str


def regions(text: str, start: int = 0, end: int | None = None, *, open_fences: bool = True) -> list[Region]:
    """The regions in a part of a text, in order, none overlapping another. Takes linear time.

    Args:
        text: any text.
        start: where to begin.
        end: where to stop; a region that is not closed before is none.
        open_fences: whether a fence that is never closed lasts to the end, as in Markdown, or counts for nothing.
    """
    stop = len(text) if end is None else end
    tokens = [_Token(match.start(), match.end(), match[0]) for match in _TOKEN.finditer(text, start, stop)]
    return list(_Reader(text, stop, tokens, open_fences=open_fences).read())


class _Reader:
    """Pairs openers with closers by looking positions up, never by searching the text again."""

    def __init__(self, text: str, stop: int, tokens: list[_Token], *, open_fences: bool) -> None:
        self.text, self.stop, self.tokens, self.open_fences = text, stop, tokens, open_fences
        self.places: dict[str, list[int]] = {}
        for token in tokens:
            self.places.setdefault(token.text, []).append(token.start)
        self.environments = dict(self._environments())
        self.fence_ends = [
            (token.start, token.end, token.text)
            for token in tokens
            if self._opens_fence(token) and not self._rest_of_line(token.end)
        ]
        self.unclosed: dict[str, int] = {}
        """Per kind of mark, the shortest fence that is known to have no end: a longer one has none either."""

    def read(self) -> Iterator[Region]:
        reached = -1
        for token in self.tokens:
            if token.start < reached:
                continue
            region = self._fence(token) or self._inside(token)
            if region:
                reached = region.end
                yield region

    def _inside(self, token: _Token) -> Region | None:
        kind = token.text
        if kind in (r"\[", r"\(", "[asy]", "$$"):
            return self._pair(token)
        if kind == "$":
            return self._dollar(token)
        if kind.startswith("\\begin"):
            end = self.environments.get(token.start)
            return Region(token.start, end, "math") if end else None
        return self._inline_code(token) if kind[0] == "`" else None

    def _next(self, kind: str, position: int) -> int | None:
        places = self.places.get(kind, [])
        found = bisect_left(places, position)
        return places[found] if found < len(places) else None

    def _pair(self, token: _Token) -> Region | None:
        closer = _CLOSERS[token.text]
        end = self._next(closer, token.end)
        if end is None:
            return None
        if closer == "$$":
            inside = self.text[token.end : end].strip()
            if not inside or _BLANK.search(inside):
                return None
        else:
            again = self._next(token.text, token.end)
            if again is not None and again < end:
                return None
        return Region(token.start, end + len(closer), "code" if token.text == "[asy]" else "math")

    def _dollar(self, token: _Token) -> Region | None:
        end = self._next("$", token.end)
        if end is None:
            return None
        inside = self.text[token.end : end]
        if not inside.strip() or _BLANK.search(inside):
            return None
        if inside[0].isspace() != inside[-1].isspace() and "\\" not in inside:  # a command makes it no price
            return None
        if self.text[end + 1 : end + 2].isdigit() or _PRICE.match(inside):
            return None
        if "\\" not in inside and _WORDS.search(inside):
            return None
        return Region(token.start, end + 1, "math")

    def _inline_code(self, token: _Token) -> Region | None:
        end = self._next(token.text, token.end)
        if end is None or end - token.end > _MAX_INLINE_CODE:
            return None
        inside = self.text[token.end : end]
        latex_quotes = len(token.text) == 2 and "''" in inside
        return None if "\n" in inside or latex_quotes else Region(token.start, end + len(token.text), "code")

    def _fence(self, token: _Token) -> Region | None:
        marks = token.text
        if not self._opens_fence(token):
            return None
        info = self._rest_of_line(token.end)
        if marks[0] == "`" and "`" in info:
            return None
        if len(marks) < self.unclosed.get(marks[0], len(marks) + 1):
            for number in range(bisect_left(self.fence_ends, (token.end,)), len(self.fence_ends)):
                _, end, found = self.fence_ends[number]
                if found.startswith(marks):
                    return Region(token.start, end, "fence", info)
            self.unclosed[marks[0]] = len(marks)
        return Region(token.start, self.stop, "fence", info) if self.open_fences else None

    def _opens_fence(self, token: _Token) -> bool:
        if token.text[0] not in "`~" or len(token.text) < 3:
            return False
        line = self.text[max(0, token.start - _MAX_INDENT) : token.start].rpartition("\n")
        return not line[2].strip(" \t") and (bool(line[1]) or token.start < _MAX_INDENT)

    def _rest_of_line(self, position: int) -> str:
        found = self.text.find("\n", position, min(self.stop, position + 200))
        return self.text[position : found if found >= 0 else min(self.stop, position + 200)].strip()

    def _environments(self) -> Iterator[tuple[int, int]]:
        r"""Where each ``\begin`` that has its ``\end`` stands, and where that ends."""
        waiting: list[tuple[str, int]] = []
        count: dict[str, int] = {}
        for token in self.tokens:
            if not token.text.startswith(("\\begin", "\\end")):
                continue
            name = token.text[token.text.index("{") + 1 : -1]
            if name in _PROSE:
                continue
            if token.text.startswith("\\begin"):
                waiting.append((name, token.start))
                count[name] = count.get(name, 0) + 1
                continue
            while count.get(name):
                opened, start = waiting.pop()
                count[opened] -= 1
                if opened == name:
                    yield start, token.end
                    break
