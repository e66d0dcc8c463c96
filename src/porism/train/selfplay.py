"""Self-play: preference learning on the model's own checked answers, round after round; or against solutions (SPIN).

In each round the model answers its problems several times; of each problem, right answers are preferred to wrong ones
by the one rule of ``porism.preferences``, as PromptCoT's self-play does, and the model as it was when the round began
is the reference. With ``pairs_from spin`` the worked solution is preferred to the model's own answer (Chen et al.,
2024, arXiv:2401.01335). The round's pairs are kept in ``pairs.jsonl``; ``porism train dpo`` learns from them too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from porism import store
from porism.find import find
from porism.records import Attempt, Problem
from porism.train._rewarding import check, inputs
from porism.train._rolling import Rolling
from porism.train._run import Job, Start, train
from porism.train.dpo import LOSSES, chosen_loss, objective

__all__ = ["Settings", "inputs", "run"]


class Settings(Rolling):
    """Settings of ``porism train selfplay``."""

    reads = (Problem,)
    makes = (Attempt,)

    batch_size: Annotated[int, Field(description="problems in a round", ge=1)] = 64
    minibatches: Annotated[int, Field(description="optimiser steps in a pass over a round's pairs", ge=1)] = 4
    micro_batch_size: Annotated[int, Field(description="pairs in memory at once", ge=1)] = 8
    pairs_from: Annotated[
        Literal["checked", "spin"],
        Field(description="right answers against wrong ones, or worked solutions against the model's own answers"),
    ] = "checked"
    pairs: Annotated[int, Field(description="most pairs of one problem in a round", ge=1)] = 1
    margin: Annotated[
        float, Field(description="where rewards decide, the better one's must be more than this higher", ge=0)
    ] = 0.0
    balance: Annotated[bool, Field(description="reject the wrong answer whose length is nearest")] = True
    max_pass_rate: Annotated[
        float, Field(description="no pairs of problems of which a larger share of the answers is right", gt=0, le=1)
    ] = 1.0
    loss: Annotated[str, Field(description="as with dpo: sigmoid, ipo, hinge, simpo, …")] = "sigmoid"
    beta: Annotated[float, Field(description="strength of the tie to the reference", gt=0)] = 0.1
    label_smoothing: Annotated[float, Field(description="with the loss robust", ge=0, lt=0.5)] = 0.0
    simpo_gamma: Annotated[float, Field(description="with the loss simpo: the margin that is aimed at", ge=0)] = 0.5
    sft_weight: Annotated[
        float | None,
        Field(description="weight of the chosen answers' cross-entropy; the loss's own if not given", ge=0),
    ] = None
    reference_at: Annotated[
        Literal["round", "start"],
        Field(description="the reference: the model when the round began, or when training did"),
    ] = "round"

    @model_validator(mode="after")
    def _paired(self) -> Self:
        find(LOSSES, self.loss, "loss")
        return self

    @property
    def gamma(self) -> float:
        """The name by which the loss knows it."""
        return self.simpo_gamma


def run(settings: Any, out: store.Output) -> None:
    """Train, and write model, roll-outs, pairs, metrics and card.

    Raises:
        UserError: problems, rewards, model or settings are unfit, or a limit was passed.
    """
    check(settings)
    train(settings, out, lambda start: _plan(settings, start), kind="preference")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.train import _loop
    from porism.train._pairing import Pairing
    from porism.train._policy import Reference
    from porism.train._reference import starting

    function, needs, sft_weight = chosen_loss(settings)
    model = start.language_model()
    reference = None
    if needs and settings.reference_at == "start":
        reference = Reference(*starting(start, model, "auto"))
    pairing = Pairing(settings, start.loaded.tokenizer, model, reference, needs=needs)
    refer = (lambda batch: batch["values"]["reference"]) if needs else None
    return _loop.job(
        settings,
        start,
        lambda _: pairing,
        objective(model, function, refer, beta=settings.beta, sft_weight=sft_weight),
        pairs=pairing.pairs,
    )
