"""The same rows and settings through TRL's trainers: everything that Porism knows of TRL is here.

Rows are rendered by Porism and handed over as texts, so that both train on the same tokens. What TRL has no setting for
is refused.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from porism import store
from porism.errors import DataError, MissingExtra, RecipeError
from porism.models.load import load
from porism.models.machine import choose_threads, prepare
from porism.records import Record
from porism.train._settings import Training

__all__ = ["given", "run"]

_UNKNOWN = {
    "sft": ("loss_weight",),
    "reward": (),
    "dpo": ("gamma",),
    "kto": (),
}
"""Settings of each method that TRL has no counterpart of."""
_OF_ALL = ("micro_batch_tokens", "eval_input", "eval_problems", "train_layers", "peft", "reference_model")


def run(method: str, settings: Any, out: store.Output) -> None:
    """Train with TRL, and write model, metrics and card.

    Args:
        method: ``sft``, ``reward``, ``dpo`` or ``kto``.
        settings: the method's.
        out: the stage's output.

    Raises:
        MissingExtra: TRL is not installed.
        RecipeError: a setting that TRL has no counterpart of.
        UserError: rows or model are unfit.
    """
    if importlib.util.find_spec("trl") is None:
        raise MissingExtra("trl", "'porism[trl]'", "backend trl")
    _refuse(method, settings)
    import datasets
    import transformers
    import trl

    from porism.models.packing import Item
    from porism.train import _card, _network, _progress
    from porism.train._run import Job, arguments, fit_dtype, rate, sized

    prepare(out.keep("threads", choose_threads(settings.threads)))
    dtype = out.keep("dtype", fit_dtype(settings.dtype))
    out.keep("trl", trl.__version__)
    transformers.set_seed(settings.seed)
    loaded = load(settings.model, "float32", four_bit=settings.method == "qlora", scores=method == "reward")
    records, rows = _ROWS[method](settings, loaded.tokenizer)
    out.write(store.Placed(at, record, reason) for at, (record, reason) in enumerate(records))
    network = _network.prepare(loaded, settings, task="SEQ_CLS" if method == "reward" else "CAUSAL_LM")
    base = _network.name_base(network, settings)
    checkpoints, metrics = out.beside("checkpoints"), out.beside("metrics.jsonl")
    out.remove_when_finished(checkpoints)
    kind = {"sft": "supervised", "reward": "score"}.get(method, "preference")
    settings = sized(settings.model_copy(update={"micro_batch_tokens": 0}), network, kind)  # type: ignore[arg-type]
    job = Job([Item([0], [])] * len(rows), None)  # type: ignore[arg-type]  # only the number of rows matters
    own = arguments(settings, job, dtype, checkpoints, rate(settings, network, kind))  # type: ignore[arg-type]
    centre = _get(settings, "centre")
    trainers: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "sft": (trl.SFTTrainer, trl.SFTConfig, _sft(settings)),
        "reward": (trl.RewardTrainer, trl.RewardConfig, {"center_rewards_coefficient": centre or None}),
        "dpo": (trl.DPOTrainer, trl.DPOConfig, _dpo(settings)),
        "kto": (trl.KTOTrainer, trl.KTOConfig, _kto(settings)),
    }
    trainer_class, config_class, more = trainers[method]
    trainer = trainer_class(
        model=network,
        args=config_class(**{**given(own), **more, "max_length": None}),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=loaded.tokenizer,
        callbacks=[_progress.Progressing(out, metrics)],
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    result = trainer.train()
    target = out.beside("model")
    _network.save(
        trainer.accelerator.unwrap_model(trainer.model),
        loaded.tokenizer,
        base,
        target,
        merge=settings.merge,
        scorer={"kind": "reward"} if method == "reward" else None,
    )
    out.figures.update(
        steps=result.global_step,
        loss=[round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry][-1],
    )
    _card.write(target, settings, out)
    out.add(metrics, *sorted(target.iterdir()))


def _refuse(method: str, settings: Training) -> None:
    defaults = type(settings).model_fields
    for name in (*_OF_ALL, *_UNKNOWN[method]):
        if name in defaults and getattr(settings, name) != defaults[name].default:
            raise RecipeError(f"{name}: TRL has no such setting. Leave it out, or take backend porism.")


def _get(settings: Any, name: str) -> Any:
    return getattr(settings, name, None)


_LOSSES = ("sigmoid", "sigmoid_norm", "ipo", "hinge", "robust", "apo_zero", "apo_down")


def _sft(settings: Any) -> dict[str, Any]:
    noise = _get(settings, "neftune")
    return {"packing": False, "completion_only_loss": True, "neftune_noise_alpha": noise or None}


def _dpo(settings: Any) -> dict[str, Any]:
    if not hasattr(settings, "sft_weight"):
        return {}
    if settings.loss not in _LOSSES:
        raise RecipeError(f"loss {settings.loss}: TRL's DPOTrainer has {', '.join(_LOSSES)}. Take backend porism.")
    weight = settings.sft_weight
    return {
        "loss_type": [settings.loss, *(["sft"] if weight else [])],
        "loss_weights": [1.0, *([weight] if weight else [])],
        "beta": settings.beta,
        "label_smoothing": settings.label_smoothing,
        "precompute_ref_log_probs": settings.reference == "precomputed",
    }


def _kto(settings: Any) -> dict[str, Any]:
    if not hasattr(settings, "desirable_weight"):
        return {}
    return {
        "beta": settings.beta,
        "desirable_weight": settings.desirable_weight,
        "undesirable_weight": settings.undesirable_weight,
        "precompute_ref_log_probs": settings.reference == "precomputed",
    }


def given(arguments: Any) -> dict[str, Any]:
    """Transformers' arguments that differ from their defaults."""
    import dataclasses

    plain = type(arguments)(output_dir=arguments.output_dir, use_cpu=arguments.use_cpu)
    names = [field.name for field in dataclasses.fields(arguments) if field.init]
    values = {name: getattr(arguments, name) for name in names}
    kept = {name: value for name, value in values.items() if value != getattr(plain, name)}
    always = ("output_dir", "use_cpu", "bf16", "fp16", "logging_steps", "activation_checkpointing")
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
            kept.append({**texts, **({"margin": row.margin} if _get(settings, "use_margin") else {})})
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
