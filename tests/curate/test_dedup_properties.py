"""What holds of deduplication whatever the records are: no order, chains joined, one stands for all, twice is once."""

import random
import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import problem
from porism.curate import _cells, _minhash, _text, dedup
from porism.curate._clusters import UnionFind, settle
from porism.records import Record

SENTENCES = (
    "A baker sells round loaves of bread at the market and counts what is left in the evening.",
    "二年级的同学在校园里种了两排小树苗，每排的棵数一样多，请问一共种了多少棵小树苗？",
    "太郎さんは赤い鉛筆と青い鉛筆を持っていて、花子さんにいくつかあげました。残りは何本ですか。",
    "Find the remainder when the sum of the first hundred positive integers is divided by seven.",
)
EDITS = (
    lambda text: text,
    lambda text: text.upper(),
    lambda text: f"  {text} ",
    lambda text: f"{text} Please show every step.",
    lambda text: text.replace("market", "fair").replace("一共", "总共").replace("残り", "のこり"),
    lambda text: text[: len(text) * 3 // 4],
    lambda text: text.replace("two", "12").replace("hundred", "100"),
)
TEXTS = st.builds(
    lambda sentence, edits: _edited(SENTENCES[sentence], edits),
    st.integers(0, len(SENTENCES) - 1),
    st.lists(st.integers(0, len(EDITS) - 1), max_size=3),
)


def _edited(text: str, edits: Sequence[int]) -> str:
    for edit in edits:
        text = EDITS[edit](text)
    return text


def records(texts: Iterable[str]) -> list[Record]:
    return [problem(question=text, answer="1", solution="") for text in texts]


def heads(given: Sequence[Record], **chosen: object) -> dict[str, str]:
    """Id of each record → id of what stands for it; those that stand for a group are kept, the others are not."""
    found: dict[str, str] = {}
    kept = set()
    for record, reason in dedup.curate(given, by="question", **chosen):
        head = reason.partition(": of ")[2][:16] if reason else record.id
        assert found.setdefault(record.id, head) == head, "records with one id go together"
        kept.update([record.id] if not reason else [])
    assert kept == set(found.values()), "what stands for a group is kept, and nothing else"
    return found


def what_always_holds(given: list[Record], seed: int, **chosen: object) -> dict[str, str]:
    found = heads(given, **chosen)
    shuffled = random.Random(seed).sample(given, len(given))
    assert heads(shuffled, **chosen) == found, "the order does not matter"
    kept = [record for record, reason in dedup.curate(shuffled, by="question", **chosen) if not reason]
    assert len(kept) == len(set(found.values()))
    assert not any(reason for _, reason in dedup.curate(kept, by="question", **chosen)), "a second run drops nothing"
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=14), st.integers(0, 9))
def test_exact(texts: list[str], seed: int) -> None:
    given = records(texts)
    found = what_always_holds(given, seed, method="exact")
    plain = {record.id: _text.normal(text) for record, text in zip(given, texts, strict=True)}
    for one in found:
        for other in found:
            assert (found[one] == found[other]) == (plain[one] == plain[other])


@pytest.mark.parametrize("grams", ["characters", "words"])
@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=14), st.integers(0, 9))
def test_near(grams: str, texts: list[str], seed: int) -> None:
    """Groups are joined by chains of pairs at the threshold, and a pair that is well above it is always found."""
    given = records(texts)
    found = what_always_holds(given, seed, method="near", grams=grams)
    normal = [_text.normal(text) for text in texts]
    sets = _minhash.grams(normal, grams)
    apart = [_text.numbers(text) for text in normal]
    chains = UnionFind(len(given))
    for one in range(len(given)):
        for other in range(one):
            alike = _minhash.jaccard(sets.row(one), sets.row(other)) if apart[one] == apart[other] else 0.0
            if alike >= 0.7:
                chains.join([(one, other)])
            if alike >= 0.9:
                assert found[given[one].id] == found[given[other].id]
    together: dict[str, int] = {}
    for at, record in enumerate(given):
        assert together.setdefault(found[record.id], chains.head(at)) == chains.head(at), "no chain joins them"


ENCODER = """
import numpy as np

def load(model="", *, threads=0):
    return Angles()

class Angles:
    \"\"\"A text points by its last letter: five degrees for each letter of the alphabet.\"\"\"

    def encode(self, texts):
        turned = np.array([np.deg2rad(5 * (ord(text[-1]) - ord("a"))) for text in texts])
        return np.stack([np.cos(turned), np.sin(turned)], axis=1)
"""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=16), st.integers(0, 9))
def test_semantic(letters: list[str], seed: int) -> None:
    """Ten degrees are alike and fifteen are not, so groups are runs of letters with no two missing between them."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORISM_HOME", folder)
        (Path(folder) / "angles.py").write_text(ENCODER)
        given = records(f"see {letter}" for letter in letters)
        found = what_always_holds(given, seed, method="semantic", encoder=f"{folder}/angles.py:load")
    by_letter = {letter: found[record.id] for letter, record in zip(letters, given, strict=True)}
    ordered = sorted(by_letter)
    for one, other in pairwise(ordered):
        assert (by_letter[one] == by_letter[other]) == (ord(other) - ord(one) <= 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 35), min_size=1, max_size=40), st.integers(1, 7))
def test_thinned_pairs_join_what_all_pairs_join(places: list[int], block: int) -> None:
    """Where very many vectors are alike not all pairs are listed, but no group falls apart."""
    turned = np.deg2rad(5.0 * np.array(places))
    given = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    whole, _, _ = _cells.alike(given, 0.975)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cells, "_DENSE", 0)
        patch.setattr(_cells, "_BLOCK", block)
        thin, _, _ = _cells.alike(given, 0.975)
    assert set(_pairs(thin)) <= set(_pairs(whole))
    groups = [UnionFind(len(given)) for _ in range(2)]
    for sets, found in zip(groups, (whole, thin), strict=True):
        sets.join(_pairs(found))
    assert groups[0].heads().tolist() == groups[1].heads().tolist()
    clusters = settle(len(given), lambda at: (thin.first, thin.second, len(at) < len(given)))
    assert clusters.tolist() == groups[0].heads().tolist()


def _pairs(found: _cells.Alike) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_a_crowd_of_near_twins() -> None:
    """More of one kind than are compared pair by pair."""
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(60)]
    texts = [" ".join(rng.sample(words, len(words)) if number % 50 == 0 else words) for number in range(200)]
    texts = [f"{text} {'abcdefgh'[number % 8]}" for number, text in enumerate(texts)]
    found = what_always_holds(records(texts), 1, method="near")
    assert len(set(found.values())) == 5
