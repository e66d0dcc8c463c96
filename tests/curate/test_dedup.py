import random
from pathlib import Path

import numpy as np
import pytest
from curation_kit import WORDS, kept, run, write

from conftest import attempt, problem
from porism import embeddings
from porism.curate import _cells, _clusters, _minhash, _text, dedup
from porism.errors import RecipeError
from porism.records import Record


def texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=25)) + f" {n}?" for n in range(count)]


def planted(count: int = 60) -> tuple[list[Record], int]:
    """Records, a third of them with a near-twin: one word of thirty is another."""
    plain = texts(count)
    twins = [text.replace(text.split()[3], "meadow", 1) for text in plain[::3]]
    return [problem(question=text, answer="1") for text in [*plain, *twins]], len(twins)


def test_exact_sets_case_width_and_space_aside() -> None:
    same = [problem(1), problem(1, question="what IS  1 + 1?"), problem(1, question="What is １ + 1?"), problem(2)]
    for keep in ("stable", "first", "longest"):
        reasons = [reason for _, reason in dedup.curate(same, keep=keep)]
        assert sum(not reason for reason in reasons) == 2
        assert not reasons[3]
    assert not next(reason for _, reason in dedup.curate(same, keep="first"))
    assert "duplicate: of " + same[0].id == [reason for _, reason in dedup.curate(same, keep="first")][1]
    longest = [reason for _, reason in dedup.curate(same, keep="longest")]
    assert [bool(reason) for reason in longest] == [True, False, True, False]  # two spaces make it the longest
    tries = [attempt(1), attempt(1, text="else"), attempt(1)]
    assert sum(bool(reason) for _, reason in dedup.curate(tries)) == 1
    assert sum(bool(reason) for _, reason in dedup.curate(tries, by="question")) == 2


@pytest.mark.parametrize("grams", ["characters", "words"])
def test_near_duplicates_are_found_and_nothing_else(grams: str) -> None:
    records, twins = planted()
    found = list(dedup.curate(records, method="near", by="question", grams=grams))
    assert sum(bool(reason) for _, reason in found) == twins
    dropped = next((record, reason) for record, reason in found if reason)
    assert dropped[1].startswith("near duplicate: of ")
    assert dropped[0].meta["repeat_count"] == 1
    assert 0 < dropped[0].meta["min_neighbor_distance"] < 0.3


def test_n_grams_are_what_and_as_long_as_is_asked_for() -> None:
    plain, turned = " ".join(WORDS[:12]), " ".join(WORDS[11::-1])
    plural = " ".join(f"{word}s" for word in WORDS[:12])

    def same(one: str, other: str, **settings: object) -> bool:
        records = [problem(question=text) for text in (one, other)]
        found = dedup.curate(records, method="near", by="question", threshold=0.5, **settings)  # type: ignore[arg-type]
        return any(reason for _, reason in found)

    assert not same(plain, turned, grams="words"), "two words in another order are another pair"
    assert same(plain, turned, grams="words", gram_size=1)
    assert not same(plain, turned)
    assert same(plain, turned, gram_size=1)
    assert same(plain, plural, gram_size=2)
    assert not same(plain, plural, gram_size=1, grams="words")


@pytest.mark.parametrize("method", ["exact", "near"])
def test_order_does_not_matter_and_a_second_run_drops_nothing(tmp_path: Path, method: str) -> None:
    records, _ = planted()
    records += [problem(question=f"  {record.question.upper()}", answer="1") for record in records[:20]]
    results = []
    for seed in range(3):
        shuffled = random.Random(seed).sample(records, len(records))
        run("dedup", tmp_path / f"{seed}", write(tmp_path / f"{seed}.jsonl", shuffled), method=method, by="question")
        results.append({record.id for record in kept(tmp_path / f"{seed}")})
        again = run("dedup", tmp_path / f"{seed}-again", str(tmp_path / f"{seed}"), method=method, by="question")
        assert again.counts["dropped"] == 0
    assert results[0] == results[1] == results[2]


def test_clusters_are_transitive() -> None:
    base = texts(1)[0].split()
    chain = [" ".join(base[:at] + [f"w{n}" for n in range(at)] + base[at:]) for at in (0, 2, 4, 6, 8)]
    sets = _minhash.grams(chain)
    assert _minhash.jaccard(sets.row(0), sets.row(4)) < 0.8 < _minhash.jaccard(sets.row(0), sets.row(1))
    records = [problem(question=text, answer="1") for text in chain]
    found = list(dedup.curate(records, method="near", by="question", threshold=0.8, numbers="alike"))
    assert sum(not reason for _, reason in found) == 1
    assert any("; most like " in reason for _, reason in found)


