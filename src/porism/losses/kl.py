"""Estimates of the divergence from a reference, from the tokens that were sampled alone.

Schulman, "Approximating KL divergence", 2020. With r = p_reference / p at a token that the policy p drew, all three
estimate KL(policy ‖ reference): k1 = −log r has no bias and a large variance and may be negative; k2 = (log r)² / 2 has
a small bias, and its gradient is that of the divergence; k3 = r − 1 − log r has no bias and is never negative.
"""

from __future__ import annotations

from typing import Literal

import torch

__all__ = ["Estimator", "kl"]

Estimator = Literal["k1", "k2", "k3"]


def kl(logps_N: torch.Tensor, reference_N: torch.Tensor, estimator: Estimator = "k3") -> torch.Tensor:
    """The estimate at each token, in nats: [N].

    Args:
        logps_N: log-probability of each token under the policy.
        reference_N: the same under the reference.
        estimator: which of the three.
    """
    log_ratio = reference_N - logps_N
    if estimator == "k1":
        return -log_ratio
    if estimator == "k2":
        return log_ratio**2 / 2
    return torch.exp(log_ratio) - log_ratio - 1
