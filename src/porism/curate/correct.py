"""Keep the attempts whose answer was judged correct."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from porism.errors import DataError
from porism.records import Attempt, Record

__all__ = ["READS", "curate"]

READS = (Attempt,)


def curate(records: Iterable[Record]) -> Iterator[tuple[Record, str]]:
    """Drop what is not judged correct, with its status as the reason.

    Raises:
        DataError: a record is not a graded attempt.
    """
    for record in records:
        if not isinstance(record, Attempt) or record.verdict is None:
            raise DataError(f"the record {record.id} is not a graded attempt. Run 'porism solve' first.")
        verdict = record.verdict
        yield record, "" if verdict.correct else f"{verdict.status}: {verdict.reason or f'read {verdict.answer!r}'}"
