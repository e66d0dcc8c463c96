"""Chain of thought in named parts: what is given, what is asked, a plan, the calculation, a check, the answer.

With ``enforce`` the engine holds the model to the parts, in their order, one paragraph each.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from porism import strategies
from porism.engines import Engine, Sampling
from porism.errors import RecipeError
from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Attempt, Message, Problem
from porism.strategies._languages import Language, language_of

__all__ = ["PARTS", "check", "solve"]

PARTS = {
    "en": ("Given", "Find", "Plan", "Calculation", "Check", "Answer"),
    "zh": ("已知", "求解", "思路", "计算", "检查", "答案"),
    "ja": ("条件", "求めるもの", "方針", "計算", "検算", "答え"),
}
_WORDS = {
    "en": "Answer in these parts, each on a line of its own that begins with its name and a colon: {}.",
    "zh": "请按以下部分作答，每部分单独一行，以名称和冒号开头：{}。",
    "ja": "次の項目に分けて答えてください。各項目は改行し、名前とコロンで始めます：{}。",
}
_LONGEST = 400

Parts = Annotated[list[str], Field(description="names of the parts, in order; none for the shipped ones")]


def check(*, parts: Sequence[str] = ()) -> None:
    """Find before anything runs that the parts cannot be told apart.

    Raises:
        RecipeError: a name is empty, has a colon or a line's end, or stands twice.
    """
    wrong = next((one for one in parts if not one.strip() or re.search(r"[:：\n]", one) or parts.count(one) > 1), None)
    if wrong is not None:
        raise RecipeError(f"structured: parts: expected names that differ, without colons, got {wrong!r}.")


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int = 1,
    seed: int = 0,
    language: Language = "auto",
    parts: Parts = [],  # noqa: B006 (never changed)
    enforce: Annotated[bool, Field(description="let the engine hold the model to the parts")] = False,
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """One request a problem, ``samples`` each."""
    found: list[list[Attempt]] = [[] for _ in problems]
    spoken = [language_of(problem.question, language) for problem in problems]
    for name in sorted(set(spoken)):  # each language has names of its own, and so another grammar
        places = [at for at, one in enumerate(spoken) if one == name]
        chosen = [problems[at] for at in places]
        names = tuple(parts) or PARTS[name]
        prompts = [_prompt(problem, names, name, instruction, system) for problem in chosen]
        held = dataclasses.replace(sampling, regex=_pattern(names)) if enforce else sampling
        tries = strategies.ask("structured", chosen, prompts, engine, held, samples=samples, seed=seed)
        for at, each in zip(places, tries, strict=True):
            found[at] = each
    return found


def _prompt(
    problem: Problem, names: Sequence[str], language: str, instruction: str, system: str | None
) -> list[Message]:
    words = _WORDS[language].format(", ".join(names))
    return messages.question(problem, f"{words}\n{instruction}" if instruction else words, system)


def _pattern(names: Sequence[str]) -> str:
    """One paragraph a part."""
    return r"\n".join(rf"{re.escape(name)}: [^\n]{{1,{_LONGEST}}}" for name in names)
