"""What every training command does: load, tokenise, train, write model, metrics and card."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from porism import console, store
from porism.errors import RecipeError, StorageError
from porism.models.load import Loaded, load
from porism.models.machine import choose_dtype, choose_threads, prepare
from porism.records import Record
from porism.train import _network
from porism.train._defaults import batch_rows, learning_rate, micro_tokens
from porism.train._settings import Training

if TYPE_CHECKING:
    import torch
    import transformers

    from porism.models.packing import Batch, Item
    from porism.train._answers import Answering
    from porism.train._model import LanguageModel
    from porism.train._trainer import Objective

__all__ = [
    "Job",
    "Kind",
    "Start",
    "arguments",
    "callbacks",
    "fit_dtype",
    "rate",
    "sized",
    "store_rows",
    "train",
    "write_model",
]

Kind = Literal["supervised", "preference", "score", "policy"]

_Records = Sequence[Record | Sequence[Record]]


@dataclass
class Start:
    """What a method finds when it prepares its job."""

    settings: Training
    loaded: Loaded
    network: Any
    """The network that will be trained, in evaluation mode."""
    dtype: torch.dtype
    out: store.Output

    def language_model(self, neftune: float = 0.0, temperature: float = 1.0) -> LanguageModel:
        """The network as log-probabilities."""
        from porism.train._model import LanguageModel

        return LanguageModel(
            self.network,
            self.dtype,
            neftune=neftune,
            temperature=temperature,
            fused=os.environ.get("ACCELERATE_USE_FSDP", "false") != "true",  # else its weights are not whole here
        )


@dataclass
class Job:
    """What is trained on, and how."""

    items: Sequence[Item]
    objective: Objective
    records: _Records = ()
    """By the number in an item's ``row``: the record, or records, kept where a loss is no number."""
    held_out: Sequence[Item] = ()
    renew: Callable[[Sequence[Batch], int], Sequence[Batch]] | None = None
    scorer: Mapping[str, str] | None = None
    """What a model that gives scores says of itself."""
    answers: bool = True
    """Whether the model can answer ``eval_problems``."""
    figures: dict[str, Any] = field(default_factory=dict)
    feed: Any = None
    """Gives each step its batches in the place of ``items``; see :class:`porism.train._feed.Feed`."""
    steps: int = 0
    """With a feed: optimiser steps in all."""
    whole: int = 1
    """Checkpoints and evaluations stand only after a multiple of so many steps."""
    beside: Any = None
    """What a checkpoint holds besides the network: has ``save`` and ``load`` of a folder."""
    watch: Sequence[Any] = ()
    """Callbacks of transformers."""
    finish: Callable[[int], None] | None = None
    """Called with the number of steps when training has ended, before the model is written."""
    close: Callable[[], None] | None = None
    """Called at the end, whatever happened."""


