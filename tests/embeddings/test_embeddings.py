from pathlib import Path

import numpy as np
import pytest

from porism import embeddings
from porism.embeddings import last_token, sentence
from porism.errors import ModelError, RecipeError
from porism.models.load import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


TEXTS = ["a b c", "", "What is 3 + 4?", "a b c", "苹果 and a much longer text than the others " * 5, "\ud800 odd"]


def test_last_token_states_are_those_of_each_text_alone(tiny_model: Path) -> None:
    import torch

    loaded = load(str(tiny_model), "float32")
    together = last_token.LastToken(loaded).encode(TEXTS[:5])
    for text, vector in zip(TEXTS[:5], together, strict=True):
        ids = loaded.tokenizer(text)["input_ids"][:256] or [loaded.tokenizer.eos_token_id]
        with torch.inference_mode():
            states = loaded.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
        assert np.allclose(vector, states[0, -1].numpy(), atol=1e-4)


def test_vectors_have_length_one_and_are_kept(tiny_model: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = embeddings.embed(TEXTS[:5], encoder="last_token", model=str(tiny_model))
    assert found.shape == (5, 32)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found[0] == found[3]).all()
    (file,) = (home / "embeddings").glob("*.sqlite")
    assert file.stem == embeddings.fingerprint("last_token", str(tiny_model))[:32]
    monkeypatch.setattr(last_token, "load", lambda *_, **__: pytest.fail("it was embedded again"))
    again = embeddings.embed(TEXTS[4::-1], encoder="last_token", model=str(tiny_model))
    assert (again == found[::-1]).all()


def test_a_damaged_cache_and_none_at_all(
    tiny_model: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = embeddings.embed(["x y"], encoder="last_token", model=str(tiny_model))
    (file,) = (home / "embeddings").glob("*.sqlite")
    file.write_bytes(b"no database at all" * 100)
    assert (embeddings.embed(["x y"], encoder="last_token", model=str(tiny_model)) == first).all()
    assert "vectors are not kept" in capsys.readouterr().err
    file.unlink()
    monkeypatch.setenv("PORISM_EMBEDDINGS_MB", "0")
    embeddings.embed(["x y"], encoder="last_token", model=str(tiny_model))
    assert not file.exists()
    monkeypatch.setenv("PORISM_EMBEDDINGS_MB", "lots")
    with pytest.raises(RecipeError, match="PORISM_EMBEDDINGS_MB: expected whole megabytes, got 'lots'"):
        embeddings.embed(["x y"], encoder="last_token", model=str(tiny_model))


def test_no_texts_and_no_encoder(tiny_model: Path) -> None:
    assert embeddings.embed([], encoder="last_token", model=str(tiny_model)).shape == (0, 0)
    with pytest.raises(RecipeError, match="no encoder is called 'sentense'. Did you mean 'sentence'"):
        embeddings.embed(["x"], encoder="sentense")


def test_a_model_with_parts_of_its_own_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "os.system"}]')
    with pytest.raises(ModelError, match=r"refused, it names a part .*'os\.system'"):
        sentence.load(str(folder))


@pytest.mark.slow
def test_the_small_sentence_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.delenv("PORISM_HOME")
    vectors = embeddings.embed(
        ["A pen costs 3 dollars.", "The price of a pen is three dollars.", "The moon is far away."], cache=False
    )
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.8
    assert vectors[0] @ vectors[2] < 0.3
