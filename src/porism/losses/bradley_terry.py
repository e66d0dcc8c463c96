"""Bradley–Terry: the chosen answer's reward is to exceed the rejected one's, by a margin where one is given."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["bradley_terry"]


def bradley_terry(
    chosen_B: torch.Tensor, rejected_B: torch.Tensor, margin_B: torch.Tensor | float = 0.0, *, centre: float = 0.0
) -> torch.Tensor:
    """−log σ(chosen − rejected − margin), plus ``centre`` times (chosen + rejected)²: [B].

    Margins: Touvron et al., 2023, arXiv:2307.09288. Centring keeps rewards near 0: Eisenstein et al., 2023,
    arXiv:2312.09244.

    Args:
        chosen_B: rewards of the better answers.
        rejected_B: rewards of the worse ones.
        margin_B: by how much they should differ.
        centre: weight of the centring; 0 for none.
    """
    loss = -functional.logsigmoid(chosen_B - rejected_B - margin_B)
    return loss + centre * (chosen_B + rejected_B) ** 2 if centre else loss