def train(
    settings: Training,
    out: store.Output,
    plan: Callable[[Start], Job],
    *,
    kind: Kind,
    trl: str = "",
) -> None:
    """Train, and write model, metrics and card.

    Args:
        settings: the method's.
        out: the stage's output.
        plan: reads the rows, and says what is trained.
        kind: which learning rate suits, where none is given; with ``score`` the model gives scores.
        trl: what :mod:`porism.train._trl` calls the method, for ``backend: trl``; empty where that is not its affair.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    if not out.alone:
        raise StorageError(f"{out.target}: expected a folder for the trained model, not a .jsonl file.")
    if trl and getattr(settings, "backend", "") == "trl":
        from porism.train import _trl

        _trl.run(trl, settings, out, kind)
        return
    import torch
    import transformers

    from porism.models import packing
    from porism.train import _progress, _trainer

    prepare(out.keep("threads", choose_threads(settings.threads)))
    dtype = out.keep("dtype", fit_dtype(settings.dtype))
    transformers.set_seed(settings.seed)
    scores = kind == "score"
    loaded = load(settings.model, "float32", four_bit=settings.method == "qlora", scores=scores)
    network = _network.prepare(loaded, settings, scores=scores)
    base = _network.name_base(network, settings)
    network.set_attn_implementation(packing.ATTENTION)
    if torch.cuda.is_available() and settings.method != "qlora":  # a reference is computed before the trainer moves it
        network.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    settings = sized(settings, network, kind)
    job = plan(Start(settings, loaded, network, getattr(torch, dtype), out))

    checkpoints, metrics = out.beside("checkpoints"), out.beside("metrics.jsonl")
    out.remove_when_finished(checkpoints)
    if settings.report_to:
        out.beside("logs")
    transformers.set_seed(settings.seed)
    trainer = _trainer.Trainer(
        network,
        arguments(settings, job, dtype, checkpoints, rate(settings, network, kind)),
        job.items or [packing.Item([0], [])] * job.steps,
        job.objective,
        callbacks(settings, [_progress.Progressing(out, metrics), *job.watch]),
        held_out=job.held_out,
        answered=_answering(settings, loaded._replace(model=network), job.records) if job.answers else None,
        renew=job.renew,
        micro_tokens=settings.micro_batch_tokens or 0,
        told=lambda rows: _keep_bad(out, job.records, rows),
        feed=job.feed,
        beside=job.beside,
    )
    last = _trainer.last_checkpoint(checkpoints)
    if trainer.args.process_index == 0:
        _trainer.remove_remains(checkpoints)
    try:
        result = trainer.train(resume_from_checkpoint=str(last) if last else None)
        if job.finish:
            job.finish(result.global_step)
    finally:
        if job.close:
            job.close()
    out.figures.update(_described(trainer, result.global_step, job))
    write_model(trainer, settings, out, tokenizer=loaded.tokenizer, base=base, scorer=job.scorer)


def write_model(
    trainer: transformers.Trainer,
    settings: Training,
    out: store.Output,
    *,
    tokenizer: Any,
    base: dict[str, str],
    scorer: Mapping[str, str] | None = None,
) -> None:
    """Write the trained model and its card, which then belong to the output like the metrics.

    Args:
        trainer: that has trained it.
        settings: the method's.
        out: the stage's output, with its figures.
        tokenizer: the model's.
        base: see :func:`porism.train._network.name_base`.
        scorer: see :func:`porism.train._network.save`.

    Raises:
        StorageError: the disk refuses.
    """
    from porism.train import _card

    if trainer.args.process_index:  # the first process writes
        return
    network, target = trainer.accelerator.unwrap_model(trainer.model), out.beside("model")
    _network.save(network, tokenizer, base, target, merge=settings.merge, scorer=scorer)
    _card.write(target, settings, out)
    out.add(out.beside("metrics.jsonl"), *sorted(target.iterdir()))


def store_rows(records: Sequence[Record], reasons: Sequence[str], out: store.Output) -> None:
    """Keep what is trained on, and what is not with the reason, beside the model."""
    out.write(
        store.Placed(at, record, reason) for at, (record, reason) in enumerate(zip(records, reasons, strict=True))
    )


def sized(settings: Training, network: Any, kind: Kind) -> Training:
    """The settings with batches that suit the model's size where none are given; says which and why.

    Args:
        settings: the method's.
        network: what is trained.
        kind: which table.
    """
    parameters = _network.size(network, settings)
    found: dict[str, int] = {}
    if not settings.batch_size:
        rows = batch_rows(kind, parameters)
        found["batch_size"] = int(rows.value)
        console.notice(f"  batch_size {rows.value:g}: {rows.source}")
    if settings.micro_batch_tokens is None:
        tokens = micro_tokens(parameters)
        found["micro_batch_tokens"] = int(tokens.value)
        console.notice(f"  micro_batch_tokens {tokens.value:,g}: {tokens.source}")
    return settings.model_copy(update=found)


def fit_dtype(wanted: str) -> str:
    """The dtype to compute in.

    Raises:
        RecipeError: it is float16, and there is no graphics card.
    """
    import torch

    dtype = choose_dtype(wanted)
    if dtype == "float16" and not torch.cuda.is_available():
        raise RecipeError(
            "dtype float16: training in it needs a graphics card, which scales the loss. Take bfloat16 or float32; "
            "auto chooses what this machine computes best with."
        )
    return dtype


def rate(settings: Training, network: Any, kind: Kind) -> float:
    """The learning rate: the one given, or one that suits the model's size, which is told."""
    if settings.lr:
        return settings.lr
    found = learning_rate(kind, _network.size(network, settings), adapted=settings.adapted)
    console.notice(f"  lr {found.value:g}: {found.source}")
    return found.value


