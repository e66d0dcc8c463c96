"""Losses of preference pairs, one a file: ``loss(pairs, …) -> [B]``.

A module says ``REFERENCE = False`` where it needs no reference model, and ``SFT_WEIGHT`` where the cross-entropy of the
chosen answers belongs to it. Its keyword-only parameters are settings of ``porism train dpo``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Pairs"]


class Pairs(NamedTuple):
    """Log-probabilities of answers, each summed over its tokens, and how many tokens those are. All are [B]."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    reference_chosen: torch.Tensor
    reference_rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor

    @property
    def chosen_ratios(self) -> torch.Tensor:
        """log(policy / reference) of the chosen answers."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_ratios(self) -> torch.Tensor:
        """log(policy / reference) of the rejected answers."""
        return self.rejected - self.reference_rejected

    @property
    def difference(self) -> torch.Tensor:
        """By how much the chosen answer's log-ratio exceeds the rejected one's."""
        return self.chosen_ratios - self.rejected_ratios

    @property
    def difference_by_token(self) -> torch.Tensor:
        """The same with each log-ratio divided by its answer's tokens."""
        return self.chosen_ratios / self.chosen_tokens - self.rejected_ratios / self.rejected_tokens
