"""Problems changed so that their answer stays true: numbers, names, words, units, order, an idle sentence, options.

===========  ==========================================================================================================
change       what is done
===========  ==========================================================================================================
numbers      other numbers; the answer is computed anew from the solution's calculator annotations, and only where these
             account for every number in question and solution and give back the known answer (GSM8K, SVAMP, samples);
             or from the question itself, where that is one calculation, a common divisor or a common multiple
names        other first names; nothing else
reword       other words of the same meaning, and small numbers written out
irrelevant   a sentence more that has nothing to do with what is asked (as GSM-IC, Shi et al., 2023, arXiv:2302.00093)
options      the options of a choice in another order
order        the premises in another order, where none leans on another, or the question in front of them
units        a quantity in a smaller unit, where the question says in what the answer is to be given
instance     another instance of the same GSM-Symbolic template, with names, numbers and the answer that they give
===========  ==========================================================================================================

A problem that a change cannot be made to is left out with its reason. The result depends on the problem and the seed
alone, not on the other problems. ``meta`` says what was done (``change``) and to which problem (``of``).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from porism import store
from porism.files import Malformed
from porism.problems import Unreadable
from porism.problems._change_expressions import expression
from porism.problems._change_instance import instance
from porism.problems._change_names import names
from porism.problems._change_numbers import numbers
from porism.problems._change_options import options
from porism.problems._change_order import order
from porism.problems._change_units import units
from porism.problems._change_words import irrelevant, reword
from porism.problems._changing import Unchanged
from porism.recipe import Seed
from porism.records import Problem

__all__ = ["CHANGES", "READS", "Change", "Unchanged", "changed", "files", "load"]

READS = (Problem,)

_LONGEST = 10_000
"""Characters of a question: what stands in it is compared with one another."""

Change = Literal["numbers", "names", "reword", "irrelevant", "options", "order", "units", "instance"]


def _numbers(problem: Problem, rng: random.Random) -> Problem:
    """Other numbers, by the solution's calculations or by the question's own."""
    return (numbers if "annotated" in problem.meta else expression)(problem, rng)


CHANGES: dict[Change, Callable[[Problem, random.Random], Problem]] = {
    "numbers": _numbers,
    "names": names,
    "reword": reword,
    "irrelevant": irrelevant,
    "options": options,
    "order": order,
    "units": units,
    "instance": instance,
}

Input = Annotated[list[str], Field(description="problem records: files or stage folders")]


def load(
    split: str = "",
    *,
    input: Input,  # noqa: A002 (the setting's name)
    changes: Annotated[list[Change], Field(description="what to change; each makes problems of its own", min_length=1)],
    each: Annotated[int, Field(description="different variants of each problem and change", ge=1)] = 1,
    seed: Annotated[Seed, Field(description="of the changes")] = 0,
) -> Iterator[Problem | Unreadable]:
    """Variants of problems: those of a problem next to one another, in the order of the changes; ``split`` is ignored.

    Raises:
        DataError: no such file.
    """
    del split
    for path in input:
        for found in store.read_each(path):
            if isinstance(found, Problem):
                for change in changes:
                    yield from _variants(found, change, each, seed)
            elif isinstance(found, Malformed):
                yield Unreadable(path, f"malformed: {found.complaint}", found.line)
            else:
                yield Unreadable(f"{path} {found.id}", f"no problem: it is of the class {type(found).__name__}")


def _variants(problem: Problem, change: Change, count: int, seed: int) -> Iterator[Problem | Unreadable]:
    """The different variants that a change makes of a problem."""
    seen = {problem.question}
    for number in range(count):
        try:
            variant = changed(problem, change, f"{seed}/{number}")
        except Unchanged as left:
            yield Unreadable(problem.id, f"{change}, {left}", problem.question, is_defect=False)
            return
        if variant.question not in seen:
            seen.add(variant.question)
            yield variant


def files(split: str = "", *, input: Input) -> list[Path]:  # noqa: A002
    """The files of problems."""
    del split
    return [store.locate(path) for path in input]


def changed(problem: Problem, change: Change, seed: str = "0") -> Problem:
    """One variant of a problem.

    Args:
        problem: any.
        change: what to change.
        seed: another seed makes another variant, where there is one.

    Raises:
        Unchanged: the change cannot be made, or not so that the answer is sure to stay true.
    """
    if len(problem.question) > _LONGEST:
        raise Unchanged(f"too long: {len(problem.question):,} characters of question")
    made = CHANGES[change](problem, random.Random(f"{seed}/{problem.id}/{change}"))
    meta = {**made.meta, "change": change, "of": problem.id}
    return dataclasses.replace(made, set=f"{problem.set or problem.source}/{change}", meta=meta)
