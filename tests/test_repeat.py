"""Stages that are repeated: names, references, overrides, errors."""

from pathlib import Path

import pytest
import yaml

from porism import pipeline, recipe
from porism.errors import RecipeError

LOOP = """
name: loop
stages:
  - problems: procedural
    tasks: {chain_sum: {count: 4, max_digits: 1}}
  - repeat: 3
    name: rounds
    stages:
      - solve: direct
        name: try
        engine: scripted
        default: "5"
        input: {first: problems, then: keep}
      - curate: dedup
        name: keep
  - curate: dedup
    name: last
    input: keep
"""


def write(folder: Path, text: str = LOOP) -> Path:
    file = folder / "loop.yaml"
    file.write_text(text)
    return file


def test_rounds_are_stages_with_a_number(tmp_path: Path) -> None:
    stages = recipe.load(write(tmp_path)).stages
    assert [stage.name for stage in stages] == [
        "problems-procedural",
        *(f"{name}.{number}" for number in (1, 2, 3) for name in ("try", "keep")),
        "last",
    ]
    assert [stage.settings.get("input") for stage in stages[1::2]] == ["problems", "keep", "keep", "keep"]


def test_overrides_reach_the_number_of_rounds_all_rounds_or_one(tmp_path: Path) -> None:
    given = ["rounds.rounds=2", "try.seed=4", "try.2.max_tokens=9"]
    stages = {stage.name: stage.settings for stage in recipe.load(write(tmp_path), given).stages}
    assert "try.3" not in stages
    assert stages["try.1"]["seed"] == stages["try.2"]["seed"] == 4
    assert "max_tokens" not in stages["try.1"]
    assert stages["try.2"]["max_tokens"] == 9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("repeat: 3", "repeat: 0", "expected a number of rounds"),
        ("repeat: 3", "repeat: many", "expected a number of rounds"),
        ("name: rounds", "times: 3", "unknown key 'times'"),
        ("name: last", "name: keep", "two stages are called 'keep'"),
        ("name: last", "name: rounds", "two stages are called 'rounds'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.load(write(tmp_path, LOOP.replace(old, new)))


def test_a_block_in_a_block_is_refused(tmp_path: Path) -> None:
    inner = "  - repeat: 2\n    stages:\n      - repeat: 2\n        stages:\n          - evaluate:\n"
    with pytest.raises(RecipeError, match="cannot stand in another one"):
        recipe.load(write(tmp_path, f"stages:\n{inner}"))


def test_every_round_has_a_seed_of_its_own(tmp_path: Path) -> None:
    """Else a round would draw what the one before has drawn."""
    file = write(tmp_path, LOOP.replace("{first: problems, then: keep}", "problems"))
    resolved = yaml.safe_load(pipeline.dry_run(file, ["seed=5"]))["stages"]
    assert [stage["seed"] for stage in resolved if stage["name"].startswith("try")] == [5, 6, 7]
    resolved = yaml.safe_load(pipeline.dry_run(file, ["seed=5", "try.seed=3"]))["stages"]
    assert [stage["seed"] for stage in resolved if stage["name"].startswith("try")] == [3, 3, 3]


def test_a_name_without_a_number_is_the_latest_round() -> None:
    stages = [("a", "solve"), ("b.1", "train"), ("b.2", "train"), ("c", "curate")]
    assert recipe.number_of("b", stages, "") == 2
    assert recipe.number_of("b.1", stages, "") == 1
    assert recipe.number_of("train", stages, "") == 2
    assert recipe.names_stage("b", stages)
    assert not recipe.names_stage("b.3", stages)
    with pytest.raises(RecipeError, match="several stages"):
        recipe.number_of("train", [*stages, ("d.1", "train")], "")


def test_the_rounds_run_and_feed_each_other(tmp_path: Path) -> None:
    """Each round reads what the one before has kept; a second run does nothing again."""
    text = LOOP.replace("solve: direct\n        name: try", "curate: mix\n        name: try").replace(
        '\n        engine: scripted\n        default: "5"', ""
    )
    text = text.replace("curate: mix", "curate: dedup")
    file = write(tmp_path, text)
    folder = pipeline.run(file, runs=tmp_path / "runs")
    made = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert made == [
        "1-problems-procedural",
        "2-curate-try.1",
        "3-curate-keep.1",
        "4-curate-try.2",
        "5-curate-keep.2",
        "6-curate-try.3",
        "7-curate-keep.3",
        "8-curate-last",
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/records.jsonl")}
    pipeline.run(file, runs=tmp_path / "runs")
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*/records.jsonl")}
    assert recipe.seed_of(7, "try") == recipe.seed_of(7, "try.1") == 7
    assert recipe.seed_of(2**32 - 1, "try.2") == 0
    resolved = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert resolved["stages"][3]["input"] == ["keep"]
    assert recipe.load(folder / "recipe.yaml").stages[6].name == "keep.3"
