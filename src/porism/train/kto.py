"""Kahneman–Tversky optimisation: learns from single answers that are labelled wanted or not.

Ethayarajh et al., 2024, arXiv:2402.01306. Graded attempts are such rows: a right one is wanted, a wrong one is not. The
reference point is estimated from answers to other prompts, one for each row of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from porism import console, store
from porism.errors import DataError
from porism.records import Attempt, Example
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import Training

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["Settings", "run"]


class Settings(Training):
    """Settings of ``porism train kto``."""

    reads = (Attempt, Example)
    makes = (Example,)

    input: Annotated[list[str], Field(description="graded attempts, or rows with prompt, completion and label")]
    beta: Annotated[float, Field(description="strength of the tie to the reference", gt=0)] = 0.1
    desirable_weight: Annotated[float, Field(description="of wanted answers", gt=0)] = 1.0
    undesirable_weight: Annotated[float, Field(description="of the others", gt=0)] = 1.0
    reference: Annotated[
        Literal["precomputed", "adapter-off", "model"],
        Field(description="log-probabilities of the reference: computed before, by adapters off, by a second model"),
    ] = "precomputed"
    reference_model: Annotated[
        str, Field(description="the reference; the model that training starts from if not given")
    ] = ""
    backend: Annotated[Literal["porism", "trl"], Field(description="whose trainer runs")] = "porism"


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="preference", trl="kto")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.train import _labelled, _rows
    from porism.train._reference import reference

    chosen = _labelled.labelled(settings.input)
    rows = _rows.render(start.loaded.tokenizer, chosen, settings.max_length)
    store_rows(chosen, [row.reason for row in rows], start.out)
    items = matched(rows)
    _advise(items, settings)
    held_out: list[Item] = []
    if settings.eval_input:
        others = _labelled.labelled(settings.eval_input)
        held_out = matched(_rows.render(start.loaded.tokenizer, others, settings.max_length))
    model, count = start.language_model(), len(items)
    refer, both = reference(start, model, [*items, *held_out], settings.reference, settings.reference_model)
    weights = {"desirable_weight": settings.desirable_weight, "undesirable_weight": settings.undesirable_weight}
    return Job(
        both[:count],
        objective(model, refer, beta=settings.beta, **weights),
        records=chosen,
        held_out=both[count:],
    )


def matched(rows: Sequence[Any]) -> list[Item]:
    """Each row with a second answer behind its prompt, which carries no gradient.

    It is that of the nearest earlier row with another prompt.

    Raises:
        DataError: all prompts are the same, so that no answer is one to another prompt.
    """
    from porism.models.packing import Answer, Item

    kept = [(at, row) for at, row in enumerate(rows) if not row.reason]
    items = []
    for number, (at, row) in enumerate(kept):
        others = (kept[number - back][1] for back in range(1, len(kept)))
        other = next((one for one in others if one.tokens.prompt != row.tokens.prompt), None)
        if other is None:
            raise DataError("KTO needs answers to at least two different prompts, to estimate its reference point.")
        answers = [Answer(row.tokens.completion, row.weights), Answer(other.tokens.completion, other.weights)]
        items.append(Item(row.tokens.prompt, answers, {"labels": [float(bool(row.example.label))]}, at))
    return items


def _advise(items: Sequence[Item], settings: Settings) -> None:
    """Say where wanted and unwanted answers weigh too differently (equation 8 of the paper: 1 to 4/3)."""
    wanted = sum(item.values["labels"][0] for item in items)
    unwanted = len(items) - wanted
    if not wanted or not unwanted:
        console.notice(
            f"  all {len(items)} answers are {'wanted' if wanted else 'unwanted'}: KTO learns from both kinds"
        )
        return
    ratio = wanted * settings.desirable_weight / (unwanted * settings.undesirable_weight)
    if not 1 <= ratio <= 4 / 3:
        fit = unwanted * settings.undesirable_weight / wanted
        console.notice(
            f"  {wanted:.0f} wanted and {unwanted:.0f} unwanted answers: desirable_weight between {fit:.2f} and "
            f"{4 / 3 * fit:.2f} would make both count alike"
        )


def objective(
    model: Any, refer: Any, *, beta: float = 0.1, desirable_weight: float = 1.0, undesirable_weight: float = 1.0
) -> Any:
    """KTO over rows whose second answer is one to another prompt.

    Args:
        model: the network as log-probabilities.
        refer: the reference.
        beta: see :func:`porism.losses.kto.kto`.
        desirable_weight: of wanted answers.
        undesirable_weight: of the others.
    """
    import torch

    from porism.losses.kto import kto, reference_point
    from porism.models.packing import pick
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        own_R, other_R = refer(batch).view(-1, 2).unbind(1)
        with torch.no_grad():
            mismatched = pick(batch, 1)
            point = reference_point(model.by_answer(model.logprobs(network, mismatched), mismatched) - other_R)
        matched_batch = pick(batch, 0)
        ratios_B = model.by_answer(model.logprobs(network, matched_batch), matched_batch) - own_R
        wanted_B = batch["values"]["labels"] > 0.5
        weights = {"desirable_weight": desirable_weight, "undesirable_weight": undesirable_weight}
        losses_B = kto(ratios_B, wanted_B, point, beta=beta, **weights)
        rewards_B = beta * ratios_B.detach()
        figures = {
            "reward_wanted": (rewards_B * wanted_B).sum() / totals.items,
            "reward_unwanted": (rewards_B * ~wanted_B).sum() / totals.items,
            "reference_point": point * len(ratios_B) / totals.items,
        }
        return Outcome(losses_B.sum() / totals.items, figures)

    return loss
