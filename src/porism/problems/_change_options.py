"""The options of a multiple choice in another order."""

from __future__ import annotations

import dataclasses
import random
import re

from porism.problems import _choices
from porism.problems._changing import Unchanged
from porism.records import Problem

__all__ = ["options"]

_ABOUT_OTHERS = re.compile(
    r"\b(?:above|below|both|neither|either|all of|none|options?|choices?|preceding|following)\b"
    r"|\b[A-J]\s+(?:and|or|&)\s+[A-J]\b",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?<![A-Za-z$\\])\(?[A-J]\)?(?![A-Za-z])")


def options(problem: Problem, rng: random.Random) -> Problem:
    """The problem with its options in another order, and the answer's letter changed with them.

    The worked solution is kept where it names no letter but in its last line.

    Raises:
        Unchanged: it is no choice, its answer is none of the options, or one of them speaks of others.
    """
    known = problem.meta.get("options")
    if (
        problem.kind != "choice"
        or not isinstance(known, list)
        or not 2 <= len(known) == len(set(map(str, known))) <= 10
    ):
        raise Unchanged("no options: it is no choice whose options are known and different")
    texts = [str(option) for option in known]
    stem = _choices.ask("", texts).lstrip("\n")
    if not problem.question.endswith(stem):
        raise Unchanged("no options: they do not stand at the question's end")
    if any(_ABOUT_OTHERS.search(text) for text in texts):
        raise Unchanged("options that speak of others: their order is part of what they say")
    try:
        right = texts[ord(_choices.letter(problem.answer, texts)) - ord("A")]
    except ValueError:
        raise Unchanged("no options: the answer is none of them") from None
    mixed = texts[:]
    while mixed == texts:
        rng.shuffle(mixed)
    letter = _choices.letter(chr(ord("A") + mixed.index(right)), mixed)
    return dataclasses.replace(
        problem,
        question=_choices.ask(problem.question.removesuffix(stem), mixed),
        answer=letter,
        solution=_solution(problem.solution, letter),
        meta={**problem.meta, "options": mixed},
    )


def _solution(solution: str, letter: str) -> str:
    """The solution for the new order; empty where the old letters stand in it."""
    body, mark, _ = solution.rpartition("####")
    lines = body.rstrip().split("\n") if mark else []
    if lines and len(lines) > 1 and len(lines[-1]) < 40 and _LETTER.search(lines[-1]):
        lines.pop()  # "Answer: B"
    if not lines or _LETTER.search("\n".join(lines)):
        return ""
    return "\n".join([*lines, f"#### {letter}"])
