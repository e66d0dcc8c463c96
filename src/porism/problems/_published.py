"""Finds the file of a published data set: where the user says, in the usual folders, or on the hub."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from porism import store
from porism.errors import DataError, MissingExtra, StorageError
from porism.files import parse_json
from porism.problems import MissingData

__all__ = ["HUB", "Published", "find", "rows"]

HUB = "hub"
"""What ``path`` is where the file is to come from the Hugging Face hub."""


class Published(NamedTuple):
    """Where a data set is published."""

    title: str
    names: Sequence[str]
    """What its file is called."""
    source: str
    """Where a person finds it."""
    repository: str
    """On the hub."""
    file: str
    """In the repository: Parquet."""


def find(data: Published, path: str) -> Path:
    """The file of a data set.

    Args:
        data: which one.
        path: a file, a folder, ``hub``, or nothing to look in ``$PORISM_DATA``, ``../shared/data`` and ``data``.

    Raises:
        MissingData: it is in none of the places.
        DataError: the hub does not give it.
    """
    if path == HUB:
        return _from_hub(data)
    given = Path(path).expanduser() if path else None
    if given and given.is_file():
        return given
    folders = [given] if given else [Path(os.environ.get("PORISM_DATA") or "../shared/data"), Path("data")]
    for folder in folders:
        for name in data.names:
            if (folder / name).is_file():
                return folder / name
    raise MissingData(
        f"{data.title}: expected {' or '.join(data.names)} in {', '.join(map(str, folders))}. Download it from "
        f"{data.source} and give its place with path=…, or set path to {HUB}."
    )


def _from_hub(data: Published) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        asked = os.environ.get("HF_ENDPOINT") or None
        return Path(huggingface_hub.hf_hub_download(data.repository, data.file, repo_type="dataset", endpoint=asked))
    except LocalEntryNotFoundError:
        raise MissingData(
            f"{data.title}: the hub cannot be reached. Download the file from {data.source}, and give its place with "
            "path=…"
        ) from None
    except HfHubHTTPError as error:
        raise DataError(f"{data.title}: the hub does not give {data.file} of {data.repository}: {error}") from None
    except OSError as error:
        raise StorageError(f"{data.title}: cannot be kept in the hub's cache: {error}") from None


def rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with its place: JSON Lines, as it is or gzipped, or Parquet.

    Raises:
        DataError: a row is malformed, or the file damaged.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    if file.suffix == ".parquet":
        yield from _parquet(file)
    elif file.suffix == ".gz":
        yield from _gzipped(file)
    else:
        for number, row in store.rows(file):
            yield f"{file}, line {number}", row


def _gzipped(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    place = f"{file}, line {number}"
                    row = parse_json(line, place)
                    if not isinstance(row, dict):
                        raise DataError(f"{place}: expected a JSON object, got {type(row).__name__}.")
                    yield place, row
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a gzipped text, or damaged ({error}). Download it again.") from None


def _parquet(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtra("pyarrow", "pyarrow", "reading Parquet files") from None
    for number, row in enumerate(pq.read_table(file).to_pylist(), 1):
        yield f"{file}, row {number}", row
