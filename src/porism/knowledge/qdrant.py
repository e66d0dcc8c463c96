"""A Qdrant server: an index in two collections, found by their name.

Full-text search is a sparse vector of the words, weighted as in BM25: how often a word stands in the item here, how
rare it is by the server. The key of the API comes from ``QDRANT_API_KEY``.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from porism.errors import MissingExtra
from porism.knowledge._stores import Row, failing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Qdrant", "connect"]

_TIMEOUT = 30
"""Seconds to wait for the server."""
_AT_ONCE = 500
_SATURATION = 1.2
"""BM25's k1: how soon it stops to matter that a word stands there once more."""


class Qdrant:
    """The collections ``name`` and ``name_about``.

    Args:
        place: the server's address.
        name: of the index.
        client: of the server.
    """

    def __init__(self, place: str, name: str, client: Any) -> None:
        self._place, self._name, self._client = place, name, client

    def about(self) -> dict[str, str]:
        """What the one point of ``name_about`` carries."""
        with self._failing():
            if not self._client.collection_exists(f"{self._name}_about"):
                return {}
            points = self._client.retrieve(f"{self._name}_about", ids=[1], with_payload=True)
        return dict(points[0].payload) if points else {}

    def begin(self, dimensions: int) -> None:
        """Make the collections anew."""
        from qdrant_client import models

        self.clear()
        vector = models.VectorParams(size=dimensions, distance=models.Distance.COSINE)
        words = models.SparseVectorParams(modifier=models.Modifier.IDF)
        one = models.VectorParams(size=1, distance=models.Distance.DOT)
        with self._failing():
            self._client.create_collection(
                self._name, vectors_config={"text": vector}, sparse_vectors_config={"words": words}
            )
            self._client.create_collection(f"{self._name}_about", vectors_config=one)

    def describe(self, about: Mapping[str, str]) -> None:
        """Write the one point of ``name_about``."""
        from qdrant_client import models

        with self._failing():
            point = models.PointStruct(id=1, vector=[1.0], payload=dict(about))
            self._client.upsert(f"{self._name}_about", points=[point], wait=True)

    def ids(self) -> set[str]:
        """The ids of all items."""
        found: set[str] = set()
        after: Any = None
        with self._failing():
            while True:
                points, after = self._client.scroll(
                    self._name, limit=10_000, offset=after, with_payload=False, with_vectors=False
                )
                found |= {_named(point.id) for point in points}
                if after is None:
                    return found

    def add(self, rows: Sequence[Row], vectors: Floats) -> None:
        """Insert items."""
        from qdrant_client import models

        points = [
            models.PointStruct(
                id=_number(row.id),
                vector={"text": vector.tolist(), "words": _weighted(row.words)},
                payload={"data": row.data},
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
        with self._failing():
            for start in range(0, len(points), _AT_ONCE):
                self._client.upsert(self._name, points=points[start : start + _AT_ONCE], wait=True)

    def remove(self, ids: Collection[str]) -> None:
        """Delete items."""
        from qdrant_client import models

        with self._failing():
            for some in _parts(sorted(ids)):
                chosen = models.PointIdsList(points=[_number(name) for name in some])
                self._client.delete(self._name, points_selector=chosen, wait=True)

    def finish(self, approximate_from: int) -> None:
        """Nothing: the server indexes by itself, and decides itself from when on."""

    def nearest(self, vector: Floats, count: int) -> list[tuple[str, float]]:
        """The nearest by cosine."""
        return self._queried(vector.tolist(), "text", count)

    def matching(self, words: str, count: int) -> list[tuple[str, float]]:
        """The best by the words."""
        from qdrant_client import models

        indices = sorted({_code(word) for word in words.split()})
        return self._queried(models.SparseVector(indices=indices, values=[1.0] * len(indices)), "words", count)

    def get(self, ids: Sequence[str]) -> dict[str, str]:
        """The data of items."""
        with self._failing():
            points = self._client.retrieve(self._name, ids=[_number(name) for name in ids], with_payload=True)
        return {_named(point.id): point.payload["data"] for point in points}

    def clear(self) -> None:
        """Remove both collections."""
        with self._failing():
            for name in (self._name, f"{self._name}_about"):
                if self._client.collection_exists(name):
                    self._client.delete_collection(name)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def locked(self) -> AbstractContextManager[None]:
        """Nothing: the server has no locks."""
        return nullcontext()

    def _queried(self, query: Any, using: str, count: int) -> list[tuple[str, float]]:
        with self._failing():
            found = self._client.query_points(
                self._name, query=query, using=using, limit=count, with_payload=False
            ).points
        return [(_named(point.id), float(point.score)) for point in found]

    def _failing(self) -> AbstractContextManager[None]:
        from qdrant_client.http.exceptions import ApiException

        return failing(self._place, ApiException, ValueError, OSError)


def connect(place: str, name: str) -> Qdrant:
    """The index on a server.

    Raises:
        MissingExtra: the client is not installed.
    """
    try:
        import qdrant_client
    except ImportError:
        raise MissingExtra("qdrant-client", "'porism[rag]'", "an index on a Qdrant server") from None
    key = os.environ.get("QDRANT_API_KEY") or None
    client = qdrant_client.QdrantClient(url=place, api_key=key, timeout=_TIMEOUT, check_compatibility=False)
    return Qdrant(place, name, client)


def _weighted(words: str) -> Any:
    """The words as a sparse vector: a place for each, and how much it counts."""
    from qdrant_client import models

    counts = Counter(_code(word) for word in words.split())
    places = sorted(counts)
    values = [counts[place] * (_SATURATION + 1) / (counts[place] + _SATURATION) for place in places]
    return models.SparseVector(indices=places, values=values)


def _code(word: str) -> int:
    return zlib.crc32(word.encode())


def _number(name: str) -> int:
    """An id as Qdrant has them: 64 bits."""
    return int(name, 16)


def _named(number: int) -> str:
    return f"{number:016x}"


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
