"""What a model's name comes to for a server that loads it: a base, a tokenizer, perhaps a LoRA adapter."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from porism import store
from porism.errors import ModelError, RecipeError
from porism.models.load import base_of, fingerprint
from porism.models.pull import locate

__all__ = ["RANKS", "Weights", "linear_layers", "weights_of"]

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as its highest rank of adapters."""


class Weights(NamedTuple):
    """A model as a server loads it."""

    base: Path
    tokenizer: Path
    adapter: Path | None
    rank: int
    """The adapter's, rounded up to one of :data:`RANKS`; 0 without one."""

    @property
    def folder(self) -> Path:
        """The folder that names all of it."""
        return self.adapter or self.base


def weights_of(model: str, adapter: str = "") -> Weights:
    """Look a model up.

    Args:
        model: an alias or a folder; an adapter's folder means the adapter on its base.
        adapter: a LoRA adapter of ``model``.

    Raises:
        ModelError: unknown or unsafe; or an adapter that vLLM cannot serve.
        RecipeError: the adapter was trained on another model.
    """
    folder = locate(adapter or model)
    base = base_of(folder)
    if not base:
        if adapter:
            raise RecipeError(f"adapter: expected a folder with adapter_config.json, {adapter} has none.")
        return Weights(folder, folder, None, 0)
    plain = locate(base)
    if adapter and model != base and fingerprint(str(plain)) != fingerprint(model):
        raise RecipeError(f"adapter: {adapter} was trained on {base}, and the model is {model}. Set model to {base}.")
    if base_of(plain):
        raise ModelError(f"{folder}: its base {base} is an adapter itself. Merge that one first: porism export {base}")
    own = (folder / "tokenizer_config.json").is_file()
    return Weights(plain, folder if own else plain, folder, _rank(folder))


def linear_layers(folder: Path) -> list[str]:
    """The names of the linear layers within a model's blocks, such as ``q_proj``: what adapters mostly change."""
    import safetensors

    found = set()
    for file in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dictionary)
                *path, layer, kind = name.split(".")
                if kind == "weight" and layer.isidentifier() and any(part.isdigit() for part in path):
                    found |= {layer} if len(tensors.get_slice(name).get_shape()) == 2 else set()
    return sorted(found)


def _rank(folder: Path) -> int:
    """The rank that the server has to be ready for.

    Raises:
        ModelError: no LoRA adapter, or a rank beyond what vLLM takes.
    """
    config = store.load_json(folder / "adapter_config.json")
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    if config.get("peft_type") != "LORA" or not all(isinstance(rank, int) for rank in ranks):
        raise ModelError(
            f"{folder}: vLLM serves LoRA adapters, and this is {config.get('peft_type')!r}. Merge it: "
            f"porism export {folder} --to FOLDER"
        )
    fitting = [rank for rank in RANKS if rank >= max(ranks)]
    if not fitting:
        raise ModelError(f"{folder}: vLLM serves adapters up to rank {RANKS[-1]}, this has {max(ranks)}. Merge it.")
    return fitting[0]
