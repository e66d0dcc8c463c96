"""What can be told of a model without loading its weights: configuration, tokenizer, and the tensors' shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from porism.errors import ModelError
from porism.models.load import base_of
from porism.models.pull import locate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "Place",
    "Tensor",
    "config_of",
    "context_of",
    "generation_config_of",
    "place_of",
    "tensors_of",
    "tokenizer_of",
]


class Place(NamedTuple):
    """Where a model is."""

    folder: Path
    base: Path
    """The folder of the model that an adapter was trained on; ``folder`` itself for a plain model."""


class Tensor(NamedTuple):
    """A tensor in a safetensors file, as the file's header describes it."""

    shape: tuple[int, ...]
    dtype: str
    """As safetensors writes it: ``F32``, ``BF16``, …"""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def place_of(model: str) -> Place:
    """The folder of a model, and of its base.

    Raises:
        ModelError: unknown, or unsafe to load.
    """
    folder = locate(model)
    base = base_of(folder)
    return Place(folder, locate(base) if base else folder)


def config_of(place: Place) -> Any:
    """The model's configuration.

    Raises:
        ModelError: it cannot be read, or is of a kind that Transformers does not know.
    """
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(place.base, trust_remote_code=False, local_files_only=True)
    except _unfit() as error:
        raise _unreadable(place.base / "config.json", error) from None


def generation_config_of(place: Place) -> Any:
    """The configuration of generation; made from the model's own where there is no file, as Transformers does.

    Raises:
        ModelError: it cannot be read.
    """
    import transformers

    file = place.base / "generation_config.json"
    try:
        if file.is_file():
            return transformers.GenerationConfig.from_pretrained(place.base, local_files_only=True)
        return transformers.GenerationConfig.from_model_config(config_of(place))
    except _unfit() as error:
        raise _unreadable(file, error) from None


def tokenizer_of(place: Place) -> PreTrainedTokenizerBase:
    """The tokenizer, just as it is stored. An adapter's own one comes first.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    import transformers

    folder = place.folder if (place.folder / "tokenizer_config.json").is_file() else place.base
    try:
        found: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except _unfit() as error:
        raise _unreadable(folder / "tokenizer.json", error) from None
    return found


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """The tensors in a folder's safetensors files, by name. Only the headers are read.

    Raises:
        ModelError: a file is damaged.
    """
    import safetensors

    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safetensors.safe_open(str(file), framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 (it is no mapping)
                    part = opened.get_slice(name)
                    found[name] = Tensor(tuple(part.get_shape()), str(part.get_dtype()))
        except (OSError, safetensors.SafetensorError) as error:
            raise _unreadable(file, error) from None
    return found


def context_of(config: Any, tokenizer: PreTrainedTokenizerBase | None = None) -> Mapping[str, int]:
    """The longest sequence in tokens, as configuration and tokenizer state it; what is not stated is left out."""
    text = config.get_text_config()
    stated = {
        "max_position_embeddings": getattr(text, "max_position_embeddings", None),
        "model_max_length": getattr(tokenizer, "model_max_length", None),
    }
    return {name: int(value) for name, value in stated.items() if isinstance(value, int) and 0 < value < 10**9}


def _unfit() -> tuple[type[Exception], ...]:
    """What Transformers and its libraries raise for a broken file."""
    from huggingface_hub.errors import StrictDataclassError

    own = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
    return (*own, StrictDataclassError)


def _unreadable(file: Path, error: BaseException) -> ModelError:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return ModelError(f"{file}: cannot be read: {reason}. Fetch the model again, or mend it.")
