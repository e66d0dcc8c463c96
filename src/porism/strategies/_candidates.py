"""Several candidates for each problem, stored or sampled, and the choice of one among them.

Candidates are sampled with the prompt of ``direct``, or with ``shots`` worked examples that of ``cot``; or they are
attempts that an earlier stage stored, and then no model is asked. The chosen attempt carries the trace of the choice in
``meta.trace``; its ``completion_tokens`` are those of all candidates, since that is what the answer cost.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, cast

from pydantic import Field

from porism import store
from porism.engines import Engine, Sampling
from porism.errors import DataError, RecipeError
from porism.graders import check as judged
from porism.graders import grade_all, has_profiles, scorer_of
from porism.graders._scorer import OverSteps
from porism.records import Attempt, Problem, Status
from porism.strategies import ask, cot, direct

__all__ = [
    "Asked",
    "Attempts",
    "Candidate",
    "Most",
    "ScoreTag",
    "Shown",
    "best",
    "candidates",
    "chosen",
    "classes",
    "fit",
    "scores",
    "usable",
]

Attempts = Annotated[
    list[str], Field(description="attempts that are there already, to choose among; then no model is asked")
]
Most = Annotated[int, Field(description="with attempts: only the first so many at each problem; 0 for all", ge=0)]
Shown = Annotated[int, Field(description="worked examples before the question; 0 for the question alone", ge=0)]
ScoreTag = Annotated[
    str, Field(description="without a scorer: the tag of the attempts that holds their score, such as reward")
]

_UNREAD = (Status.TRUNCATED, Status.ERROR, Status.TIMEOUT)


class Asked(NamedTuple):
    """How candidates are sampled: the settings of that name."""

    shots: int
    examples: str
    prompt: str
    instruction: str
    system: str | None


class Candidate(NamedTuple):
    """One attempt, the final answer that was read in it, and its score where there is one."""

    attempt: Attempt
    answer: str | None
    score: float | None = None


def fit(name: str, *, samples: int, temperature: float, attempts: Sequence[str], scorer: str | None = None) -> None:
    """Refuse settings under which there would be nothing to choose among.

    Args:
        name: of the strategy.
        samples: how many are asked for.
        temperature: of the sampling.
        attempts: stored ones.
        scorer: who scores; None for a strategy that needs no scores.

    Raises:
        RecipeError: one sample, several that would all be the same, or samples that nobody scores.
    """
    if not attempts and samples < 2:
        raise RecipeError(f"{name}: it chooses among several samples. Set samples, to 8 say, or name stored attempts.")
    if not attempts and not temperature:
        raise RecipeError(f"{name}: at temperature 0 all samples would be the same. Set temperature, to 0.7 say.")
    if not attempts and scorer == "":
        raise RecipeError(
            f"{name}: samples have to be scored. Set scorer to a reward model or verifier, such as runs/verifier/model."
        )


def candidates(
    name: str,
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int,
    seed: int,
    attempts: Sequence[str],
    most: int,
    asked: Asked,
) -> list[list[Candidate]]:
    """The candidates for each problem, with their answers.

    Raises:
        DataError: there is no stored attempt at a problem.
    """
    if attempts:
        tries = [_stored(tuple(attempts), _state(attempts)).get(problem.id, []) for problem in problems]
        bare = next((one for one, found in zip(problems, tries, strict=True) if not found), None)
        if bare:
            raise DataError(
                f"{', '.join(attempts)}: no attempt at the problem {bare.id} ({bare.question[:60]!r}). Take the "
                "attempts that were made at these problems, graded by the same kind."
            )
        tries = [found[: most or len(found)] for found in tries]
    else:
        shown = {"prompt": asked.prompt, "instruction": asked.instruction, "system": asked.system}
        if asked.shots:
            prompts = [cot.prompt(one, shots=asked.shots, examples=asked.examples, **shown) for one in problems]  # type: ignore[arg-type]
        else:
            prompts = [direct.prompt(one, **shown) for one in problems]  # type: ignore[arg-type]
        tries = ask(name, problems, prompts, engine, sampling, samples=samples, seed=seed)
    answers = iter(_answers([attempt for found in tries for attempt in found]))
    return [[Candidate(attempt, next(answers)) for attempt in found] for found in tries]


def _state(paths: Sequence[str]) -> tuple[tuple[int, int], ...]:
    files = [store.locate(path).stat() for path in paths]
    return tuple((file.st_mtime_ns, file.st_size) for file in files)


@functools.lru_cache(maxsize=2)
def _stored(paths: tuple[str, ...], state: tuple[tuple[int, int], ...]) -> dict[str, list[Attempt]]:
    """The attempts in files, by their problems."""
    del state
    found: dict[str, list[Attempt]] = {}
    for path in paths:
        for record in store.read(path, Attempt):
            attempt = cast("Attempt", record)
            found.setdefault(attempt.problem.id, []).append(attempt)
    return found


def _answers(attempts: Sequence[Attempt]) -> list[str | None]:
    """The final answer that each attempt states; the reference answer plays no part in it."""
    asked = [at for at, one in enumerate(attempts) if one.finish != "error" and _states_answers(one.problem.kind)]
    bare = [
        dataclasses.replace(attempts[at], problem=dataclasses.replace(attempts[at].problem, answer=_ANY))
        if not attempts[at].problem.answer
        else attempts[at]
        for at in asked
    ]
    found: list[str | None] = [None] * len(attempts)
    for at, verdict in zip(asked, grade_all(bare), strict=True):
        found[at] = verdict.answer if verdict.status not in _UNREAD else None
    return found


_ANY = "0"
"""A reference for problems that have none, so that the answers to them can be read."""


def _states_answers(kind: str) -> bool:
    return ":" not in kind and has_profiles(kind)


def scores(tried: Sequence[Sequence[Candidate]], scorer: str, tag: str, over_steps: OverSteps) -> list[list[Candidate]]:
    """The candidates with their scores: by a reward model or verifier, or those that stored attempts carry.

    Raises:
        DataError: a stored attempt carries none.
        ModelError: the scorer cannot be loaded.
    """
    flat = [one for group in tried for one in group]
    if scorer:
        judge = scorer_of(scorer)
        found = judge.scored([(one.attempt.messages, one.attempt.text) for one in flat], over_steps)
        numbers = iter([one.score for one in found])
    else:
        numbers = iter([_carried(one.attempt, tag) for one in flat])
    return [[one._replace(score=next(numbers)) for one in group] for group in tried]


def _carried(attempt: Attempt, tag: str) -> float:
    value: Any = attempt.meta
    for part in tag.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise DataError(
        f"the attempt {attempt.id} has no score under {tag!r}, got {value!r:.40}. Set scorer to a reward model or "
        "verifier, or let 'porism curate tag --scorer' write one."
    )


def classes(group: Sequence[Candidate]) -> list[list[int]]:
    """The places of candidates that state the same answer, in the order in which the answers first came.

    Answers are compared by the problem's grader, not as text. A candidate that states none is in no class.
    """
    found: list[list[int]] = []
    for at, one in enumerate(group):
        if one.answer is None:
            continue
        for places in found:
            if _same(group[places[0]].answer or "", one.answer, one.attempt.problem):
                places.append(at)
                break
        else:
            found.append([at])
    return found


def _same(one: str, other: str, problem: Problem) -> bool:
    if one == other:
        return True
    return judged(gold=one, text=rf"\boxed{{{other}}}", kind=problem.kind, question=problem.question).correct


def best(group: Sequence[Candidate], places: Sequence[int]) -> int:
    """The place with the highest score; of several, and where there are no scores, the first."""
    return max(places, key=lambda at: (_number(group[at].score), -at))


def usable(group: Sequence[Candidate]) -> list[int]:
    """The places of candidates that state an answer; where none does, of those that did not fail; else all."""
    stated = [at for at, one in enumerate(group) if one.answer is not None]
    there = [at for at, one in enumerate(group) if one.attempt.finish != "error"]
    return stated or there or list(range(len(group)))


def chosen(name: str, group: Sequence[Candidate], at: int, votes: dict[str, float] | None = None) -> Attempt:
    """The chosen attempt, ungraded, with the trace of the choice.

    Args:
        name: of the strategy.
        group: all candidates for the problem.
        at: the place of the chosen one.
        votes: answer → weight, where there was a vote.
    """
    trace: dict[str, Any] = {
        "candidates": [
            {
                "sample": one.attempt.sample,
                "answer": one.answer,
                "score": None if one.score is None or math.isnan(one.score) else round(one.score, 6),
                "tokens": one.attempt.completion_tokens,
            }
            for one in group
        ],
        "chosen": at,
    }
    if votes is not None:
        trace["votes"] = {answer: round(weight, 6) for answer, weight in votes.items()}
    taken = group[at].attempt
    return dataclasses.replace(
        taken,
        strategy=name,
        sample=0,
        verdict=None,
        completion_tokens=sum(one.attempt.completion_tokens for one in group),
        meta={**taken.meta, "trace": trace},
    )


def _number(score: float | None) -> float:
    return -math.inf if score is None or math.isnan(score) else score
