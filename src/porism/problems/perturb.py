"""Problems changed so that their answer stays true: other numbers, names or words, an idle sentence, mixed options.

===========  ==========================================================================================================
change       what is done
===========  ==========================================================================================================
numbers      other numbers; the answer is computed anew from the solution's calculator annotations, and only where these
             account for every number in question and solution and give back the known answer (GSM8K, SVAMP, samples)
names        other first names; nothing else
reword       other words of the same meaning, and small numbers written out
irrelevant   a sentence more that has nothing to do with what is asked (as GSM-IC, Shi et al., 2023, arXiv:2302.00093)
options      the options of a choice in another order
===========  ==========================================================================================================

A problem that a change cannot be made to is left out with its reason. The result depends on the problem and the seed
alone, not on the other problems. ``meta`` says what was done (``change``) and to which problem (``of``).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field

from porism import store
from porism.problems import Unreadable
from porism.problems._change_names import names
from porism.problems._change_numbers import numbers
from porism.problems._change_options import options
from porism.problems._change_words import irrelevant, reword
from porism.problems._changing import Unchanged
from porism.recipe import Seed
from porism.records import Problem

__all__ = ["CHANGES", "READS", "Change", "Unchanged", "changed", "files", "load"]

READS = (Problem,)

Change = Literal["numbers", "names", "reword", "irrelevant", "options"]
CHANGES: dict[Change, Callable[[Problem, random.Random], Problem]] = {
    "numbers": numbers,
    "names": names,
    "reword": reword,
    "irrelevant": irrelevant,
    "options": options,
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
        DataError: no such file, or a row that is no problem.
    """
    del split
    for path in input:
        for record in store.read(path, Problem):
            problem = cast("Problem", record)
            for change in changes:
                seen = {problem.question}
                for number in range(each):
                    try:
                        variant = changed(problem, change, f"{seed}/{number}")
                    except Unchanged as left:
                        reason = f"{change}, {left}"
                        yield Unreadable(problem.id, reason, problem.question, is_defect=False)
                        break
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
    made = CHANGES[change](problem, random.Random(f"{seed}/{problem.id}/{change}"))
    meta = {**made.meta, "change": change, "of": problem.id}
    return dataclasses.replace(made, set=f"{problem.set or problem.source}/{change}", meta=meta)
