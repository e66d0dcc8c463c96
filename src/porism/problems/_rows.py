"""Rows of a file, one at a time: JSON Lines, a JSON array or object, CSV, Parquet, Arrow; plain or gzip.

A row that cannot be read is an :class:`~porism.problems.Unreadable`, and the next one follows. Only a file that is no
such file at all, or whose compression is damaged, is an error.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from porism import files
from porism.errors import DataError
from porism.problems import Unreadable

__all__ = ["DEEP", "SUFFIXES", "Row", "decoded", "kind_of", "read"]

SUFFIXES = (".parquet", ".arrow", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""What data files end in, the preferred first; ``.gz`` may follow, but for the first two."""

DEEP = "nested too deeply: code or a calculation of more levels than can be read"
"""Why a row makes no problem whose texts are code or calculations."""

_GZIP = b"\x1f\x8b"
_LARGEST = 16 << 20
"""Bytes of one row."""
_BLOCK = 1 << 20
_WHOLE = 64 << 20
_OVERLAP = 64
_SHOWN = 200
_NEXT = re.compile(r"[}\]]\s*,\s*(?=\{)")
_CUT = 16
"""An error so near to the end of what was read may come from the end."""


class Row(NamedTuple):
    """A row with its place: file and line, or item."""

    place: str
    value: dict[str, Any]


def kind_of(name: str) -> str:
    """The suffix that says how a file is to be read, or nothing."""
    plain = name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if plain.endswith(suffix)), "")


def read(path: Path, name: str = "") -> Iterator[Row | Unreadable]:
    """The rows of a file.

    Args:
        path: the file.
        name: what messages call it; the path if empty.

    Raises:
        DataError: it cannot be read at all.
        MissingExtra: it needs pyarrow, which is not installed.
    """
    label, kind = name or str(path), kind_of(path.name)
    if kind in (".parquet", ".arrow"):
        from porism.problems import _arrow

        yield from _arrow.read(path, label, columns_only=kind == ".parquet")
        return
    with path.open("rb") as start:
        packed = start.read(2) == _GZIP
    opened: io.BufferedIOBase = gzip.GzipFile(path, "rb") if packed else path.open("rb")
    try:
        with opened as file:
            if kind in (".csv", ".tsv"):
                yield from _table(file, label, "\t" if kind == ".tsv" else ",")
            else:
                yield from _json(file, label)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{label}: damaged: {error}. Fetch it again.") from None


def decoded(text: str) -> tuple[Any, str]:
    """The value of a JSON text; where it has none, why."""
    try:
        value = json.loads(text)
    except RecursionError:
        return None, "nested too deeply: more lists and objects within one another than can be read"
    except ValueError as error:
        return None, f"not JSON: {error}"
    return (None, "nested too deeply: more than 100 levels") if files.is_deep(value) else (value, "")


def _row(value: object, place: str, text: str) -> Row | Unreadable:
    if not isinstance(value, dict):
        return Unreadable(place, f"no object: expected a JSON object, got {type(value).__name__}", text[:_SHOWN])
    return Row(place, value)


# --- JSON --------------------------------------------------------------------------------------------


