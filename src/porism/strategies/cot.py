"""Chain of thought: worked examples as earlier turns, then the question (Wei et al., 2022, arXiv:2201.11903)."""

from __future__ import annotations

from porism.prompts import messages
from porism.prompts.messages import Examples, Instruction, Shots
from porism.records import Message, Problem

__all__ = ["prompt"]


def prompt(
    problem: Problem, *, shots: Shots = 4, examples: Examples = "worked", instruction: Instruction = ""
) -> list[Message]:
    """Each example's question and whole solution as turns, then the question."""
    shown = messages.turns(messages.shots(examples, shots), reasoning=True, instruction=instruction)
    return [*shown, *messages.question(problem, instruction)]
