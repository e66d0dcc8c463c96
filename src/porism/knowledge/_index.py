"""Searches an index: by meaning and by words, fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009)."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from porism import recipe
from porism.embeddings import Embedder
from porism.errors import DataError, RecipeError, StorageError
from porism.knowledge import _items
from porism.knowledge._items import Item
from porism.knowledge._leaks import ALL, Guard, Leaks
from porism.knowledge._stores import Store, connect
from porism.records import Problem, content_id
from porism.words import readable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = [
    "FORMAT",
    "Found",
    "Index",
    "Mode",
    "Place",
    "Search",
    "SearchSettings",
    "Top",
    "check_format",
    "check_model",
    "fuse",
    "opened",
    "state",
]

Place = Annotated[
    str, Field(description="the index: a folder, postgresql://host/database#name or http://host:6333#name")
]
Mode = Annotated[
    Literal["hybrid", "vectors", "words"], Field(description="rank by both, by meaning alone, or by words alone")
]
Top = Annotated[int, Field(description="how many are found at most", ge=1, le=1_000)]
Encoder = Annotated[
    str, Field(description="who embeds: sentence, last_token, or code of your own; the index's own if empty")
]
EncoderModel = Annotated[str, Field(description="what the encoder loads; the index's own if empty")]

FORMAT = "1"
_POOL = 50
"""Least number of items in each of the two rankings."""
_FETCHED = 10
"""Least number of items whose data is fetched at a time: the first few are mostly enough."""
_FUSION = 60
"""What is added to a rank, so that the first few do not outweigh all others."""


class SearchSettings(recipe.Settings):
    """Settings of ``porism knowledge search``."""

    index: Place
    query: Annotated[str, Field(description="what is looked for")]
    top: Top = 5
    mode: Mode = "hybrid"
    asked: Annotated[
        bool, Field(description="the query is a problem that is to be solved: leave out what holds its solution")
    ] = False
    leaks: Leaks = ALL
    encoder: Encoder = ""
    encoder_model: EncoderModel = ""
    format: Annotated[Literal["text", "json"], Field(description="what is printed")] = "text"


class Found(NamedTuple):
    """An item that was found."""

    item: Item
    score: float
    """The sum of 1 / (60 + rank) over the two rankings."""
    cosine: float | None
    """Of its vector and the query's, where it is among the nearest."""


class Search(NamedTuple):
    """What one query found."""

    found: list[Found]
    left_out: Mapping[str, int]
    """Reason (``id``, ``question``, ``near``) → items that would have been found and hold the problem's solution."""


class Index:
    """An index that can be searched.

    Args:
        place: see :data:`Place`.
        encoder: who embeds; the index's own where empty.
        encoder_model: what it loads; the index's own where empty.

    Raises:
        DataError: there is no index, or it was built with another embedding model.
        StorageError: it cannot be reached.
    """

    def __init__(self, place: str, *, encoder: str = "", encoder_model: str = "") -> None:
        self.place = place
        self._store = connect(place)
        with contextlib.ExitStack() as stack:
            stack.callback(self._store.close)
            about = _about(place, self._store)
            self._embedder = _embedder(place, about, encoder, encoder_model)
            stack.pop_all()
        self.size = int(about["items"])
        self.problems = int(about["problems"])
        self.state = _state(about)

    def close(self) -> None:
        """Give the connection to the store back."""
        self._store.close()

    def is_current(self) -> bool:
        """Whether the index is still the one that was opened."""
        return _state(self._store.about()) == self.state

    def search(
        self,
        text: str,
        *,
        top: int = 5,
        mode: str = "hybrid",
        asked: Problem | None = None,
        leaks: Collection[str] = ALL,
    ) -> Search:
        """What is nearest to a text.

        Args:
            text: the query.
            top: how many at most.
            mode: ``hybrid``, ``vectors`` or ``words``.
            asked: the problem that is being solved, whose own solution is left out.
            leaks: what is taken for its own solution.
        """
        return self.search_all([text], top=top, mode=mode, asked=None if asked is None else [asked], leaks=leaks)[0]

    def search_all(
        self,
        texts: Sequence[str],
        *,
        top: int = 5,
        mode: str = "hybrid",
        asked: Sequence[Problem] | None = None,
        leaks: Collection[str] = ALL,
        accept: Callable[[Item], bool] | None = None,
    ) -> list[Search]:
        """As :meth:`search` for many texts, which are embedded together.

        Args:
            texts: the queries.
            top: how many at most, for each.
            mode: see :meth:`search`.
            asked: the problem that each is asked for.
            leaks: see :meth:`search`.
            accept: takes no other items.
        """
        texts = [readable(text) for text in texts]
        vectors = self._embedder.embed(texts, show=False) if mode != "words" and texts else None
        guards = [Guard(problem, leaks) for problem in asked] if asked is not None else [None] * len(texts)
        return [
            self._one(
                text, None if vectors is None else vectors[at], top=top, mode=mode, guard=guards[at], accept=accept
            )
            for at, text in enumerate(texts)
        ]

    def _one(
        self,
        text: str,
        vector: Floats | None,
        *,
        top: int,
        mode: str,
        guard: Guard | None,
        accept: Callable[[Item], bool] | None,
    ) -> Search:
        """Look at more and more of both rankings, until enough is found that may be shown."""
        words = _items.words(text) if mode != "vectors" else ""
        count = min(max(_POOL, 4 * top), max(self.size, 1))
        while True:
            near = self._store.nearest(vector, count) if vector is not None else []
            rankings = [near, self._store.matching(words, count) if words else []]
            search = self._taken(rankings, dict(near), top, guard, accept)
            if len(search.found) >= top or count >= self.size or max(map(len, rankings)) < count:
                return search
            count = min(4 * count, self.size)

    def _taken(
        self,
        rankings: Sequence[Sequence[tuple[str, float]]],
        cosines: Mapping[str, float],
        top: int,
        guard: Guard | None,
        accept: Callable[[Item], bool] | None,
    ) -> Search:
        fused = fuse(rankings)
        found: list[Found] = []
        left_out: Counter[str] = Counter()
        step = max(_FETCHED, 2 * top)
        for start in range(0, len(fused), step):
            some = fused[start : start + step]
            data = self._store.get([name for name, _ in some])
            for name, score in some:
                if name not in data:  # removed since
                    continue
                item = _items.from_data(data[name])
                if accept is not None and not accept(item):
                    continue
                reason = guard.reason(item, cosines.get(name)) if guard is not None else ""
                if reason:
                    left_out[reason] += 1
                    continue
                found.append(Found(item, score, cosines.get(name)))
                if len(found) == top:
                    return Search(found, dict(left_out))
        return Search(found, dict(left_out))


