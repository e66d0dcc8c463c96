"""The final answers that texts state, and which of them are the same: by the problems' own graders."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

from porism.graders import check, grade_all, has_profiles
from porism.records import Attempt, Problem, Status

__all__ = ["Reading", "classes", "read", "same", "states_answers"]

_UNREAD = (Status.TRUNCATED, Status.ERROR, Status.TIMEOUT)
_ANY = "0"
"""A reference for problems that have none, so that the answers to them can be read."""


class Reading(NamedTuple):
    """What was read in a text."""

    answer: str | None
    stated: bool = False
    """The text says that this is its answer; else it is only the last that could be one."""


def read(attempts: Sequence[Attempt]) -> list[Reading]:
    """The final answer that each attempt states; the reference answer plays no part in it."""
    asked = [at for at, one in enumerate(attempts) if one.finish != "error" and states_answers(one.problem.kind)]
    bare = [
        dataclasses.replace(attempts[at], problem=dataclasses.replace(attempts[at].problem, answer=_ANY))
        if not attempts[at].problem.answer
        else attempts[at]
        for at in asked
    ]
    found = [Reading(None)] * len(attempts)
    for at, verdict in zip(asked, grade_all(bare), strict=True):
        if verdict.status not in _UNREAD and verdict.answer is not None:
            found[at] = Reading(verdict.answer, stated=verdict.rule != "last")
    return found


def states_answers(kind: str) -> bool:
    """Whether answers can be read at all: not what a model judges, programs, or what code of the user's judges."""
    return ":" not in kind and has_profiles(kind)


def classes(problem: Problem, answers: Sequence[str | None]) -> list[list[int]]:
    """The places of equal answers, in the order in which the answers first came.

    Answers are compared by the problem's grader, not as text. One that is None is in no class.
    """
    found: list[list[int]] = []
    for at, answer in enumerate(answers):
        if answer is None:
            continue
        for places in found:
            if same(answers[places[0]] or "", answer, problem):
                places.append(at)
                break
        else:
            found.append([at])
    return found


def same(one: str, other: str, problem: Problem) -> bool:
    """Whether two answers to a problem are equal to its grader."""
    return one == other or _equal(one, other, problem.kind, problem.question)


@functools.lru_cache(maxsize=65_536)  # a vote that is held again after each window compares the same answers
def _equal(one: str, other: str, kind: str, question: str) -> bool:
    return check(gold=one, text=rf"\boxed{{{other}}}", kind=kind, question=question).correct
