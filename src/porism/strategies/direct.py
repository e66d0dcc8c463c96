"""The question alone, with an instruction or a system message where one is given, or in a prompt template."""

from __future__ import annotations

from porism.prompts import messages
from porism.prompts.messages import Instruction, Prompt, System
from porism.records import Message, Problem
from porism.strategies import _prompts

__all__ = ["prompt"]


def prompt(
    problem: Problem,
    *,
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[Message]:
    """The question as one user turn."""
    if prompt:
        return _prompts.filled(problem, prompt, instruction=instruction, system=system)
    return messages.question(problem, instruction, system)
