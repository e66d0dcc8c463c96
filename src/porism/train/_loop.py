"""The loop that methods share which learn from their own answers: roll out, judge, learn; and what is kept of it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import transformers

from porism import console, store
from porism.errors import DataError
from porism.graders import Grading, grade_all
from porism.prompts.render import encode
from porism.records import Attempt, Pair, Problem
from porism.train import _rewarding
from porism.train._feed import Asked, Feed, Learner
from porism.train._journal import Journal
from porism.train._network import name_base, save
from porism.train._rolling import Rolling
from porism.train._run import Job, Start
from porism.train._sampler import sampler

if TYPE_CHECKING:
    from porism.train._groups import Group
    from porism.train._sampler import Sampler

__all__ = ["asked", "job"]


def asked(settings: Rolling, tokenizer: Any) -> list[Asked]:
    """The problems as they are asked, without those that leave no room for an answer.

    Raises:
        DataError: none is left.
    """
    problems = [cast("Problem", record) for path in settings.input for record in store.read(path, Problem)]
    problems = list({problem.id: problem for problem in problems}.values())
    found = []
    for problem in problems:
        messages = settings.asked(problem)
        prompt = encode(tokenizer, messages)
        if len(prompt) + settings.max_tokens <= settings.max_length:
            found.append(Asked(problem, messages, prompt))
    if len(found) < len(problems):
        console.notice(
            f"  {len(problems) - len(found)} problems are left out: with max_tokens {settings.max_tokens} they are "
            f"longer than max_length {settings.max_length}"
        )
    if not found:
        raise DataError(f"{', '.join(settings.input)}: no problems that fit into max_length {settings.max_length}.")
    return found


def job(
    settings: Rolling,
    start: Start,
    learner: Callable[[Sampler], Learner],
    objective: Any,
    *,
    beside: Any = None,
    take_off: Callable[[], None] | None = None,
    pairs: Callable[[list[Group]], list[tuple[Pair, str]]] | None = None,
) -> Job:
    """What the trainer is given.

    Args:
        settings: of the method.
        start: network, tokenizer, output.
        learner: makes what is learnt, given the sampler.
        objective: the loss.
        beside: see :class:`Job`.
        take_off: called before the model is written.
        pairs: where preferences are learnt, the pairs of an iteration, which are kept beside the roll-outs.
    """
    out = start.out
    problems = asked(settings, start.loaded.tokenizer)
    folder = out.beside("rollouts")
    out.remove_when_finished(folder)
    loaded = start.loaded._replace(model=start.network)
    base = name_base(start.network, settings)

    def write(target: Path) -> None:
        with beside.aside() if beside else contextlib.nullcontext():
            save(start.network, start.loaded.tokenizer, base, target)

    rolls = sampler(
        settings,
        loaded,
        start.dtype,
        write,
        lambda: _weights(out),
    )
    grading = Grading(settings, grade_all)
    feed = Feed(
        settings,
        problems,
        rolls,
        _rewarding.Rewarding(settings, grading),
        learner=learner(rolls),
        journal=Journal(folder),
        model=start.loaded.fingerprint,
        where=str(folder),
    )
    whole = settings.per_iteration
    iterations = math.ceil(settings.epochs * math.ceil(len(problems) / settings.batch_size))
    steps = settings.max_steps or iterations * whole
    figures: dict[str, Any] = {}

    def finish(done: int) -> None:
        if take_off:
            take_off()
        count = math.ceil(done / whole)
        out.write(_placed(feed, count, pairs))
        figures.update(_told(feed, count, problems))

    def close() -> None:
        feed.close()
        grading.__exit__(None, None, None)

    return Job(
        [],
        objective,
        feed=feed,
        steps=steps,
        whole=whole,
        beside=beside,
        watch=[_Watch(settings)],
        finish=finish,
        close=close,
        figures=figures,
    )


def _weights(out: store.Output) -> Path:
    """Where weights are handed to a server."""
    folder = out.beside("weights")
    folder.mkdir(exist_ok=True)
    out.remove_when_finished(folder)
    return folder


def _placed(
    feed: Feed, iterations: int, pairs: Callable[[list[Group]], list[tuple[Pair, str]]] | None
) -> Iterator[store.Placed]:
    """Every roll-out, and the pairs that were made of them."""
    at = 0
    for iteration in range(iterations):
        groups = feed.groups(iteration)
        for group in groups:
            for one in group.attempts:
                yield store.Placed(at, _numbered(one, iteration))
                at += 1
        for pair, reason in pairs(groups) if pairs else ():
            yield store.Placed(at, pair, reason, "" if reason else "pairs")
            at += 1


def _numbered(attempt: Attempt, iteration: int) -> Attempt:
    return dataclasses.replace(attempt, meta={"iteration": iteration, **attempt.meta})


def _told(feed: Feed, iterations: int, problems: list[Asked]) -> dict[str, Any]:
    """Figures for the manifest and the card."""
    first, last = feed.groups(0), feed.groups(iterations - 1) if iterations else []
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in feed.records(iterations))
    found = {
        "iterations": iterations,
        "problems": len(problems),
        "tokens": tokens,
        "seconds_rollout": round(feed.seconds["rollout"], 1),
        "seconds_grading": round(feed.seconds["grading"], 1),
        "reward_first": _reward(first),
        "reward_last": _reward(last),
    }
    return {name: value for name, value in found.items() if value is not None}


def _reward(groups: list[Group]) -> float | None:
    found = [one for group in groups for one in group.rewards if one is not None]
    return round(sum(found) / len(found), 4) if found else None


class _Watch(transformers.TrainerCallback):  # type: ignore[misc]
    """Stops where the sampler is another model than the trainer's.

    Args:
        settings: with the limit.
    """

    def __init__(self, settings: Rolling) -> None:
        self._settings = settings

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Look at a step's line.

        Raises:
            DataError: the difference is above its limit.
        """
        del args, state, control
        found = (logs or {}).get("sampler_difference", 0.0)
        if not self._settings.staleness and found > self._settings.max_difference:
            raise DataError(
                f"the sampler's log-probabilities differ from the trainer's by {found:.3g} nats a token on average, "
                f"more than max_difference={self._settings.max_difference:g} allows. The sampler does not have the "
                "weights that are trained, or computes otherwise: compare dtypes and versions."
            )
