"""Roll-outs → optimiser steps of a policy-gradient algorithm: measure, estimate advantages, pack; and the loss."""

from __future__ import annotations

import contextlib
import functools
import inspect
import random
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from porism.losses.kl import Estimator, kl
from porism.losses.policy import Rollouts, Tokens
from porism.models.packing import Answer, Batch, Item, Totals, moved, pack
from porism.records import content_id
from porism.train._critic import Critic
from porism.train._groups import Group
from porism.train._model import LanguageModel
from porism.train._trainer import Outcome

if TYPE_CHECKING:
    from porism.train.rl import Settings

__all__ = ["Measured", "Policy", "Prepared", "measure", "objective"]


class Prepared(NamedTuple):
    """An iteration, ready to be learnt."""

    steps: list[list[Item]]
    """Rows of each optimiser step."""
    absent: list[torch.Tensor]
    """Of each step the counts of answers that are left out because they change nothing, like :class:`Totals`."""
    figures: dict[str, float]


class Measured(NamedTuple):
    """Numbers at the tokens of rows: one answer after the other."""

    logps: torch.Tensor
    values: torch.Tensor | None


class Policy:
    """Prepares iterations for one algorithm.

    Args:
        settings: of ``train rl``.
        module: the algorithm; see :mod:`porism.losses.policy`.
        model: the network as log-probabilities.
        reference: the same of the reference; None where it has no part.
        critic: where the algorithm has one.
        corrected: whether the sampler's log-probabilities are corrected for.
    """

    def __init__(
        self,
        settings: Settings,
        module: types.ModuleType,
        model: LanguageModel,
        reference: Reference | None,
        critic: Critic | None,
        *,
        corrected: bool,
    ) -> None:
        self._settings, self._model, self._reference, self._critic = settings, model, reference, critic
        self._advantages = _bound(module.advantages, settings)
        self._in_reward = settings.kl_in(module) == "reward"
        self._corrected = corrected and settings.importance_cap > 0

    def prepare(self, groups: Sequence[Group], iteration: int) -> Prepared:
        """Everything that an iteration's optimiser steps need.

        Args:
            groups: with rewards.
            iteration: its number, from 0.
        """
        settings = self._settings
        rows = [(group, group.usable) for group in groups if group.usable]
        items = [Item(group.prompt, [Answer(group.rollouts[at].ids) for at in chosen]) for group, chosen in rows]
        if not items:
            return Prepared([[] for _ in range(settings.per_iteration)], _nothing(settings.per_iteration), {})
        sampled = torch.tensor(
            [one for group, chosen in rows for at in chosen for one in _told(group.rollouts[at])], dtype=torch.float32
        )
        figures: dict[str, float] = {"entropy": float(-sampled.nanmean())} if settings.temperature == 1 else {}
        own = self._measured(items) if self._needs_old() else None
        referred = (
            measure(self._reference.model, items, settings.micro_batch_size, self._reference)
            if self._reference
            else None
        )
        if own is not None and settings.temperature == 1:
            figures["sampler_difference"] = float((own.logps - sampled).abs().nanmean())
        estimates = self._estimated(rows, own, referred)
        names: dict[str, torch.Tensor] = {"advantages": estimates.advantages, "sampled": sampled}
        if own is not None:
            names["old"] = own.logps
            if self._corrected:
                names["weights"] = (own.logps - sampled).nan_to_num(nan=0.0).exp().clamp(max=settings.importance_cap)
        if referred is not None:
            names["reference"] = referred.logps
        if own is not None and own.values is not None and estimates.returns is not None:
            names |= {"old_values": own.values, "returns": estimates.returns}
            figures["value"] = float(own.values.mean())
        warm = iteration < settings.critic_warmup and self._critic is not None
        return self._split(_filled(items, names, warm=warm), iteration, figures)

    def _needs_old(self) -> bool:
        """Whether log-probabilities before the first update have to be computed: else they are the loss's own."""
        critic, many = self._critic is not None, self._settings.per_iteration > 1
        return critic or many or self._corrected or (self._in_reward and self._reference is not None)

    def _measured(self, items: Sequence[Item]) -> Measured:
        return measure(self._model, items, self._settings.micro_batch_size, critic=self._critic)

    def _estimated(
        self, rows: Sequence[tuple[Group, list[int]]], own: Measured | None, referred: Measured | None
    ) -> Any:
        """Advantages, and returns where there is a critic."""
        rewards = [group.rewards[at] for group, chosen in rows for at in chosen]
        lengths = [len(group.rollouts[at].ids) for group, chosen in rows for at in chosen]
        penalty = torch.zeros(sum(lengths))
        if self._in_reward and own is not None and referred is not None:
            penalty = self._settings.beta * kl(own.logps, referred.logps, self._settings.kl_estimator or "k1")
        return self._advantages(
            Rollouts(
                rewards=torch.tensor(rewards, dtype=torch.float32),
                group=torch.tensor([at for at, (_, chosen) in enumerate(rows) for _ in chosen]),
                answer=torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
                penalty=penalty,
                values=own.values if own is not None else None,
            )
        )

    def _split(self, items: list[Item], iteration: int, figures: dict[str, float]) -> Prepared:
        """Rows in the order in which they are learnt; those that change nothing are only counted."""
        settings = self._settings
        keeps_all = self._critic is not None or (self._reference is not None and not self._in_reward)
        steps: list[list[Item]] = []
        absent: list[torch.Tensor] = []
        for update in range(settings.updates):
            order = list(range(len(items)))
            random.Random(int(content_id("minibatches", settings.seed, iteration, update), 16)).shuffle(order)
            for number in range(settings.minibatches):
                chosen = [items[at] for at in sorted(order[number :: settings.minibatches])]
                learnt = [one for one in chosen if keeps_all or any(one.values["advantages"])]
                steps.append([part for one in learnt for part in _parts(one, settings.micro_batch_tokens or 0)])
                absent.append(_counts([one for one in chosen if not any(one is other for other in learnt)]))
        return Prepared(steps, absent, figures)


