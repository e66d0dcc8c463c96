"""Roll-outs → preference pairs → optimiser steps: what self-play and online DPO learn from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from porism.models.packing import Answer, Item, Totals
from porism.preferences import Choice, candidate, choose
from porism.records import Example, Message, Pair, content_id
from porism.train import _rows
from porism.train._groups import Group
from porism.train._model import LanguageModel
from porism.train._policy import Prepared, Reference, measure

if TYPE_CHECKING:
    from porism.train.selfplay import Settings

__all__ = ["Pairing"]


class _Made(NamedTuple):
    """A pair and its tokens; with a reason there is none."""

    group: Group
    record: Pair
    chosen: list[int]
    rejected: list[int]
    reason: str = ""


class Pairing:
    """Prepares rounds of preference learning.

    Args:
        settings: of ``train selfplay`` or ``train online-dpo``.
        tokenizer: the model's.
        model: the network as log-probabilities.
        reference: the same of a reference that stays; None: the network as it is when a round begins.
        needs: whether the loss has a reference at all.
    """

    def __init__(
        self, settings: Settings, tokenizer: Any, model: LanguageModel, reference: Reference | None, *, needs: bool
    ) -> None:
        self._settings, self._tokenizer, self._model = settings, tokenizer, model
        self._reference, self._needs = reference, needs

    def prepare(self, groups: Sequence[Group], iteration: int) -> Prepared:
        """The pairs of a round, spread over its optimiser steps.

        Args:
            groups: with rewards.
            iteration: the round's number, from 0.
        """
        settings = self._settings
        made = [one for group in groups for one in self._of(group) if not one.reason]
        share = len({one.group.number for one in made}) / max(1, len(groups))
        items = [Item(one.group.prompt, [Answer(one.chosen), Answer(one.rejected)]) for one in made]
        if items and self._needs:
            model = self._reference.model if self._reference else self._model
            found = measure(model, items, settings.micro_batch_size, self._reference)
            items = _referred(items, found.logps)
        steps: list[list[Item]] = []
        for update in range(settings.updates):
            order = list(range(len(items)))
            random.Random(int(content_id("pairs", settings.seed, iteration, update), 16)).shuffle(order)
            steps += [
                [items[at] for at in sorted(order[number :: settings.minibatches])]
                for number in range(settings.minibatches)
            ]
        absent = [torch.zeros(len(Totals._fields), dtype=torch.float64) for _ in steps]
        return Prepared(steps, absent, {"pairs": float(len(items)), "paired": share})

    def pairs(self, groups: Sequence[Group]) -> list[tuple[Pair, str]]:
        """The pairs of a round as records, and where a problem gave none, why.

        Args:
            groups: with rewards.
        """
        return [(one.record, one.reason) for group in groups for one in self._of(group)]

    def _of(self, group: Group) -> list[_Made]:
        if self._settings.pairs_from == "spin":
            return self._against_solution(group)
        candidates = [candidate(one, reward) for one, reward in zip(group.attempts, group.rewards, strict=True)]
        settings = self._settings
        found, reason = choose(candidates, margin=settings.margin, most=settings.pairs, balance=settings.balance)
        rate = group.pass_rate
        if found and rate is not None and rate > settings.max_pass_rate:
            found, reason = [], f"too easy: {rate:.2f} of the answers are right"
        if not found:
            empty = _record(group, "", "", {})
            return [_Made(group, empty, [], [], reason)]
        return [self._chosen(group, one) for one in found]

    def _chosen(self, group: Group, one: Choice) -> _Made:
        chosen, rejected = group.rollouts[one.chosen], group.rollouts[one.rejected]
        return _Made(
            group,
            _record(group, chosen.text, rejected.text, {"by": one.by, "margin": one.margin}),
            chosen.ids,
            rejected.ids,
        )

    def _against_solution(self, group: Group) -> list[_Made]:
        """SPIN: the worked solution is chosen, the model's own answers are rejected, whatever they are worth."""
        problem, messages = group.attempts[0].problem, group.attempts[0].messages
        if not problem.solution:
            return [_Made(group, _record(group, "", "", {}), [], [], "the problem has no solution")]
        answer = [Message(role="assistant", content=problem.solution)]
        row = _rows.row(self._tokenizer, Example(prompt=messages, completion=answer), self._settings.max_length)
        if row.reason:
            return [_Made(group, _record(group, "", "", {}), [], [], f"its solution: {row.reason}")]
        found = []
        for rollout in group.rollouts:
            if rollout.finish == "error" or not rollout.ids or rollout.ids == row.tokens.completion:
                continue
            record = _record(group, problem.solution, rollout.text, {"by": "spin"})
            found.append(_Made(group, record, row.tokens.completion, rollout.ids))
        same = "every answer is the solution itself, or failed"
        return found[: self._settings.pairs] or [_Made(group, _record(group, "", "", {}), [], [], same)]


def _record(group: Group, chosen: str, rejected: str, meta: dict[str, Any]) -> Pair:
    first = group.attempts[0]
    return Pair(
        prompt=first.messages,
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
        meta={"problem": first.problem.id, **meta},
    )


def _referred(items: Sequence[Item], logps_N: torch.Tensor) -> list[Item]:
    """The rows with the log-probability of each answer under the reference."""
    sizes = [len(answer.ids) for item in items for answer in item.answers]
    sums = iter([float(part.sum()) for part in torch.split(logps_N, sizes)])
    return [item._replace(values={"reference": [next(sums) for _ in item.answers]}) for item in items]
