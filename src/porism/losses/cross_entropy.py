"""Next-token cross-entropy over chosen positions, each with a weight."""

from __future__ import annotations

import torch

__all__ = ["cross_entropy"]


def cross_entropy(logps_N: torch.Tensor, weights_N: torch.Tensor, total: torch.Tensor | float) -> torch.Tensor:
    """Weighted mean of −log p(target): the weighted sum over the positions, divided by ``total``.

    Dividing by the weights of the whole optimiser step, not of this micro-batch, makes accumulated gradients those of
    one large batch. With weights of 1 this is the plain mean; equal weights of any size change nothing.

    Args:
        logps_N: log-probability of the token that came next.
        weights_N: how much each position counts.
        total: sum of the weights in the optimiser step.

    Returns:
        A scalar, in nats a token.
    """
    return -(logps_N * weights_N).sum() / total
