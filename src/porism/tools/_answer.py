"""A call of a tool, and what the tool says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["SHOWN", "Answer", "Call", "shortened"]

SHOWN = 4_000
"""Signs of an answer that a model is shown."""


class Answer(NamedTuple):
    """What a tool says."""

    text: str
    failed: bool = False
    """The text says what was wrong with the call."""
    sandbox: str = ""
    """The tier in which a program ran."""


class Call(NamedTuple):
    """What a model wants a tool to do."""

    tool: str
    arguments: Mapping[str, Any]
    id: str = ""
    """By which OpenAI's format tells calls apart."""
    wrong: str = ""
    """Why it cannot be read, where it cannot."""


def shortened(text: str, most: int = SHOWN) -> str:
    """A text of at most about so many signs: where it is longer, its beginning and its end."""
    return text if len(text) <= most else f"{text[: most // 2]}\n…\n{text[-most // 2 :]}"
