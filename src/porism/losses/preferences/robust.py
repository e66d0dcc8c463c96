"""DPO for labels of which a known share is flipped. Chowdhury et al., 2024, arXiv:2403.00409, equation 12."""

from __future__ import annotations

import torch
from torch.nn import functional

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float, label_smoothing: float) -> torch.Tensor:
    """An estimate of DPO's loss that is unbiased where a share ``label_smoothing`` of the pairs is flipped: [B].

    Args:
        pairs: log-probabilities.
        beta: strength of the tie to the reference.
        label_smoothing: the share, below 0.5.
    """
    right = -functional.logsigmoid(beta * pairs.difference)
    flipped = -functional.logsigmoid(-beta * pairs.difference)
    return ((1 - label_smoothing) * right - label_smoothing * flipped) / (1 - 2 * label_smoothing)
