"""Steps that need graded attempts: what else stands in their input is dropped; an input of nothing else is an error."""

from __future__ import annotations

from typing_extensions import TypeIs

from porism.errors import DataError
from porism.records import Attempt, Record

__all__ = ["NOT_GRADED", "is_graded", "require_graded"]

NOT_GRADED = "not graded: it is no attempt with a verdict"


def is_graded(record: Record) -> TypeIs[Attempt]:
    """Whether it is an attempt that was judged, whatever came of it."""
    return isinstance(record, Attempt) and record.verdict is not None


def require_graded(count: int) -> None:
    """Refuse an input without any.

    Args:
        count: how many there are, or how many groups of them.

    Raises:
        DataError: none.
    """
    if not count:
        raise DataError("there is no graded attempt in the input. Run 'porism solve' first.")