class Reference(NamedTuple):
    """Where the reference's log-probabilities come from."""

    model: LanguageModel
    adapter_off: bool


def measure(
    model: LanguageModel,
    items: Sequence[Item],
    size: int,
    reference: Reference | None = None,
    critic: Critic | None = None,
) -> Measured:
    """Log-probabilities of all tokens, and the critic's values, without gradient and dropout.

    Args:
        model: the network.
        items: prompts with their answers.
        size: rows at once.
        reference: says whether adapters are switched off for this.
        critic: reads values off the hidden states.
    """
    network = model.network
    device = network.get_input_embeddings().weight.device
    off = network.disable_adapter() if reference is not None and reference.adapter_off else contextlib.nullcontext()
    was, logps, values = network.training, [], []
    network.eval()
    try:
        with off, torch.no_grad(), model.autocast(device):
            for at in range(0, len(items), size):
                batch = moved(pack(items[at : at + size]), device)
                found, hidden = model.with_hidden(network, batch) if critic else (model.logprobs(network, batch), None)
                logps.append(found.cpu())
                if critic is not None and hidden is not None:
                    values.append(critic.values(hidden).cpu())
    finally:
        network.train(was)
    return Measured(torch.cat(logps), torch.cat(values) if values else None)


def objective(
    model: LanguageModel,
    module: types.ModuleType,
    settings: Settings,
    critic: Critic | None,
) -> Any:
    """The algorithm's loss over packed roll-outs, the prompt of each group computed once.

    Args:
        model: the network as log-probabilities.
        module: the algorithm.
        settings: of ``train rl``; the loss's own are among them.
        critic: where the algorithm has one.
    """
    own_loss = _bound(module.loss, settings)
    in_loss = settings.kl_in(module) == "loss"
    estimator: Estimator = settings.kl_estimator or "k3"

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        values = batch["values"]
        seen = None
        if critic is None:
            logps = model.logprobs(network, batch)
        elif "warm" in values:
            with torch.no_grad():
                logps, hidden = model.with_hidden(network, batch)
            seen = critic.values(hidden)
        else:
            logps, hidden = model.with_hidden(network, batch)
            seen = critic.values(hidden)
        old = values.get("old", logps.detach())
        apart, told = None, old
        if "reference" in values and "warm" not in values:
            apart = kl(logps, values["reference"], estimator)
            told = apart.detach()
            if settings.kl_weighted:
                apart = apart * torch.exp(logps - old)
        found = own_loss(
            Tokens(
                logps=logps,
                old=old,
                advantages=values["advantages"],
                answer=batch["answer"],
                lengths=model.tokens(batch),
                answers=totals.answers,
                tokens=totals.tokens,
                weights=values.get("weights", torch.ones_like(old)),
                divergence=settings.beta * apart if apart is not None and in_loss else None,
                values=seen,
                old_values=values.get("old_values"),
                returns=values.get("returns"),
            )
        )
        figures = dict(found.figures)
        if "old" not in values and settings.temperature == 1:
            figures["sampler_difference"] = (old - values["sampled"]).abs().nansum() / totals.tokens
        if apart is not None:
            figures["kl"] = told.sum() / totals.tokens
        return Outcome(found.loss, figures)

    return loss


def _bound(function: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """The function with its options as they are set; those that are not keep the algorithm's own defaults."""
    names = [one.name for one in inspect.signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY]
    given = {name: getattr(settings, name, None) for name in names}
    return functools.partial(function, **{name: value for name, value in given.items() if value is not None})


def _told(rollout: Any) -> list[float]:
    """Log-probabilities from the sampler; NaN where it tells none."""
    return list(rollout.logprobs) if len(rollout.logprobs) == len(rollout.ids) else [float("nan")] * len(rollout.ids)


def _filled(items: Sequence[Item], numbers: dict[str, torch.Tensor], *, warm: bool) -> list[Item]:
    """The rows with numbers at each of their tokens."""
    sizes = [sum(len(answer.ids) for answer in item.answers) for item in items]
    parts = {name: [part.tolist() for part in torch.split(all_of, sizes)] for name, all_of in numbers.items()}
    marks = {"warm": [1.0]} if warm else {}
    found = []
    for at, item in enumerate(items):
        values = {name: own[at] for name, own in parts.items()} | marks
        if warm:
            values["advantages"] = [0.0] * len(values["advantages"])
        found.append(item._replace(values=values))
    return found


def _parts(item: Item, most: int) -> list[Item]:
    """A row whose answers do not fit into memory together as several, each with the prompt."""
    if not most or item.tokens <= most or len(item.answers) == 1:
        return [item]
    half = len(item.answers) // 2
    cut = sum(len(answer.ids) for answer in item.answers[:half])
    sides = ((item.answers[:half], slice(None, cut)), (item.answers[half:], slice(cut, None)))
    return [
        part
        for answers, where in sides
        for part in _parts(
            item._replace(
                answers=answers,
                values={name: own if name == "warm" else own[where] for name, own in item.values.items()},
            ),
            most,
        )
    ]


def _counts(items: Sequence[Item]) -> torch.Tensor:
    return pack(items)["counts"] if items else torch.zeros(len(Totals._fields), dtype=torch.float64)


def _nothing(steps: int) -> list[torch.Tensor]:
    return [_counts([]) for _ in range(steps)]
