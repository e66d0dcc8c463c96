"""Records → answers with a label: graded attempts, and rows that bring one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

from porism import console
from porism.errors import DataError
from porism.records import JUDGED, Attempt, Example
from porism.train import _layouts, _rows

__all__ = ["labelled"]


def labelled(paths: Sequence[str]) -> list[Example]:
    """Every answer with a label. An attempt's label is its verdict; attempts that were not judged are left out.

    Raises:
        DataError: no rows, or a row without a label.
    """
    found: list[Example] = []
    unjudged = 0
    for path in paths:
        for record in _layouts.read(path, Attempt, Example):
            if isinstance(record, Attempt):
                verdict = record.verdict
                if verdict is None or verdict.status not in JUDGED:
                    unjudged += 1
                    continue
                found.append(dataclasses.replace(_rows.example_of(record), label=verdict.correct))
                continue
            example = cast("Example", record)
            if example.label is None:
                raise DataError(f"{path}: the row {example.id} has no 'label': true for a wanted answer, else false.")
            found.append(example)
    if unjudged:
        console.notice(f"  {unjudged} attempts are left out: nothing is known of whether they are right")
    if not found:
        raise DataError(f"{', '.join(paths)}: no answers with a label.")
    return found
