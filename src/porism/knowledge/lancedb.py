"""LanceDB: an index in a folder, or in an object store. No server."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porism import store
from porism.errors import MissingExtra, StorageError
from porism.knowledge._stores import Row, failing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Lance", "connect"]

_ITEMS, _ABOUT = "items", "about"
_AT_ONCE = 500
_LOCK = ".lock"
_PROBES = 32
"""Parts of an approximate index that are looked at."""


class Lance:
    """A database of LanceDB with the tables ``items`` and ``about``.

    Args:
        place: its folder or address. It is opened when it is first needed, so that asking makes no folder.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._table: Any = None

    @functools.cached_property
    def _database(self) -> Any:
        import lancedb

        return lancedb.connect(self._place)

    def about(self) -> dict[str, str]:
        """What the index says of itself.

        Raises:
            StorageError: the folder holds something else.
        """
        if "://" not in self._place and not Path(self._place).is_dir():
            return {}
        with self._failing():
            if _ABOUT not in self._names():
                self._refuse_foreign()
                return {}
            rows = self._database.open_table(_ABOUT).to_arrow().to_pylist()
        return {row["name"]: row["value"] for row in rows}

    def begin(self, dimensions: int) -> None:
        """Make the table of items."""
        import pyarrow as pa

        vector = pa.list_(pa.float32(), dimensions)
        names = [pa.field(name, pa.string(), nullable=False) for name in Row._fields]
        schema = pa.schema([*names, pa.field("vector", vector)])
        with self._failing():
            self._table = self._database.create_table(_ITEMS, schema=schema, mode=self._mode(_ITEMS))

    def describe(self, about: Mapping[str, str]) -> None:
        """Write the table ``about`` anew."""
        import pyarrow as pa

        table = pa.table({"name": list(about), "value": list(about.values())})
        with self._failing():
            self._database.create_table(_ABOUT, table, mode=self._mode(_ABOUT))

    def ids(self) -> set[str]:
        """The ids of all items."""
        with self._failing():
            found = self._items().search().select(["id"]).limit(None).to_arrow()
        return set(found["id"].to_pylist())

    def add(self, rows: Sequence[Row], vectors: Floats) -> None:
        """Append items."""
        import pyarrow as pa

        values = pa.array(vectors.ravel(), pa.float32())
        columns = {name: [getattr(row, name) for row in rows] for name in Row._fields}
        table = self._items()
        kind = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
        with self._failing():
            table.add(pa.table({**columns, "vector": kind}, schema=table.schema))

    def remove(self, ids: Collection[str]) -> None:
        """Mark items as deleted."""
        with self._failing():
            for some in _parts(sorted(ids)):
                self._items().delete(_one_of(some))

    def finish(self, approximate_from: int) -> None:
        """Indexes of the ids and the words and, for many items, of the vectors; old versions of the files go."""
        from lancedb.index import FTS, BTree, HnswFlat

        with self._failing():
            table = self._items()
            made = {column for index in table.list_indices() for column in index.columns}
            if not table.count_rows():
                return
            if "id" not in made:
                table.create_index("id", config=BTree())
            if "words" not in made:
                table.create_index("words", config=FTS(base_tokenizer="whitespace", max_token_length=None))
            if "vector" not in made and table.count_rows() >= approximate_from:
                table.create_index("vector", config=HnswFlat(distance_type="cosine"))
            table.optimize(cleanup_older_than=timedelta(days=1))

    def nearest(self, vector: Floats, count: int) -> list[tuple[str, float]]:
        """The nearest by cosine."""
        with self._failing():
            query = self._items().search(vector, vector_column_name="vector").distance_type("cosine")
            found = query.nprobes(_PROBES).ef(max(2 * count, 100)).limit(count).select(["id", "_distance"]).to_arrow()
        pairs = zip(found["id"].to_pylist(), found["_distance"].to_pylist(), strict=True)
        return [(name, 1.0 - distance) for name, distance in pairs]

    def matching(self, words: str, count: int) -> list[tuple[str, float]]:
        """The best by BM25."""
        from lancedb.query import MatchQuery

        with self._failing():
            query = self._items().search(MatchQuery(words, "words"), query_type="fts")
            found = query.limit(count).select(["id", "_score"]).to_arrow()
        return list(zip(found["id"].to_pylist(), found["_score"].to_pylist(), strict=True))

    def get(self, ids: Sequence[str]) -> dict[str, str]:
        """The data of items."""
        found: dict[str, str] = {}
        with self._failing():
            for some in _parts(ids):
                query = self._items().search().where(_one_of(some)).select(["id", "data"]).limit(len(some))
                found |= {row["id"]: row["data"] for row in query.to_arrow().to_pylist()}
        return found

    def clear(self) -> None:
        """Drop both tables."""
        with self._failing():
            for name in {_ITEMS, _ABOUT} & self._names():
                self._database.drop_table(name)
        self._table = None

    def close(self) -> None:
        """Nothing: there is no server."""

    def locked(self) -> AbstractContextManager[None]:
        """A lock file in the folder; none in an object store."""
        return self._held() if "://" not in self._place else nullcontext()

    @contextmanager
    def _held(self) -> Iterator[None]:
        file = Path(self._place) / _LOCK
        with store.lock(file):
            try:
                yield
            finally:
                file.unlink(missing_ok=True)

    def _items(self) -> Any:
        if self._table is None:
            self._table = self._database.open_table(_ITEMS)
        return self._table

    def _names(self) -> set[str]:
        return set(self._database.list_tables().tables)

    def _mode(self, name: str) -> str:
        return "overwrite" if name in self._names() else "create"

    def _refuse_foreign(self) -> None:
        """Refuse a folder with files of others.

        Raises:
            StorageError: it is one.
        """
        folder = Path(self._place)
        if "://" in self._place or not folder.exists():
            return
        own = {f"{_ITEMS}.lance", f"{_ABOUT}.lance", _LOCK}
        if not folder.is_dir() or any(path.name not in own for path in folder.iterdir()):
            raise StorageError(f"{folder} exists and is no index. Choose another place, or move it away.")

    def _failing(self) -> AbstractContextManager[None]:
        return failing(self._place, RuntimeError, ValueError, OSError)


def connect(place: str, name: str = "") -> Lance:
    """The index in a folder or an object store.

    Raises:
        MissingExtra: LanceDB is not installed.
        StorageError: the place is not to be had.
    """
    del name
    if importlib.util.find_spec("lancedb") is None:
        raise MissingExtra("lancedb", "'porism[rag]'", "an index of knowledge")
    if "://" not in place:
        folder = Path(place).expanduser()
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder}: expected the folder of an index, found a file. Choose another place.")
        place = str(folder)
    return Lance(place)


def _one_of(ids: Sequence[str]) -> str:
    """A condition on the id; ids are hexadecimal."""
    if not all(name.isalnum() for name in ids):
        raise ValueError(f"no ids: {ids!r:.80}")
    return "id IN ({})".format(", ".join(f"'{name}'" for name in ids))


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
