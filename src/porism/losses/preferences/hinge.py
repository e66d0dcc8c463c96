"""A hinge on the log-ratios. Zhao et al., 2023, arXiv:2305.10425 (SLiC), with a reference as in Liu et al., 2023."""

from __future__ import annotations

import torch

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """max(0, 1 − β · difference of the log-ratios): [B].

    Args:
        pairs: log-probabilities.
        beta: reciprocal of the margin.
    """
    return torch.relu(1 - beta * pairs.difference)
