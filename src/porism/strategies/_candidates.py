"""Several candidates for each problem, stored or sampled, and the choice of one among them.

Candidates are sampled with the prompt of ``direct``, or with ``shots`` worked examples that of ``cot``; or they are
attempts that an earlier stage stored, and then no model is asked. The chosen attempt carries the trace of the choice in
``meta.trace``; its ``completion_tokens`` are those of all candidates, since that is what the answer cost.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, cast

from pydantic import Field

from porism import store
from porism.engines import Engine, Request, Sampling
from porism.errors import DataError, RecipeError
from porism.graders import scorer_of
from porism.graders._scorer import OverSteps
from porism.prompts.messages import Examples, Instruction, Prompt, System
from porism.records import Attempt, Message, Problem, content_id
from porism.strategies import _reading, cot, direct
from porism.strategies._asking import attempts_of, problem_seed
from porism.strategies._budget import Budget, Purse, Stopped, generate
from porism.strategies._trace import Branch, Trace

__all__ = ["Candidate", "Group", "Scoring", "Trying", "best", "chosen", "classes", "collect", "fit", "scored", "usable"]


class Trying(NamedTuple):
    """Where candidates come from."""

    samples: int = 1
    seed: int = 0
    attempts: Annotated[
        list[str], Field(description="attempts that are there already, to choose among; then no model is asked")
    ] = []
    most: Annotated[
        int, Field(description="with attempts: only the first so many at each problem; 0 for all", ge=0)
    ] = 0
    shots: Annotated[int, Field(description="worked examples before the question; 0 for the question alone", ge=0)] = 0
    examples: Examples = "worked"
    prompt: Prompt = ""
    instruction: Instruction = ""
    system: System = None

    def shown(self, problem: Problem) -> list[Message]:
        """What the model is shown of a problem."""
        asked: dict[str, Any] = {"prompt": self.prompt, "instruction": self.instruction, "system": self.system}
        if self.shots:
            return cot.prompt(problem, shots=self.shots, examples=self.examples, **asked)
        return direct.prompt(problem, **asked)


class Scoring(NamedTuple):
    """Who scores candidates."""

    scorer: str = ""
    over_steps: OverSteps = "min"
    score: Annotated[
        str, Field(description="without a scorer: the tag of the attempts that holds their score, such as reward")
    ] = "reward"


class Candidate(NamedTuple):
    """One attempt, the final answer that was read in it, and its score where there is one."""

    attempt: Attempt
    answer: str | None
    score: float | None = None
    seconds: float | None = None


@dataclass
class Group:
    """The candidates for one problem."""

    problem: Problem
    purse: Purse
    candidates: list[Candidate] = field(default_factory=list)
    calls: int = 0
    """Candidates that a model was asked for."""
    stopped: str = ""
    """What ended the drawing: a budget, or the engine's error."""


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


def collect(
    name: str,
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    *,
    trying: Trying,
    budget: Budget,
    window: int = 0,
    enough: Callable[[Group], bool] = lambda _: False,
) -> list[Group]:
    """The candidates for each problem, with their answers; those of all problems are drawn together.

    Args:
        name: of the strategy.
        problems: what to solve.
        engine: who answers, where no attempts are stored.
        sampling: how tokens are chosen.
        trying: where candidates come from.
        budget: what those for one problem may cost.
        window: how many are drawn at once; 0 for all.
        enough: told of a problem's candidates after each window: whether no more are wanted.

    Raises:
        DataError: there is no stored attempt at a problem.
    """
    began = time.monotonic()
    groups = [Group(problem, Purse(budget, began)) for problem in problems]
    draw = _from_store(problems, trying) if trying.attempts else _from_engine(name, engine, sampling, trying)
    active = groups
    while active:
        drawn = draw(active, window)
        readings = iter(_reading.read([one.attempt for each in drawn for one in each]))
        going = []
        for group, each in zip(active, drawn, strict=True):
            group.candidates += [one._replace(answer=next(readings).answer) for one in each]
            group.purse.spend(len(each), sum(one.attempt.completion_tokens for one in each))
            if each and not group.stopped and not enough(group):
                going.append(group)
        active = going
    return groups


_Draw = Callable[[Sequence[Group], int], list[list[Candidate]]]


def _from_engine(name: str, engine: Engine, sampling: Sampling, trying: Trying) -> _Draw:
    """Draws samples: sample ``i`` of a problem is the same, however many are drawn at once, where the engine can."""

    def draw(groups: Sequence[Group], window: int) -> list[list[Candidate]]:
        asked: list[tuple[int, Request]] = []
        for at, group in enumerate(groups):
            have = len(group.candidates)
            wanted = min(window or trying.samples, trying.samples - have)
            if wanted < 1:
                continue
            try:
                n, longest = group.purse.admit(wanted, sampling.max_tokens)
            except Stopped as stopped:
                group.stopped = str(stopped)
                continue
            seed = problem_seed(trying.seed, group.problem)
            first = have if have and getattr(engine, "takes_first", False) else 0
            request = Request(
                messages=trying.shown(group.problem),
                sampling=dataclasses.replace(sampling, max_tokens=longest),
                n=n,
                seed=seed if first == have else int(content_id(seed, have), 16),
                first=first,
            )
            asked.append((at, request))
        found: list[list[Candidate]] = [[] for _ in groups]
        if not asked:
            return found
        deadline = groups[0].purse.deadline
        made = generate(engine, [request for _, request in asked], deadline)
        for (at, request), (reply, seconds) in zip(asked, made, strict=True):
            group = groups[at]
            first = len(group.candidates)
            group.calls += request.n
            tries = attempts_of(name, group.problem, request, reply, engine.model, first=first)
            found[at] = [Candidate(one, None, seconds=seconds * one.completion_tokens) for one in tries]
            if deadline is not None and any(one.error == "cancelled" for one in tries):
                group.stopped = "seconds"
            elif all(one.finish == "error" for one in tries):
                group.stopped = f"engine: {tries[0].error}"
        return found

    return draw


