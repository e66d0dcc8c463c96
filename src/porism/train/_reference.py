"""Log-probabilities of answers under the reference: computed once before training, or at every step.

Computed beforehand, they need no second model in memory and no second pass in later epochs. At every step they come
from the same network with its adapters switched off, or from a second, frozen copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from porism import console
from porism.errors import ModelError, RecipeError
from porism.models.load import base_of, load
from porism.models.packing import ATTENTION, Batch, Item, moved, pack
from porism.models.pull import locate
from porism.train._model import LanguageModel

if TYPE_CHECKING:
    from porism.train._run import Start

__all__ = ["Kind", "Reference", "frozen", "reference", "same_vocabulary", "starting"]

Kind = Literal["precomputed", "adapter-off", "model"]

Reference = Callable[[Batch], torch.Tensor]
"""A batch → log-probability of each answer under the reference, [A]."""


def reference(
    start: Start, model: LanguageModel, items: Sequence[Item], kind: Kind, other: str = ""
) -> tuple[Reference, list[Item]]:
    """How a step gets the reference's log-probabilities, and the rows, which may carry them.

    Args:
        start: what is trained; its network is still as it was loaded.
        model: the same, as log-probabilities.
        items: the rows.
        kind: where they come from.
        other: another model that is the reference; the one that training starts from if empty.

    Raises:
        RecipeError: there are no adapters to switch off, or the reference is one of them.
        ModelError: the other model cannot be loaded, or has another vocabulary.
    """
    if kind == "adapter-off":
        if not hasattr(start.network, "disable_adapter") or other:
            raise RecipeError(
                "reference adapter-off: needs adapters that are switched off, and no reference_model. Set method to "
                "lora, or reference to precomputed."
            )
        if hasattr(start.loaded.model, "disable_adapter"):
            raise RecipeError(
                "reference adapter-off: training starts from an adapter, and without it the reference would be that "
                "adapter's base. Take reference precomputed, or merge the adapter first (porism export)."
            )
        return _without_adapters(model), list(items)
    copied = frozen(start, other) if other or kind == "model" else model
    if kind == "model":
        return lambda batch: _summed(copied, batch), list(items)
    return _from_values, _precomputed(copied, items, start)


def frozen(start: Start, other: str) -> LanguageModel:
    """A copy of the network, or another model, that is not trained.

    Raises:
        ModelError: the other model cannot be loaded, or has another vocabulary.
    """
    if other:
        loaded = load(other, "float32")
        same_vocabulary(start.loaded.tokenizer, loaded.tokenizer, f"reference_model {other}")
        network: Any = loaded.model
        network.set_attn_implementation(ATTENTION)
        network.to(start.network.device)
    else:
        network = copy.deepcopy(start.network)
    return LanguageModel(network.eval().requires_grad_(False), start.dtype)


def same_vocabulary(own: Any, other: Any, name: str, cure: str = "") -> None:
    """Refuse a model whose tokens are not those of the one that is trained.

    Args:
        own: tokenizer of the model that is trained.
        other: tokenizer of the other one.
        name: of the other one.
        cure: what else can be done.

    Raises:
        ModelError: a token has another number, or is missing.
    """
    here, there = own.get_vocab(), other.get_vocab()
    if here != there:
        different = [token for token, number in here.items() if there.get(token) != number]
        shown = ", ".join(map(repr, different[:3] or list(there.keys() - here.keys())[:3]))
        raise ModelError(
            f"{name}: its vocabulary of {len(there):,} tokens is not that of the model that is trained, of "
            f"{len(here):,} (such as {shown}). Take one of the same family{cure}."
        )


def _from_values(batch: Batch) -> torch.Tensor:
    found: torch.Tensor = batch["values"]["reference"]
    return found


def _without_adapters(model: LanguageModel) -> Reference:
    def found(batch: Batch) -> torch.Tensor:
        with model.network.disable_adapter():
            return _summed(model, batch)

    return found


def _summed(model: LanguageModel, batch: Batch) -> torch.Tensor:
    """Log-probability of each answer, without a gradient and without dropout."""
    network = model.network
    was = network.training
    network.eval()
    try:
        with torch.no_grad(), model.autocast(batch["input_ids"].device):
            return model.by_answer(model.logprobs(network, batch), batch)
    finally:
        network.train(was)


def _precomputed(model: LanguageModel, items: Sequence[Item], start: Start) -> list[Item]:
    """The rows with the reference's log-probabilities among their values."""
    found: list[Item] = []
    device = start.network.get_input_embeddings().weight.device
    size = min(start.settings.micro_batch_size, start.settings.batch_size)
    with console.progress("reference", len(items), "rows") as bar:
        for at in range(0, len(items), size):
            part = items[at : at + size]
            numbers = _summed(model, moved(pack(part), device)).tolist()
            for item in part:
                own, numbers = numbers[: len(item.answers)], numbers[len(item.answers) :]
                found.append(item._replace(values={**item.values, "reference": own}))
            bar.advance(len(part))
    return found


def starting(start: Start, model: LanguageModel, kind: str, other: str = "") -> tuple[LanguageModel, bool]:
    """The model that training starts from, or another one, as a reference that stays.

    Args:
        start: what is trained; its network is still as it was loaded.
        model: the same, as log-probabilities.
        kind: ``adapter-off``, ``model``, or ``auto``: the former where adapters begin here. Those that came with the
            model are part of where training starts, and are not switched off.
        other: another model.

    Returns:
        The reference, and whether adapters have to be switched off for it.
    """
    adapted = hasattr(start.network, "disable_adapter")
    fresh = adapted and not base_of(locate(start.settings.model))
    if not other and (kind == "adapter-off" or (kind == "auto" and fresh)):
        return model, True
    copied = frozen(start, other)
    copied.temperature = model.temperature
    return copied, False
