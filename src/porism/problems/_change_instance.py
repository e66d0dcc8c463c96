"""Another instance of a problem's template (GSM-Symbolic: Mirzadeh et al., 2024, arXiv:2410.05229).

Names and numbers change, and the template computes the answer. Templates are those of the source ``procedural``.
"""

from __future__ import annotations

import dataclasses
import random

from porism.problems._changing import Unchanged
from porism.problems.procedural import instance as drawn
from porism.records import Problem

__all__ = ["instance"]

_TASK = "gsm_symbolic"
_TRIES = 20


def instance(problem: Problem, rng: random.Random) -> Problem:
    """The problem's template filled in anew.

    Raises:
        Unchanged: it comes from no template that is known here.
    """
    task, _, number = problem.group.partition("/")
    if problem.source != "procedural" or task != _TASK or not number.isdecimal():
        raise Unchanged("no template: it was made from none that is known here")
    for _ in range(_TRIES):
        made = drawn(int(number), rng)
        if made is not None and made.question != problem.question:
            return dataclasses.replace(problem, question=made.question, answer=made.answer, solution=made.solution)
    raise Unchanged("no other instance: the template has no more")
