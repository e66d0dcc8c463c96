"""The roll-out side of the loop: which problems, their answers, their rewards, and what is learnt from them.

An iteration rolls out, judges, and is learnt in a fixed number of optimiser steps. Every roll-out and every judgement
is in the journal before it is used, so that a run that was cut off makes none again, and learns the same from them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch

from porism.engines import Reply, Request, Sampling
from porism.errors import DataError, PorismError
from porism.models.packing import Batch, Item, pack
from porism.records import Attempt, Message, Problem, Status, Verdict, content_id
from porism.train import _limits
from porism.train._curriculum import Curriculum
from porism.train._groups import Group, Rollout, attempts_of
from porism.train._journal import Journal, Place
from porism.train._policy import Prepared
from porism.train._rewarding import Rewarding
from porism.train._rolling import Rolling
from porism.train._sampler import Sampler

__all__ = ["Asked", "Fed", "Feed", "Learner"]


class Learner(Protocol):
    """Makes an iteration's optimiser steps of its groups."""

    def prepare(self, groups: Sequence[Group], iteration: int) -> Prepared:
        """See :class:`porism.train._policy.Policy`."""


class Fed(NamedTuple):
    """One optimiser step."""

    parts: list[Batch]
    absent: torch.Tensor
    """Counts of what is not in the parts because it changes nothing; see :class:`porism.models.packing.Totals`."""
    figures: dict[str, float]
    """What is logged with it, besides the loss's own."""
    done: bool = False
    """No problem is left: all are retired."""


class Asked(NamedTuple):
    """A problem as it is asked."""

    problem: Problem
    messages: list[Message]
    prompt: list[int]


class _Round(NamedTuple):
    """One call of the sampler, under way or done."""

    place: Place
    numbers: list[int]
    found: Future[dict[str, Any]] | dict[str, Any]


