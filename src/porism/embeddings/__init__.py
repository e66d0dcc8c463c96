"""Text → vectors of length 1, kept on disk under the model's fingerprint, so that a text is embedded once.

An encoder is a module with ``identify(model) -> str``, a fingerprint of all that its vectors depend on, found without
loading the model, and ``load(model, *, threads) -> Encoder``. Nothing here asks the network, but that the small
sentence encoder comes as a wheel from PyPI when it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from porism import console
from porism.find import find

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["PARTS", "Embedder", "Encoder", "embed", "fingerprint"]

PARTS = "porism.embeddings"
_AT_ONCE = 4_096
"""Texts between two writes to the cache."""


class Encoder(Protocol):
    """A loaded model that embeds texts."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """The vectors of some texts, of any length. [N, D]."""


def fingerprint(encoder: str = "sentence", model: str = "") -> str:
    """A hash of all that an encoder's vectors depend on.

    Raises:
        RecipeError: no such encoder.
        ModelError: no such model.
    """
    found: str = find(PARTS, encoder, "identify")(model) if ":" not in encoder else _outside(encoder, model)
    return found


def embed(
    texts: Sequence[str], *, encoder: str = "sentence", model: str = "", threads: int = 0, cache: bool = True
) -> Floats:
    """The vector of each text, of length 1. Equal texts are embedded once; those that are kept on disk, not again.

    Args:
        texts: what to embed; a text beyond the model's context is cut there.
        encoder: a module of this package, or code of your own.
        model: what the encoder loads: an alias, a folder, a model of a hub in the cache; its default where empty.
        threads: of torch; 0 for as many as processors are idle.
        cache: use vectors that were kept, and keep those that are made: ``$PORISM_HOME/embeddings``, at most
            ``$PORISM_EMBEDDINGS_MB`` megabytes (4096; 0 for none) for each model.

    Returns:
        Float32. [N, D]

    Raises:
        RecipeError: no such encoder.
        ModelError: the model is unknown, unsafe or cannot be had.
        MissingExtra: a library is not installed.
    """
    return Embedder(encoder=encoder, model=model, threads=threads, cache=cache).embed(texts)


class Embedder:
    """As :func:`embed`, for texts that come a few at a time: the model is loaded once, when a text is first missing.

    Raises:
        RecipeError: no such encoder.
        ModelError: no such model.
    """

    def __init__(self, *, encoder: str = "sentence", model: str = "", threads: int = 0, cache: bool = True) -> None:
        from porism.embeddings._kept import Kept

        self.fingerprint = fingerprint(encoder, model)
        self._encoder, self._model, self._threads = encoder, model, threads
        self._kept = Kept(self.fingerprint, keep=cache)
        self._loaded: Encoder | None = None

    def embed(self, texts: Sequence[str], *, show: bool = True) -> Floats:
        """The vector of each text. [N, D].

        Args:
            texts: what to embed.
            show: a progress bar.
        """
        import numpy as np

        places: dict[str, int] = {}
        index = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, len(texts))
        unique = list(places)
        found: Floats | None = None
        missing: list[int] = []
        for start in range(0, len(unique), _AT_ONCE):
            known = self._kept.get(unique[start : start + _AT_ONCE])
            for at in range(start, min(start + _AT_ONCE, len(unique))):
                vector = known.get(unique[at])
                if vector is None:
                    missing.append(at)
                    continue
                found = np.empty((len(unique), len(vector)), np.float32) if found is None else found
                found[at] = vector
        if missing:
            if self._loaded is None:
                self._loaded = find(PARTS, self._encoder, "load")(self._model, threads=self._threads)
            found = _made(unique, missing, found, self._kept, self._loaded, show=show)
        if found is None:
            return np.zeros((0, 0), np.float32)
        return found[index] if len(unique) < len(texts) else found


def _made(
    unique: list[str], missing: list[int], found: Floats | None, kept: Any, encoder: Any, *, show: bool
) -> Floats:
    """Embed the texts that are missing, those of like length together."""
    import numpy as np

    missing.sort(key=lambda at: (-len(unique[at]), unique[at]))
    with console.progress("embedding", len(missing) if show else 0, "texts") as bar:
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            texts = [unique[at].encode("utf-8", "replace").decode() for at in some]  # half of a surrogate pair: no text
            vectors = np.asarray(encoder.encode(texts), np.float32)
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            found = np.empty((len(unique), vectors.shape[1]), np.float32) if found is None else found
            found[some] = vectors
            kept.put({unique[at]: vector for at, vector in zip(some, vectors, strict=True)})
            bar.advance(len(some))
    if found is None:
        raise RuntimeError("nothing was embedded")
    return found


def _outside(encoder: str, model: str) -> str:
    """Code of the user's own: ``path.py:load``; the file's hash stands for it."""
    from pathlib import Path

    from porism.records import content_id
    from porism.store import sha256

    file = Path(encoder.rpartition(":")[0])
    return content_id("encoder", encoder, model, sha256(file) if file.is_file() else "")
