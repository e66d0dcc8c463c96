"""Builds an index: what is new is embedded and added, what its inputs no longer hold is removed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from porism import console, recipe
from porism.embeddings import Embedder
from porism.errors import DataError, RecipeError
from porism.knowledge import _items
from porism.knowledge._index import FORMAT, Place, check_format, check_model
from porism.knowledge._items import Item
from porism.knowledge._stores import Row, Store, connect
from porism.records import content_id

__all__ = ["BuildSettings", "Built", "build"]

_AT_ONCE = 1_024
"""Items that are embedded and added at a time."""


class BuildSettings(recipe.Settings):
    """Settings of ``porism knowledge build``."""

    input: Annotated[
        list[str],
        Field(description="graded attempts, worked problems, or documents (.txt, .md, .jsonl): files or folders"),
    ]
    index: Place
    encoder: Annotated[str, Field(description="who embeds: sentence, last_token, or code of your own")] = "sentence"
    encoder_model: Annotated[str, Field(description="what the encoder loads; its default if empty")] = ""
    per_problem: Annotated[int, Field(description="solutions kept of one problem, the first ones", ge=1)] = 1
    passage: Annotated[int, Field(description="most characters of a passage of a document", ge=100)] = 800
    overlap: Annotated[int, Field(description="characters that neighbouring passages share at most", ge=0)] = 100
    approximate_from: Annotated[
        int, Field(description="items from which vectors are searched approximately", ge=256)
    ] = 50_000
    rebuild: Annotated[bool, Field(description="make the index anew, with another encoder for instance")] = False
    threads: Annotated[int, Field(description="of the encoder; 0 for as many as are idle", ge=0)] = 0


class Built(NamedTuple):
    """What became of an index."""

    items: int
    added: int
    removed: int
    problems: int
    documents: int
    left_out: Mapping[str, int]
    seconds: float


def build(settings: BuildSettings) -> Built:
    """Bring an index to what its inputs hold: what is new is embedded and added, what is no longer there is removed.

    What was added before an interruption stays, and the next build goes on from there.

    Raises:
        DataError: there is nothing to index, or the index was built with another embedding model.
        StorageError: it cannot be written.
    """
    if settings.overlap >= settings.passage:
        raise RecipeError(
            f"knowledge build: expected an overlap less than a passage ({settings.passage}), got {settings.overlap}."
        )
    began = time.monotonic()
    reading = _items.Reading(
        settings.input, of_each=settings.per_problem, size=settings.passage, overlap=settings.overlap
    )
    items = {item.id: item for item in reading.items()}
    if not items:
        reasons = ", ".join(f"{count} {reason}" for reason, count in reading.left_out.items())
        raise DataError(
            f"{', '.join(settings.input)}: nothing to index{f' ({reasons})' if reasons else ''}. "
            "Expected attempts that were graded correct, problems with solutions, or texts."
        )
    with contextlib.closing(connect(settings.index)) as store:
        added, removed = _updated(store, settings, items)
    seconds = round(time.monotonic() - began, 2)
    return Built(
        len(items), added, removed, _problems(items), reading.documents, dict(sorted(reading.left_out.items())), seconds
    )


def _updated(store: Store, settings: BuildSettings, items: Mapping[str, Item]) -> tuple[int, int]:
    """Make the store hold these items and no others; how many were added and removed."""
    embedder = Embedder(encoder=settings.encoder, model=settings.encoder_model, threads=settings.threads)
    about = store.about()
    if about and not settings.rebuild:
        check_format(settings.index, about)
        check_model(settings.index, about, embedder, settings.encoder, settings.encoder_model)
    with store.locked():
        if settings.rebuild:
            store.clear()
        about = store.about()  # another process may have made it since
        there = store.ids() if about else set()
        gone, fresh = there - items.keys(), [item for name, item in items.items() if name not in there]
        if about and (gone or fresh):  # not to be used while it holds neither the old nor the new
            store.describe(_about(settings, embedder, {}))
        if gone:
            store.remove(gone)
        _add(store, embedder, fresh, settings, is_new=not about)
        store.finish(settings.approximate_from)
        store.describe(_about(settings, embedder, items))
    return len(fresh), len(gone)


def _add(store: Store, embedder: Embedder, fresh: Sequence[Item], settings: BuildSettings, *, is_new: bool) -> None:
    with console.progress("indexing", len(fresh), "items") as bar:
        for start in range(0, len(fresh), _AT_ONCE):
            some = fresh[start : start + _AT_ONCE]
            vectors = embedder.embed([item.text for item in some], show=False)
            if is_new:
                store.begin(vectors.shape[1])
                store.describe(_about(settings, embedder, {}))
                is_new = False
            store.add([Row(item.id, _items.words(item.text), _items.to_data(item)) for item in some], vectors)
            bar.advance(len(some))


def _about(settings: BuildSettings, embedder: Embedder, items: Mapping[str, Item]) -> dict[str, str]:
    """What an index says of itself."""
    return {
        "format": FORMAT,
        "encoder": settings.encoder,
        "encoder_model": settings.encoder_model,
        "fingerprint": embedder.fingerprint,
        "items": str(len(items)),
        "problems": str(_problems(items)),
        "state": content_id(sorted(items)),
    }


def _problems(items: Mapping[str, Item]) -> int:
    return sum(item.kind == "problem" for item in items.values())
