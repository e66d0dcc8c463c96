"""Refuse, or drop, training records whose question also stands in a test set.

Questions are compared after case, width, white space and punctuation are set aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from porism import store
from porism.curate.dedup import normal, question_of
from porism.errors import DataError
from porism.records import Record

__all__ = ["curate", "files"]

Against = Annotated[list[str], Field(description="records that must not be trained on: files or stage folders")]
_PUNCTUATION = re.compile(r"[.,;:!?\"'`…“”‘’()\[\]{}]")  # signs of arithmetic change a question


def curate(
    records: Iterable[Record],
    *,
    against: Against,
    action: Annotated[Literal["refuse", "drop"], Field(description="stop at the first overlap, or drop it")] = "refuse",
) -> Iterator[tuple[Record, str]]:
    """Pass on what does not stand in the test sets.

    Raises:
        DataError: ``action`` is ``refuse`` and a record overlaps; the message shows it.
    """
    held_out = {_key(record): f"{path} {record.id}" for path in against for record in store.read(path)}
    for record in records:
        match = held_out.get(_key(record))
        if match and action == "refuse":
            raise DataError(
                f"the training record {record.id} asks what the test record {match} asks: "
                f"{question_of(record)[:120]!r}. Remove it from one of the sets, or set action to drop."
            )
        yield record, f"overlap: with {match}" if match else ""


def files(*, against: Against) -> list[Path]:
    """The test sets' files."""
    return [store.locate(path) for path in against]


def _key(record: Record) -> str:
    return " ".join(_PUNCTUATION.sub(" ", normal(question_of(record))).split())
