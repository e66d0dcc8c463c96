"""Refuse a model folder that could run code when it is loaded, before anything in it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from porism.errors import ModelError

__all__ = ["check", "refuse_code"]

_PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
# What transformers' Trainer leaves beside safetensors weights and loading a model never reads.
_TRAINER_STATE = ("optimizer.", "scheduler.", "scaler.", "rng_state", "training_args.")


def check(folder: Path) -> None:
    """Accept a folder with configuration and safetensors weights (or a PEFT adapter), and nothing that runs.

    Raises:
        ModelError: code (``.py``, ``auto_map``), pickled weights, a shard outside the folder, or no model at all.
    """
    refuse_code(folder)
    entries = _entries(folder)
    pickles = [
        name
        for name in entries
        if Path(name).suffix.casefold() in _PICKLES and not Path(name).name.startswith(_TRAINER_STATE)
    ]
    if pickles:
        raise ModelError(
            f"{folder}: refused, it contains pickled weights ({', '.join(pickles)}), which can run code when loaded. "
            "Convert them to safetensors on a machine that you can lose."
        )
    configs = {"config.json", "adapter_config.json"} & set(entries)
    if not configs or not any(name.endswith(".safetensors") for name in entries):
        raise ModelError(
            f"{folder}: expected config.json (or adapter_config.json) and *.safetensors, "
            f"found {', '.join(entries[:8]) or 'nothing'}."
        )


def refuse_code(folder: Path) -> None:
    """Accept a folder that holds no code and asks for none, whether its weights are there or not.

    Raises:
        ModelError: Python files, ``auto_map``, a shard outside the folder, or JSON that cannot be read.
    """
    entries = _entries(folder)
    code = [name for name in entries if name.casefold().endswith((".py", ".pyc", ".so"))]
    if code:
        raise ModelError(
            f"{folder}: refused, it contains Python code ({', '.join(code)}). "
            "Models that bring their own code are not loaded."
        )
    for name in entries:
        if name.casefold().endswith(".json"):
            _check_json(folder / name)


def _entries(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _check_json(file: Path) -> None:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        brings_code = isinstance(value, dict) and _has_key(value, "auto_map")
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{file}: not readable as JSON ({error}). Fetch the model again.") from None
    if not isinstance(value, dict):
        return
    if brings_code:
        raise ModelError(
            f"{file}: refused, 'auto_map' asks to run code that the model brings. Such models are not loaded."
        )
    for shard in (
        set(map(str, value.get("weight_map", {}).values())) if isinstance(value.get("weight_map"), dict) else ()
    ):
        if Path(shard).name != shard:
            raise ModelError(f"{file}: refused, it names weights outside the folder ({shard}).")


def _has_key(value: object, key: str) -> bool:
    """True where a mapping anywhere in the value has the key. Tokenizer vocabularies are mappings to numbers."""
    if isinstance(value, dict):
        return any((name == key and not isinstance(item, int)) or _has_key(item, key) for name, item in value.items())
    return isinstance(value, list) and any(_has_key(item, key) for item in value)
