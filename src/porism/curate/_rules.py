r"""Subject, difficulty and safety of a question by rules: no model, no network, a millisecond or two.

The subjects are those of MATH (Hendrycks et al., 2021, arXiv:2103.03874), and a few beyond. Words speak for subjects
with weights (``subjects.txt``); the heaviest subject is taken. Difficulty is MATH's level, 1 to
5, from the lengths of question and solution and from the subject.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from porism.curate._text import LONGEST

__all__ = ["SUBJECTS", "difficulty", "safety", "subject", "subject_scores"]

_LOOKED_AT = 2_000
"""Characters of a question that rules are tried on."""


SUBJECTS = (
    "algebra",
    "arithmetic",
    "calculus",
    "coding",
    "counting and probability",
    "geometry",
    "intermediate algebra",
    "linear algebra",
    "logic",
    "number theory",
    "other",
    "prealgebra",
    "precalculus",
    "science",
    "statistics",
)
"""Every subject that can be given."""


class _Rule(NamedTuple):
    """Words that speak for subjects."""

    pattern: re.Pattern[str]
    weights: Mapping[str, float]


@functools.cache
def _table(name: str) -> list[tuple[str, str]]:
    """The lines of a table beside this file: what stands before the tab, and behind it."""
    text = resources.files("porism.curate").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(first, rest) for first, _, rest in (line.partition("\t") for line in lines)]


@functools.cache
def _rules() -> list[_Rule]:
    found = []
    for weights, pattern in _table("subjects"):
        pairs = [part.rpartition(" ") for part in weights.split(", ")]
        found.append(_Rule(re.compile(pattern), {subject: float(weight) for subject, _, weight in pairs}))
    return found


_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
_LEAST = 0.75
"""Weight below which a question is of no subject."""


@functools.cache
def _unsafe() -> list[tuple[str, re.Pattern[str]]]:
    return [(name, re.compile(pattern)) for name, pattern in _table("unsafe")]


def _plain(question: str) -> str:
    """The text that rules are tried on: drawings in code are left out."""
    return unicodedata.normalize("NFKC", _DRAWING.sub("[asy]", question[:LONGEST])[:_LOOKED_AT]).casefold()


def subject_scores(question: str) -> dict[str, float]:
    """Subject → weight of what speaks for it; a rule counts more the more often it fires, but little."""
    text = _plain(question)
    found: dict[str, float] = {}
    for rule in _rules():
        times = sum(1 for _ in zip(rule.pattern.finditer(text), range(3), strict=False))
        if times:
            for name, weight in rule.weights.items():
                found[name] = found.get(name, 0.0) + weight * (1 + 0.25 * (times - 1))
    return found


@functools.lru_cache(maxsize=1)
def subject(question: str) -> str:
    """The subject with the greatest weight; ``other`` where hardly anything speaks for one.

    >>> subject("What is the remainder when 7^{100} is divided by 5?")
    'number theory'
    """
    found = subject_scores(question)
    best = max(found, key=lambda name: (found[name], name), default="other")
    return best if found.get(best, 0.0) >= _LEAST else "other"


class _Level(NamedTuple):
    """A line that was fitted to the even rows of MATH-500, its slope raised so that its values spread as levels do."""

    base: float
    per_question: float
    """For each e-fold of the question's characters, from 150 on."""
    per_solution: float
    """For each e-fold of the solution's, from 400 on."""
    of_subject: Mapping[str, float]


_WITH_SOLUTION = _Level(
    3.46,
    0.7,
    1.15,
    {
        "algebra": 0.3,
        "arithmetic": -0.15,
        "counting and probability": 0.45,
        "geometry": 0.25,
        "intermediate algebra": 0.25,
        "other": -0.25,
        "prealgebra": -0.55,
        "precalculus": -0.35,
    },
)
_ALONE = _Level(
    3.5,
    1.25,
    0.0,
    {
        "algebra": 0.2,
        "arithmetic": -0.3,
        "counting and probability": 0.45,
        "geometry": 0.35,
        "intermediate algebra": 0.5,
        "number theory": 0.15,
        "other": -0.35,
        "prealgebra": -0.95,
        "precalculus": -0.1,
    },
)
_SHORTEST = 20
"""Characters below which a solution is a bare answer."""


def difficulty(question: str, solution: str = "") -> int:
    """MATH's level, 1 (easy) to 5 (hard), from lengths and subject; much better with a worked solution.

    Args:
        question: what is asked.
        solution: a worked solution or a right answer with its reasoning, where there is one.
    """
    written = len(_DRAWING.sub("", solution[:LONGEST]))
    line = _WITH_SOLUTION if written >= _SHORTEST else _ALONE
    level = line.base + line.of_subject.get(subject(question), 0.0)
    level += line.per_question * (math.log(1 + len(_plain(question))) - 5)
    level += line.per_solution * (math.log(1 + written) - 6)
    return int(min(5, max(1, round(level))))


def safety(text: str) -> str:
    """``safe``, or ``unsafe: `` and what for. A list of phrases: it misses much, and what it finds is worth a look."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return next((f"unsafe: {name}" for name, pattern in _unsafe() if pattern.search(plain)), "safe")
