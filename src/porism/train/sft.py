"""Supervised fine-tuning: next-token cross-entropy on completions, of all weights or of LoRA adapters.

Prompt tokens carry no loss (the completion-only masking of TRL's ``SFTTrainer``), in chats of several turns only what
the assistant wrote does, and vocabulary scores are computed only where there is a loss. LoRA: Hu et al., 2021,
arXiv:2106.09685; NEFTune: Jain et al., 2023, arXiv:2310.05914.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from porism import store
from porism.records import Attempt, Example, Problem
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import LOGGERS, Training
from porism.train._weights import Part

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["LOGGERS", "Settings", "run"]


class Settings(Training):
    """Settings of ``porism train sft``."""

    reads = (Attempt, Example, Problem)
    makes = (Example,)

    input: Annotated[list[str], Field(description="graded attempts, or rows of prompts and completions, or chats")]
    allow_unverified: Annotated[
        bool, Field(description="also train on attempts that are not graded correct, and on rows labelled false")
    ] = False
    loss_weight: Annotated[
        dict[Part, float],
        Field(description="weights of the loss on parts of an answer, such as {reasoning: 1.0, answer: 2.0}"),
    ] = {}
    neftune: Annotated[float, Field(description="noise on embeddings (NEFTune), usually 5; 0 for none", ge=0)] = 0.0
    backend: Annotated[Literal["porism", "trl"], Field(description="whose trainer runs")] = "porism"

    @model_validator(mode="after")
    def _weighed(self) -> Self:
        if any(weight < 0 for weight in self.loss_weight.values()):
            raise ValueError(f"loss_weight: expected weights of at least 0, got {self.loss_weight}.")
        return self


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="supervised", trl="sft")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.train import _rows

    parts = cast("Mapping[str, float]", settings.loss_weight)
    chosen = _rows.examples(settings.input, allow_unverified=settings.allow_unverified)
    rows = _rows.render(start.loaded.tokenizer, chosen, settings.max_length, parts)
    store_rows(chosen, [row.reason for row in rows], start.out)
    held_out: list[Item] = []
    if settings.eval_input:
        others = _rows.examples(settings.eval_input, allow_unverified=settings.allow_unverified)
        held_out = items(_rows.render(start.loaded.tokenizer, others, settings.max_length, parts))
    return Job(items(rows), objective(start.language_model(settings.neftune)), records=chosen, held_out=held_out)


def items(rows: list[Any]) -> list[Item]:
    """Rows that are trained on, as the packing takes them."""
    from porism.models.packing import Answer, Item

    return [
        Item(row.tokens.prompt, [Answer(row.tokens.completion, row.weights)], row=at)
        for at, row in enumerate(rows)
        if not row.reason
    ]


def objective(model: Any) -> Any:
    """Weighted next-token cross-entropy."""
    from porism.losses.cross_entropy import cross_entropy
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        return Outcome(cross_entropy(model.logprobs(network, batch), batch["weights"], totals.weights))

    return loss
