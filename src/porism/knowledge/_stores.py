"""Where an index is kept: what every store can do, and which one a place means."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from porism.errors import RecipeError, StorageError
from porism.find import find

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["PARTS", "Row", "Store", "connect", "failing"]

PARTS = "porism.knowledge"
_SCHEMES = {"postgresql": "pgvector", "postgres": "pgvector", "http": "qdrant", "https": "qdrant"}
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_DEFAULT = "porism_knowledge"
_SECRETS = {"pgvector": "PGPASSWORD or in ~/.pgpass", "qdrant": "QDRANT_API_KEY"}


class Row(NamedTuple):
    """An item as it is stored."""

    id: str
    words: str
    """For full-text search: words with a space between them."""
    data: str
    """All that is known of it, for :func:`porism.knowledge._items.from_data`."""


class Store(Protocol):
    """What keeps the items of one index, with their vectors and words."""

    def about(self) -> dict[str, str]:
        """What the index says of itself; nothing where there is none yet."""

    def begin(self, dimensions: int) -> None:
        """Make an empty index for vectors of so many dimensions."""

    def describe(self, about: Mapping[str, str]) -> None:
        """Keep what the index says of itself, instead of what it said before."""

    def ids(self) -> set[str]:
        """The ids of all items."""

    def add(self, rows: Sequence[Row], vectors: Floats) -> None:
        """Add items that are not there. Vectors have length 1. [N, D]."""

    def remove(self, ids: Collection[str]) -> None:
        """Remove items."""

    def finish(self, approximate_from: int) -> None:
        """Bring what searches are fast by up to date; from so many items on, vectors are searched approximately."""

    def nearest(self, vector: Floats, count: int) -> list[tuple[str, float]]:
        """The items whose vectors are nearest, best first, each with its cosine. The vector: [D]."""

    def matching(self, words: str, count: int) -> list[tuple[str, float]]:
        """The items with most of the words in common, best first, each with a score of the store's own."""

    def get(self, ids: Sequence[str]) -> dict[str, str]:
        """The data of items, by their ids."""

    def clear(self) -> None:
        """Remove the index."""

    def close(self) -> None:
        """Give the connection back; nothing can be asked afterwards."""

    def locked(self) -> AbstractContextManager[None]:
        """Holds the index for this process, so that no other one writes.

        Raises:
            StorageError: another one does.
        """


def connect(place: str) -> Store:
    """The store that a place means.

    Args:
        place: a folder, or what object stores are called by (``s3://bucket/path``), for LanceDB;
            ``postgresql://host/database#name`` for pgvector; ``http://host:6333#name`` for Qdrant.

    Raises:
        RecipeError: it means none.
        StorageError: the server cannot be reached.
        MissingExtra: a library is not installed.
    """
    if not place.strip():
        raise RecipeError("index: expected a folder, postgresql://host/database#name or http://host:6333#name.")
    parts = urlsplit(place)
    store = _SCHEMES.get(parts.scheme, "lancedb")
    name = ""
    if store != "lancedb":
        name = parts.fragment or _DEFAULT
        if parts.password is not None or (store == "qdrant" and parts.username):
            raise RecipeError(
                f"index: a secret in a setting ends up in files. Leave it out of the address and put it into "
                f"the environment variable {_SECRETS[store]}."
            )
        if not _NAME.fullmatch(name):
            raise RecipeError(
                f"index: expected a name of small letters, digits and _ after the #, at most 41, got {name!r}."
            )
        place = place.partition("#")[0]
    made: Store = find(PARTS, store, "connect")(place, name)
    return made


@contextmanager
def failing(place: str, *kinds: type[Exception]) -> Iterator[None]:
    """What a library raises, as an error that names the index.

    Raises:
        StorageError: one of these kinds was raised.
    """
    try:
        yield
    except kinds as error:
        said = " ".join(str(error).split())[:400] or type(error).__name__
        raise StorageError(f"{place}: the index cannot be used: {said}") from error
