"""Retrieval: what an index holds that is nearest to the question is shown above it.

Lewis et al., 2020, arXiv:2005.11401. Solved problems are shown with their solutions, documents passage by passage. A
problem's own solution is never shown. Where the index fails while a batch runs, its problems are asked without it.
``meta.retrieval`` says what was shown, what was left out, and what failed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from porism import knowledge
from porism.engines import Engine, Sampling
from porism.errors import UserError
from porism.knowledge import ALL, Leaks, Mode, Place, Search, Top
from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Attempt, Message, Problem
from porism.strategies import ask

__all__ = ["check", "solve"]

Context = Annotated[int, Field(description="characters of what is shown, at most", ge=100)]

_LEAD = "What follows was found for the question below. Use what helps, and ignore the rest."


def check(*, index: Place) -> None:
    """Find before anything runs that the index is not there, or was built with another embedding model.

    Raises:
        DataError: it is so.
        StorageError: it cannot be reached.
    """
    knowledge.opened(index)


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int = 1,
    seed: int = 0,
    index: Place,
    top: Top = 3,
    mode: Mode = "hybrid",
    leaks: Leaks = ALL,
    context: Context = 4_000,
    instruction: Instruction = "",
    system: System = None,
) -> list[list[Attempt]]:
    """Attempts at each problem, with what was retrieved for it."""
    error = ""
    found = [Search([], {})] * len(problems)
    try:
        questions = [problem.question for problem in problems]
        found = knowledge.opened(index).search_all(questions, top=top, mode=mode, asked=problems, leaks=leaks)
    except UserError as failure:
        error = str(failure)
    prompts = [
        _prompt(problem, search, context, instruction, system) for problem, search in zip(problems, found, strict=True)
    ]
    tries = ask("rag", problems, prompts, engine, sampling, samples=samples, seed=seed)
    return [
        [dataclasses.replace(one, meta={**one.meta, "retrieval": _trace(search, error)}) for one in attempts]
        for attempts, search in zip(tries, found, strict=True)
    ]


def _prompt(problem: Problem, search: Search, context: int, instruction: str, system: str | None) -> list[Message]:
    """The question below what was found, as one user turn."""
    bare = messages.question(problem, instruction, system)
    if not search.found:
        return bare
    each = context // len(search.found)
    parts = [f"[{rank}] {_shown(one.item, each)}" for rank, one in enumerate(search.found, 1)]
    asked = "\n\n".join([_LEAD, *parts, f"Question: {bare[-1]['content']}"])
    return [*bare[:-1], Message(role="user", content=asked)]


def _shown(item: knowledge.Item, most: int) -> str:
    whole = f"Question: {item.text}\nAnswer: {item.solution}" if item.kind == "problem" else item.text
    return whole if len(whole) <= most else f"{whole[:most]}…"


def _trace(search: Search, error: str) -> dict[str, Any]:
    """What was retrieved, and what was left out because it would have given the solution away."""
    trace: dict[str, Any] = {
        "shown": [
            {"item": one.item.id, "source": one.item.source, "score": round(one.score, 6)} for one in search.found
        ],
        "left_out": dict(search.left_out),
    }
    return {**trace, "error": error} if error else trace
