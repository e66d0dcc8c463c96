"""The network that is trained: all of it, its last layers, or adapters; and writing it down."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porism import console, store
from porism.errors import ModelError, RecipeError
from porism.models.load import SCORER, Loaded, base_of
from porism.models.names import pinned
from porism.models.pull import locate
from porism.train._settings import Training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["counted", "name_base", "prepare", "save", "size"]


def prepare(loaded: Loaded, settings: Training, *, scores: bool = False) -> Any:
    """The network that is trained: whole, or with adapters. An adapter that comes with the model is trained on.

    Args:
        loaded: the model to start from.
        settings: method and adapters.
        scores: whether the model gives scores, and no answers.

    Raises:
        ModelError: the adapters do not fit the model, or it has no layers of which the last could be chosen.
        RecipeError: more layers are to be trained than there are.
    """
    import peft

    network: Any = loaded.model
    adapted = isinstance(network, peft.PeftModel)
    if settings.method == "full":
        network = network.merge_and_unload() if adapted else network
        _unfreeze(network, settings.train_layers)
    elif adapted:
        _tell_unused(settings)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(network.active_adapter in name.split("."))
    else:
        network = _adapted(network, settings, "SEQ_CLS" if scores else "CAUSAL_LM")
    if settings.gradient_checkpointing and settings.adapted:
        network.enable_input_require_grads()
    return network


def counted(network: Any) -> tuple[int, int]:
    """How many parameters are trained, and how many there are; those in 4 bits are counted as they were before."""
    if hasattr(network, "get_nb_trainable_parameters"):  # with adapters
        trained, every = network.get_nb_trainable_parameters()
        return int(trained), int(every)
    return int(network.num_parameters(only_trainable=True)), int(network.num_parameters())


def size(network: Any, settings: Training) -> int:
    """How many parameters the model has, adapters that are trained on it left out."""
    trained, every = counted(network)
    return every - trained if settings.adapted else every


def _tell_unused(settings: Training) -> None:
    """Say which settings do nothing, since the adapter that training starts from has its own."""
    fields = type(settings).model_fields
    names = [name for name in _OF_NEW_ADAPTERS if getattr(settings, name) != fields[name].default]
    if names:
        console.notice(f"  {', '.join(names)}: not used, training goes on with the adapter that {settings.model} is")


_OF_NEW_ADAPTERS = ("lora_r", "lora_alpha", "lora_dropout", "lora_targets", "lora_kind", "peft")


def _adapted(network: Any, settings: Training, task: str) -> Any:
    import peft

    if settings.method == "qlora":
        network = peft.prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's own use of an old name
        try:
            return peft.get_peft_model(network, _configuration(settings, task))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"lora_targets {settings.lora_targets}" if settings.method != "peft" else f"peft {settings.peft}"
            raise ModelError(f"{what}: {' '.join(str(error).split())[:400]}") from None


def _configuration(settings: Training, task: str) -> Any:
    import peft

    if settings.method == "peft":
        given = {"task_type": task, **settings.peft}
        if "peft_type" not in given:
            raise ValueError("expected 'peft_type', such as IA3")
        return peft.get_peft_config(given)
    return peft.LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.lora_targets or "all-linear",
        use_dora=settings.lora_kind == "dora",
        use_rslora=settings.lora_kind == "rslora",
        task_type=task,
    )


def _unfreeze(network: Any, layers: int) -> None:
    """Let all weights be trained, or those of the last layers and the norm after them.

    The gradient stops at the first trained layer, which saves its time and memory below; embeddings stay as they are.
    """
    network.requires_grad_(layers == 0)
    if layers:
        decoder = network.get_decoder()
        if not (hasattr(decoder, "layers") and hasattr(decoder, "norm")):
            raise ModelError(
                f"train_layers: {type(network).__name__} does not name its layers as Llama and Qwen2 do, so the last "
                "cannot be chosen. Train all weights (train_layers 0), or adapters (method lora)."
            )
        if layers > len(decoder.layers):
            raise RecipeError(f"train_layers: the model has {len(decoder.layers)} layers, got {layers}.")
        for part in (*decoder.layers[-layers:], decoder.norm):
            part.requires_grad_(True)
        head = getattr(network, "score", None)
        if head is not None:
            head.requires_grad_(True)


def name_base(network: Any, settings: Training) -> dict[str, str]:
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


def save(
    network: Any,
    tokenizer: PreTrainedTokenizerBase,
    base: dict[str, str],
    target: Path,
    *,
    merge: bool = False,
    scorer: Mapping[str, str] | None = None,
) -> None:
    """Write the trained model (or its adapter) with the tokenizer, whole or not at all.

    Args:
        network: as it was trained.
        tokenizer: its tokenizer.
        base: see :func:`name_base`.
        target: the folder.
        merge: add adapters to the weights.
        scorer: what a reward model or verifier says of itself, kept beside its weights.

    Raises:
        StorageError: the disk refuses.
    """
    from porism.train._trainer import written

    scratch = target.with_name("model.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    if merge and base:
        network = network.merge_and_unload()
    network.set_attn_implementation("sdpa")
    chosen = {"selected_adapters": ["default"]} if base and not merge else {}  # a trainer may have added a reference
    with written(scratch):
        network.save_pretrained(scratch, **chosen)
        tokenizer.save_pretrained(scratch)
        if scorer is not None:
            store.write_json(scratch / SCORER, scorer)
    if base and not merge:
        config = json.loads((scratch / "adapter_config.json").read_text(encoding="utf-8"))
        store.write_json(scratch / "adapter_config.json", {**config, **base})
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    config = target / "config.json"
    if config.is_file():
        value = json.loads(config.read_text(encoding="utf-8"))
        value.pop("_name_or_path", None)
        store.write_json(config, value)