def callbacks(settings: Training, own: list[transformers.TrainerCallback]) -> list[transformers.TrainerCallback]:
    """Ours, and stopping early where it is asked for."""
    import transformers

    if settings.patience:
        own.append(transformers.EarlyStoppingCallback(early_stopping_patience=settings.patience))
    return own


def arguments(settings: Training, job: Job, dtype: str, folder: Path, lr: float) -> transformers.TrainingArguments:
    """The settings in transformers' words.

    Args:
        settings: the method's.
        job: how many rows or steps there are.
        dtype: to compute in.
        folder: of the checkpoints.
        lr: the peak learning rate.

    Raises:
        RecipeError: the batch cannot be spread over the processes.
    """
    import torch
    import transformers

    micro, batch = (1, 1) if job.steps else (min(settings.micro_batch_size, settings.batch_size), settings.batch_size)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if batch % (micro * processes):
        raise RecipeError(
            f"batch_size {batch} is not a multiple of micro_batch_size {micro} × {processes} processes. "
            "Choose one that is."
        )
    steps = job.steps or settings.max_steps or math.ceil(settings.epochs * math.ceil(len(job.items) / batch))
    evaluates = bool(settings.eval_input or settings.eval_problems)
    every = _rounded(min(settings.eval_every or max(1, steps // 5), steps), job.whole)
    saves = _rounded(settings.checkpoint_every or max(1, steps // 10), job.whole)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder.parent / "logs")
    return transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=batch // (micro * processes),
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if settings.gradient_checkpointing else None,
        learning_rate=lr,
        num_train_epochs=settings.epochs,
        max_steps=job.steps or settings.max_steps or -1,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=every if evaluates else None,
        load_best_model_at_end=settings.keep_best or settings.patience > 0,
        restore_callback_states_from_checkpoint=settings.patience > 0,  # how long it has waited for a better one
        metric_for_best_model=("eval_accuracy" if settings.eval_problems else "eval_loss") if evaluates else None,
        greater_is_better=bool(settings.eval_problems) if evaluates else None,
        save_strategy="steps",
        save_steps=every if settings.keep_best or settings.patience else saves,
        save_total_limit=None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=settings.report_to or "none",
        run_name=folder.parent.name,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _rounded(steps: int, whole: int) -> int:
    """The next multiple."""
    return math.ceil(steps / whole) * whole


def _answering(settings: Training, loaded: Loaded, records: _Records) -> Answering | None:
    """Answers the evaluation's problems with the network as it is, and grades the answers."""
    if not settings.eval_problems:
        return None
    from porism.train._answers import Answering

    ask = functools.partial(settings.asked, system=_system(records))
    return Answering(loaded, settings.eval_problems, settings.eval_max_tokens, ask)


def _system(records: _Records) -> str | None:
    """The system message with which all rows begin, where they do."""
    prompts = [getattr(one, "prompt", ()) for record in records for one in _several(record)]
    found = {said[0]["content"] if said and said[0]["role"] == "system" else None for said in prompts}
    return found.pop() if len(found) == 1 else None


def _keep_bad(out: store.Output, records: _Records, rows: Sequence[int]) -> str:
    """Keep the rows of a batch whose loss is no number; say where."""
    from porism.files import to_line
    from porism.records import to_row

    if not records:
        return ""
    chosen = [one for row in rows for one in _several(records[row])]
    file = out.beside("bad_batch.jsonl")
    file.write_bytes(b"".join(to_line(to_row(one)) for one in chosen))
    names = ", ".join(one.id for one in chosen[:8])
    return f"Its batch had the rows {names}{', …' if len(chosen) > 8 else ''}; they are in {file}."


def _several(records: Record | Sequence[Record]) -> Sequence[Record]:
    return [records] if isinstance(records, Record) else records


def _described(trainer: Any, steps: int, job: Job) -> dict[str, Any]:
    """Figures for the manifest and the card."""
    tokens = sum(item.tokens for item in job.items)
    trained, parameters = _network.counted(trainer.accelerator.unwrap_model(trainer.model))
    found = {
        "steps": steps,
        "tokens": int(tokens * (trainer.state.epoch or 0)),
        "trainable_parameters": trained,
        "parameters": parameters,
        "loss": [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry][-1],
    }
    best = trainer.state.best_metric
    return found | job.figures | ({} if best is None else {"best_evaluation": round(best, 4)})
