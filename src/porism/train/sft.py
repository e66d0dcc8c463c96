"""Supervised fine-tuning: next-token cross-entropy on completions, of all weights or of LoRA adapters.

Prompt tokens carry no loss (the completion-only masking of TRL's ``SFTTrainer``), and vocabulary scores are computed
only where there is a loss. LoRA: Hu et al., 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from porism import recipe, store
from porism.errors import MissingExtra, ModelError, RecipeError, StorageError
from porism.models.load import Loaded, base_of, load
from porism.models.machine import Dtype, choose_dtype, choose_threads, prepare
from porism.models.names import pinned
from porism.models.pull import locate
from porism.records import Attempt, Example

if TYPE_CHECKING:
    import torch
    import transformers

    from porism.train._rows import Row

__all__ = ["Settings", "run"]

LOGGERS = ("tensorboard", "wandb", "mlflow", "trackio", "swanlab")


class Settings(recipe.Settings):
    """Settings of ``porism train sft``."""

    reads = (Attempt, Example)
    makes = (Example,)

    not_in_key: ClassVar[frozenset[str]] = frozenset({"report_to", "checkpoint_every"})

    input: Annotated[list[str], Field(description="graded attempts, or prompt/completion rows")]
    model: Annotated[
        str, Field(description="where to start: an alias, a folder, or another training stage's output")
    ] = "smollm2-135m"
    method: Annotated[Literal["full", "lora"], Field(description="train all weights, or low-rank adapters")] = "full"
    lr: Annotated[
        float | None, Field(description="peak learning rate; 2e-4 (full) or 1e-3 (lora) if not given", gt=0)
    ] = None
    epochs: Annotated[float, Field(description="passes over the rows", gt=0)] = 1.0
    max_steps: Annotated[int, Field(description="stop after this many steps; 0 for whole epochs", ge=0)] = 0
    batch_size: Annotated[int, Field(description="rows in one optimiser step", ge=1)] = 16
    micro_batch_size: Annotated[int, Field(description="rows in memory at once; must divide batch_size", ge=1)] = 8
    max_length: Annotated[int, Field(description="drop rows with more tokens", ge=2)] = 1024
    schedule: Annotated[
        Literal["cosine", "linear", "constant_with_warmup"], Field(description="of the learning rate")
    ] = "cosine"
    warmup: Annotated[float, Field(description="share of the steps over which the learning rate rises", ge=0, lt=1)] = (
        0.05
    )
    weight_decay: Annotated[float, Field(description="AdamW's", ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(description="clip gradients to this norm", gt=0)] = 1.0
    train_layers: Annotated[
        int, Field(description="with full: train the last k layers only; 0 for all weights", ge=0)
    ] = 0
    lora_r: Annotated[int, Field(description="rank of the adapters", ge=1)] = 16
    lora_alpha: Annotated[int, Field(description="scale of the adapters, divided by the rank", ge=1)] = 32
    lora_dropout: Annotated[float, Field(description="dropout before the adapters", ge=0, lt=1)] = 0.0
    lora_targets: Annotated[list[str], Field(description="layers that get adapters; every linear layer if empty")] = []
    merge: Annotated[bool, Field(description="write whole weights, the adapters added in")] = False
    dtype: Annotated[Dtype, Field(description="to compute in; weights stay float32")] = "auto"
    threads: Annotated[int, Field(description="threads of torch; 0: as many as are idle", ge=0)] = 0
    seed: Annotated[recipe.Seed, Field(description="of the order of the rows and of the adapters")] = 0
    allow_unverified: Annotated[bool, Field(description="also train on attempts that are not graded correct")] = False
    checkpoint_every: Annotated[int, Field(description="steps between checkpoints; 0 for a tenth of the run", ge=0)] = 0
    report_to: Annotated[list[str], Field(description=f"loggers of transformers: {', '.join(LOGGERS)}")] = []

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find before anything runs what does not go together, and loggers that are not there.

        Raises:
            ValueError: settings exclude one another, or a logger is unknown.
            MissingExtra: a logger is not installed.
        """
        if self.batch_size % self.micro_batch_size and self.micro_batch_size < self.batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}. "
                "Choose one that divides it."
            )
        if self.method == "lora" and self.train_layers:
            raise ValueError(
                f"method lora and train_layers {self.train_layers} exclude each other: train_layers chooses among all "
                "weights. Leave one out; lora_targets chooses the layers that get adapters."
            )
        for name in self.report_to:
            if name not in LOGGERS:
                raise ValueError(f"report_to: unknown logger {name!r}. Known: {', '.join(LOGGERS)}.")
            if importlib.util.find_spec(name) is None:
                raise MissingExtra(name, "'porism[log]'" if name == "tensorboard" else name, f"report_to: {name}")
        return self


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, metrics and card.

    Raises:
        UserError: rows, model or settings are unfit.
    """
    _check(out)
    import transformers

    from porism.train import _card, _packing, _rows, _trainer

    prepare(out.keep("threads", choose_threads(settings.threads)))
    dtype = out.keep("dtype", choose_dtype(settings.dtype))
    transformers.set_seed(settings.seed)
    loaded = load(settings.model, "float32")
    chosen = _rows.examples(settings.input, allow_unverified=settings.allow_unverified)
    rows = _rows.render(loaded.tokenizer, chosen, settings.max_length)
    _store_rows(rows, out)

    network = _prepare(loaded, settings)
    base = _name_base(network, settings)
    network.set_attn_implementation(_packing.ATTENTION)
    tokens = [row.tokens for row in rows if not row.reason]
    checkpoints, metrics = out.beside("checkpoints"), out.beside("metrics.jsonl")
    out.remove_when_finished(checkpoints)
    if settings.report_to:
        out.beside("logs")
    progressing = _trainer.Progressing(out, metrics)
    trainer = _trainer.Trainer(
        network, _arguments(settings, len(tokens), dtype, checkpoints), tokens, _loss, [progressing]
    )
    last = _trainer.last_checkpoint(checkpoints)
    result = trainer.train(resume_from_checkpoint=str(last) if last else None)

    target = out.beside("model")
    _save(trainer.model, loaded, settings, base, target)
    trained = sum(len(row.prompt) + len(row.completion) for row in tokens)
    out.figures.update(
        steps=result.global_step,
        tokens=int(trained * (trainer.state.epoch or 0)),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        loss=[round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry][-1],
    )
    _card.write(target, settings, out)
    out.add(metrics, *sorted(target.iterdir()))


def _loss(model: torch.nn.Module, batch: dict[str, Any], count: Any) -> torch.Tensor:
    from porism.losses.cross_entropy import cross_entropy

    targets_N = batch["shift_labels"]
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "shift_labels")}
    logits_N_V = model(**inputs, use_cache=False).logits[0]
    return cross_entropy(logits_N_V, targets_N, count)


def _check(out: store.Output) -> None:
    if not out.alone:
        raise StorageError(f"{out.target}: expected a folder for the trained model, not a .jsonl file.")


def _store_rows(rows: list[Row], out: store.Output) -> None:
    """Keep what is trained on, and what is not with the reason, beside the model."""
    out.write(store.Placed(at, row.example, row.reason) for at, row in enumerate(rows))


def _prepare(loaded: Loaded, settings: Settings) -> Any:
    """The network that is trained: whole, or with adapters. An adapter that comes with the model is trained on."""
    import peft

    network: Any = loaded.model
    adapted = isinstance(network, peft.PeftModel)
    if settings.method == "full":
        network = network.merge_and_unload() if adapted else network
        _unfreeze(network, settings.train_layers)
        return network
    if adapted:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_("lora_" in name)
        return network
    config = peft.LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.lora_targets or "all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's own use of an old name
        try:
            return peft.get_peft_model(network, config)
        except ValueError as error:
            raise ModelError(f"lora_targets {settings.lora_targets}: {error}") from None


def _name_base(network: Any, settings: Settings) -> dict[str, str]:
    """How the saved adapter names its base model; empty for a plain model.

    While it trains, the adapter names its base by its folder: PEFT looks there for the base's configuration whenever it
    saves, and would ask a hub for a name. The saved adapter names it as the user did, a hub's model with its commit.
    """
    config = getattr(network, "peft_config", {}).get("default")
    if config is None:
        return {}
    name = base_of(locate(settings.model)) or settings.model
    config.base_model_name_or_path = str(locate(name))
    lasting, commit = pinned(name)
    return {"base_model_name_or_path": lasting, **({"revision": commit} if commit else {})}


def _unfreeze(network: Any, layers: int) -> None:
    """Let all weights be trained, or those of the last layers and the norm after them.

    The gradient stops at the first trained layer, which saves its time and memory below; embeddings stay as they are.
    """
    network.requires_grad_(layers == 0)
    if layers:
        decoder = network.get_decoder()
        if layers > len(decoder.layers):
            raise RecipeError(f"train_layers: the model has {len(decoder.layers)} layers, got {layers}.")
        for part in (*decoder.layers[-layers:], decoder.norm):
            part.requires_grad_(True)


def _arguments(settings: Settings, rows: int, dtype: str, folder: Path) -> transformers.TrainingArguments:
    import math

    import torch
    import transformers

    micro = min(settings.micro_batch_size, settings.batch_size)
    steps = settings.max_steps or math.ceil(settings.epochs * math.ceil(rows / settings.batch_size))
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder.parent / "logs")
    return transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.batch_size // micro,
        learning_rate=settings.lr or (2e-4 if settings.method == "full" else 1e-3),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        data_seed=settings.seed,
        save_strategy="steps",
        save_steps=settings.checkpoint_every or max(1, steps // 10),
        save_total_limit=None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=settings.report_to or "none",
        run_name=folder.parent.name,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _save(network: Any, loaded: Loaded, settings: Settings, base: dict[str, str], target: Path) -> None:
    """Write the trained model (or its adapter) with the tokenizer, whole or not at all."""
    scratch = target.with_name("model.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    if settings.merge and settings.method == "lora":
        network = network.merge_and_unload()
    network.set_attn_implementation("sdpa")
    network.save_pretrained(scratch)
    if base and not settings.merge:
        config = json.loads((scratch / "adapter_config.json").read_text(encoding="utf-8"))
        store.write_json(scratch / "adapter_config.json", {**config, **base})
    loaded.tokenizer.save_pretrained(scratch)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    config = target / "config.json"
    if config.is_file():
        value = json.loads(config.read_text(encoding="utf-8"))
        value.pop("_name_or_path", None)
        store.write_json(config, value)
