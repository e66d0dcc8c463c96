"""What two records are compared by: their questions and answers. What texts are compared by is in porism.words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from porism.records import Attempt, Concepts, Message, Pair, Problem, Record, Stepwise
from porism.words import CJK, digest, normal, numbers, readable, tokens, without_numbers, words_of

__all__ = [
    "CJK",
    "LONGEST",
    "By",
    "by_of",
    "digest",
    "normal",
    "numbers",
    "question_of",
    "readable",
    "response_of",
    "tokens",
    "without_numbers",
    "words_of",
]

By = Annotated[
    Literal["question", "all"], Field(description="compare the question alone, or the answer's text too")
]  # fmt: skip

LONGEST = 20_000
"""Characters of a text that are looked at: one row must not cost as much as all others."""


def question_of(record: Record) -> str:
    """What the record asks: the question, or the last user turn of an example or a pair."""
    if isinstance(record, Problem):
        return record.question
    if isinstance(record, Attempt):
        return record.problem.question
    if isinstance(record, Concepts):
        return "; ".join(record.concepts)
    asked = [message["content"] for message in record.prompt if message["role"] == "user"]
    return asked[-1] if asked else record.prompt[-1]["content"] if record.prompt else ""


def response_of(record: Record) -> str:
    """What the record answers: the reference solution or answer, the attempt's text, the completion, the chosen one."""
    if isinstance(record, Problem):
        return record.solution or record.answer
    if isinstance(record, Attempt):
        return record.text
    if isinstance(record, Concepts):
        return ""
    if isinstance(record, Stepwise):
        return "".join(record.completions)
    return _joined(record.chosen if isinstance(record, Pair) else record.completion)


def by_of(record: Record, by: str) -> str:
    """The text that a record is compared by, at most :data:`LONGEST` characters of each part."""
    question = question_of(record)[:LONGEST]
    if by == "question":
        return question
    answer = record.answer if isinstance(record, Problem) else response_of(record)
    rest = [_joined(record.rejected)[:LONGEST]] if isinstance(record, Pair) else []
    return "\n".join([question, answer[:LONGEST], *rest])


def _joined(messages: object) -> str:
    turns: list[Message] = list(messages)  # type: ignore[call-overload]  # a sequence of messages
    return "\n".join(message["content"] for message in turns)
