"""Rows of Parquet and of Arrow files, some hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from porism.errors import DataError, MissingExtra
from porism.problems import Unreadable
from porism.problems._rows import Row

__all__ = ["read"]

_AT_ONCE = 256


def read(path: Path, label: str, *, columns_only: bool) -> Iterator[Row | Unreadable]:
    """The rows of a file.

    Args:
        path: the file.
        label: what messages call it.
        columns_only: it is Parquet; else Arrow, as a stream or a file.

    Raises:
        DataError: it is not such a file, or damaged.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra("pyarrow", "'porism[data]'", "reading Parquet and Arrow files") from None
    number = 0
    with ExitStack() as opened:
        try:
            for batch in _batches(path, opened, columns_only=columns_only):
                for start in range(0, batch.num_rows, _AT_ONCE):
                    part = batch.slice(start, _AT_ONCE)
                    yield from _rows(part, label, number)
                    number += part.num_rows
        except (pa.ArrowException, OSError) as error:
            kind = "a Parquet" if columns_only else "an Arrow"
            said = " ".join(str(error).split())[:200]
            raise DataError(f"{label}: not {kind} file, or damaged, after {number} rows ({said}).") from None


def _batches(path: Path, opened: ExitStack, *, columns_only: bool) -> Iterator[Any]:
    import pyarrow as pa

    if columns_only:
        import pyarrow.parquet

        yield from opened.enter_context(pa.parquet.ParquetFile(path)).iter_batches(batch_size=_AT_ONCE)
        return
    file = opened.enter_context(pa.memory_map(str(path)))
    try:
        yield from opened.enter_context(pa.ipc.open_stream(file))
    except pa.ArrowInvalid:
        file.seek(0)
        reader = opened.enter_context(pa.ipc.open_file(file))
        for at in range(reader.num_record_batches):
            yield reader.get_batch(at)


def _rows(batch: Any, label: str, number: int) -> Iterator[Row | Unreadable]:
    """The rows of a batch; where one of them cannot be read, one by one."""
    try:
        values = batch.to_pylist()
    except (ValueError, OverflowError):  # such as text that is not UTF-8, or a date that Python has not
        values = [None] * batch.num_rows
    for at, value in enumerate(values):
        place = f"{label}, row {number + at + 1}"
        if value is not None:
            yield Row(place, value)
            continue
        try:
            yield Row(place, batch.slice(at, 1).to_pylist()[0])
        except (ValueError, OverflowError) as error:
            yield Unreadable(place, f"not readable: {' '.join(str(error).split())[:120]}")
