"""The same rows and settings through TRL's trainers: everything that Porism knows of TRL is here.

Rows are rendered by Porism and handed over as texts, so that both train on the same tokens. What TRL has no setting for
is refused.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from porism import store
from porism.errors import DataError, MissingExtra, RecipeError
from porism.models.load import load
from porism.models.machine import choose_threads, prepare
from porism.records import Record
from porism.train._settings import Training

if TYPE_CHECKING:
    from porism.train._run import Kind

__all__ = ["given", "run"]

_UNKNOWN = {
    "sft": ("loss_weight",),
    "reward": (),
    "dpo": ("gamma",),
    "kto": (),
}
"""Settings of each method that TRL has no counterpart of."""
_OF_ALL = ("micro_batch_tokens", "eval_input", "eval_problems", "train_layers", "peft", "reference_model")


def run(method: str, settings: Any, out: store.Output, kind: Kind) -> None:
    """Train with TRL, and write model, metrics and card.

    Args:
        method: ``sft``, ``reward``, ``dpo`` or ``kto``.
        settings: the method's.
        out: the stage's output.
        kind: see :func:`porism.train._run.train`.

    Raises:
        MissingExtra: TRL is not installed.
        RecipeError: a setting that TRL has no counterpart of.
        UserError: rows or model are unfit.
    """
    if importlib.util.find_spec("trl") is None:
        raise MissingExtra("trl", "'porism[trl]'", "backend trl")
    _refuse(method, settings)
    more = _MORE[method](settings)
    import datasets
    import transformers
    import trl

    from porism.models.packing import Item
    from porism.train import _network, _progress
    from porism.train._run import Job, arguments, fit_dtype, rate, sized, write_model

    prepare(out.keep("threads", choose_threads(settings.threads)))
    dtype = out.keep("dtype", fit_dtype(settings.dtype))
    out.keep("trl", trl.__version__)
    transformers.set_seed(settings.seed)
    scores = kind == "score"
    loaded = load(settings.model, "float32", four_bit=settings.method == "qlora", scores=scores)
    records, rows = _ROWS[method](settings, loaded.tokenizer)
    out.write(store.Placed(at, record, reason) for at, (record, reason) in enumerate(records))
    network = _network.prepare(loaded, settings, scores=scores)
    base = _network.name_base(network, settings)
    checkpoints, metrics = out.beside("checkpoints"), out.beside("metrics.jsonl")
    out.remove_when_finished(checkpoints)
    if settings.report_to:
        out.beside("logs")
    settings = sized(settings.model_copy(update={"micro_batch_tokens": 0}), network, kind)
    job = Job([Item([0], [])] * len(rows), None)  # type: ignore[arg-type]  # only the number of rows matters
    own = arguments(settings, job, dtype, checkpoints, rate(settings, network, kind))
    trainers: dict[str, tuple[Any, Any]] = {
        "sft": (trl.SFTTrainer, trl.SFTConfig),
        "reward": (trl.RewardTrainer, trl.RewardConfig),
        "dpo": (trl.DPOTrainer, trl.DPOConfig),
        "kto": (trl.KTOTrainer, trl.KTOConfig),
    }
    trainer_class, config_class = trainers[method]
    trainer = trainer_class(
        model=network,
        args=config_class(**{**given(own), **more, "max_length": None, "save_strategy": "no"}),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=loaded.tokenizer,
        callbacks=[_progress.Progressing(out, metrics)],
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    result = trainer.train()
    out.figures.update(
        steps=result.global_step,
        loss=[round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry][-1],
    )
    scorer = {"kind": "reward"} if scores else None
    write_model(trainer, settings, out, tokenizer=loaded.tokenizer, base=base, scorer=scorer)


def _refuse(method: str, settings: Training) -> None:
    defaults = type(settings).model_fields
    for name in (*_OF_ALL, *_UNKNOWN[method]):
        if name in defaults and getattr(settings, name) != defaults[name].default:
            raise RecipeError(f"{name}: TRL has no such setting. Leave it out, or take backend porism.")


_LOSSES = ("sigmoid", "sigmoid_norm", "ipo", "hinge", "robust", "apo_zero", "apo_down")


def _sft(settings: Any) -> dict[str, Any]:
    return {"packing": False, "completion_only_loss": True, "neftune_noise_alpha": settings.neftune or None}


def _reward(settings: Any) -> dict[str, Any]:
    return {"center_rewards_coefficient": settings.centre or None, "disable_dropout": False}


def _dpo(settings: Any) -> dict[str, Any]:
    if settings.loss not in _LOSSES:
        raise RecipeError(f"loss {settings.loss}: TRL's DPOTrainer has {', '.join(_LOSSES)}. Take backend porism.")
    weight = settings.sft_weight
    return {
        "loss_type": [settings.loss, *(["sft"] if weight else [])],
        "loss_weights": [1.0, *([weight] if weight else [])],
        "beta": settings.beta,
        "label_smoothing": settings.label_smoothing,
        "precompute_ref_log_probs": settings.reference == "precomputed",
        "disable_dropout": False,
    }


def _kto(settings: Any) -> dict[str, Any]:
    return {
        "beta": settings.beta,
        "desirable_weight": settings.desirable_weight,
        "undesirable_weight": settings.undesirable_weight,
        "precompute_ref_log_probs": settings.reference == "precomputed",
        "disable_dropout": False,
    }


_MORE: Mapping[str, Callable[[Any], dict[str, Any]]] = {"sft": _sft, "reward": _reward, "dpo": _dpo, "kto": _kto}
"""What each method's trainer is told besides what all are."""


