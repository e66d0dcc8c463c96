"""A problem in a prompt template."""

from __future__ import annotations

from collections.abc import Sequence

from porism.errors import RecipeError
from porism.graders import choice
from porism.prompts import templates
from porism.records import Message, Problem

__all__ = ["check", "filled"]


def check(prompt: str, *, instruction: str = "", shots: int = 0) -> templates.Template:
    """The template that a setting names, if the settings beside it go with it.

    Args:
        prompt: a shipped template, or a file.
        instruction: the setting of that name.
        shots: how many worked examples a strategy shows; 0 for one that shows none.

    Raises:
        RecipeError: no such template, a wrong one, or one that leaves out the instruction or the examples.
        DataError: the file is no UTF-8 text.
    """
    template = templates.load(prompt)
    if instruction and "instruction" not in template.uses:
        raise RecipeError(
            f"the prompt template {prompt} does not use the setting instruction. Put {{{{ instruction }}}} into it, or "
            "leave the setting out."
        )
    if shots and "examples" not in template.uses:
        raise RecipeError(
            f"the prompt template {prompt} shows no examples, and this strategy has {shots}. Loop over 'examples' in "
            "it, or use the strategy direct."
        )
    return template


def filled(
    problem: Problem,
    prompt: str,
    *,
    examples: Sequence[Problem] = (),
    reasoning: bool = True,
    instruction: str = "",
    system: str | None = None,
) -> list[Message]:
    """The messages that a template makes of a problem.

    Args:
        problem: what is asked; its answer and solution are kept from the template.
        prompt: a shipped template, or a file.
        examples: worked examples.
        reasoning: an example's response is its whole solution; else only ``#### answer``.
        instruction: for the template's use.
        system: a system message in front.

    Raises:
        RecipeError: the template is wrong, or has a system message beside ``system``.
    """
    template = check(prompt, instruction=instruction, shots=len(examples))
    found = template.messages(
        {
            "question": problem.question.strip(),
            "options": [
                {"letter": letter, "text": words} for letter, words in choice.options(problem.question).items()
            ],
            "kind": problem.kind,
            "source": problem.source,
            "group": problem.group,
            "meta": dict(problem.meta),
            "instruction": instruction,
            "examples": [_shown(example, reasoning=reasoning) for example in examples],
        }
    )
    if system is None:
        return found
    if found[0]["role"] == "system":
        raise RecipeError(
            f"the prompt template {prompt} has a system message of its own. Leave out the setting system, or take it "
            "from the template."
        )
    return [Message(role="system", content=system), *found]


def _shown(example: Problem, *, reasoning: bool) -> dict[str, str]:
    answer = f"#### {example.answer}"
    return {
        "question": example.question.strip(),
        "answer": example.answer,
        "solution": example.solution,
        "response": example.solution if reasoning else answer,
    }
