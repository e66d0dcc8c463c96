"""Chain of thought: worked examples as earlier turns, then the question (Wei et al., 2022, arXiv:2201.11903)."""

from __future__ import annotations

from porism.prompts import messages
from porism.prompts.messages import Examples, Instruction, Prompt, Shots, System
from porism.records import Message, Problem
from porism.strategies import _prompts, _retrieved
from porism.strategies._retrieved import Nearest

__all__ = ["prompt"]


def prompt(
    problem: Problem,
    *,
    shots: Shots = 4,
    examples: Examples = "worked",
    index: Nearest = "",
    prompt: Prompt = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[Message]:
    """Each example's question and whole solution as turns, then the question."""
    shown = _retrieved.shots(index, problem, shots) if index else messages.shots(examples, shots)
    if prompt:
        return _prompts.filled(problem, prompt, examples=shown, reasoning=True, instruction=instruction, system=system)
    return messages.after_examples(problem, shown, reasoning=True, instruction=instruction, system=system)
