"""The one definition of "correct": attempt → verdict. Curation, rewards and evaluation all come here.

A grader is a module with ``grade(problem, attempt, *, profile) -> Verdict``, or, where it asks a model, with
``grade_all(attempts, *, profile, engine) -> list[Verdict]``; one that says ``SCORES = True`` gets ``scorer``, a reward
model or verifier, in the place of ``engine``. The profiles that copy lm-eval are judged here, alike for all kinds but a
judge, programs and outside code. The status says what happened; a text that could not be judged is
never counted as wrong in silence.

All functions here may be called from any thread, from a forked process, and from asyncio through
``asyncio.to_thread``: there are no signals, and what may take long runs in processes that are killed when it does.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from porism.engines import Engine
from porism.errors import PorismError, RecipeError
from porism.find import find
from porism.graders._extract import PROFILES, as_lm_eval, profile_of
from porism.graders._scorer import Scorer, forget_scorers, is_scored, scorer_of
from porism.graders._stage import Grading, GradingSettings, grading_inputs, tally
from porism.records import JUDGED, Attempt, Message, Problem, Status, Verdict

__all__ = [
    "PROFILES",
    "Grading",
    "GradingSettings",
    "Scorer",
    "asks_engine",
    "check",
    "forget_scorers",
    "grade",
    "grade_all",
    "grading_inputs",
    "has_profiles",
    "is_scored",
    "profile_of",
    "scorer_of",
    "tally",
]

_AT_ONCE = 8


def check(
    *,
    gold: str,
    text: str,
    profile: str = "auto",
    kind: str = "number",
    question: str = "",
    engine: Engine | None = None,
    scorer: Scorer | None = None,
    sandbox: str = "auto",
) -> Verdict:
    r"""Judge a text against a reference answer.

    Args:
        gold: the reference answer; a number or a bool is taken as it is written.
        text: what the model wrote.
        profile: which extraction rules may fire.
        kind: the grader's name: number, math, choice, boolean, code, judge, reward, verifier, or code of your own.
        question: the question, where the grader reads it (the options of a choice).
        engine: the model that a judge asks.
        scorer: the reward model or verifier that is asked.
        sandbox: the tier in which programs run.

    Raises:
        RecipeError: no such grader or profile, a grader that asks a model was given none, or no sandbox is to be had.

    >>> from porism.graders import check
    >>> check(gold=r"\frac{1}{2}", text="The answer is $0.5$.", kind="math").status
    <Status.CORRECT: 'correct'>
    """
    if not isinstance(text, str):
        raise RecipeError(f"text: expected what the model wrote, a str, got {type(text).__name__}.")
    known = profile_of(profile)
    if not isinstance(gold, str):
        gold = str(gold)
    direct = _direct(kind) if known.pattern is None else None
    if direct is not None:
        return _labelled(direct(gold, text, profile=profile), kind, known.label)
    problem = Problem(question=question, answer=gold, kind=kind)
    messages = [Message(role="user", content=question)] if question else []
    attempt = Attempt(problem=problem, strategy="", messages=messages, text=text)
    if asks_engine(kind):
        return _asked([attempt], profile, scorer if is_scored(kind) else engine)[0]
    return _graded(attempt, profile, sandbox)


def grade(attempt: Attempt, profile: str = "auto") -> Verdict:
    """Judge an attempt by its problem's grader.

    An attempt that failed is an ``error``. One that was cut off by the token limit is judged only if it had stated its
    answer before (a rule other than "the last number" fired, and text follows the answer); otherwise it is
    ``truncated``.
    The lm-eval profiles judge cut-off texts as lm-eval does.

    Raises:
        RecipeError: the problem's kind, or the profile, does not exist, or the grader asks a model.
    """
    return grade_all([attempt], profile)[0]


def grade_all(
    attempts: Sequence[Attempt],
    profile: str = "auto",
    *,
    engine: Engine | None = None,
    scorer: Scorer | None = None,
    sandbox: str = "auto",
    **options: Any,
) -> list[Verdict]:
    """Judge attempts as :func:`grade` does, in order; what waits for other processes is done side by side.

    Args:
        attempts: of any kinds.
        profile: which extraction rules may fire.
        engine: the model that a judge asks, where a problem's kind wants one.
        scorer: the reward model or verifier that is asked, where a problem's kind is reward or verifier.
        sandbox: the tier in which programs run, where a problem's kind is code.
        options: passed to those that have a parameter of the name.

    Raises:
        RecipeError: an unknown kind or profile, a grader that asks a model was given none, or no sandbox is to be had.
    """
    profile_of(profile)
    verdicts: dict[int, Verdict] = {}
    asking: dict[str, list[int]] = {}
    waiting: list[int] = []
    for at, attempt in enumerate(attempts):
        kind = attempt.problem.kind
        if attempt.finish == "error":
            verdicts[at] = Verdict(
                status=Status.ERROR, grader=kind, profile=profile_of(profile).label, reason=attempt.error
            )
        elif asks_engine(kind):
            asking.setdefault(kind, []).append(at)
        elif _is_parallel(kind) and len(attempts) > 1:
            waiting.append(at)
        else:
            verdicts[at] = _graded(attempt, profile, sandbox)
    if waiting:
        threads = ThreadPoolExecutor(_AT_ONCE)
        try:
            found = threads.map(lambda at: _graded(attempts[at], profile, sandbox), waiting)
            verdicts.update(zip(waiting, found, strict=True))
        finally:  # after Ctrl-C nobody waits for what is under way
            threads.shutdown(wait=False, cancel_futures=True)
    for kind, places in asking.items():
        asked = scorer if is_scored(kind) else engine
        found = iter(_asked([attempts[at] for at in places], profile, asked, **options))
        verdicts.update(zip(places, found, strict=True))
    return [_cut_off(attempt, verdicts[at], profile) for at, attempt in enumerate(attempts)]


@cache
def _direct(kind: str) -> Callable[..., Verdict] | None:
    """A grader's function of two texts, where it needs no more."""
    found = sys.modules[_found(kind).__module__] if ":" not in kind else None
    return getattr(found, "judge_text", None)


