"""The one definition of "correct": attempt → verdict. Curation, rewards and evaluation all call :func:`judge`.

A grader is a module with ``grade(problem, attempt, *, profile) -> Verdict``. The status says what happened; a text that
could not be judged is never counted as wrong in silence.
"""

from __future__ import annotations

import dataclasses

from porism.find import find
from porism.records import JUDGED, Attempt, Problem, Status, Verdict

__all__ = ["check", "judge"]


def check(*, gold: str, text: str, profile: str = "auto", kind: str = "number") -> Verdict:
    """Judge a text against a reference answer.

    Args:
        gold: the reference answer.
        text: what the model wrote.
        profile: which extraction rules may fire.
        kind: the grader's name.

    Raises:
        RecipeError: no such grader or profile.
    """
    problem = Problem(question="", answer=gold, kind=kind)
    return _grade(Attempt(problem=problem, strategy="", messages=[], text=text), profile)


def judge(attempt: Attempt, profile: str = "auto") -> Verdict:
    """Judge an attempt by its problem's grader.

    An attempt that failed is an ``error``. One that was cut off by the token limit is judged only if it had stated its
    answer before (a rule other than "the last number" fired, and text follows the answer); otherwise it is
    ``truncated``.
    The lm-eval profiles ``strict`` and ``flexible`` judge cut-off texts as lm-eval does.

    Raises:
        RecipeError: the problem's kind, or the profile, does not exist.
    """
    kind = attempt.problem.kind
    if attempt.finish == "error":
        return Verdict(status=Status.ERROR, grader=kind, profile=profile, reason=attempt.error)
    verdict = _grade(attempt, profile)
    if attempt.finish == "length" and _unstated(verdict, attempt.text, profile):
        return dataclasses.replace(
            verdict, status=Status.TRUNCATED, reason="cut off by the token limit before it stated an answer"
        )
    return verdict


def _grade(attempt: Attempt, profile: str) -> Verdict:
    problem = attempt.problem
    verdict: Verdict = find("porism.graders", problem.kind, "grade")(problem, attempt, profile=profile)
    return dataclasses.replace(verdict, grader=problem.kind, profile=profile)


def _unstated(verdict: Verdict, text: str, profile: str) -> bool:
    if verdict.status is Status.UNPARSED:
        return True
    if verdict.status not in JUDGED or profile not in ("auto", "last"):
        return False
    return verdict.rule == "last" or text.endswith(verdict.answer or "")  # the number itself may have been cut