def _from_store(problems: Sequence[Problem], trying: Trying) -> _Draw:
    """Draws stored attempts, in order.

    Raises:
        DataError: there is none at a problem.
    """
    files = tuple(trying.attempts)
    stored = _stored(files, _state(files))
    bare = next((one for one in problems if not stored.get(one.id)), None)
    if bare:
        raise DataError(
            f"{', '.join(files)}: no attempt at the problem {bare.id} ({bare.question[:60]!r}). Take the "
            "attempts that were made at these problems, graded by the same kind."
        )

    def draw(groups: Sequence[Group], window: int) -> list[list[Candidate]]:
        found: list[list[Candidate]] = []
        for group in groups:
            have, all_ = len(group.candidates), stored[group.problem.id]
            left = all_[have : trying.most or len(all_)]
            try:
                n, _ = group.purse.admit(len(left[: window or None]), 1) if left else (0, 1)
            except Stopped as stopped:
                group.stopped, n = str(stopped), 0
            found.append([Candidate(one, None) for one in left[:n]])
        return found

    return draw


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


def scored(groups: Sequence[Group], scoring: Scoring) -> Sequence[Group]:
    """The groups, their candidates scored: by a reward model or verifier, or as stored attempts carry it.

    Raises:
        DataError: a stored attempt carries no score.
        ModelError: the scorer cannot be loaded.
    """
    flat = [one for group in groups for one in group.candidates]
    if scoring.scorer:
        judge = scorer_of(scoring.scorer)
        found = judge.scored([(one.attempt.messages, one.attempt.text) for one in flat], scoring.over_steps)
        numbers = iter([one.score for one in found])
    else:
        numbers = iter([_carried(one.attempt, scoring.score) for one in flat])
    for group in groups:
        group.candidates = [one._replace(score=next(numbers)) for one in group.candidates]
    return groups


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


def classes(group: Group) -> list[list[int]]:
    """The places of candidates that state the same answer; see :func:`porism.strategies._reading.classes`."""
    return _reading.classes(group.problem, [one.answer for one in group.candidates])


def best(group: Group, places: Sequence[int]) -> int:
    """The place with the highest score; of several, and where there are no scores, the first."""
    return max(places, key=lambda at: (_number(group.candidates[at].score), -at))


def usable(group: Group) -> list[int]:
    """The places of candidates that state an answer; where none does, of those that did not fail; else all."""
    stated = [at for at, one in enumerate(group.candidates) if one.answer is not None]
    there = [at for at, one in enumerate(group.candidates) if one.attempt.finish != "error"]
    return stated or there or list(range(len(group.candidates)))


def chosen(name: str, group: Group, choose: Callable[[Group], int], votes: dict[str, float] | None = None) -> Attempt:
    """The chosen attempt, ungraded, with the trace of the choice.

    Args:
        name: of the strategy.
        group: the candidates for the problem.
        choose: gives the place of the one to take.
        votes: answer → weight, where there was a vote.
    """
    if not group.candidates:
        why = f"no answer: stopped before the first sample ({group.stopped})"
        messages = [Message(role="user", content=group.problem.question.strip())]
        trace = Trace(stopped=group.stopped).row()
        return Attempt(
            problem=group.problem,
            strategy=name,
            messages=messages,
            text="",
            finish="error",
            error=why,
            meta={"trace": trace},
        )
    at = choose(group)
    taken = group.candidates[at].attempt
    tokens = sum(one.attempt.completion_tokens for one in group.candidates)
    seconds = [one.seconds for one in group.candidates if one.seconds is not None]
    trace = Trace(
        candidates=[_branch(one) for one in group.candidates],
        chosen=at,
        votes=votes,
        stopped=group.stopped,
        calls=group.calls,
        tokens=tokens,
        seconds=math.fsum(seconds) if seconds else None,
    ).row()
    return dataclasses.replace(
        taken, strategy=name, sample=0, verdict=None, completion_tokens=tokens, meta={**taken.meta, "trace": trace}
    )


def _branch(one: Candidate) -> Branch:
    return Branch(
        sample=one.attempt.sample,
        answer=one.answer,
        score=None if one.score is None or math.isnan(one.score) else one.score,
        tokens=one.attempt.completion_tokens,
        seconds=one.seconds,
    )


def _number(score: float | None) -> float:
    return -math.inf if score is None or math.isnan(score) else score
