"""PostgreSQL with the extension pgvector: an index in two tables, found by their name.

Passwords come from where PostgreSQL's clients look for them: ``PGPASSWORD``, ``~/.pgpass`` or a service file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from porism.errors import MissingExtra, StorageError
from porism.knowledge._stores import Row, failing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Postgres", "connect"]

_TIMEOUT = 10
"""Seconds to wait for the server."""
_MOST_EF = 1_000
_EXISTS = "SELECT to_regclass(quote_ident(%s)) IS NOT NULL"
_ITEMS = """
CREATE TABLE {items} (
  id text PRIMARY KEY, words text NOT NULL, data text NOT NULL, vector vector({dimensions}) NOT NULL
);
CREATE INDEX ON {items} USING gin (to_tsvector('english', words))
"""
_NEAREST = "SELECT id, 1 - (vector <=> %s::vector) FROM {items} ORDER BY vector <=> %s::vector LIMIT %s"
_MATCHING = """
SELECT id, ts_rank(to_tsvector('english', words), query, 1) AS score
FROM {items}, (SELECT replace(plainto_tsquery('english', %s)::text, '&', '|')::tsquery AS query) AS asked
WHERE to_tsvector('english', words) @@ query ORDER BY score DESC, id LIMIT %s
"""
"""Any of the words, not all of them; divided by the logarithm of the length."""


class Postgres:
    """The tables ``name`` and ``name_about`` of a database.

    Args:
        place: the database's address.
        name: of the index.
        connection: to the database, without transactions of its own.
    """

    def __init__(self, place: str, name: str, connection: Any) -> None:
        self._place, self._name, self._connection = place, name, connection

    def about(self) -> dict[str, str]:
        """What the table ``name_about`` holds."""
        if not self._one(_EXISTS, f"{self._name}_about"):
            return {}
        return dict(self._all("SELECT name, value FROM {about}"))

    def begin(self, dimensions: int) -> None:
        """Make the extension and the tables.

        Raises:
            StorageError: the server has no pgvector, or the user may not make tables.
        """
        import psycopg

        try:
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except psycopg.Error as error:
            raise StorageError(
                f"{self._place}: the extension pgvector cannot be had: {_said(error)}. Install it on the server "
                "(Debian: postgresql-17-pgvector), and let its administrator run: CREATE EXTENSION vector"
            ) from error
        with self._failing(), self._connection.transaction():
            self._all("DROP TABLE IF EXISTS {items}")
            self._all(_ITEMS, dimensions=int(dimensions))

    def describe(self, about: Mapping[str, str]) -> None:
        """Write the table ``name_about`` anew."""
        with self._failing(), self._connection.transaction():
            self._all("CREATE TABLE IF NOT EXISTS {about} (name text PRIMARY KEY, value text NOT NULL)")
            self._all("DELETE FROM {about}")
            for name, value in about.items():
                self._all("INSERT INTO {about} VALUES (%s, %s)", name, value)

    def ids(self) -> set[str]:
        """The ids of all items."""
        return {row[0] for row in self._all("SELECT id FROM {items}")}

    def add(self, rows: Sequence[Row], vectors: Floats) -> None:
        """Copy items into the table, all or none."""
        query = self._composed("COPY {items} (id, words, data, vector) FROM STDIN")
        with (
            self._failing(),
            self._connection.transaction(),
            self._connection.cursor() as cursor,
            cursor.copy(query) as copy,
        ):
            for row, vector in zip(rows, vectors, strict=True):
                copy.write_row((*row, _written(vector)))

    def remove(self, ids: Collection[str]) -> None:
        """Delete items."""
        self._all("DELETE FROM {items} WHERE id = ANY(%s)", sorted(ids))

    def finish(self, approximate_from: int) -> None:
        """Statistics and, for many items, an HNSW index of the vectors."""
        if self._one("SELECT count(*) FROM {items}") >= approximate_from:
            self._all("CREATE INDEX IF NOT EXISTS {hnsw} ON {items} USING hnsw (vector vector_cosine_ops)")
        self._all("ANALYZE {items}")

    def nearest(self, vector: Floats, count: int) -> list[tuple[str, float]]:
        """The nearest by cosine."""
        written = _written(vector)
        with self._failing(), self._connection.transaction():
            self._all("SELECT set_config('hnsw.ef_search', %s, true)", str(min(max(count, 100), _MOST_EF)))
            found = self._all(_NEAREST, written, written, count)
        return [(name, float(cosine)) for name, cosine in found]

    def matching(self, words: str, count: int) -> list[tuple[str, float]]:
        """The best by PostgreSQL's rank, which does not know how frequent a word is elsewhere."""
        return [(name, float(score)) for name, score in self._all(_MATCHING, words, count)]

    def get(self, ids: Sequence[str]) -> dict[str, str]:
        """The data of items."""
        return dict(self._all("SELECT id, data FROM {items} WHERE id = ANY(%s)", list(ids)))

    def clear(self) -> None:
        """Drop both tables."""
        self._all("DROP TABLE IF EXISTS {items}, {about}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A lock of the server's, which ends with the connection.

        Raises:
            StorageError: another session holds it.
        """
        if not self._one("SELECT pg_try_advisory_lock(hashtext(%s))", self._name):
            raise StorageError(
                f"{self._place}: the index {self._name} is being written by another process. Wait for it."
            )
        try:
            yield
        finally:
            self._one("SELECT pg_advisory_unlock(hashtext(%s))", self._name)

    def _composed(self, query: str, **values: int) -> Any:
        """The query with the tables' names in it, quoted."""
        from psycopg import sql

        names = {"items": self._name, "about": f"{self._name}_about", "hnsw": f"{self._name}_hnsw"}
        parts = {name: sql.Identifier(value) for name, value in names.items()}
        return sql.SQL(query).format(**parts, **{name: sql.Literal(value) for name, value in values.items()})

    def _all(self, query: str, *values: object, **literals: int) -> list[Any]:
        with self._failing():
            found = self._connection.execute(self._composed(query, **literals), values or None)
            return list(found.fetchall()) if found.description else []

    def _one(self, query: str, *values: object) -> Any:
        return self._all(query, *values)[0][0]

    def _failing(self) -> AbstractContextManager[None]:
        import psycopg

        return failing(self._place, psycopg.Error)


def connect(place: str, name: str) -> Postgres:
    """The index in a database.

    Raises:
        MissingExtra: psycopg is not installed.
        StorageError: the database cannot be reached.
    """
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("psycopg", "'porism[rag]'", "an index in PostgreSQL") from None
    try:
        connection = psycopg.connect(place, autocommit=True, connect_timeout=_TIMEOUT)
    except psycopg.Error as error:
        raise StorageError(
            f"{place}: the database cannot be reached: {_said(error)}. Check the address and that the server runs."
        ) from error
    return Postgres(place, name, connection)


def _written(vector: Floats) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
