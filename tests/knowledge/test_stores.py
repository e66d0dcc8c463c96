"""Every store keeps the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from knowledge_kit import postgres

from porism.errors import RecipeError, StorageError
from porism.knowledge import Store
from porism.knowledge._stores import Row, connect
from porism.knowledge.qdrant import Qdrant

IDS = [f"{number:016x}" for number in (1, 2, 3, 2**64 - 1)]
WORDS = ["red apples and pears", "apples", "a fast red train", "苹 果 3 + 4"]
VECTORS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 0.6, 0.8]], np.float32)
ROWS = [Row(name, words, f'{{"text": "{words}"}}') for name, words in zip(IDS, WORDS, strict=True)]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(params=["lancedb", "qdrant", pytest.param("pgvector", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes a connection to one and the same index of a store."""
    if request.param == "lancedb":
        yield lambda: connect(str(tmp_path / "index"))
    elif request.param == "pgvector":
        address = f"{request.getfixturevalue('server')}#t{abs(hash(tmp_path.name)) % 10**6}"
        connections: list[Store] = []

        def another() -> Store:
            connections.append(connect(address))
            return connections[-1]

        yield another
        for connection in connections:
            connection.close()
    else:
        import qdrant_client

        client = qdrant_client.QdrantClient(":memory:")
        yield lambda: Qdrant("in memory", "test", client)
        client.close()


def filled(store: Store) -> Store:
    store.begin(3)
    store.add(ROWS, VECTORS)
    store.finish(50_000)
    store.describe({"format": "1", "encoder": "sentence"})
    return store


def test_what_is_added_is_found(made: Callable[[], Store]) -> None:
    assert made().about() == {}
    filled(made())
    store = made()
    assert store.about() == {"format": "1", "encoder": "sentence"}
    assert store.ids() == set(IDS)
    found = store.nearest(np.array([1, 0, 0], np.float32), 2)
    assert [name for name, _ in found] == IDS[:2]
    assert [cosine for _, cosine in found] == pytest.approx([1.0, 0.8], abs=1e-4)
    assert store.get([IDS[3], IDS[0], "0" * 16]) == {IDS[3]: ROWS[3].data, IDS[0]: ROWS[0].data}


def test_words_are_found_in_any_script(made: Callable[[], Store]) -> None:
    store = filled(made())
    best = store.matching("red train", 4)
    assert best[0][0] == IDS[2]
    assert IDS[1] not in [name for name, _ in best]
    assert [name for name, _ in store.matching("果", 4)] == [IDS[3]]
    assert store.matching("nothing of that", 4) == []
    assert len(store.matching("apples", 1)) == 1


@pytest.mark.parametrize(
    "text", ['it \' s "quoted" % _ \\ ; drop table', "a & b | ! ( :* <-> )", "- + * / ^ = < >", "the"]
)
def test_words_are_no_language(made: Callable[[], Store], text: str) -> None:
    """Quotes, operators and wildcards of a query are words like others, or nothing."""
    store = filled(made())
    assert isinstance(store.matching(text, 4), list)
    assert store.ids() == set(IDS)


def test_what_is_removed_is_gone(made: Callable[[], Store]) -> None:
    store = filled(made())
    store.remove(IDS[:2])
    store.finish(50_000)
    assert made().ids() == set(IDS[2:])
    assert {name for name, _ in store.nearest(VECTORS[0], 4)} == set(IDS[2:])
    assert store.matching("apples", 4) == []
    store.add(ROWS[:1], VECTORS[:1])
    store.finish(50_000)
    assert [name for name, _ in store.matching("pears", 4)] == IDS[:1]
    store.clear()
    assert made().about() == {}


def test_one_writer_at_a_time(made: Callable[[], Store]) -> None:
    store = filled(made())
    if isinstance(store, Qdrant):
        pytest.skip("Qdrant has no locks")
    with (
        store.locked(),
        pytest.raises(StorageError, match=r"in use by another|being written by another"),
        made().locked(),
    ):
        pytest.fail("two writers")
    with made().locked():
        pass


def test_many_items_are_searched_approximately(made: Callable[[], Store]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((600, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{number:016x}" for number in range(600)]
    store = made()
    store.begin(16)
    store.add([Row(name, f"word{name}", "{}") for name in names], vectors)
    store.finish(500)
    for at in (0, 17, 599):
        best = [names[place] for place in np.argsort(-vectors @ vectors[at])[:5]]
        found = [name for name, _ in store.nearest(vectors[at], 5)]
        assert len(set(found) & set(best)) >= 4
        assert found[0] == names[at]
    store.clear()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "expected a folder"),
        ("postgresql://me:secret@localhost/db", "PGPASSWORD"),
        ("https://key@cloud.example:6333", "QDRANT_API_KEY"),
        ("http://localhost:6333#no good", "small letters"),
        ('postgresql://localhost/db#"; drop table', "small letters"),
    ],
)
def test_addresses_that_mean_nothing(place: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        connect(place)
    assert "secret" not in str(caught.value).replace("a secret", "")


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StorageError, match="cannot be reached"):
        connect("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(StorageError, match="cannot be used"):
        connect("http://127.0.0.1:9").about()


def test_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StorageError, match="is no index"):
        connect(str(tmp_path)).about()
    with pytest.raises(StorageError, match="found a file"):
        connect(str(tmp_path / "letter.txt"))
    assert connect(str(tmp_path / "none")).about() == {}
    assert not (tmp_path / "none").exists()
