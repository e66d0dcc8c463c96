"""Preference optimisation from pairs: DPO and its relatives, with or without a reference model.

The loss is a file in ``porism/losses/preferences``, or a function of your own: ``sigmoid`` (DPO: Rafailov et al., 2023,
arXiv:2305.18290), ``ipo``, ``hinge``, ``robust``, ``sigmoid_norm``, ``simpo``, ``orpo`` and others. The two answers of
a pair share their prompt, which is computed once.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from porism import recipe, store
from porism.find import find
from porism.records import Pair
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import Training

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["Settings", "run"]

LOSSES = "porism.losses.preferences"


class Settings(Training):
    """Settings of ``porism train dpo``."""

    reads = (Pair,)
    makes = (Pair,)

    input: Annotated[list[str], Field(description="preference pairs: prompt, chosen, rejected")]
    loss: Annotated[
        str, Field(description="sigmoid, sigmoid_norm, ipo, hinge, robust, simpo, orpo, apo_zero, apo_down")
    ] = "sigmoid"
    beta: Annotated[float, Field(description="strength of the tie to the reference; see each loss", gt=0)] = 0.1
    label_smoothing: Annotated[
        float, Field(description="with robust: share of pairs that are the wrong way round", ge=0, lt=0.5)
    ] = 0.0
    gamma: Annotated[float, Field(description="with simpo: the margin that is aimed at", ge=0)] = 0.5
    sft_weight: Annotated[
        float | None,
        Field(description="weight of the chosen answers' cross-entropy; the loss's own if not given", ge=0),
    ] = None
    reference: Annotated[
        Literal["precomputed", "adapter-off", "model"],
        Field(description="log-probabilities of the reference: computed before, by adapters off, by a second model"),
    ] = "precomputed"
    reference_model: Annotated[
        str, Field(description="the reference; the model that training starts from if not given")
    ] = ""
    backend: Annotated[Literal["porism", "trl"], Field(description="whose trainer runs")] = "porism"

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Find before anything runs what the loss does not take.

        Raises:
            ValueError: an option of another loss is set, or settings exclude one another.
            RecipeError: there is no such loss.
        """
        function, fields = find(LOSSES, self.loss, "loss"), type(self).model_fields
        needless = [name for name in _OPTIONS if name not in inspect.signature(function).parameters]
        if not getattr(sys.modules[function.__module__], "REFERENCE", True):
            needless += ["reference", "reference_model"]
        for name in needless:
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"{name}: the loss {self.loss} has no such option. Leave it out.")
        if self.reference_model and self.reference == "adapter-off":
            raise ValueError("reference adapter-off and reference_model exclude each other. Leave one out.")
        return self


_OPTIONS = ("label_smoothing", "gamma")
"""Settings that are parameters of some losses only."""


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="preference", trl="dpo")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.train import _pairs
    from porism.train._reference import reference

    def rows(paths: list[str]) -> list[_pairs.PairRow]:
        return _pairs.render(start.loaded.tokenizer, _pairs.pairs(paths), settings.max_length)

    found = rows(settings.input)
    store_rows([row.pair for row in found], [row.reason for row in found], start.out)
    function, needs, sft_weight = chosen_loss(settings)
    model = start.language_model()
    items: list[Item] = _pairs.items(found)
    held_out: list[Item] = _pairs.items(rows(settings.eval_input)) if settings.eval_input else []
    refer = None
    if needs:
        count = len(items)
        refer, both = reference(start, model, [*items, *held_out], settings.reference, settings.reference_model)
        items, held_out = both[:count], both[count:]
    return Job(
        items,
        objective(model, function, refer, beta=settings.beta, sft_weight=sft_weight),
        records=[row.pair for row in found],
        held_out=held_out,
    )


def chosen_loss(settings: Any) -> tuple[Any, bool, float]:
    """The loss with its settings filled in, whether it needs a reference, and the weight of the cross-entropy."""
    function = find(LOSSES, settings.loss, "loss")
    module = sys.modules[function.__module__]
    weight = settings.sft_weight if settings.sft_weight is not None else getattr(module, "SFT_WEIGHT", 0.0)
    return recipe.bind(function, settings), getattr(module, "REFERENCE", True), weight


def objective(model: Any, function: Any, refer: Any, *, beta: float = 0.1, sft_weight: float = 0.0) -> Any:
    """A loss over pairs, and the cross-entropy of the chosen answers where it has a weight.

    Args:
        model: the network as log-probabilities.
        function: see :mod:`porism.losses.preferences`.
        refer: the reference; None where the loss needs none.
        beta: scale of the rewards in the figures.
        sft_weight: weight of the cross-entropy.
    """
    from porism.losses.cross_entropy import cross_entropy
    from porism.losses.preferences import Pairs
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        referred = refer(batch) if refer else None
        logps_N = model.logprobs(network, batch)
        own_A = model.by_answer(logps_N, batch)
        other_A = referred if referred is not None else own_A.new_zeros(own_A.shape)
        sides = [each_A.view(-1, 2).unbind(1) for each_A in (own_A, other_A, model.tokens(batch))]
        pairs = Pairs(*(side for both in sides for side in both))
        found = function(pairs).sum() / totals.items
        if sft_weight:
            of_chosen_N = (batch["answer"] % 2 == 0).float()
            found = found + sft_weight * cross_entropy(logps_N, of_chosen_N, totals.first)
        with_reference = beta * pairs.chosen_ratios.detach(), beta * pairs.rejected_ratios.detach()
        figures = {
            "accuracy": (with_reference[0] > with_reference[1]).sum() / totals.items,
            "reward_chosen": with_reference[0].sum() / totals.items,
            "reward_rejected": with_reference[1].sum() / totals.items,
        }
        return Outcome(found, figures)

    return loss
