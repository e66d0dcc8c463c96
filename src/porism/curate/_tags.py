"""What a condition, a sample or a report can ask of a record: its own fields and the tags in its ``meta``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from porism.curate._text import question_of, response_of
from porism.records import Attempt, Problem, Record

__all__ = ["Tags", "found", "tagged"]

_OF_PROBLEM = ("answer", "kind", "source", "group", "set")
_OF_ATTEMPT = ("strategy", "text", "finish", "sample", "model", "prompt_tokens", "completion_tokens")


class Tags(Mapping[str, Any]):
    """Tag → value. What an attempt lacks itself is looked for in its problem.

    Args:
        record: whose they are.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._problem = record.problem if isinstance(record, Attempt) else record
        meta = dict(self._problem.meta) if self._problem is not record else {}
        self._meta: dict[str, Any] = meta | dict(record.meta)

    def __getitem__(self, name: str) -> Any:
        if name in self._meta:
            return self._meta[name]
        if isinstance(self._problem, Problem) and name in _OF_PROBLEM:
            return getattr(self._problem, name)
        if isinstance(self._record, Attempt):
            if name in _OF_ATTEMPT:
                return getattr(self._record, name)
            if name in ("status", "correct") and self._record.verdict is not None:
                return str(self._record.verdict.status) if name == "status" else self._record.verdict.correct
        if name in ("question", "response"):
            return question_of(self._record) if name == "question" else response_of(self._record)
        if name == "id":
            return self._record.id
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._meta
        for name in ("id", "question", "response", *_OF_PROBLEM, *_OF_ATTEMPT, "status", "correct"):
            if name not in self._meta and name in self:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and (name in self._meta or self[name] is not None)
        except KeyError:
            return False


def tagged(record: Record, name: str) -> Any:
    """The value of a tag, or of an entry of one (``judge.quality``); None where the record has none."""
    return found(Tags(record), name)


def found(tags: Mapping[str, Any], name: str) -> Any:
    """The same among tags."""
    if name in tags:
        return tags[name]
    first, *rest = name.split(".")
    value: Any = tags.get(first)
    for part in rest:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
