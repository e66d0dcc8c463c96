"""What a stage that asks an engine says at its end of what it dropped."""

from __future__ import annotations

from collections import Counter

from porism import store
from porism.errors import DataError

__all__ = ["count_drops"]


def count_drops(out: store.Output, label: str, max_failed: float, *, allow_empty: bool = False) -> None:
    """Count what was dropped and why.

    Args:
        out: the stage's, its records written.
        label: what the stage is called.
        max_failed: the largest share on which the engine may have failed.
        allow_empty: keeping nothing is no error.

    Raises:
        DataError: the engine failed on too large a share, or nothing was kept. What was made stays.
    """
    dropped = [str(row["reason"]) for _, row in store.rows(out.dropped)] if out.dropped.is_file() else []
    reasons = Counter(reason.partition(":")[0] for reason in dropped)
    out.counts.update({f"dropped: {reason}": count for reason, count in reasons.items()})
    total = out.counts["records"] + len(dropped)
    if reasons["engine"] > max_failed * total:
        why = Counter(reason for reason in dropped if reason.startswith("engine:")).most_common(1)[0][0]
        raise DataError(
            f"{label}: the engine failed on {reasons['engine']} of {total}, more than max_failed={max_failed} "
            f"allows. Most often: {why.removeprefix('engine: ')}. What came is in {out.target}; delete it to ask again."
        )
    if not out.counts["records"] and not allow_empty:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise DataError(f"{label} kept none of {total} ({told or 'no input'}). See {out.dropped} for the reasons.")
