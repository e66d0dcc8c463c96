"""Next-token cross-entropy over chosen positions."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["cross_entropy"]


def cross_entropy(logits_N_V: torch.Tensor, targets_N: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    """Sum of −log p(target) over the positions, divided by ``count``.

    Dividing by the number of positions in the whole optimiser step, not in this micro-batch, makes accumulated
    gradients those of one large batch.

    Args:
        logits_N_V: unnormalised scores; taken to float32 before the softmax.
        targets_N: the token that came next.
        count: positions in the optimiser step.

    Returns:
        A scalar, in nats a token.
    """
    return functional.cross_entropy(logits_N_V.float(), targets_N, reduction="sum") / count