def asks_engine(kind: str) -> bool:
    """True for a grader that asks a model.

    Raises:
        RecipeError: no such grader.
    """
    return _takes_attempts(kind) if ":" not in kind else _first_parameter(_grader(kind)) == "attempts"


@cache
def _takes_attempts(kind: str) -> bool:
    return _first_parameter(_grader(kind)) == "attempts"


def _first_parameter(grader: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(grader).parameters), "")


def _grader(kind: str) -> Callable[..., Any]:
    return _found(kind) if ":" not in kind else _outside(kind)


@cache
def _found(kind: str) -> Callable[..., Any]:
    grader: Callable[..., Any] = find("porism.graders", kind, "grade_all", "grade")
    return grader


def _outside(kind: str) -> Callable[..., Any]:
    grader: Callable[..., Any] = find("porism.graders", kind)
    if not callable(grader):
        raise RecipeError(f"{kind!r}: expected a function grade(problem, attempt, *, profile), got {grader!r}.")
    return grader


def _is_parallel(kind: str) -> bool:
    return bool(getattr(sys.modules.get(_grader(kind).__module__), "PARALLEL", False))


def has_profiles(kind: str) -> bool:
    """False for a grader to which extraction profiles mean nothing: one that asks a model, or runs programs.

    Raises:
        RecipeError: no such grader.
    """
    return not asks_engine(kind) and not (":" not in kind and _runs_programs(kind))


@cache
def _runs_programs(kind: str) -> bool:
    return bool(getattr(sys.modules.get(_found(kind).__module__), "RUNS_PROGRAMS", False))


def _graded(attempt: Attempt, profile: str, sandbox: str) -> Verdict:
    problem, known = attempt.problem, profile_of(profile)
    grader = _grader(problem.kind)
    if ":" in problem.kind:
        verdict = _by_outside_code(grader, attempt, profile)
    elif _runs_programs(problem.kind):
        return _labelled(grader(problem, attempt, profile=profile, sandbox=sandbox), problem.kind, "")
    elif known.pattern is not None:
        verdict = as_lm_eval(problem, attempt.text, known)
    else:
        verdict = grader(problem, attempt, profile=profile)
    return _labelled(verdict, problem.kind, known.label)


def _by_outside_code(grader: Callable[..., Any], attempt: Attempt, profile: str) -> Verdict:
    kind = attempt.problem.kind
    try:
        verdict = grader(attempt.problem, attempt, profile=profile)
    except PorismError:
        raise
    except Exception as error:
        raise RecipeError(
            f"the grader {kind!r} failed on attempt {attempt.id}: {type(error).__name__}: {error}. Mend it; a grader "
            "takes (problem, attempt, *, profile) and returns a porism.records.Verdict."
        ) from error
    if not isinstance(verdict, Verdict):
        raise RecipeError(f"the grader {kind!r} returned {type(verdict).__name__}; expected a porism.records.Verdict.")
    return verdict


def _labelled(verdict: Verdict, kind: str, profile: str) -> Verdict:
    if verdict.grader == kind and verdict.profile == profile:
        return verdict
    return Verdict(
        status=verdict.status,
        answer=verdict.answer,
        rule=verdict.rule,
        grader=kind,
        profile=profile,
        reason=verdict.reason,
        detail=verdict.detail,
    )


def _asked(attempts: Sequence[Attempt], profile: str, asked: Engine | Scorer | None, **options: Any) -> list[Verdict]:
    """The verdicts of a grader that asks a model; options that it has no parameter for are left out."""
    kind = attempts[0].problem.kind
    name = "scorer" if is_scored(kind) else "engine"
    if asked is None:
        setting = "scorer" if is_scored(kind) else "judge_model (for check: engine)"
        raise RecipeError(f"the grader {kind!r} asks a model, and none was named. Set {setting}.")
    grader = _grader(kind)
    known = inspect.signature(grader).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in known.values())
    given = {option: value for option, value in options.items() if takes_all or option in known}
    verdicts: list[Verdict] = grader(attempts, profile=profile, **{name: asked}, **given)
    return [_labelled(verdict, kind, asked.model) for verdict in verdicts]


def _cut_off(attempt: Attempt, verdict: Verdict, profile: str) -> Verdict:
    if attempt.finish != "length" or not _unstated(verdict, attempt.text, profile):
        return verdict
    kind = attempt.problem.kind
    if verdict.correct and ":" not in kind and _runs_programs(kind):  # what passes its tests is no torso
        return verdict
    reason = "cut off by the token limit before it stated an answer"
    return dataclasses.replace(verdict, status=Status.TRUNCATED, reason=reason)


def _unstated(verdict: Verdict, text: str, profile: str) -> bool:
    if verdict.status is Status.UNPARSED:
        return True
    if verdict.status not in JUDGED or profile_of(profile).pattern is not None:
        return False
    return verdict.rule == "last" or text.endswith(verdict.answer or "")  # the number itself may have been cut
