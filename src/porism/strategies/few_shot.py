"""Examples with their answers as earlier turns, then the question (Brown et al., 2020, arXiv:2005.14165)."""

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
    """Each example's question and ``#### answer`` as turns, then the question."""
    shown = _retrieved.shots(index, problem, shots) if index else messages.shots(examples, shots)
    if prompt:
        return _prompts.filled(problem, prompt, examples=shown, reasoning=False, instruction=instruction, system=system)
    return messages.after_examples(problem, shown, reasoning=False, instruction=instruction, system=system)
