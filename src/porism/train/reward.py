"""Reward model: learns from pairs which answer is better (Bradley–Terry), and gives every answer one number.

Ouyang et al., 2022, arXiv:2203.02155. The number is read behind the last token of an answer; the two answers of a pair
share their prompt, which is computed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from porism import store
from porism.records import Pair
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import ScoreTraining

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["Settings", "run"]


class Settings(ScoreTraining):
    """Settings of ``porism train reward``."""

    reads = (Pair,)
    makes = (Pair,)

    input: Annotated[list[str], Field(description="preference pairs: prompt, chosen, rejected")]
    use_margin: Annotated[
        bool, Field(description="rewards are to differ by the pair's meta.margin, where it has one")
    ] = False
    centre: Annotated[float, Field(description="weight that keeps rewards near 0, usually 0.01; 0 for none", ge=0)] = (
        0.0
    )
    backend: Annotated[Literal["porism", "trl"], Field(description="whose trainer runs")] = "porism"


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="score", trl="reward")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.models.scores import ScoreModel
    from porism.train import _pairs

    def rows(paths: list[str]) -> list[_pairs.PairRow]:
        return _pairs.render(start.loaded.tokenizer, _pairs.pairs(paths), settings.max_length)

    found = rows(settings.input)
    store_rows([row.pair for row in found], [row.reason for row in found], start.out)
    held_out: list[Item] = _pairs.items(rows(settings.eval_input)) if settings.eval_input else []
    return Job(
        _pairs.items(found),
        objective(ScoreModel(start.network), use_margin=settings.use_margin, centre=settings.centre),
        records=[row.pair for row in found],
        held_out=held_out,
        scorer={"kind": "reward"},
        answers=False,
    )


def objective(model: Any, *, use_margin: bool = False, centre: float = 0.0) -> Any:
    """Bradley–Terry over pairs."""
    from porism.losses.bradley_terry import bradley_terry
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        chosen_B, rejected_B = model.at_marks(network, batch).view(-1, 2).unbind(1)
        margin_B = batch["values"]["margin"] if use_margin else 0.0
        losses_B = bradley_terry(chosen_B, rejected_B, margin_B, centre=centre)
        figures = {
            "accuracy": (chosen_B > rejected_B).sum() / totals.items,
            "margin": (chosen_B - rejected_B).detach().sum() / totals.items,
            "reward": (chosen_B + rejected_B).detach().sum() / (2 * totals.items),
        }
        return Outcome(losses_B.sum() / totals.items, figures)

    return loss
