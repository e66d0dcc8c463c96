"""Distillation: a student learns a teacher's whole distribution at every token (GKD), not its answers alone.

Agarwal et al., 2023, arXiv:2306.13649: forward, reverse or Jensen–Shannon divergence on the rows' answers, and with
``on_policy`` on a share of answers that the student writes itself while it trains. Learning from a teacher's answers
alone is ``sft`` on attempts that ``solve`` made with the teacher. Teacher and student must have one vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from porism import store
from porism.records import Attempt, Example, Problem
from porism.train._run import Job, Start, store_rows, train
from porism.train._settings import Training

if TYPE_CHECKING:
    from porism.models.packing import Batch, Item, Totals
    from porism.train._trainer import Outcome

__all__ = ["Settings", "run"]


class Settings(Training):
    """Settings of ``porism train distill``."""

    reads = (Attempt, Example, Problem)
    makes = (Example,)

    input: Annotated[list[str], Field(description="graded attempts, or rows of prompts and completions")]
    teacher: Annotated[str, Field(description="whose distribution is learnt: an alias, a folder, a hub's name")]
    divergence: Annotated[
        float, Field(description="0: forward KL; 1: reverse KL; between: Jensen–Shannon (GKD's β)", ge=0, le=1)
    ] = 0.5
    temperature: Annotated[float, Field(description="both distributions are softened by it", gt=0)] = 1.0
    on_policy: Annotated[
        float, Field(description="share of the batches whose answers the student writes itself (GKD's λ)", ge=0, le=1)
    ] = 0.0
    max_tokens: Annotated[int, Field(description="with on_policy: longest such answer", ge=1)] = 256
    sampling_temperature: Annotated[float, Field(description="with on_policy: of the student's answers", ge=0)] = 1.0
    sft_weight: Annotated[float, Field(description="weight of the cross-entropy of the rows' answers", ge=0)] = 0.0
    allow_unverified: Annotated[
        bool, Field(description="also train on attempts that are not graded correct, and on rows labelled false")
    ] = False


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, models or settings are unfit.
    """
    train(settings, out, lambda start: _plan(settings, start), kind="supervised")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.models.load import load
    from porism.models.packing import ATTENTION
    from porism.train import _rows
    from porism.train._model import LanguageModel
    from porism.train._reference import same_vocabulary
    from porism.train.sft import items

    def rows(paths: list[str]) -> list[_rows.Row]:
        found = _rows.examples(paths, allow_unverified=settings.allow_unverified)
        return _rows.render(start.loaded.tokenizer, found, settings.max_length)

    found = rows(settings.input)
    store_rows([row.example for row in found], [row.reason for row in found], start.out)
    taught = load(settings.teacher, str(start.dtype).removeprefix("torch."))
    cure = ", or train on its answers: porism solve, porism train sft"
    same_vocabulary(start.loaded.tokenizer, taught.tokenizer, f"teacher {settings.teacher}", cure)
    teacher: Any = taught.model
    teacher.requires_grad_(False)
    teacher.set_attn_implementation(ATTENTION)
    teacher.to(start.network.device)
    student = start.language_model()
    held_out: list[Item] = items(rows(settings.eval_input)) if settings.eval_input else []
    options = {"beta": settings.divergence, "temperature": settings.temperature}
    return Job(
        items(found),
        objective(student, LanguageModel(teacher, start.dtype), sft_weight=settings.sft_weight, **options),
        records=[row.example for row in found],
        held_out=held_out,
        renew=_renewing(settings, start) if settings.on_policy else None,
    )


def objective(
    student: Any, teacher: Any, *, beta: float = 0.5, temperature: float = 1.0, sft_weight: float = 0.0
) -> Any:
    """The divergence from the teacher, and the cross-entropy where it has a weight.

    Args:
        student: the network as log-probabilities.
        teacher: the same of the teacher; frozen.
        beta: see :func:`porism.losses.divergence.divergence`.
        temperature: of both.
        sft_weight: weight of the cross-entropy.
    """
    import torch

    from porism.losses.cross_entropy import cross_entropy
    from porism.losses.divergence import divergence
    from porism.train._trainer import Outcome

    def loss(network: Any, batch: Batch, totals: Totals) -> Outcome:
        with torch.no_grad():
            taught = teacher.scores(teacher.network, batch)
        size = min(one.network.get_output_embeddings().weight.shape[0] for one in (student, teacher))
        found_N = student.mapped(
            network,
            batch,
            taught,
            lambda own, other: divergence(own[:, :size], other[:, :size], beta=beta, temperature=temperature),
        )
        found = (found_N * batch["weights"]).sum() / totals.weights
        figures = {"divergence": found.detach()}
        if sft_weight and not batch.get("own"):
            found = found + sft_weight * cross_entropy(
                student.logprobs(network, batch), batch["weights"], totals.weights
            )
        return Outcome(found, figures)

    return loss


def _renewing(settings: Settings, start: Start) -> Any:
    """Replaces a share of the batches, which a hash of the step chooses, by answers of the student as it is now.

    Such a batch is marked as the student's ``own``: its answers are not those of the rows.
    """
    from porism.engines import Request, Sampling
    from porism.engines.local import Local
    from porism.models.packing import Answer, Item, moved, pack, unpack
    from porism.train._answers import generating

    engine = Local(start.loaded._replace(model=start.network))
    sampling = Sampling(temperature=settings.sampling_temperature, max_tokens=settings.max_tokens)

    def renew(batches: Sequence[Batch], step: int) -> list[Batch]:
        found = []
        for number, batch in enumerate(batches):
            digest = hashlib.sha256(f"{settings.seed} {step} {number} {batch['rows']}".encode()).digest()
            if int.from_bytes(digest[:8], "big") >= settings.on_policy * 2**64:
                found.append(batch)
                continue
            prompts = [prompt for prompt, *_ in unpack(batch)]
            seed = int.from_bytes(digest[8:12], "big")
            engine.weights_changed()
            with generating(start.network):
                replies = engine.generate(
                    [Request(ids=ids, sampling=sampling, seed=seed + at) for at, ids in enumerate(prompts)]
                )
            items = [
                Item(prompt, [Answer(reply.samples[0].ids)], row=row)
                for prompt, reply, row in zip(prompts, replies, batch["rows"], strict=True)
                if reply.samples[0].ids
            ]
            found.append({**moved(pack(items), batch["input_ids"].device), "own": True} if items else batch)
        return found

    return renew
