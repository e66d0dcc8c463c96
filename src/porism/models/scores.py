"""Models that give an answer one number: reward models and verifiers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from porism.errors import ModelError
from porism.models.packing import Batch

__all__ = ["ScoreModel"]


class ScoreModel:
    """A network with one number at each position, on packed rows.

    Args:
        network: a sequence classifier with one label, plain or wrapped by PEFT; its attention must be the packed one.

    Raises:
        ModelError: it has no layer ``score``.
    """

    def __init__(self, network: Any) -> None:
        named = [(len(name), module) for name, module in network.named_modules() if name.split(".")[-1] == "score"]
        if not named:
            raise ModelError(
                f"{type(network).__name__} has no layer 'score'. Take a model of a family with a sequence classifier "
                "in Transformers, such as Llama, Qwen2 or Gemma."
            )
        self._layer = min(named, key=lambda one: one[0])[1]

    def at_marks(self, model: Any, batch: Batch) -> torch.Tensor:
        """The scores where the batch wants them, [M] in float32.

        Args:
            model: the network, as a trainer has wrapped it.
            batch: see :func:`porism.models.packing.pack`.
        """
        inputs = {name: batch[name] for name in ("input_ids", "position_ids", "layout")}
        with self._caught() as found:
            model(**inputs, use_cache=False)
        scores: torch.Tensor = found[0][0, batch["marks"], 0].float()
        return scores

    @contextmanager
    def _caught(self) -> Iterator[list[torch.Tensor]]:
        """In here, what the score layer gives at all positions is kept: the model itself passes on only the last."""
        found: list[torch.Tensor] = []
        handle = self._layer.register_forward_hook(lambda _module, _given, out: found.append(out))
        try:
            yield found
        finally:
            handle.remove()
