"""The question and "Let's think step by step" (Kojima et al., 2022, arXiv:2205.11916), in English, Chinese or Japanese.

Departures: the words stand below the question instead of beginning the answer, as chat models are asked, and the final
answer is read by the grader instead of being asked for in a second prompt.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Message, Problem
from porism.strategies._languages import Language, language_of

__all__ = ["TRIGGERS", "prompt"]

TRIGGERS = {
    "en": "Let's think step by step.",
    "zh": "让我们一步步思考",
    "ja": "ステップバイステップで考えましょう。",
}


def prompt(
    problem: Problem,
    *,
    language: Language = "auto",
    trigger: Annotated[str, Field(description="own words in the place of the shipped ones")] = "",
    instruction: Instruction = "",
    system: System = None,
) -> list[Message]:
    """The question, the trigger, and an instruction where one is given."""
    words = trigger or TRIGGERS[language_of(problem.question, language)]
    return messages.question(problem, f"{words}\n{instruction}" if instruction else words, system)
