"""Other first names in a problem.

A name is replaced by one that is used for the same gender, so that pronouns stay right, everywhere in question,
solution and options. Names that are also words (Will, May, Grace, Mark) are not touched.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porism.problems._changing import Unchanged
from porism.records import Problem

__all__ = ["names"]

_LISTS = [
    line.split()
    for line in (Path(__file__).parent / "data" / "first_names.txt").read_text(encoding="utf-8").splitlines()
]
"""Names that are used for women, for men, and the same in Chinese."""
_LIST_OF = {name: known for known in _LISTS for name in known}
_WESTERN = re.compile(r"(?<![A-Za-z])[A-Z][a-z]{1,12}(?![A-Za-z])")
_EASTERN = re.compile("|".join([*_LISTS[2], *_LISTS[3]]))
_SPELT = re.compile(
    r"\b(?:letters?|alphabet\w*|vowels?|consonants?|initials?|palindrome|spell\w*)\b|笔画|字母", re.IGNORECASE
)


def names(problem: Problem, rng: random.Random) -> Problem:
    """The problem with every known first name replaced by another.

    Raises:
        Unchanged: it has none, or their letters count.
    """
    if _SPELT.search(problem.question):
        raise Unchanged("letters count: the answer may depend on how a name is written")
    found = list(dict.fromkeys([*_WESTERN.findall(problem.question), *_EASTERN.findall(problem.question)]))
    known = [name for name in found if name in _LIST_OF]
    if not known:
        raise Unchanged("no name: the question has no first name that is known")
    everything = f"{problem.question}\n{problem.solution}\n{problem.answer}"
    taken = {name for name in _LIST_OF if name in everything}
    other: dict[str, str] = {}
    for name in known:
        choice = [name for name in _LIST_OF[name] if name not in taken]
        if not choice:
            raise Unchanged("no name is left that does not stand in it")
        other[name] = rng.choice(choice)
        taken.add(other[name])
    pattern = re.compile("|".join(rf"(?<![A-Za-z]){name}(?![A-Za-z])" if name.isascii() else name for name in other))
    return dataclasses.replace(
        problem,
        question=_renamed(problem.question, pattern, other),
        answer=_renamed(problem.answer, pattern, other),
        solution=_renamed(problem.solution, pattern, other),
        meta=_renamed(problem.meta, pattern, other),
    )


def _renamed(value: Any, pattern: re.Pattern[str], other: Mapping[str, str]) -> Any:
    """A value with the names in all its texts replaced."""
    if isinstance(value, str):
        return pattern.sub(lambda match: other[match[0]], value)
    if isinstance(value, Mapping):
        return {key: _renamed(item, pattern, other) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_renamed(item, pattern, other) for item in value]
    return value
