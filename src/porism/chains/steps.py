"""Cuts a chain of thought into steps, by four definitions that are counted apart.

=============  =========================================================================================================
definition     a step begins
=============  =========================================================================================================
``numbered``   at a mark of the outermost numbered list: ``1.``, ``(1)``, ``①``, "Step 1", 第一步, ステップ1; where
               there is none, at sentences that begin with "First", "Second", "Finally", 首先, 然后, まず, 次に
``paragraph``  after a blank line (as ProcessBench, arXiv:2412.06559, cuts solutions)
``sentence``   after a sentence's end, or a line's end that is no mere wrap
``switch``     at a sentence that changes the mind or the method: "Wait", "Alternatively", 等等, 待って
=============  =========================================================================================================

Nothing is cut inside formulas and code. Which definition was used belongs in the name of every figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from porism.chains._markers import Marker, numbered, ordinals
from porism.chains._regions import regions
from porism.chains._sentences import breaks, unmasked
from porism.chains._switches import SWITCH
from porism.errors import RecipeError, nearest

__all__ = ["Definition", "Step", "counts", "steps"]

Definition = Literal["numbered", "paragraph", "sentence", "switch"]

_BLANK = re.compile(r"\n[ \t\r]*+\n")
_LINE_END = re.compile(r"\n\s*+")
_VISIBLE = re.compile(r"\S")
_ITEM = re.compile(r"[a-z]{1,4}[.)]\s|[-*•]\s")
_TERMINAL = frozenset(".!?:;。！？：；…|")


class Step(NamedTuple):
    """Characters ``start`` to ``end`` of a text."""

    start: int
    end: int
    label: str
    """The mark or the words that it begins with; empty for ``paragraph``, ``sentence`` and what precedes the first."""

    def of(self, text: str) -> str:
        """The characters themselves, of the text that was cut."""
        return text[self.start : self.end]


def steps(text: str, by: Definition) -> list[Step]:
    """Cut a text into steps. Takes linear time, and the same text is always cut in the same way.

    The steps follow one another without a gap from 0 to the text's length, so that joined they are the text; space
    between two belongs to the first. The empty text has no steps.

    Args:
        text: any text.
        by: the definition of a step.

    Raises:
        RecipeError: no such definition.
    """
    if by not in get_args(Definition):
        known = get_args(Definition)
        raise RecipeError(f"no definition of a step {by!r}.{nearest(by, known)} Known: {', '.join(known)}.")
    return _cut(text, _Marks(text).by(by))


def counts(text: str) -> dict[str, int]:
    """How many steps a text has by each definition.

    White space alone is no step, nor is what precedes the first mark of ``numbered``.
    """
    marks = _Marks(text)
    return {
        by: sum(
            1
            for step in _cut(text, marks.by(by))
            if (step.label or by != "numbered") and _VISIBLE.search(text, step.start, step.end)
        )
        for by in get_args(Definition)
    }


def _cut(text: str, begins: Iterable[Marker]) -> list[Step]:
    """Steps from where they begin; what precedes the first is a step of its own unless it is white space."""
    marks = list(begins)
    visible = _VISIBLE.search(text)
    if marks and (visible is None or marks[0].start <= visible.start()):
        marks[0] = Marker(0, marks[0].label)
    elif text:
        marks.insert(0, Marker(0, ""))
    else:
        return []
    ends = [mark.start for mark in marks[1:]] + [len(text)]
    return [Step(mark.start, end, mark.label) for mark, end in zip(marks, ends, strict=True)]


class _Marks:
    """Where steps begin in one text, by any definition."""

    def __init__(self, text: str) -> None:
        self.text, self.masked = text, regions(text)

    def by(self, definition: Definition) -> Iterable[Marker]:
        if definition == "numbered":
            return numbered(self.text, self.masked) or ordinals(self.text, self.sentences)
        if definition == "switch":
            return self._switches()
        starts = self.sentences if definition == "sentence" else self._paragraphs()
        return (Marker(start, "") for start in starts)

    @cached_property
    def sentences(self) -> list[int]:
        """Where sentences begin, the first one included."""
        ends = {0, *breaks(self.text, 0, len(self.text), self.masked), *self._line_ends()}
        return _visible_after(self.text, sorted(ends))

    def _paragraphs(self) -> list[int]:
        blanks = ((match.start(), match.end()) for match in _BLANK.finditer(self.text))
        return _visible_after(self.text, (end for _, end in unmasked(blanks, self.masked)))

    def _switches(self) -> Iterator[Marker]:
        for start in self.sentences:
            match = SWITCH.match(self.text, start)
            if match:
                yield Marker(start, match["label"].strip())

    def _line_ends(self) -> Iterator[int]:
        """The ends of lines that end a sentence too: all but those where it goes on below.

        It goes on where the next line, not parted by a blank one, begins with a small letter or is a formula, and this
        one is no heading and ends in none of ``.!?:;``.
        """
        text, begin = self.text, 0
        formulas = {region.start for region in self.masked if region.kind == "math"}
        for position, following in unmasked((match.span() for match in _LINE_END.finditer(text)), self.masked):
            last = text[max(begin, position - 40) : position].rstrip()[-1:]
            wraps = (
                (text[following : following + 1].islower() or following in formulas)
                and text.find("\n", position + 1, following) < 0
                and not _ITEM.match(text, following)
                and last not in _TERMINAL
                and not text.startswith("#", begin)
            )
            begin = following
            if not wraps:
                yield position


def _visible_after(text: str, ends: Iterable[int]) -> list[int]:
    """The next visible character after each of the rising positions, each once."""
    found: list[int] = []
    for end in ends:
        if found and end <= found[-1]:
            continue
        visible = _VISIBLE.search(text, end)
        if not visible:
            break
        found.append(visible.start())
    return found
