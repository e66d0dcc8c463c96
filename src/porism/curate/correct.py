"""Keep the attempts whose answer was judged correct."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from porism.curate._graded import NOT_GRADED, is_graded, require_graded
from porism.records import Attempt, Record

__all__ = ["READS", "curate"]

READS = (Attempt,)


def curate(records: Iterable[Record]) -> Iterator[tuple[Record, str]]:
    """Drop what is not judged correct, with its status as the reason.

    Raises:
        DataError: no record is a graded attempt.
    """
    graded = 0
    for record in records:
        if not is_graded(record) or record.verdict is None:
            yield record, NOT_GRADED
            continue
        graded += 1
        verdict = record.verdict
        yield record, "" if verdict.correct else f"{verdict.status}: {verdict.reason or f'read {verdict.answer!r}'}"
    require_graded(graded)