def given(arguments: Any) -> dict[str, Any]:
    """Transformers' arguments that differ from their defaults, or whose defaults are others in TRL."""
    import dataclasses

    plain = type(arguments)(output_dir=arguments.output_dir, use_cpu=arguments.use_cpu)
    names = [field.name for field in dataclasses.fields(arguments) if field.init]
    values = {name: getattr(arguments, name) for name in names}
    kept = {name: value for name, value in values.items() if value != getattr(plain, name)}
    always = ("output_dir", "use_cpu", "bf16", "fp16", "learning_rate", "logging_steps", "activation_checkpointing")
    return {**kept, **{name: values[name] for name in always}}


_Rows = tuple[list[tuple[Record, str]], list[dict[str, Any]]]


def _supervised(settings: Any, tokenizer: Any) -> _Rows:
    from porism.train import _rows

    chosen = _rows.examples(settings.input, allow_unverified=settings.allow_unverified)
    rows = _rows.render(tokenizer, chosen, settings.max_length)
    masked = next((row for row in rows if any(weight != 1 for weight in row.weights)), None)
    if masked:
        raise DataError(
            f"row {masked.example.id}: a part of its completion carries no loss, or another one (a loss_mask, or a "
            "chat of several turns), which cannot be handed to TRL. Take backend porism."
        )
    kept = [_texts(tokenizer, row.tokens.prompt, completion=row.tokens.completion) for row in rows if not row.reason]
    return [(row.example, row.reason) for row in rows], kept


def _paired(settings: Any, tokenizer: Any) -> _Rows:
    from porism.train import _pairs

    rows = _pairs.render(tokenizer, _pairs.pairs(settings.input), settings.max_length)
    kept = []
    for row in rows:
        if not row.reason:
            texts = _texts(tokenizer, row.prompt, chosen=row.chosen, rejected=row.rejected)
            kept.append({**texts, **({"margin": row.margin} if getattr(settings, "use_margin", False) else {})})
    return [(row.pair, row.reason) for row in rows], kept


def _single(settings: Any, tokenizer: Any) -> _Rows:
    from porism.train import _labelled, _rows

    chosen = _labelled.labelled(settings.input)
    rows = _rows.render(tokenizer, chosen, settings.max_length)
    kept = [
        {**_texts(tokenizer, row.tokens.prompt, completion=row.tokens.completion), "label": bool(row.example.label)}
        for row in rows
        if not row.reason
    ]
    return [(row.example, row.reason) for row in rows], kept


_ROWS: Mapping[str, Callable[[Any, Any], _Rows]] = {
    "sft": _supervised,
    "reward": _paired,
    "dpo": _paired,
    "kto": _single,
}


def _texts(tokenizer: Any, prompt: Sequence[int], **sides: Sequence[int]) -> dict[str, Any]:
    """Token ids as texts, marks of the template among them."""
    return {
        name: str(tokenizer.decode(ids, skip_special_tokens=False)) for name, ids in {"prompt": prompt, **sides}.items()
    }
