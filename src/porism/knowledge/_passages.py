"""A document cut into passages: slices of its text that end where a paragraph, a sentence or at least a word does.

A heading of Markdown begins a passage, and a fenced block is a paragraph. A passage that goes on where the one before
was cut for its length begins with that one's last words, so that what stands at the border is whole in one of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Passage", "passages"]

_HEADING = re.compile(r"#{1,6} \S")
_FENCE = re.compile(r"\s*(```|~~~)")
_SENTENCE = re.compile(r"[.!?]['\")\]]*\s+|[。！？]\s*|\n")
_SPACE = re.compile(r"\s+")
_BACK = 2
"""Sizes of a passage that are looked back for :attr:`Passage.before`."""


class Passage(NamedTuple):
    """A part of a document."""

    text: str
    before: str
    """What stands before it, at most two passages long: a question whose answer is here may stand there."""


class _Block(NamedTuple):
    """A paragraph, heading or fenced block: where it begins and ends."""

    start: int
    end: int
    heading: bool


def passages(text: str, *, size: int = 800, overlap: int = 100) -> list[Passage]:
    """The passages of a text, in order.

    Args:
        text: plain text or Markdown.
        size: most characters of a passage.
        overlap: characters, at most, with which a passage repeats the end of the one before; less than ``size``.
    """
    found: list[tuple[int, int]] = []
    for block in _blocks(text):
        for start, end in _pieces(text, block, size):
            last = found[-1] if found else (0, 0)
            if found and not (block.heading and start == block.start) and end - last[0] <= size:
                found[-1] = (last[0], end)
                continue
            begins = start
            if found and not block.heading:
                begins = _word_start(text, max(last[0] + 1, start - overlap, end - size), start)
            found.append((begins, end))
    return [
        Passage(text[start:end].strip(), text[max(0, start - _BACK * size) : start].strip()) for start, end in found
    ]


def _blocks(text: str) -> Iterator[_Block]:
    """Paragraphs in their order; blank lines belong to none."""
    at, begin, end, fenced = 0, -1, 0, False
    for line in text.split("\n"):
        stop = at + len(line)
        heading = not fenced and bool(_HEADING.match(line))
        fence = bool(_FENCE.match(line))
        if begin >= 0 and not fenced and (not line.strip() or heading):
            yield _Block(begin, end, heading=False)
            begin = -1
        if heading:
            yield _Block(at, stop, heading=True)
        elif line.strip() or fenced:
            begin, end = at if begin < 0 else begin, stop
        fenced ^= fence
        at = stop + 1
    if begin >= 0:
        yield _Block(begin, end, heading=False)


def _pieces(text: str, block: _Block, size: int) -> Iterator[tuple[int, int]]:
    """The block, or where it is too long, parts of it that end with a sentence, or else a word."""
    start = block.start
    while block.end - start > size:
        half, most = start + size // 2, start + size
        sentences = [found.end() for found in _SENTENCE.finditer(text, half, most)]
        words = [found.end() for found in _SPACE.finditer(text, half, most)]
        cut = (sentences or words or [most])[-1]
        yield start, cut
        start = cut
    yield start, block.end


def _word_start(text: str, earliest: int, start: int) -> int:
    """The first beginning of a word from a place on; ``start`` where there is none before it."""
    if earliest >= start:
        return start
    space = _SPACE.search(text, earliest, start)
    return space.end() if space else start
