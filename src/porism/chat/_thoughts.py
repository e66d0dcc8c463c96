"""Which parts of a text that arrives in pieces are thoughts, between ``<think>`` and ``</think>``."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Part", "Splitter"]

_TAGS = ("<think>", "</think>", "<thinking>", "</thinking>")
_TAG = re.compile("|".join(_TAGS))


class Part(NamedTuple):
    """Some text."""

    text: str
    thought: bool
    """Whether it is thinking, the tags included."""


class Splitter:
    """Takes a text in pieces and tells thoughts from the answer. The beginning of a tag is held back until it is clear.

    Args:
        thinking: whether the text begins inside a thought, as after a template that writes the opening tag.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking, self._held = thinking, ""

    def feed(self, piece: str) -> list[Part]:
        """What of the text so far is new and certain."""
        text = self._held + piece
        held = max((size for tag in _TAGS for size in range(1, len(tag)) if text.endswith(tag[:size])), default=0)
        self._held = text[len(text) - held :]
        return self._split(text[: len(text) - held])

    def flush(self) -> list[Part]:
        """What was held back, at the end of the text."""
        text, self._held = self._held, ""
        return self._split(text)

    def _split(self, text: str) -> list[Part]:
        parts = []
        at = 0
        for tag in _TAG.finditer(text):
            opens = not tag[0].startswith("</")
            end = tag.start() if opens else tag.end()
            parts.append(Part(text[at:end], self._thinking))
            at, self._thinking = end, opens
        parts.append(Part(text[at:], self._thinking))
        return [part for part in parts if part.text]
