"""Gradients of whole training methods on a tiny model, against finite differences of their losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from porism.find import find
from porism.models import packing
from porism.models.load import load
from porism.models.packing import Answer, Item
from porism.models.scores import ScoreModel
from porism.train import distill, dpo, kto, reward, sft, verifier
from porism.train._model import LanguageModel
from porism.train._reference import _summed
from porism.train._trainer import _divisors

STEP = 5e-3
ITEMS = [
    Item([5, 9, 7], [Answer([11, 12, 2], [1.0, 0.5, 2.0]), Answer([13, 2])], {"margin": [0.3], "labels": [1.0, 0.0]}),
    Item([8] * 9, [Answer([40, 2]), Answer([41, 42, 43, 2])], {"margin": [0.0], "labels": [0.0, 1.0]}),
]


def network_of(folder: Path, *, noise: int = 0, scores: bool = False) -> Any:
    network: Any = load(str(folder), scores=scores).model
    network.set_attn_implementation(packing.ATTENTION)
    torch.manual_seed(noise)
    with torch.no_grad():
        for parameter in network.parameters() if noise else ():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network


def of_sft(folder: Path) -> tuple[Any, Any]:
    network = network_of(folder)
    return network, sft.objective(LanguageModel(network))


def of_dpo(folder: Path) -> tuple[Any, Any]:
    network, frozen = network_of(folder), LanguageModel(network_of(folder, noise=1))
    loss = find(dpo.LOSSES, "sigmoid", "loss")
    return network, dpo.objective(
        LanguageModel(network),
        lambda pairs: loss(pairs, beta=0.4),
        lambda batch: _summed(frozen, batch),
        sft_weight=0.3,
    )


def of_kto(folder: Path) -> tuple[Any, Any]:
    """The reference is likelier everywhere, so the reference point, which carries no gradient, stays at 0."""
    network, frozen = network_of(folder), LanguageModel(network_of(folder))
    return network, kto.objective(
        LanguageModel(network), lambda batch: _summed(frozen, batch) + 1, beta=0.4, undesirable_weight=1.3
    )


def of_reward(folder: Path) -> tuple[Any, Any]:
    network = network_of(folder, scores=True)
    return network, reward.objective(ScoreModel(network), use_margin=True, centre=0.1)


def of_verifier(folder: Path) -> tuple[Any, Any]:
    network = network_of(folder, scores=True)
    return network, verifier.objective(ScoreModel(network))


def of_distill(folder: Path) -> tuple[Any, Any]:
    network, teacher = network_of(folder), network_of(folder, noise=2)
    return network, distill.objective(LanguageModel(network), LanguageModel(teacher), beta=0.3, sft_weight=0.2)


@pytest.mark.parametrize("made", [of_sft, of_dpo, of_kto, of_reward, of_verifier, of_distill])
def test_gradients_are_finite_differences(made: Callable[[Path], tuple[Any, Any]], tiny_model: Path) -> None:
    """Each tensor of weights is moved along its own gradient: the loss rises as steeply as the gradient is long."""
    network, objective = made(tiny_model)
    items = ITEMS
    if made is of_kto:
        items = [item._replace(values={"labels": item.values["labels"][:1]}) for item in ITEMS]
    batch = packing.pack(items)
    counted = _divisors(packing.totals([batch]))
    objective(network, batch, counted).loss.backward()

    def loss() -> float:
        with torch.no_grad():
            return float(objective(network, batch, counted).loss)

    moved = 0
    for name, weight in network.named_parameters():
        if weight.grad is None or float(weight.grad.norm()) < 1e-3:
            continue
        length = float(weight.grad.norm())
        start, step = weight.detach().clone(), STEP * weight.grad / length
        found = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.copy_(start + sign * step)
            found.append(loss())
        with torch.no_grad():
            weight.copy_(start)
        assert (found[0] - found[1]) / (2 * STEP) == pytest.approx(length, rel=0.03, abs=5e-4), name
        moved += 1
    assert moved > 10
