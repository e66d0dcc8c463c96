"""The critic of PPO: one number at every token, read off the policy's last hidden states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from porism.errors import ModelError

__all__ = ["Critic"]


class Critic:
    """A linear layer on the hidden states; it begins at 0, so that all values are 0.

    It is part of the network while that is trained, so that the optimiser and the gradient norm know it.

    Args:
        network: what is trained.
        fused: whether hidden states can be had.

    Raises:
        ModelError: they cannot.
    """

    _NAME = "value_head"

    def __init__(self, network: Any, *, fused: bool) -> None:
        if not fused:
            raise ModelError(
                f"{type(network).__name__} does more with its hidden states than multiply them, so that no critic can "
                "be read off them here. Take an algorithm without one, such as grpo."
            )
        size = network.get_output_embeddings().weight.shape[1]
        self._network = network
        self.layer = torch.nn.Linear(size, 1, device=network.get_output_embeddings().weight.device)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)
        network.add_module(self._NAME, self.layer)

    def values(self, hidden_N_H: torch.Tensor) -> torch.Tensor:
        """What is still to be earned, from each position on: [N] in float32."""
        found: torch.Tensor = self.layer(hidden_N_H)[:, 0].float()
        return found

    def save(self, folder: Path) -> None:
        """Write the layer beside a checkpoint."""
        import safetensors.torch

        safetensors.torch.save_file(
            {name: value.detach().cpu().contiguous() for name, value in self.layer.state_dict().items()},
            folder / "critic.safetensors",
        )

    def load(self, folder: Path) -> None:
        """Read it back."""
        import safetensors.torch

        self.layer.load_state_dict(safetensors.torch.load_file(folder / "critic.safetensors"))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """In here the network is without it, as it is written down."""
        self.take_off()
        try:
            yield
        finally:
            self._network.add_module(self._NAME, self.layer)

    def take_off(self) -> None:
        """The trained model is saved without it."""
        delattr(self._network, self._NAME)
