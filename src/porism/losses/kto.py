"""Kahneman–Tversky optimisation: learns from single answers that are labelled wanted or not.

Ethayarajh et al., 2024, arXiv:2402.01306, equation 7, as TRL computes it.
"""

from __future__ import annotations

import torch

__all__ = ["kto", "reference_point"]


def kto(
    ratios_B: torch.Tensor,
    wanted_B: torch.Tensor,
    point: torch.Tensor,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> torch.Tensor:
    """One minus the value of each answer, weighted: [B].

    Args:
        ratios_B: log-probability of the answer minus the reference's.
        wanted_B: true where the answer is wanted.
        point: the reference point; see :func:`reference_point`.
        beta: how fast the value saturates.
        desirable_weight: of wanted answers.
        undesirable_weight: of the others.
    """
    gain = 1 - torch.sigmoid(beta * (ratios_B - point))
    loss = 1 - torch.sigmoid(beta * (point - ratios_B))
    return torch.where(wanted_B, desirable_weight * gain, undesirable_weight * loss)


def reference_point(mismatched_B: torch.Tensor) -> torch.Tensor:
    """The mean log-ratio of answers to other prompts, at least 0; no gradient flows through it.

    It estimates the divergence from the reference. With few rows it is noisy: the estimate is that of one micro-batch.
    """
    return mismatched_B.detach().mean().clamp(min=0)
