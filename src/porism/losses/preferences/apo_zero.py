"""Anchored preference optimisation, where the chosen answers are better than the model's own.

D'Oosterlinck et al., 2024, arXiv:2408.06266, equation 7.
"""

from __future__ import annotations

import torch

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """1 − σ(β · chosen log-ratio) + σ(β · rejected log-ratio): [B].

    Args:
        pairs: log-probabilities.
        beta: strength of the tie to the reference.
    """
    return 1 - torch.sigmoid(beta * pairs.chosen_ratios) + torch.sigmoid(beta * pairs.rejected_ratios)