def fuse(rankings: Sequence[Sequence[tuple[str, float]]]) -> list[tuple[str, float]]:
    """Reciprocal rank fusion: each item with the sum of 1 / (60 + its rank), the largest first.

    Args:
        rankings: items with scores, the best first; only their order counts.

    >>> [name for name, _ in fuse([[("a", 9.0), ("b", 8.0)], [("b", 0.2)]])]
    ['b', 'a']
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (name, _) in enumerate(ranking, 1):
            scores[name] = scores.get(name, 0.0) + 1 / (_FUSION + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def check_format(place: str, about: Mapping[str, str]) -> None:
    """Refuse what another version wrote.

    Raises:
        DataError: it did.
    """
    if about.get("format") != FORMAT or not {"encoder", "encoder_model", "fingerprint", "items", "problems"} <= set(
        about
    ):
        raise DataError(
            f"{place}: expected an index of format {FORMAT}, found {about.get('format', 'another one')}. Build it "
            "anew, with the setting rebuild."
        )


def check_model(place: str, about: Mapping[str, str], embedder: Embedder, encoder: str, model: str) -> None:
    """Refuse vectors of one model beside those of another one, which cannot be compared.

    Raises:
        DataError: the index was built with another one.
    """
    if about["fingerprint"] == embedder.fingerprint:
        return
    before, now = _model_name(about["encoder"], about["encoder_model"]), _model_name(encoder, model)
    same = " of another content" if before == now else ""
    raise DataError(
        f"{place}: this index was built with the embedding model {before} ({about['fingerprint'][:8]}), and "
        f"{now}{same} ({embedder.fingerprint[:8]}) was asked for. Their vectors cannot be compared. Use the model that "
        "it was built with, or build it anew, with the setting rebuild."
    )


def _embedder(place: str, about: Mapping[str, str], encoder: str, encoder_model: str) -> Embedder:
    """The model that an index was built with, for its queries.

    Raises:
        DataError: another one is asked for, or the index is not complete.
        RecipeError: it is code of somebody's own, which nobody asked to run.
    """
    check_format(place, about)
    kept = about["encoder"]
    if ":" in kept and not encoder:
        raise RecipeError(
            f"{place}: this index was built with the encoder {kept!r}, which is code of somebody's own and is not run "
            "unasked. Name it in the setting 'encoder' if you trust it."
        )
    if not int(about["items"]):
        raise DataError(
            f"{place}: this index is being built, or its build was interrupted. Wait for it, or run the same "
            "'porism knowledge build' again: it goes on from there."
        )
    model = encoder_model or ("" if encoder and encoder != kept else about["encoder_model"])
    embedder = Embedder(encoder=encoder or kept, model=model)
    check_model(place, about, embedder, encoder or kept, model)
    return embedder


def _model_name(encoder: str, model: str) -> str:
    return f"{encoder} {model}".strip()


def _about(place: str, store: Store) -> dict[str, str]:
    """What the index says of itself.

    Raises:
        DataError: there is none.
    """
    about = store.about()
    if not about:
        raise DataError(f"{place}: no index is there. Check the address, or make one with: porism knowledge build")
    return about


def state(place: str) -> str:
    """A hash of what an index holds and of the model that it was built with.

    Raises:
        DataError: there is none.
    """
    with contextlib.closing(connect(place)) as store:
        about = _about(place, store)
    return _state(about)


def _state(about: Mapping[str, str]) -> str:
    return content_id(about.get("state", ""), about.get("fingerprint", ""))


def opened(place: str) -> Index:
    """The index at a place, opened once, and again after it was changed.

    Raises:
        DataError: see :class:`Index`.
    """
    index = _open.get(place)
    if index is not None:
        with contextlib.suppress(StorageError):  # a connection that was lost is made again
            if index.is_current():
                return index
        _open.pop(place).close()
    _open[place] = Index(place)
    return _open[place]


_open: dict[str, Index] = {}
