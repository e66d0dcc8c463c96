"""Verifier: learns whether an answer is right (outcome), or each of its steps (process), from graded work.

Outcome: Cobbe et al., 2021, arXiv:2110.14168, from attempts that were graded. Process: from rows with step labels, or
with ``labels: rollouts`` from roll-outs as in Math-Shepherd (Wang et al., 2023, arXiv:2312.08935): a step is as good as
the share of right answers that a model reaches from there. The score is the log-odds of being right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from porism import console, store
from porism.chains import Definition
from porism.errors import DataError
from porism.records import Attempt, Example, Stepwise
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import ScoreTraining

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["Settings", "run"]


class Settings(ScoreTraining):
    """Settings of ``porism train verifier``."""

    reads = (Attempt, Example, Stepwise)

    input: Annotated[
        list[str], Field(description="graded attempts, rows with a label, or with labels: steps and their labels")
    ]
    labels: Annotated[
        Literal["outcome", "steps", "rollouts"],
        Field(description="of whole answers; of steps, from the data; of steps, by roll-outs of rollout_model"),
    ] = "outcome"
    group: Annotated[
        int, Field(description="answers to one prompt that are computed together, and are one row of batch_size", ge=1)
    ] = 8
    rollout_model: Annotated[
        str, Field(description="with rollouts: who goes on from each step; 'model' if not given")
    ] = ""
    rollouts: Annotated[int, Field(description="with rollouts: tries from each step", ge=1)] = 4
    rollout_max_tokens: Annotated[int, Field(description="with rollouts: longest try", ge=1)] = 256
    rollout_temperature: Annotated[float, Field(description="with rollouts: of the tries", gt=0)] = 0.7
    steps_by: Annotated[
        Definition, Field(description="what a step is in roll-outs, and where a process verifier is asked; see chains")
    ] = "sentence"
    hard_labels: Annotated[
        bool, Field(description="a step is right if any try from it was, not by the share of them")
    ] = False


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="score")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.models.scores import ScoreModel

    records, items = _steps(settings, start) if settings.labels != "outcome" else _outcomes(settings, start)
    held_out: list[Item] = []
    if settings.eval_input:
        held_out = _held_out(settings.model_copy(update={"input": settings.eval_input}), start)
    about = {"kind": "verifier", "labels": settings.labels}
    if settings.labels != "outcome":
        about["steps_by"] = settings.steps_by
    return Job(
        items, objective(ScoreModel(start.network)), records=records, held_out=held_out, scorer=about, answers=False
    )


def _held_out(settings: Settings, start: Start) -> list[Item]:
    """Held-out rows: steps where the data label them, else whole answers, scored behind their last token."""
    if settings.labels == "steps":
        return _items(_stepwise(settings.input), settings, start)[0]
    return _outcomes(settings, start, keep=False)[1]


def _outcomes(settings: Settings, start: Start, *, keep: bool = True) -> tuple[list[list[Example]], list[Item]]:
    """Whole answers, those to one prompt together; the examples of each item, and the items."""
    from porism.models.packing import Answer, Item
    from porism.train import _labelled, _rows

    chosen = _labelled.labelled(settings.input)
    if keep and len({example.label for example in chosen}) < 2:
        raise DataError(
            f"{', '.join(settings.input)}: all {len(chosen)} answers have the same label; a verifier learns from right "
            "and wrong ones. Take attempts before 'curate: correct'."
        )
    rows = _rows.render(start.loaded.tokenizer, chosen, settings.max_length)
    if keep:
        store_rows(chosen, [row.reason for row in rows], start.out)
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, row in enumerate(rows):
        if not row.reason:
            groups.setdefault(tuple(row.tokens.prompt), []).append(at)
    items: list[Item] = []
    together: list[list[Example]] = []
    for prompt, places in groups.items():
        for first in range(0, len(places), settings.group):
            part = places[first : first + settings.group]
            labels = [float(bool(rows[at].example.label)) for at in part]
            answers = [Answer(rows[at].tokens.completion) for at in part]
            items.append(Item(prompt, answers, {"labels": labels}, len(items)))
            together.append([rows[at].example for at in part])
    return together, items


def _steps(settings: Settings, start: Start) -> tuple[list[Stepwise], list[Item]]:
    """Answers in steps, from the data or by roll-outs."""
    from porism.train import _rollouts

    rolled = settings.labels == "rollouts"
    records = _rollouts.labelled(settings, start.out) if rolled else _stepwise(settings.input)
    items, reasons = _items(records, settings, start)
    left_out = [reason for reason in reasons if reason]
    if not rolled:
        store_rows(records, reasons, start.out)
    elif left_out:
        console.notice(f"  {len(left_out)} of the labelled answers are not trained on; the first: {left_out[0]}")
    return records, items


def _stepwise(paths: list[str]) -> list[Stepwise]:
    from porism.train import _layouts

    return [cast("Stepwise", one) for path in paths for one in _layouts.read(path, Stepwise)]


def _items(records: list[Stepwise], settings: Settings, start: Start) -> tuple[list[Item], list[str]]:
    """Answers in steps as the packing takes them, and of each record the reason why it is left out.

    Raises:
        DataError: all are.
    """
    from porism.graders._scorer import stepped
    from porism.models.packing import Item
    from porism.train import _rows

    items, reasons = [], []
    for at, record in enumerate(records):
        reason = _unfit(record)
        if not reason:
            try:
                with _rows.naming(record, start.loaded.tokenizer):
                    prompt, answer = stepped(start.loaded.tokenizer, record.prompt, record.completions)
            except (TypeError, UnicodeEncodeError):
                reasons.append("half of a surrogate pair, which cannot be tokenised")
                continue
            item = Item(prompt, [answer], {"labels": [float(label) for label in record.labels]}, at)
            if item.tokens > settings.max_length:
                reason = f"longer than max_length: {item.tokens} > {settings.max_length} tokens"
            else:
                items.append(item)
        reasons.append(reason)
    _rows.usable(reasons or ["no rows"])
    return items, reasons


def _unfit(record: Stepwise) -> str:
    if len(record.completions) != len(record.labels):
        return f"{len(record.completions)} steps, but {len(record.labels)} labels"
    if not record.completions or not all(step.strip() for step in record.completions):
        return "an empty step, or none"
    if any(not 0 <= label <= 1 for label in record.labels):
        return "a label outside 0 to 1"
    return ""


def objective(model: Any) -> Any:
    """Binary cross-entropy behind every answer, or every step."""
    from porism.losses.binary import binary
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        scores_M, labels_M = model.at_marks(network, batch), batch["values"]["labels"]
        figures = {"accuracy": ((scores_M > 0) == (labels_M > 0.5)).sum() / totals.values}
        return Outcome(binary(scores_M, labels_M).sum() / totals.values, figures)

    return loss
