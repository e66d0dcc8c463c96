"""Drop exact duplicates: records that say the same once case, width and white space are set aside."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from porism.records import Attempt, Pair, Problem, Record, Stepwise

__all__ = ["curate", "normal", "question_of"]


def curate(
    records: Iterable[Record],
    *,
    by: Annotated[
        Literal["question", "all"], Field(description="compare the question alone, or the answer's text too")
    ] = "all",
) -> Iterator[tuple[Record, str]]:
    """Keep the first of each group of equal records; the reason names it."""
    first: dict[tuple[str, ...], str] = {}
    for record in records:
        key: tuple[str, ...] = (normal(question_of(record)),)
        if by == "all":
            key += (normal(_text(record)),)
        if key in first:
            yield record, f"duplicate: of {first[key]}"
        else:
            first[key] = record.id
            yield record, ""


def normal(text: str) -> str:
    """The text with compatibility characters, case and runs of white space made equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def question_of(record: Record) -> str:
    """What the record asks: the question, or the last user turn of an example."""
    if isinstance(record, Problem):
        return record.question
    if isinstance(record, Attempt):
        return record.problem.question
    return record.prompt[-1]["content"] if record.prompt else ""


def _text(record: Record) -> str:
    if isinstance(record, Problem):
        return record.answer
    if isinstance(record, Attempt):
        return record.text
    if isinstance(record, Stepwise):
        return "".join(record.completions)
    answers = [record.chosen, record.rejected] if isinstance(record, Pair) else [record.completion]
    return "\n".join(message["content"] for answer in answers for message in answer)
