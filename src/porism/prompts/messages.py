"""Building blocks of prompts: the question with an instruction, worked examples as earlier turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field

from porism import store
from porism.errors import RecipeError, nearest
from porism.records import Message, Problem

__all__ = ["Examples", "Instruction", "Prompt", "Shots", "System", "after_examples", "question", "shots"]

Shots = Annotated[int, Field(description="how many examples", ge=1)]
Examples = Annotated[str, Field(description="a shipped set of examples, or a file of problem records with solutions")]
System = Annotated[
    str | None, Field(description="a system message, '' for an empty one; left to the template if not given")
]
Instruction = Annotated[str, Field(description="a line below every question")]
Prompt = Annotated[
    str, Field(description="a prompt template: a shipped one (boxed, choice, five_parts, hash, qa), or a file")
]

_SHOTS = Path(__file__).parent / "shots"


def question(problem: Problem, instruction: str = "", system: str | None = None) -> list[Message]:
    """The question as the user's turn, an instruction below it, a system message before it where one is given."""
    asked = f"{problem.question.strip()}\n\n{instruction}" if instruction else problem.question.strip()
    lead: list[Message] = [Message(role="system", content=system)] if system is not None else []
    return [*lead, Message(role="user", content=asked)]


def after_examples(
    problem: Problem, examples: Sequence[Problem], *, reasoning: bool, instruction: str = "", system: str | None = None
) -> list[Message]:
    """Worked examples as earlier turns of the chat, then the question.

    Args:
        problem: what is asked.
        examples: problems with solutions.
        reasoning: show the whole solution; else only ``#### answer``.
        instruction: what stands below each question.
        system: see :func:`question`.
    """
    messages: list[Message] = []
    for example in examples:
        answer = example.solution if reasoning else f"#### {example.answer}"
        messages += [*question(example, instruction), Message(role="assistant", content=answer)]
    messages += question(problem, instruction)
    return [*([] if system is None else [Message(role="system", content=system)]), *messages]


def shots(name: str, count: int) -> list[Problem]:
    """The first ``count`` worked examples of a set.

    Args:
        name: a shipped set (a file in ``porism/prompts/shots``), or a path to problem records with solutions.
        count: how many.

    Raises:
        RecipeError: no such set, or it is too small.
        DataError: the file holds something else.
    """
    known = sorted(file.stem for file in _SHOTS.glob("*.jsonl"))
    file = _SHOTS / f"{name}.jsonl" if name in known else Path(name).expanduser()
    if not file.exists():
        raise RecipeError(
            f"no set of examples {name!r}.{nearest(name, known)} Known: {', '.join(known)}, "
            "or a path to problem records."
        )
    examples = [cast("Problem", record) for record in store.read(file, Problem)]
    if len(examples) < count:
        raise RecipeError(f"{name}: expected at least {count} examples, it has {len(examples)}. Ask for fewer shots.")
    return examples[:count]
