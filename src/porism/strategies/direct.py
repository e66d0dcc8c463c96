"""The question alone, with an instruction or a system message where one is given."""

from __future__ import annotations

from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Message, Problem

__all__ = ["prompt"]


def prompt(
    problem: Problem,
    *,
    instruction: Instruction = "",
    system: System = None,
) -> list[Message]:
    """The question as one user turn."""
    return messages.question(problem, instruction, system)
