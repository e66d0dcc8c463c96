"""Keep the records for which a condition on their tags holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from porism import console
from porism.curate._expression import Expression
from porism.curate._tags import Tags, found
from porism.errors import nearest
from porism.records import Record

__all__ = ["check", "curate"]

Where = Annotated[str, Field(description="the condition, such as 'difficulty >= 3 and subject == \"algebra\"'")]

_LONGEST = 60


def curate(
    records: Iterable[Record],
    *,
    where: Where,
) -> Iterator[tuple[Record, str]]:
    """Drop the records for which it does not hold; the reason shows the tags that it asked for.

    A name that no record has is told of at the end: it may be mistyped.

    Raises:
        RecipeError: the condition is not of the language (see :mod:`porism.curate._expression`).
    """
    condition = Expression(where)
    unseen, known = set(condition.names), set[str]()
    for record in records:
        tags = Tags(record)
        if unseen:
            unseen -= {name for name in unseen if name.partition(".")[0] in tags or name in tags}
            known.update(tags)
        if condition(tags):
            yield record, ""
        else:
            yield record, f"condition: {', '.join(_shown(tags, name) for name in sorted(condition.names))}"
    for name in sorted(unseen):
        console.notice(f"  no record has the tag {name!r}.{nearest(name, known)} There are: {', '.join(sorted(known))}")


def check(*, where: Where) -> None:
    """The condition is of the language.

    Raises:
        RecipeError: it is not.
    """
    Expression(where)


def _shown(tags: Tags, name: str) -> str:
    value = found(tags, name)
    text = repr(value)
    return f"{name} is {text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"
