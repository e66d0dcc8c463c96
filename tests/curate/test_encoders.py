"""Steps that embed texts: the encoder's model, and how alike meanings must be."""

from pathlib import Path

import pytest
from curation_kit import kept, run, write

from conftest import problem

ENCODER = """
import hashlib

import numpy as np


def load(model, *, threads=0):
    return Encoder(model)


class Encoder:
    def __init__(self, model):
        self.model = model

    def encode(self, texts):
        if self.model == "alike":
            return np.ones((len(texts), 32), np.float32)
        seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        return np.array([np.random.default_rng(seed).normal(size=32) for seed in seeds], np.float32)
"""


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """To the model ``alike`` all texts mean the same, to others none do."""
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    (tmp_path / "encoder.py").write_text(ENCODER)
    return f"{tmp_path / 'encoder.py'}:load"


def chosen(tmp_path: Path, step: str, encoder: str, model: str, **settings: object) -> set[str]:
    """What a step keeps of eight questions."""
    given = write(tmp_path / "p.jsonl", [problem(question=f"{sign * 5}?") for sign in "abcdefgh"])
    out = tmp_path / f"{step}-{model}"
    manifest = run(step, out, given, encoder=encoder, encoder_model=model, **settings)
    assert "encoder" in manifest.key.inputs
    return {record.question for record in kept(out)}  # type: ignore[union-attr]


def test_the_encoders_model_is_the_one_that_is_named(tmp_path: Path, encoder: str) -> None:
    def number(step: str, model: str, **settings: object) -> int:
        return len(chosen(tmp_path, step, encoder, model, **settings))

    semantic = {"method": "semantic", "by": "question"}
    assert (number("dedup", "alike", **semantic), number("dedup", "apart", **semantic)) == (1, 8)
    sizes = {"a": 0.6, "b": 0.4}
    assert (number("split", "alike", sizes=sizes, **semantic), number("split", "apart", sizes=sizes, **semantic)) == (
        8,
        5,
    )
    test = write(tmp_path / "test.jsonl", [problem(question="what else?")])
    against = {"against": [test], "methods": ["semantic"], "action": "mark"}
    for model, hits in (("alike", 8), ("apart", 0)):
        number("decontaminate", model, **against)
        marked = [record for record in kept(tmp_path / f"decontaminate-{model}") if "contaminated" in record.meta]
        assert len(marked) == hits
    sample = {"count": 3, "by": ["source"], "diversity": "semantic"}
    assert chosen(tmp_path, "sample", encoder, "alike", **sample) != chosen(tmp_path, "sample", encoder, "x", **sample)


def test_how_alike_meanings_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    (tmp_path / "encoder.py").write_text(
        "import numpy as np\n"
        "def load(model='', *, threads=0):\n    return E()\n"
        "class E:\n    def encode(self, texts):\n"
        "        return np.array([[1.0, 0.5 * text.count('!')] for text in texts])\n"
    )
    given = write(tmp_path / "p.jsonl", [problem(question="Is it so!")])
    test = write(tmp_path / "t.jsonl", [problem(question="Is it not so?")])
    settings = {"against": [test], "methods": ["semantic"], "action": "mark", "encoder": f"{tmp_path}/encoder.py:load"}
    for threshold, is_hit in ((0.85, True), (0.95, False)):  # the cosine is 0.894
        run("decontaminate", tmp_path / str(threshold), given, semantic_threshold=threshold, **settings)
        (record,) = kept(tmp_path / str(threshold))
        assert ("contaminated" in record.meta) == is_hit
    assert kept(tmp_path / "0.85")[0].meta["contaminated"]["score"] == pytest.approx(0.8944)
