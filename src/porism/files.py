"""Files as such: reading text and JSON with errors that name the place, writing whole or not at all, hashes, locks."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from porism import console
from porism.errors import DataError, StorageError

__all__ = [
    "Malformed",
    "checksum",
    "each",
    "load_json",
    "lock",
    "parse_json",
    "read_text",
    "rows",
    "sha256",
    "to_line",
    "write_json",
    "write_text",
]

_DEEPEST = 100
_LONGEST = 64 << 20
"""Bytes of a line."""
_SHOWN = 2_000
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Malformed(NamedTuple):
    """A line that is not what it should be."""

    complaint: str
    """What is wrong, where, and what to do."""
    line: str
    """Its beginning."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without its byte order mark.

    Raises:
        DataError: no such file, a folder, or another encoding.
    """
    if path.is_dir():
        raise DataError(f"{path}: expected a file, found a folder. Name a file in it.")
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the path.")
    return _decoded(path.read_bytes(), str(path))


def load_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: see :func:`read_text`, or it is not JSON.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str, place: str) -> Any:
    """The value of a JSON text.

    Args:
        text: the JSON.
        place: where it stands, for the message.

    Raises:
        DataError: it is not JSON, or is nested too deeply.
    """
    try:
        value = json.loads(text)
        if _depth(value) <= _DEEPEST:
            return value
    except ValueError as error:
        raise DataError(f"{place}: not valid JSON ({error}). Mend or remove it.") from None
    except RecursionError:
        pass
    raise DataError(f"{place}: expected JSON of at most {_DEEPEST} levels, found more. Mend or remove it.") from None


def _depth(value: object) -> int:
    """How many lists and objects stand within one another, counted no further than is allowed."""
    depth, level = 0, [value]
    while depth <= _DEEPEST and (nested := [item for item in level if isinstance(item, dict | list)]):
        depth += 1
        level = [inner for item in nested for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects in a JSON Lines file, each with its line number (from 1). Empty lines are passed over.

    Raises:
        DataError: a line is not a JSON object; the message names file and line.
    """
    for number, found in each(path):
        if isinstance(found, Malformed):
            raise DataError(found.complaint)
        yield number, found


def each(path: Path) -> Iterator[tuple[int, dict[str, Any] | Malformed]]:
    """As :func:`rows`, but a line that is no JSON object is told of, and stops nothing."""
    if path.is_dir():
        raise DataError(f"{path}: expected a file, found a folder. Name a file in it.")
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            place = f"{path}, line {number}"
            try:
                if text := _decoded(line, place, _LONGEST).strip():
                    yield number, _object(text, place)
            except DataError as error:
                yield number, Malformed(str(error), line[:_SHOWN].decode("utf-8", "replace").strip())


def _object(text: str, place: str) -> dict[str, Any]:
    row = parse_json(text, place)
    if not isinstance(row, dict):
        raise DataError(
            f"{place}: expected a JSON object, got {type(row).__name__}. "
            'Each line must be one object, such as {"question": …, "answer": …}.'
        )
    return row


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is longer than is allowed only the beginning."""
    while line := file.readline(_LONGEST + 1):
        rest = line
        while len(rest) > _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST + 1)
        yield line


def _decoded(data: bytes, place: str, most: int = 0) -> str:
    if most and len(data) > most:
        raise DataError(f"{place}: expected a line of at most {most >> 20} MB, found more. Mend or remove it.")
    try:
        if data.startswith(_OTHER_ENCODINGS):
            raise DataError(f"{place}: expected UTF-8 text, found UTF-16. Save the file as UTF-8.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: expected UTF-8 text ({error.reason}). Save the file as UTF-8.") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path, start: int, end: int) -> int:
    """The CRC-32 of a part of a file."""
    value = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(1 << 20, end - start))):
            value = zlib.crc32(block, value)
            start += len(block)
    return value


def to_line(value: object) -> bytes:
    """A value as one line of JSON."""
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, legal in JSON but not in UTF-8
        return json.dumps(value).encode() + b"\n"


def write_json(path: Path, value: object) -> None:
    """Write JSON as :func:`write_text` does."""
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):  # legal in JSON but not in UTF-8
        text = json.dumps(value, indent=1, default=str)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the whole new one, whatever happens."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def lock(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file for this process; the lock ends with the process, however it ends.

    Args:
        file: the lock file; its folder is made.
        wait: wait for another process that holds it, saying so, instead of giving up.

    Raises:
        StorageError: another process holds it, or its folder is a file.
    """
    import fcntl

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise StorageError(
            f"{file.parent}: expected a folder, found a file. Choose another output: a folder, or a path that "
            "ends in .jsonl."
        ) from None
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise StorageError(
                    f"{file.parent} is in use by another porism process. Wait for it, or choose another folder."
                ) from None
            console.notice(f"Waiting for another porism process that uses {file.parent}.")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
