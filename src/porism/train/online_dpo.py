"""Online DPO: in every step new answers, the best and the worst of each problem as a pair, and DPO on it.

Guo et al., 2024, arXiv:2402.04792. What is better is decided by correctness, then by the reward; the reference is the
model that training began with. It is ``porism train selfplay`` with rounds of one step.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from porism import store
from porism.train import selfplay
from porism.train._rewarding import inputs

__all__ = ["Settings", "inputs", "run"]


class Settings(selfplay.Settings):
    """Settings of ``porism train online-dpo``."""

    batch_size: Annotated[int, Field(description="problems in a step", ge=1)] = 8
    minibatches: Annotated[int, Field(description="optimiser steps in a pass over a step's pairs", ge=1)] = 1
    reference_at: Annotated[
        Literal["round", "start"],
        Field(description="the reference: the model when the step began, or when training did"),
    ] = "start"


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, roll-outs, pairs, metrics and card.

    Raises:
        UserError: problems, rewards, model or settings are unfit, or a limit was passed.
    """
    selfplay.run(settings, out)
