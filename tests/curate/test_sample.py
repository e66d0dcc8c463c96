import random
from collections import Counter

import pytest

from conftest import problem
from porism.curate import sample
from porism.errors import RecipeError
from porism.records import Record

SHAPES = (
    "A train leaves at {} and arrives at {}, how long is it under way?",
    "What is the area of a garden of {} by {} metres with a path around it?",
    "Which of the primes below {} leave the remainder {} after division?",
)


def records() -> list[Record]:
    """Three quite different kinds of question; the first is by far the commonest."""
    made = []
    for level, (shape, count) in enumerate(zip(SHAPES, (80, 15, 5), strict=True)):
        made += [
            problem(question=shape.format(n, n + 3), meta={"difficulty": level + 1, "subject": "all"})
            for n in range(count)
        ]
    return random.Random(0).sample(made, len(made))


def levels(**settings: object) -> Counter[int]:
    return Counter(record.meta["difficulty"] for record, reason in sample.curate(records(), **settings) if not reason)


def test_groups_give_in_proportion_or_alike() -> None:
    assert levels(count=20) == {1: 16, 2: 3, 3: 1}
    assert levels(count=15, temperature=1e6) == {1: 5, 2: 5, 3: 5}
    assert levels(count=30, weights={"1": 0.0}) == {2: 15, 3: 5}
    assert sum(levels(count=1000).values()) == 100


@pytest.mark.parametrize("diversity", ["ngrams", "semantic"])
def test_diverse_records_are_taken(diversity: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    extra: dict[str, object] = {}
    if diversity == "semantic":
        monkeypatch.setenv("PORISM_HOME", str(tmp_path))
        (tmp_path / "encoder.py").write_text(
            "import numpy as np\n"
            "def load(model='', *, threads=0):\n    return E()\n"
            "class E:\n    def encode(self, texts):\n"
            "        starts = ('A', 'What', 'Which')\n"
            "        return np.array([[t.startswith(s) for s in starts] for t in texts], float)\n"
        )
        extra["encoder"] = f"{tmp_path}/encoder.py:load"
    assert set(levels(count=3, by=["subject"], diversity=diversity, **extra)) == {1, 2, 3}
    assert set(levels(count=3, by=["subject"], diversity="none", seed=0)) != {1, 2, 3}


def test_the_choice_does_not_depend_on_the_order() -> None:
    chosen = []
    for seed in range(3):
        shuffled = random.Random(seed).sample(records(), 100)
        chosen.append({record.id for record, reason in sample.curate(shuffled, count=25) if not reason})
    assert chosen[0] == chosen[1] == chosen[2]
    other = {record.id for record, reason in sample.curate(records(), count=25, seed=5) if not reason}
    assert other != chosen[0]


def test_what_is_left_out_is_told() -> None:
    reasons = {reason for _, reason in sample.curate(records(), count=20, by=["difficulty"]) if reason}
    assert "not sampled: 1: 16 of 80 are" in reasons


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), 1e300])
def test_weights_that_weigh_nothing(weight: float) -> None:
    with pytest.raises(RecipeError, match="weights: expected a number from 0 to 1,000,000 for '1'"):
        levels(count=3, weights={"1": weight})


def test_a_tag_that_no_record_has_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(levels(count=5, by=["difficulty", "subjct"]).values()) == 5
    told = capsys.readouterr().err
    assert "no record has the tag 'subjct': it makes no groups" in told
    assert "'difficulty'" not in told
