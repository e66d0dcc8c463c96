"""Anchored preference optimisation, where the chosen answers are worse than the model's own.

D'Oosterlinck et al., 2024, arXiv:2408.06266, equation 8.
"""

from __future__ import annotations

import torch

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """σ(β · chosen log-ratio) + 1 − σ(β · difference of the log-ratios): [B].

    Args:
        pairs: log-probabilities.
        beta: strength of the tie to the reference.
    """
    return torch.sigmoid(beta * pairs.chosen_ratios) + 1 - torch.sigmoid(beta * pairs.difference)
