"""The layouts in which people keep training rows → records.

Besides Porism's own records and TRL's rows these are chats (``messages``, or ShareGPT's ``conversations``), and rows
of texts: ``input``/``output`` with ``loss_mask``, alpaca's ``instruction``/``input``/``output``, and
``prompt``/``completion``.
A file is JSON Lines, or one JSON array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from porism import store
from porism.errors import DataError
from porism.records import Message, Record

__all__ = ["adapted", "read", "rows"]

_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def read(path: str | Path, *kinds: type[Record]) -> Iterator[Record]:
    """The records of a file or stage folder, whatever its layout.

    Args:
        path: a JSON Lines file, a JSON array, or a stage's folder.
        kinds: the classes that the caller can use.

    Raises:
        DataError: no such file, or a row that is none of these; names file and place.
    """
    file = store.locate(path)
    for place, row in rows(file):
        try:
            record = store.parse(adapted(row))
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"{place}: not a training row: {reason}. Mend or remove it.") from None
        if not isinstance(record, kinds):
            wanted = " or ".join(kind.__name__.lower() for kind in kinds)
            raise DataError(f"{place}: expected {wanted} records, got {type(record).__name__.lower()}.")
        yield record


def rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in a file of JSON Lines or with a JSON array, each with its place.

    Raises:
        DataError: it is neither, or holds other values.
    """
    with file.open("rb") as opened:
        array = opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    if not array:
        for number, row in store.rows(file):
            yield f"{file}, line {number}", row
        return
    for number, row in enumerate(store.load_json(file), 1):
        if not isinstance(row, dict):
            raise DataError(f"{file}, row {number}: expected an object, got {type(row).__name__}. Mend or remove it.")
        yield f"{file}, row {number}", row


def adapted(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row in one of the layouts of :mod:`porism.records`; further columns of TRL's rows are passed over.

    Raises:
        ValueError: a chat without an answer, or a message that is none.
    """
    if "problem" in row or "question" in row:
        return row
    if "conversations" in row:
        row = {**row, "messages": [_of_sharegpt(one) for one in row["conversations"]]}
        del row["conversations"]
    if "messages" in row:
        if not isinstance(row["messages"], list):
            raise ValueError(f"expected a list of messages, got {row['messages']!r:.60}")
        chat = _messages(row["messages"])
        first = next((at for at, one in enumerate(chat) if one["role"] == "assistant"), 0)
        last = max((at for at, one in enumerate(chat) if one["role"] == "assistant"), default=0)
        if not first:
            raise ValueError("expected messages in which the assistant answers somebody")
        rest = {name: value for name, value in row.items() if name in ("loss_mask", "label", "meta")}
        return {"prompt": chat[:first], "completion": chat[first : last + 1], **rest}
    if "output" in row and ("input" in row or "instruction" in row):
        asked = "\n\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
        lead = [Message(role="system", content=str(row["system"]))] if row.get("system") else []
        rest = {name: value for name, value in row.items() if name in ("loss_mask", "label", "meta")}
        return {"prompt": [*lead, *_messages(asked)], "completion": _messages(row["output"], "assistant"), **rest}
    sides = {name: _messages(row[name], role) for name, role in _TEXTS.items() if isinstance(row.get(name), str)}
    own = {name: value for name, value in row.items() if name in _COLUMNS} if "prompt" in row else row
    return {**own, **sides}


_TEXTS = {"prompt": "user", "completion": "assistant", "chosen": "assistant", "rejected": "assistant"}
_COLUMNS = frozenset(
    ("id", "prompt", "completion", "chosen", "rejected", "completions", "labels", "label", "loss_mask", "meta")
)
"""Of TRL's rows; data sets have others beside them, such as a source or an answer."""


def _of_sharegpt(one: Any) -> Message:
    speaker = one.get("from") if isinstance(one, dict) else None
    if speaker not in _SPEAKERS:
        raise ValueError(f"expected 'from' to be one of {', '.join(_SPEAKERS)}, got {one!r:.60}")
    return Message(role=_SPEAKERS[speaker], content=one.get("value"))  # looked at where all messages are


def _messages(value: Any, role: str = "user") -> list[Message]:
    if isinstance(value, str):
        return [Message(role=role, content=value)]
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a text or a list of messages, got {value!r:.60}")
    for one in value:
        if not (isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("role", "content"))):
            raise ValueError(f"expected a message with the texts role and content, got {one!r:.60}")
    return [Message(role=one["role"], content=one["content"]) for one in value]
