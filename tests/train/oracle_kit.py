"""What tests against TRL's trainers share: their arguments, and losses and gradients that must be the same."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from porism.models import packing
from porism.models.load import load
from porism.models.packing import Item
from porism.train._trainer import _divisors

__all__ = ["QUIET", "TOLERANCE", "gradients", "network_of", "of_porism", "options", "same"]

TOLERANCE = 1e-5
QUIET = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
"""What TRL warns of is not the tests' matter."""


def options(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """Arguments of a trainer of TRL's in float32 on the processor."""
    return {
        "output_dir": str(tmp_path),
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        **more,
    }


def gradients(network: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    return found


def of_porism(objective: Callable[..., Any], network: Any, items: Sequence[Item]) -> tuple[float, Any]:
    """Loss and gradients of an objective on some rows."""
    network.train()
    batch = packing.pack(items)
    loss = objective(network, batch, _divisors(packing.totals([batch]))).loss
    loss.backward()
    return float(loss.detach()), gradients(network)


def same(ours: tuple[float, Any], theirs: tuple[float, Any]) -> None:
    """Both losses, and both gradients as one long vector, differ by less than the tolerance."""
    assert ours[0] == pytest.approx(theirs[0], rel=TOLERANCE)
    assert ours[1].keys() == theirs[1].keys()
    size = torch.stack([grad.norm() for grad in theirs[1].values()]).norm()
    away = torch.stack([(ours[1][name] - grad).norm() for name, grad in theirs[1].items()]).norm()
    assert size > 0
    assert float(away / size) <= TOLERANCE


def network_of(folder: Path, **named: Any) -> Any:
    """A model on packed rows."""
    network = load(str(folder), **named).model
    network.set_attn_implementation(packing.ATTENTION)
    return network
