"""A problem and its roll-outs, as they are stored and learnt from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["FAILED", "Group", "Rollout", "attempts_of", "judged"]


FAILED = (Status.ERROR, Status.TIMEOUT, Status.GOLD_UNPARSED)
"""Statuses that say nothing about the answer."""


class Rollout(NamedTuple):
    """One answer as the sampler gave it."""

    text: str
    ids: list[int]
    """The end token included."""
    logprobs: list[float]
    """Of each token under the weights that sampled it; nothing where the sampler does not tell."""
    finish: str
    error: str = ""


class Group(NamedTuple):
    """A problem with its answers, graded."""

    number: int
    """Of the problem, in the input."""
    prompt: list[int]
    rollouts: list[Rollout]
    attempts: list[Attempt]
    rewards: list[float | None]

    @property
    def varies(self) -> bool:
        """Whether there are two different rewards, so that there is something to learn."""
        known = {one for one in self.rewards if one is not None}
        return len(known) > 1

    @property
    def pass_rate(self) -> float | None:
        """The share of right answers, as ``evaluate`` counts: of all but those that could not be run or graded."""
        told = [one.verdict for one in self.attempts if one.verdict is not None and one.verdict.status not in FAILED]
        return sum(verdict.correct for verdict in told) / len(told) if told else None

    @property
    def usable(self) -> list[int]:
        """The answers that have a reward and tokens."""
        return [
            at
            for at, (reward, rollout) in enumerate(zip(self.rewards, self.rollouts, strict=True))
            if reward is not None and math.isfinite(reward) and rollout.ids
        ]


def attempts_of(
    problem: Problem, messages: Sequence[Any], rollouts: Sequence[Rollout], prompt: int, **meta: Any
) -> list[Attempt]:
    """The answers to a problem as records.

    Args:
        problem: what was asked.
        messages: how.
        rollouts: what came back.
        prompt: tokens of the prompt.
        meta: what else is kept, such as the iteration; ``seed`` and ``model`` have fields of their own.
    """
    own = {name: meta.pop(name) for name in ("seed", "model") if name in meta}
    return [
        Attempt(
            problem=problem,
            strategy="rollout",
            messages=messages,
            text=one.text,
            finish=one.finish,  # type: ignore[arg-type]  # as the engine said it
            sample=number,
            prompt_tokens=prompt,
            completion_tokens=len(one.ids),
            error=one.error,
            meta=meta,
            **own,
        )
        for number, one in enumerate(rollouts)
    ]


def judged(attempt: Attempt, verdict: Verdict | None, **meta: Any) -> Attempt:
    """The record with its verdict and rewards."""
    return dataclasses.replace(attempt, verdict=verdict, meta={**attempt.meta, **_said(meta)})


def _said(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if value not in (None, "", {})}
