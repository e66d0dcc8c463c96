"""A model → a folder for any other program: plain safetensors with a model card, and GGUF."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from porism import store
from porism.errors import ModelError
from porism.models import card, to_gguf
from porism.models.load import SCORER, Loaded, base_of, gives_scores, load
from porism.models.pull import locate

if TYPE_CHECKING:
    from porism.models.machine import Dtype

__all__ = ["export"]

_DTYPES = ("float32", "bfloat16", "float16")
_KEPT = ("LICENSE*", "LICENCE*", "NOTICE*", SCORER)


def export(
    model: str,
    to: str | Path,
    *,
    dtype: str = "",
    add_tokens: Sequence[str] = (),
    special: bool = False,
    multiple: int = 1,
    gguf: str = "",
    converter: str = "",
) -> Path:
    """Write a model as plain safetensors with tokenizer and card, an adapter's weights added in.

    Of a reward model or verifier the layer that scores is written too, and ``scorer.json``, which says what it is.

    Args:
        model: an alias, a folder, or a model that was pulled from a hub.
        to: the folder to write; it appears whole or not at all.
        dtype: of the weights; empty for that of the model, or of an adapter's base.
        add_tokens: tokens to add; see :func:`porism.models.tokens.add_tokens`.
        special: drop the added tokens from decoded text, as marks are.
        multiple: make the rows of the embeddings a multiple of this.
        gguf: also write ``model-TYPE.gguf`` of this type; see :func:`porism.models.to_gguf.convert`.
        converter: llama.cpp's converter, where it is not on the path or is to be used whatever the model is.

    Raises:
        ModelError: unknown or unsafe model, the target is not empty, or GGUF of this model cannot be written,
            or a scorer is to get tokens.
    """
    target = Path(to).expanduser()
    name = target.resolve().name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target}: expected a folder that does not exist or is empty. Choose another --to.")
    if dtype not in ("", *_DTYPES):
        raise ModelError(f"dtype: expected {', '.join(_DTYPES)}, got {dtype!r}.")
    if gguf and gguf not in to_gguf.KINDS:
        raise ModelError(
            f"gguf: expected {', '.join(to_gguf.KINDS)}, got {gguf!r}. Others: llama.cpp's llama-quantize."
        )
    folder = locate(model)
    begun = card.origin(folder, changed=bool(add_tokens))
    steps = []
    scores = gives_scores(folder)
    if scores and (gguf or add_tokens):
        raise ModelError(
            f"{folder}: this is a reward model or a verifier, which neither GGUF nor added tokens suit. Leave out "
            f"{'--gguf' if gguf else '--add-tokens'}."
        )
    adapter = bool(base_of(folder))
    stored = dtype or _dtype_of(folder)
    loaded = load(model, cast("Dtype", "float32" if adapter else stored), scores=scores)
    network: Any = loaded.model
    if adapter:
        network = network.merge_and_unload()
        steps.append("The adapter was merged into its base in float32.")
    if add_tokens:
        steps.append(_add(network, loaded, add_tokens, special=special, multiple=multiple))
    network = network.to(_torch_dtype(stored))
    scratch = target.resolve().with_name(f".{name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _save(network, loaded, scratch)
        for source in (folder, begun.folder):
            _keep(source, scratch)
        if gguf:
            file = to_gguf.convert(scratch, scratch / f"model-{gguf}.gguf", gguf, converter, name=name)
            steps.append(f"`{file.name}` holds the same model as GGUF.")
        card.write(
            scratch,
            folder,
            begun,
            name=name,
            steps=steps,
            fingerprint=loaded.fingerprint,
            quantised=bool(gguf),
            scores=scores,
        )
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _dtype_of(folder: Path) -> str:
    """The dtype that a model's configuration states, or an adapter's base's."""
    base = base_of(folder)
    file = (locate(base) if base else folder) / "config.json"
    config = store.load_json(file) if file.is_file() else {}
    stated = config.get("dtype") or config.get("torch_dtype") if isinstance(config, dict) else None
    return stated if stated in _DTYPES else "float32"


def _torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)


def _add(network: Any, loaded: Loaded, tokens: Sequence[str], *, special: bool, multiple: int) -> str:
    """Add tokens, and say for the card which."""
    from porism.models.tokens import add_tokens

    ids = add_tokens(network, loaded.tokenizer, tokens, special=special, multiple=multiple)
    listed = ", ".join(f"`{token}` ({number})" for token, number in ids.items())
    kind = "special tokens" if special else "tokens that are text"
    return (
        f"Added {kind}: {listed}. The embedding of each is the mean of those of its former parts, at their mean "
        "length; it was not trained since."
    )


def _save(network: Any, loaded: Loaded, folder: Path) -> None:
    """Write weights, configuration and tokenizer, and leave out the path that the model was read from."""
    network.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    store.write_json(file, config)


def _keep(source: Path, target: Path) -> None:
    for pattern in _KEPT:
        for file in source.glob(pattern):
            if file.is_file() and not (target / file.name).exists():
                shutil.copyfile(file, target / file.name)
