from collections import Counter
from pathlib import Path

import pytest
from curation_kit import kept, run, write

from conftest import problem
from porism.errors import RecipeError
from porism.mixture import allocate, tempered


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    sizes = {"a": 400, "b": 100, "c": 20}
    return [
        write(tmp_path / f"{name}.jsonl", [problem(n, source=name, question=f"{name} {n}?") for n in range(size)])
        for name, size in sizes.items()
    ]


def counted(folder: Path) -> Counter[str]:
    return Counter(record.source for record in kept(folder))  # type: ignore[union-attr]


def test_all_of_all_by_default_spread_evenly(inputs: list[str], tmp_path: Path) -> None:
    manifest = run("mix", tmp_path / "out", *inputs)
    assert counted(tmp_path / "out") == {"a": 400, "b": 100, "c": 20}
    assert manifest.counts["dropped"] == 0
    for start in range(0, 520, 104):
        part = Counter(record.source for record in kept(tmp_path / "out")[start : start + 104])  # type: ignore[union-attr]
        assert abs(part["a"] - 80) <= 2


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"count": 52}, {"a": 40, "b": 10, "c": 2}),
        ({"weights": [1.0, 1.0, 1.0], "count": 30}, {"a": 10, "b": 10, "c": 10}),
        ({"weights": [1.0, 1.0, 0.0]}, {"a": 100, "b": 100}),
        ({"weights": [1.0, 1.0, 1.0], "count": 300}, {"a": 180, "b": 100, "c": 20}),
        ({"quotas": [50, 0, 5]}, {"a": 50, "b": 100, "c": 5}),
        ({"temperature": 1000.0, "count": 45}, {"a": 15, "b": 15, "c": 15}),
        ({"weights": [0.0, 0.0, 1.0], "count": 50, "repeats": 3}, {"c": 50}),
        ({"count": 10_000}, {"a": 400, "b": 100, "c": 20}),
    ],
)
def test_quotas_weights_and_temperature(
    inputs: list[str], tmp_path: Path, settings: dict[str, object], expected: dict[str, int]
) -> None:
    manifest = run("mix", tmp_path / "out", *inputs, **settings)
    assert counted(tmp_path / "out") == expected
    if "repeats" not in settings:
        assert manifest.counts["dropped"] == 520 - sum(expected.values())
        assert len({record.id for record in kept(tmp_path / "out")}) == sum(expected.values())


def test_the_seed_decides_which(inputs: list[str], tmp_path: Path) -> None:
    chosen = []
    for name, seed in (("x", 0), ("y", 0), ("z", 1)):
        run("mix", tmp_path / name, *inputs, count=40, seed=seed)
        chosen.append({record.id for record in kept(tmp_path / name)})
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0]}, "weights: expected one for each of 3 inputs, got 1"),
        ({"quotas": [1, -2, 3]}, "quotas: expected numbers that are not negative"),
        ({"weights": [1.0, float("nan"), 1.0]}, "weights: expected numbers that are not negative"),
        ({"weights": [1.0, float("inf"), 1.0]}, "weights: expected numbers that are not negative"),
        ({"quotas": [1, 2, 3], "weights": [1.0, 1.0, 1.0]}, "weights or quotas, got both"),
    ],
)
def test_settings_that_do_not_fit(inputs: list[str], tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run("mix", tmp_path / "out", *inputs, **settings)


def test_shares() -> None:
    assert allocate([10, 10], [1.0, 3.0], 8) == [2, 6]
    assert allocate([10, 4], [1.0, 3.0], 8) == [4, 4]
    assert allocate([10, 10, 10], [1.0, 1.0, 1.0], 10) == [4, 3, 3]
    assert allocate([10, 30], [1.0, 2.0], 0) == [10, 20]
    assert allocate([0, 5], [0.0, 1.0], 9) == [0, 5]
    assert allocate([3], [0.0], 2) == [0]
    assert allocate([10, 10], [1e308, 1e308], 5) == [3, 2]
    assert allocate([10, 10], [1e-308, 1e308], 0) == [0, 10]
    assert tempered([100, 25, 0], 2.0) == [1.0, 0.5, 0.0]
