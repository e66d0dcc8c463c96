"""The question alone, with an instruction or a system message where one is given."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from porism.prompts import messages
from porism.records import Message, Problem

__all__ = ["prompt"]


def prompt(
    problem: Problem,
    *,
    instruction: Annotated[str, Field(description="a line below the question")] = "",
    system: Annotated[str, Field(description="a system message; the chat template's own if empty")] = "",
) -> list[Message]:
    """The question as one user turn."""
    return messages.question(problem, instruction, system)
