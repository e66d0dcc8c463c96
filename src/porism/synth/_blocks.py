"""What a problem is written in: a rationale and then the problem, each between two marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

__all__ = [
    "BEGIN_PROBLEM",
    "BEGIN_RATIONALE",
    "END_PROBLEM",
    "END_RATIONALE",
    "Blocks",
    "assembled",
    "filled",
    "listed",
    "parse",
    "template",
]

BEGIN_RATIONALE, END_RATIONALE = "<!-- BEGIN RATIONALE -->", "<!-- END RATIONALE -->"
BEGIN_PROBLEM, END_PROBLEM = "<!-- BEGIN PROBLEM -->", "<!-- END PROBLEM -->"

_MARKS = (BEGIN_RATIONALE, END_RATIONALE, BEGIN_PROBLEM, END_PROBLEM)
_FIELD = re.compile(r"\{(\w+)\}|(\{\{|\}\})")


class Blocks(NamedTuple):
    """A rationale and a problem; with a complaint, the text did not hold them."""

    rationale: str
    problem: str
    complaint: str = ""


def parse(text: str) -> Blocks:
    """The two blocks of a text: every mark once, in order, and something between each two.

    >>> parse("<!-- BEGIN RATIONALE -->why<!-- END RATIONALE --><!-- BEGIN PROBLEM -->what<!-- END PROBLEM -->").problem
    'what'
    """
    places = []
    for mark in _MARKS:
        if text.count(mark) != 1:
            times = "is missing" if mark not in text else "stands more than once"
            return Blocks("", "", f"format: {mark} {times}")
        places.append(text.index(mark))
    if places != sorted(places):
        return Blocks("", "", "format: the marks are not in order")
    rationale = text[places[0] + len(BEGIN_RATIONALE) : places[1]].strip()
    problem = text[places[2] + len(BEGIN_PROBLEM) : places[3]].strip()
    empty = [name for name, block in (("rationale", rationale), ("problem", problem)) if not block]
    return Blocks(rationale, problem, f"format: the {empty[0]} is empty" if empty else "")


def assembled(rationale: str, problem: str) -> str:
    """The text that :func:`parse` reads."""
    return f"{BEGIN_RATIONALE}\n{rationale}\n{END_RATIONALE}\n{BEGIN_PROBLEM}\n{problem}\n{END_PROBLEM}"


def listed(concepts: Sequence[str]) -> str:
    """Concepts as a numbered list."""
    return "\n".join(f"{number}. {concept}" for number, concept in enumerate(concepts, 1))


def template(name: str) -> str:
    """A prompt that comes with Porism.

    Args:
        name: a file in ``porism/prompts/concepts``, without its ending.
    """
    text: str = resources.files("porism.prompts").joinpath("concepts", f"{name}.txt").read_text(encoding="utf-8")
    return text.strip()


def filled(name: str, **values: str) -> str:
    """A shipped prompt with its fields filled in; braces in the values stay as they are."""
    return _FIELD.sub(lambda found: values[found[1]] if found[1] else found[2][0], template(name))