def _json(file: io.BufferedIOBase, label: str) -> Iterator[Row | Unreadable]:
    start = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    file.seek(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{label}: expected UTF-8 text, found UTF-16. Save the file as UTF-8.")
    if start.startswith(b"["):
        yield from _array(file, label)
        return
    first = file.readline(_LARGEST)
    file.seek(0)
    if start.startswith(b"{") and decoded(_text(first)[0])[1]:  # perhaps one object over several lines
        whole = file.read(_WHOLE)
        value = decoded(_text(whole)[0])[0] if whole.rstrip().endswith(b"}") else None
        if isinstance(value, dict):
            yield Row(label, value)
            return
        file.seek(0)
    yield from _lines(file, label)


def _text(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "replace"), f"not UTF-8: {error.reason} at byte {error.start}"


def _lines(file: io.BufferedIOBase, label: str) -> Iterator[Row | Unreadable]:
    number = 0
    while line := file.readline(_LARGEST + 1):
        number += 1
        place = f"{label}, line {number}"
        if len(line) > _LARGEST:
            beginning = _text(line[:_SHOWN])[0]
            while line and not line.endswith(b"\n"):
                line = file.readline(_BLOCK)
            yield Unreadable(place, f"too long: more than {_LARGEST >> 20} MB in one row", beginning)
            continue
        text, complaint = _text(line)
        if not text.strip():
            continue
        value, reason = (None, complaint) if complaint else decoded(text)
        yield Unreadable(place, reason, text[:_SHOWN]) if reason else _row(value, place, text)


def _array(file: io.BufferedIOBase, label: str) -> Iterator[Row | Unreadable]:
    """The elements of a JSON array that need not fit in memory."""
    text = _Window(file)
    text.open()
    number = 0
    while (sign := text.next()) not in ("]", ""):
        number += 1
        place, shown = f"{label}, item {number}", text.shown()
        value, reason = text.element()
        if not reason and files.is_deep(value):
            reason = "nested too deeply: more than 100 levels"
        yield Unreadable(place, reason, shown) if reason else _row(value, place, shown)
    if not sign:
        yield Unreadable(f"{label}, end", "cut off: the list is never closed")


class _Window:
    """The part of a JSON array that is being read."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._scan = json.JSONDecoder().raw_decode

    def open(self) -> None:
        """Go behind the bracket."""
        self._more()
        self._at = self._text.index("[") + 1

    def next(self) -> str:
        """The character at which the next element begins, or the list's end; empty at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n,":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def shown(self) -> str:
        """The beginning of the element, for people."""
        return self._text[self._at : self._at + _SHOWN]

    def element(self) -> tuple[Any, str]:
        """The element that begins here, and why it cannot be read; go behind it."""
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except RecursionError:
                return None, self._pass_by("nested too deeply: more than can be read", self._at)
            except ValueError as error:
                into = getattr(error, "pos", self._at) - self._at
                left = len(self._text) - self._at
                may_go_on = into >= left - _CUT or str(error).startswith("Unterminated")
                if may_go_on and left < _LARGEST and self._more():
                    continue
                said = getattr(error, "msg", str(error))
                return None, self._pass_by(f"not JSON: {said}, {into} characters into it", self._at + into)
            if end < len(self._text) or self._ended:
                self._at = end
                return value, ""
            self._more()

    def _pass_by(self, reason: str, place: int) -> str:
        """Go to where the next element seems to begin."""
        at = max(self._at + 1, place - 1)
        while not (found := _NEXT.search(self._text, at)):
            self._at = max(at, len(self._text) - _OVERLAP)
            if not self._more():
                self._at = len(self._text)
                return reason
            at = self._at
        self._at = found.end()
        return reason

    def _more(self) -> bool:
        """Read on, and forget what lies behind; False at the end of the file."""
        if self._ended:
            return False
        kept = self._text[self._at :]
        block = self._file.read(max(_BLOCK, len(kept)))
        self._text, self._at = kept + self._decoder.decode(block, not block), 0
        self._ended = not block
        return not self._ended


# --- tables ------------------------------------------------------------------------------------------


def _table(file: io.BufferedIOBase, label: str, delimiter: str) -> Iterator[Row | Unreadable]:
    """The rows of CSV with a header."""
    csv.field_size_limit(_LARGEST)
    with io.TextIOWrapper(cast("Any", file), encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield from _fields(csv.reader(text, delimiter=delimiter), label, delimiter)


def _fields(reader: Any, label: str, delimiter: str) -> Iterator[Row | Unreadable]:
    """The rows of a reader of CSV, the first of which is the header."""
    header: list[str] = []
    while True:
        place = f"{label}, line {reader.line_num + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Unreadable(place, f"not CSV: {error}")
            continue
        if not header:
            header = fields
        elif len(fields) == len(header):
            yield Row(place, dict(zip(header, fields, strict=True)))
        elif fields:
            reason = f"not CSV: expected {len(header)} fields as in the header, got {len(fields)}"
            yield Unreadable(place, reason, delimiter.join(fields)[:_SHOWN])