def test_numbers_keep_records_apart_unless_they_do_not_count() -> None:
    text = "Ana has {} red apples in a basket by the window and buys {} more at the market. How many are there?"
    records = [
        problem(question=text.format(3, 4)),
        problem(question=text.format(3, 5)),
        problem(question=text.format("three", 4)),
    ]
    apart = [bool(reason) for _, reason in dedup.curate(records, method="near", by="question")]
    assert sum(apart) == 1  # "three" is 3
    assert not apart[1]
    alike = [bool(reason) for _, reason in dedup.curate(records, method="near", by="question", numbers="alike")]
    assert sum(alike) == 2
    signs = [
        problem(question="What is 12 + 5?"),
        problem(question="What is 12 - 5?"),
        problem(question="What is 5 + 12?"),
    ]
    assert not any(reason for _, reason in dedup.curate(signs[:2], method="near", by="question", threshold=0.2))
    assert any(reason for _, reason in dedup.curate(signs[::2], method="near", by="question", threshold=0.2))


@pytest.mark.parametrize(
    ("one", "other", "stranger"),
    [
        (
            "小明有十二个苹果，他给了小红五个苹果，然后又买了三个。请问小明现在一共有多少个苹果？",
            "小明有十二个苹果，他给了小红五个苹果，然后又买了三个。请问小明现在总共有多少个苹果？",
            "一个长方形花园的长是宽的两倍，周长是三十六米。请问这个花园的面积是多少平方米？",
        ),
        (
            "太郎さんは鉛筆を十二本持っています。花子さんに五本あげたあと、三本買いました。今は何本ありますか。",
            "太郎さんは鉛筆を十二本持っています。花子さんに五本あげたあとで、三本買いました。いまは何本ありますか。",
            "二次方程式を解き、解の過程を段階的に説明してください。また、グラフの概形も描いてください。",
        ),
    ],
)
def test_near_duplicates_in_chinese_and_japanese(one: str, other: str, stranger: str) -> None:
    records = [problem(question=text, answer="1") for text in (one, other, stranger)]
    for grams, threshold in (("characters", None), ("words", 0.6)):
        chosen = {"method": "near", "by": "question", "grams": grams, "threshold": threshold}
        reasons = [bool(reason) for _, reason in dedup.curate(records, **chosen)]
        assert sum(reasons[:2]) == 1, grams
        assert not reasons[2]


def test_marking_keeps_all_and_writes_the_fields() -> None:
    records = [problem(1), problem(2), problem(1)]
    found = list(dedup.curate(records, action="mark"))
    assert not any(reason for _, reason in found)
    assert found[2][0].meta == {
        "repeat_count": 1,
        "min_similar_conversation_id": records[0].id,
        "min_neighbor_distance": 0.0,
    }
    assert found[1][0].meta == {}
    assert found[2][0].id == records[2].id


