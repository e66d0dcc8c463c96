"""Binary cross-entropy of a verifier: right or wrong, or a share of roll-outs that were right."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["binary"]


def binary(scores_N: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """−label·log σ(score) − (1 − label)·log σ(−score): [N].

    Cobbe et al., 2021, arXiv:2110.14168 (outcome); Wang et al., 2023, arXiv:2312.08935 (steps, soft labels).

    Args:
        scores_N: log-odds that the answer, or the step, is right.
        labels_N: 1 for right, 0 for wrong, or a share between them.
    """
    return functional.binary_cross_entropy_with_logits(scores_N.float(), labels_N.float(), reduction="none")