class Feed:
    """Gives the trainer what each optimiser step learns from.

    Args:
        settings: of the method.
        asked: the problems.
        sampler: who rolls out.
        rewarding: who judges.
        learner: the method.
        journal: of the stage.
        model: fingerprint of the model that training started from.
        where: the journal, for messages.
    """

    def __init__(
        self,
        settings: Rolling,
        asked: Sequence[Asked],
        sampler: Sampler,
        rewarding: Rewarding,
        *,
        learner: Learner,
        journal: Journal,
        model: str,
        where: str,
    ) -> None:
        self._settings, self._asked, self._sampler, self._rewarding = settings, asked, sampler, rewarding
        self._learner, self._journal, self._model, self._where = learner, journal, model, where
        self._curriculum = Curriculum(
            len(asked), settings.seed, by_difficulty=settings.choose == "difficulty", retire_after=settings.retire_after
        )
        self._limits = _limits.Limits(
            settings, f"The roll-outs are kept in {where}; the same command with another limit goes on from there."
        )
        self._next = 0
        """The iteration that has not been looked at."""
        self._choices = 0
        self._ahead: _Round | None = None
        self._threads = ThreadPoolExecutor(1) if settings.staleness else None
        self._prepared: Prepared | None = None
        self.seconds = {"rollout": 0.0, "grading": 0.0}

    def __call__(self, step: int) -> Fed:
        """What an optimiser step learns from.

        Args:
            step: how many there were before it.

        Raises:
            DataError: a rate is above its limit, or a roll-out that was there is gone.
            UserError: the sampler or a reward failed; the roll-outs are kept.
        """
        iteration, number = divmod(step, self._settings.per_iteration)
        figures: dict[str, float] = {}
        if number == 0:
            if self._next < iteration:
                self._sampler.sync(step)
            while self._next < iteration:
                self._load(self._next, step=None)
            if self._next == iteration:
                groups, figures = self._load(iteration, step)
                self._prepared = self._learner.prepare(groups, iteration)
                figures |= self._prepared.figures
        if self._prepared is None:
            raise PorismError(f"step {step} begins within an iteration of {self._settings.per_iteration} steps.")
        rows = self._prepared.steps[number]
        done = self._curriculum.retired == len(self._asked)
        return Fed(_packed(rows, self._settings), self._prepared.absent[number], figures, done)

    def settle(self) -> None:
        """Wait for roll-outs that are under way, and store them: what comes after may rely on them."""
        if self._ahead is not None:
            self._store(self._ahead)

    def close(self) -> None:
        """End what runs beside."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._sampler.close()

    def records(self, iterations: int) -> Iterator[Attempt]:
        """Every roll-out so far, judged, in order."""
        for iteration in range(iterations):
            for group in self.groups(iteration):
                yield from group.attempts

    def groups(self, iteration: int) -> list[Group]:
        """An iteration as it stands in the journal."""
        found: list[Group] = []
        for number in range(self._settings.dynamic_sampling + 1):
            sampled, judged = (Place(iteration, number, phase) for phase in ("sampled", "judged"))
            if judged in self._journal:
                found += self._joined(self._journal.get(sampled), self._journal.get(judged))
        return found

    # --- an iteration ---

    def _load(self, iteration: int, step: int | None) -> tuple[list[Group], dict[str, float]]:
        """Roll an iteration out and judge it, or take it from the journal.

        Args:
            iteration: its number.
            step: optimiser steps so far; None where it was learnt by an earlier session.
        """
        began = dict(self.seconds)
        if step is not None:
            self.settle()
            self._sampler.sync(step)
        groups: list[Group] = []
        for number in range(self._settings.dynamic_sampling + 1):
            found = self._round(iteration, number, step)
            groups += found
            self._curriculum.tell([(group.number, group.pass_rate) for group in found])
            if sum(group.varies for group in groups) >= self._settings.batch_size or not found:
                break
        rates = _limits.rates(groups)
        self._limits.check(rates)
        self._next = iteration + 1
        kept = self._kept(groups)
        spent = {f"seconds_{name}": round(self.seconds[name] - began[name], 3) for name in self.seconds}
        return kept, {**_figures(groups), **rates.shares(), "retired": float(self._curriculum.retired), **spent}

    def _kept(self, groups: list[Group]) -> list[Group]:
        """With dynamic sampling, the first groups whose rewards differ."""
        if not self._settings.dynamic_sampling:
            return groups
        return [group for group in groups if group.varies][: self._settings.batch_size]

    def _round(self, iteration: int, number: int, step: int | None) -> list[Group]:
        """One roll-out of an iteration, judged."""
        current = self._ahead
        self._ahead = None
        if current is None or current.place != Place(iteration, number, "sampled"):
            current = self._begun(Place(iteration, number, "sampled"), missing=step is None)
        if self._threads is not None:
            self._ahead = self._begun(Place(iteration + 1, 0, "sampled"), missing=False, beside=step is not None)
        self._store(current)
        sampled = self._journal.get(current.place) if current.numbers else {"answers": [], "numbers": []}
        place = current.place._replace(phase="judged")
        if not current.numbers:
            return []
        if place not in self._journal:
            began = time.perf_counter()
            judged = self._judged(sampled)
            self.seconds["grading"] += time.perf_counter() - began
            groups = self._joined(sampled, judged)
            self._refuse(groups)
            self._journal.put(place, judged)
            return groups
        return self._joined(sampled, self._journal.get(place))

    def _refuse(self, groups: list[Group]) -> None:
        """Stop before a judgement is stored where nothing could be rewarded: it is asked for again then."""
        rewards = [reward for group in groups for reward in group.rewards]
        if rewards and all(reward is None for reward in rewards) and self._settings.max_unjudged < 1:
            reasons = [one.meta.get("no_reward", "") for group in groups for one in group.attempts]
            raise DataError(
                f"none of {len(rewards)} answers has a reward, more than max_unjudged="
                f"{self._settings.max_unjudged:g} allows. The first: {reasons[0]}. The roll-outs are kept in "
                f"{self._where}; the same command judges them again, and goes on."
            )

    def _begun(self, place: Place, *, missing: bool, beside: bool = False) -> _Round:
        """Choose problems and begin to roll them out, unless the journal has that.

        Raises:
            DataError: a part of the journal is gone on which later weights rest.
        """
        numbers = self._curriculum.choose(self._settings.batch_size, self._choices)
        self._choices += 1
        if place in self._journal:
            stored: list[int] = self._journal.get(place)["numbers"]
            if stored != numbers:
                raise DataError(
                    f"{self._where} holds roll-outs of other problems than are chosen now. Delete the stage's folder "
                    "to train anew."
                )
            return _Round(place, numbers, {})
        if missing:
            raise DataError(
                f"{self._where} lacks iteration {place.iteration}, which the checkpoint has learnt from. Delete the "
                "stage's folder to train anew."
            )
        if not numbers:
            return _Round(place, [], {})
        if beside and self._threads is not None:
            return _Round(place, numbers, self._threads.submit(self._sample, place, numbers))
        return _Round(place, numbers, self._sample(place, numbers))

    def _store(self, current: _Round) -> None:
        """Put a roll-out into the journal, waiting for it where it is under way."""
        found = current.found.result() if isinstance(current.found, Future) else current.found
        if found and current.place not in self._journal:
            self._journal.put(current.place, found)

    def _sample(self, place: Place, numbers: Sequence[int]) -> dict[str, Any]:
        """Ask the sampler, and say what came back as JSON can."""
        began, settings = time.perf_counter(), self._settings
        sampling = Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens)
        requests = [
            Request(
                ids=self._asked[number].prompt,
                sampling=sampling,
                n=settings.samples,
                seed=int(content_id(settings.seed, place.iteration, place.round, self._asked[number].problem.id), 16),
                logprobs=True,
            )
            for number in numbers
        ]
        version = self._sampler.version
        replies = self._sampler.generate(requests)
        self.seconds["rollout"] += time.perf_counter() - began
        return {"numbers": list(numbers), "version": version, "answers": [_plain(reply) for reply in replies]}

    def _judged(self, sampled: dict[str, Any]) -> list[list[dict[str, Any]]]:
        """Verdict and reward of every answer, as JSON can say it."""
        groups = [self._unjudged(sampled, at) for at in range(len(sampled["numbers"]))]
        flat = [one for group in groups for one in group.attempts]
        found = iter(self._rewarding(flat, [one.ids for group in groups for one in group.rollouts]))
        return [[_said(next(found)) for _ in group.attempts] for group in groups]

    def _unjudged(self, sampled: dict[str, Any], at: int) -> Group:
        number = sampled["numbers"][at]
        asked = self._asked[number]
        rollouts = [Rollout(*one) for one in sampled["answers"][at]]
        attempts = attempts_of(
            asked.problem,
            asked.messages,
            rollouts,
            len(asked.prompt),
            seed=self._settings.seed,
            model=self._model,
            weights=sampled["version"],
        )
        return Group(number, asked.prompt, rollouts, attempts, [None] * len(rollouts))

    def _joined(self, sampled: dict[str, Any], judged: list[list[dict[str, Any]]]) -> list[Group]:
        """Roll-outs and judgements as groups."""
        found = []
        for at, own in enumerate(judged):
            group = self._unjudged(sampled, at)
            attempts = [_graded(one, said) for one, said in zip(group.attempts, own, strict=True)]
            found.append(group._replace(attempts=attempts, rewards=[said["reward"] for said in own]))
        return found


def _packed(rows: Sequence[Item], settings: Rolling) -> list[Batch]:
    """Rows in micro-batches."""
    parts: list[list[Item]] = []
    room = 0
    for row in rows:
        full = len(parts[-1]) >= settings.micro_batch_size if parts else True
        if full or (settings.micro_batch_tokens and row.tokens > room):
            parts.append([])
            room = settings.micro_batch_tokens or 0
        parts[-1].append(row)
        room -= row.tokens
    return [pack(part) for part in parts]


def _plain(reply: Reply) -> list[list[Any]]:
    return [[one.text, list(one.ids), list(one.logprobs), one.finish, one.error] for one in reply.samples]


def _said(judged: Any) -> dict[str, Any]:
    verdict = judged.attempt.verdict
    plain = dataclasses.asdict(verdict) if verdict is not None else None
    meta = {
        name: judged.attempt.meta[name] for name in ("rewards", "reward", "no_reward") if name in judged.attempt.meta
    }
    return {"reward": judged.reward, "verdict": plain, "meta": meta}


def _graded(attempt: Attempt, said: dict[str, Any]) -> Attempt:
    verdict = Verdict(**{**said["verdict"], "status": Status(said["verdict"]["status"])}) if said["verdict"] else None
    return dataclasses.replace(attempt, verdict=verdict, meta={**attempt.meta, **said["meta"]})


def _figures(groups: Sequence[Group]) -> dict[str, float]:
    """Means of an iteration."""
    attempts = [one for group in groups for one in group.attempts]
    rewards = [one for group in groups for one in group.rewards if one is not None]
    rates = [rate for group in groups if (rate := group.pass_rate) is not None]
    parts: dict[str, list[float]] = {}
    for one in attempts:
        for name, value in one.meta.get("rewards", {}).items():
            parts.setdefault(f"reward_{name.rpartition(':')[2]}", []).append(value)
    by_group: dict[str, list[float]] = {}
    for group in groups:
        if group.pass_rate is not None:
            by_group.setdefault(group.attempts[0].problem.group or "all", []).append(group.pass_rate)
    found = {
        "reward": _mean(rewards),
        "pass_rate": _mean(rates),
        "length": _mean([float(one.completion_tokens) for one in attempts]),
        **{name: _mean(values) for name, values in parts.items()},
        **{f"pass_rate/{name}": _mean(values) for name, values in by_group.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