def test_exact_comparison_has_no_threshold() -> None:
    with pytest.raises(RecipeError, match="threshold: exact comparison has none"):
        list(dedup.curate([problem()], threshold=0.5))


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(count: int, twins: int, cosine: float = 0.985, width: int = 64) -> np.ndarray:
    """Unit vectors in loose bunches; each of the last ``twins`` is near one of the first."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, width))
    base = unit(centres[rng.integers(0, 40, count)] + 1.2 * rng.normal(size=(count, width)))
    noise = unit(rng.normal(size=(twins, width)))
    noise = unit(noise - (noise * base[:twins]).sum(1, keepdims=True) * base[:twins])
    return np.concatenate([base, unit(cosine * base[:twins] + np.sqrt(1 - cosine**2) * noise)]).astype(np.float32)


def test_cells_find_what_the_exact_comparison_finds() -> None:
    pytest.importorskip("faiss")
    given = vectors(9_000, 600)
    exact, cosine, _ = _cells.alike(given, 0.975)
    cells, close, _ = _cells.alike(given, 0.975, exact_below=1_000)
    assert exact.complete
    assert not cells.complete
    pairs = set(zip(exact.first.tolist(), exact.second.tolist(), strict=True))
    found = set(zip(cells.first.tolist(), cells.second.tolist(), strict=True))
    assert len(pairs) >= 600
    assert found <= pairs
    assert len(found) >= 0.98 * len(pairs)
    assert (close <= cosine + 1e-6).all()


def test_vectors_that_all_lie_close_stay_affordable() -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    given = unit(np.ones((6_000, 16)) + 0.01 * rng.normal(size=(6_000, 16)))
    found, _, _ = _cells.alike(given, 0.975, exact_below=1_000)
    assert len(found.first) < 200 * len(given)
    heads = _clusters.settle(len(given), lambda places: _of(given, places))
    assert (heads == 0).all()


def _of(given: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    found, _, _ = _cells.alike(given[places], 0.975, exact_below=1_000, best=False)
    return places[found.first], places[found.second], found.complete


def test_minhash_estimates_jaccard() -> None:
    rng = random.Random(4)
    pairs = [(text, " ".join(rng.sample(text.split(), 26)[:20])) for text in texts(40, seed=9)]
    sets = _minhash.grams([text for pair in pairs for text in pair])
    values = _minhash.signatures(sets)
    for at in range(0, 80, 2):
        true = _minhash.jaccard(sets.row(at), sets.row(at + 1))
        assert abs((values[at] == values[at + 1]).mean() - true) < 0.2
        one, two = (set(sets.row(row).tolist()) for row in (at, at + 1))
        assert true == len(one & two) / len(one | two)
    errors = [
        (values[at] == values[at + 1]).mean() - _minhash.jaccard(sets.row(at), sets.row(at + 1))
        for at in range(0, 80, 2)
    ]
    assert abs(float(np.mean(errors))) < 0.02


def test_grams_are_those_of_each_text_alone() -> None:
    given = ["abcdefg", "", "ab", "abcde", "苹果很好吃", "a苹果很好吃"]
    together = _minhash.grams(given)
    for at, text in enumerate(given):
        assert together.row(at).tolist() == _minhash.grams([text]).row(0).tolist()
    sizes = [len(together.row(at)) for at in range(len(given))]
    assert sizes == [3, 0, 1, 1, 3, 4]
    assert together.row(3).tolist()[0] in together.row(0).tolist()


def test_bands_find_pairs_at_the_threshold() -> None:
    for threshold in (0.3, 0.5, 0.7, 0.9):
        shape = _minhash.bands(threshold)
        assert shape.bands * shape.rows <= 128
        assert 1 - (1 - threshold**shape.rows) ** shape.bands >= 0.99


def test_a_crowd_with_one_key_is_joined_without_all_its_pairs() -> None:
    keys = np.zeros((5_000, 2), np.uint64)
    found = _minhash.candidates(keys)
    assert not found.complete
    assert len(found.first) < 10_000
    heads = _clusters.settle(5_000, lambda places: (found.first, found.second, True))
    assert (heads == 0).all()


def test_union_find_takes_the_smallest() -> None:
    sets = _clusters.UnionFind(6)
    assert sets.join([(5, 4), (4, 2), (5, 2), (1, 0)]) == 3
    assert sets.heads().tolist() == [0, 0, 2, 3, 2, 2]


def test_texts_that_are_compared() -> None:
    assert _text.numbers("seven pens, 1,000.50 $") == _text.numbers("1000.5 7")
    assert _text.numbers("3 - 4") != _text.numbers("3 + 4")
    assert _text.numbers("well-known") == _text.numbers("known")
    assert _text.tokens("f(x)=x^2 です") == ["f", "x", "=", "x", "^", "2", "で", "す"]


ENCODER = """
import hashlib
import numpy as np

def load(model="", *, threads=0):
    return Encoder()

class Encoder:
    def encode(self, texts):
        rows = []
        for text in texts:
            first = int(hashlib.sha256(text.split()[0].encode()).hexdigest()[:8], 16)
            whole = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
            noise = np.random.default_rng(whole).normal(size=32)
            rows.append(np.random.default_rng(first).normal(size=32) + 0.05 * noise)
        return np.array(rows, np.float32)
"""


def test_semantic_duplicates_with_an_encoder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    file = tmp_path / "encoder.py"
    file.write_text(ENCODER)
    records = [problem(question=f"{word} is it {how}?") for word in WORDS for how in ("so", "not so")]
    given = write(tmp_path / "r.jsonl", records)
    manifest = run("dedup", tmp_path / "out", given, method="semantic", by="question", encoder=f"{file}:load")
    assert manifest.counts["dropped: semantic duplicate"] == len(WORDS)
    assert all(
        "min_neighbor_distance" in record.meta and "repeat_count" in record.meta for record in kept(tmp_path / "out")
    )
    assert "encoder" in manifest.key.inputs
    file.write_text(ENCODER.replace("0.05", "5"))
    changed = run("dedup", tmp_path / "out", given, method="semantic", by="question", encoder=f"{file}:load")
    assert changed.counts["dropped"] < len(WORDS) // 2
    assert embeddings.fingerprint(f"{file}:load") == changed.key.inputs["encoder"]
