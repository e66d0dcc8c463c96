"""The stages ``concepts-encode`` and ``concepts-sample``: vectors in the order of the records, and what settings do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synth_kit import rows, synth

from porism import embeddings, store
from porism.files import to_line
from porism.records import Concepts, to_row


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))


def concepts(folder: Path, count: int = 12) -> str:
    """Concepts of two levels, some of them in sets."""
    made = [
        Concepts(concepts=[f"concept {at}"], level=("primary", "high school")[at % 2], domain="math", subject="s")
        for at in range(count)
    ]
    made += [Concepts(concepts=["concept 0", f"concept {at}"], level="primary", domain="math") for at in (2, 4)] * 3
    file = folder / "concepts.jsonl"
    file.write_bytes(b"".join(to_line(to_row(one)) for one in made))
    return str(file)


def test_vectors_stand_in_the_order_of_the_records_with_the_models_hash(tmp_path: Path, tiny_model: Path) -> None:
    encoder: dict[str, Any] = {"encoder": "last-token", "encoder_model": str(tiny_model)}
    made = synth("concepts-encode", tmp_path / "encoded", input=[concepts(tmp_path)], **encoder)
    names = [row["concepts"][0] for row in rows(tmp_path / "encoded")]
    assert names == [f"concept {at}" for at in range(12)], "each once"
    found = np.load(tmp_path / "encoded" / "vectors.npy", allow_pickle=False)
    assert np.allclose(found, embeddings.embed(names, encoder="last_token", model=str(tiny_model)), atol=1e-6)
    assert made.key.inputs["encoder"] == embeddings.fingerprint("last_token", str(tiny_model))
    assert made.figures["dimensions"] == 32
    given: dict[str, Any] = {"input": [concepts(tmp_path)], "total": 20, "size": 2}
    synth("concepts-sample", tmp_path / "here", **given, **encoder)
    synth("concepts-sample", tmp_path / "there", **given, embed=str(tmp_path / "encoded"))
    assert rows(tmp_path / "here") == rows(tmp_path / "there")


def drawn(folder: Path, name: str, **values: Any) -> tuple[list[dict[str, Any]], store.Manifest]:
    """Draws with vectors that are made up."""
    encoded = folder / "encoded.jsonl"
    if not encoded.exists():
        encoded.write_bytes(b"".join(to_line(to_row(Concepts(concepts=[f"concept {at}"]))) for at in range(12)))
        vectors = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
        np.save(folder / "encoded.vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    given: dict[str, Any] = {"input": [concepts(folder)], "embed": str(encoded), "total": 200, "size": 2}
    made = synth("concepts-sample", folder / name, **{**given, **values})
    return rows(folder / name), made


@pytest.mark.parametrize(
    "values",
    [{"temperature": 2.0}, {"cooccurrence": 0.0}, {"similarity": 0.0}, {"balance": 3.0}, {"seed": 1}, {"size": 3}],
    ids=json.dumps,
)
def test_each_setting_changes_the_draws(tmp_path: Path, values: dict[str, Any]) -> None:
    plain, other = (
        [row["concepts"] for row in drawn(tmp_path, name, repeats=True, **given)[0]]
        for name, given in (("a", {}), ("b", values))
    )
    assert len(plain) == len(other) == 200
    assert plain != other


def test_levels_and_repeats(tmp_path: Path) -> None:
    easy = {f"concept {at}" for at in range(0, 12, 2)}
    kept, made = drawn(tmp_path, "fit")
    assert all(set(row["concepts"]) <= easy for row in kept if row["level"] == "primary")
    assert made.counts["dropped: repeat"] == 200 - len(kept) > 0
    every, _ = drawn(tmp_path, "any", fit=False, repeats=True)
    assert len(every) == 200
    assert any(not set(row["concepts"]) <= easy for row in every if row["level"] == "primary")
