import random
from collections import defaultdict
from pathlib import Path

import pytest
from curation_kit import WORDS, kept, run, write

from conftest import problem
from porism.curate import split
from porism.errors import DataError, RecipeError
from porism.records import Record


def records() -> list[Record]:
    """Questions of which each stands three times: as it is, with another word, and with other numbers."""
    rng = random.Random(3)
    made: list[Record] = []
    for number in range(100):
        text = f"{' '.join(rng.choices(WORDS, k=20))} {number} and {number + 7}?"
        twins = (text, text.replace(text.split()[4], "meadow", 1), text.replace(f" {number} ", " 9999 "))
        made += [problem(question=twin, meta={"family": number}, group=f"g{number % 10}") for twin in twins]
    return rng.sample(made, len(made))


def test_near_twins_never_straddle_and_shares_are_kept(tmp_path: Path) -> None:
    given = write(tmp_path / "r.jsonl", records())
    manifest = run("split", tmp_path / "out", given, sizes={"train": 0.7, "valid": 0.1, "test": 0.2})
    parts = {"train": kept(tmp_path / "out"), **{n: kept(tmp_path / "out" / f"{n}.jsonl") for n in ("valid", "test")}}
    assert manifest.counts["valid"] == len(parts["valid"])
    where = defaultdict(set)
    for name, part in parts.items():
        for record in part:
            where[record.meta["family"]].add(name)
            assert record.meta["split"] == name
    assert all(len(names) == 1 for names in where.values())
    assert {name: round(len(part) / 300, 1) for name, part in parts.items()} == {
        "train": 0.7,
        "valid": 0.1,
        "test": 0.2,
    }


def test_a_tag_keeps_records_together_and_the_order_does_not_matter() -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    sides = []
    for seed in range(2):
        shuffled = random.Random(seed).sample(records(), 300)
        made = list(split.make(shuffled, sizes={"a": 0.5, "b": 0.5}, together="group"))
        sides.append({item.record.id: item.part for item in made})
        for item in made:
            groups[item.record.group].add(item.part)  # type: ignore[union-attr]
    assert sides[0] == sides[1]
    assert all(len(parts) == 1 for parts in groups.values())
    assert {part for parts in groups.values() for part in parts} == {"", "b"}


def test_the_seed_deals_anew() -> None:
    sides = [{i.record.id: i.part for i in split.make(records(), seed=seed)} for seed in (0, 1)]
    assert sides[0] != sides[1]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train": 1.0}, "at least two parts"),
        ({"train": 0.5, "../x": 0.5}, "a part's name"),
        ({"train": 0.5, "dropped": 0.5}, "a part's name"),
        ({"train": 0.5, "test": 0.0}, "a positive share"),
    ],
)
def test_sizes_that_do_not_fit(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        list(split.make([problem()], sizes=sizes))


def test_a_tag_that_no_record_has_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(split.make(records(), together="gruop"))) == 300
    assert "no record has the tag 'gruop': it keeps nothing together" in capsys.readouterr().err


def together(one: Record, other: Record, **settings: object) -> bool:
    """Whether two records are in one part, of two that are of one size."""
    parts = [item.part for item in split.make([one, other], sizes={"a": 0.5, "b": 0.5}, **settings)]  # type: ignore[arg-type]
    return parts[0] == parts[1]


def test_what_counts_as_twins() -> None:
    text = " ".join(WORDS)
    plain, near = problem(question=f"{text} 7?"), problem(question=f"{text.replace('lamp', 'meadow')} 7?")
    assert together(plain, near)
    assert not together(plain, near, method="exact")
    assert not together(plain, near, threshold=0.99)
    numbered = problem(question=f"{text} 8?")
    assert together(plain, numbered)
    assert not together(plain, numbered, numbers="apart")
    answers = [
        problem(question="Why?", answer=answer, kind="judge") for answer in (text, "because it is so, that is all")
    ]
    assert together(*answers)
    assert not together(*answers, by="all")


def test_an_empty_part_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All twins of one another are in one part, so that others have none."""
    given = [problem(n, question=f"What is {n} plus one?") for n in range(8)]
    parts = {item.part for item in split.make(given, sizes={"train": 0.9, "test": 0.1}, seed=0)}
    assert parts == {""}
    assert "the part 'test' is empty: there are 1 groups of records that stay together" in capsys.readouterr().err
    with pytest.raises(DataError, match="the part 'a' is empty.*Take more records"):
        run("split", tmp_path / "out", write(tmp_path / "p.jsonl", given), sizes={"a": 0.1, "b": 0.9})


def test_a_cluster_goes_where_it_fits() -> None:
    """Whatever the parts are called, and however few clusters there are."""
    rng = random.Random(5)
    texts = [f"{' '.join(rng.choices(WORDS, k=20))} {{}}?" for _ in range(3)]
    given = [
        problem(question=text.format(n)) for text, size in zip(texts, (50, 40, 10), strict=True) for n in range(size)
    ]
    for names in (("fit", "test"), ("train", "held-out")):
        made = list(split.make(given, sizes=dict(zip(names, (0.9, 0.1), strict=True))))
        assert sum(item.part == names[1] for item in made) == 10
