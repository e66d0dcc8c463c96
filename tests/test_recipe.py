from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from porism import recipe
from porism.errors import RecipeError

RECIPE = """
name: demo
stages:
  - problems: gsm8k
    limit: 5
  - solve: cot
    name: before
    input: problems
  - train: sft
    lr: 1e-4
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_stages_have_names_that_overrides_reach(file: Path) -> None:
    read = recipe.load(file, ["train.lr=2e-5", "before.max_tokens=9", "seed=4", "problems-gsm8k.limit=7"])
    assert [stage.name for stage in read.stages] == ["problems-gsm8k", "before", "train-sft"]
    assert read.seed == 4
    assert read.stages[0].settings == {"limit": 7}
    assert read.stages[1].settings == {"input": "problems", "max_tokens": 9}
    assert read.stages[2].settings == {"lr": 2e-5}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-5", 1e-5), ("-2E+3", -2000.0), ("5", 5), ("true", True), ("cot", "cot"), ("[1, 2]", [1, 2]), ("{", "{")],
)
def test_scalars_are_what_people_mean(text: str, value: object) -> None:
    assert recipe.scalar(text) == value
    assert type(recipe.scalar(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x\nname: y\nstages: [solve]", "stands twice"),
        ("stages: 3", "list under 'stages'"),
        ("- a", "expected a mapping"),
        ("name: x\nstages:\n  - solve: [1]", "first key must be"),
        ("name: x\nstages:\n  - solve: cot\n  - solve: cot", "two stages are called 'solve-cot'"),
        ("name: x\nstages:\n  - solve: cot\n    name: ../up", "name"),
        ("name: x\nsed: 1\nstages: [solve]", "Did you mean 'seed'"),
        ("name: {", "not valid YAML"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=complaint):
        recipe.load(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("trian.lr=1", "Did you mean"), ("lr", "expected key=value"), ("solv.x=1", "Stages: problems-gsm8k")],
)
def test_a_wrong_override_says_what_is_wrong(file: Path, text: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        recipe.load(file, [text])


def part(
    problems: object,
    *,
    shots: Annotated[int, Field(ge=1, description="how many")] = 4,
    seed: int = 0,
    name: str,
) -> tuple[int, int, str]:
    return shots, seed, name


class Base(recipe.Settings):
    seed: int = 1


def test_a_functions_keywords_are_its_settings() -> None:
    kind = recipe.settings_of(part, Base)
    settings = recipe.build(kind, {"name": "x"}, "here")
    assert settings.model_dump() == {"seed": 1, "shots": 4, "name": "x"}
    assert recipe.bind(part, settings)(None) == (4, 1, "x")
    with pytest.raises(RecipeError, match=r"here: unknown setting 'shotss'\. Did you mean 'shots'\?"):
        recipe.build(kind, {"name": "x", "shotss": 3}, "here")
    with pytest.raises(RecipeError, match="here: shots: .*greater than or equal to 1, got 0"):
        recipe.build(kind, {"name": "x", "shots": 0}, "here")
    with pytest.raises(RecipeError, match="here: shots: .*valid integer, got '3'"):
        recipe.build(kind, {"name": "x", "shots": "3"}, "here")
    with pytest.raises(RecipeError, match="'name' is required"):
        recipe.build(kind, {}, "here")


def test_a_setting_that_cannot_change_the_records_is_marked() -> None:
    def function(*, speed: Annotated[int, Field(ge=1), recipe.NOT_IN_KEY] = 1, size: int = 2) -> None: ...

    class Base(recipe.Settings):
        not_in_key = frozenset({"limit"})

    made = recipe.settings_of(function, Base)
    assert made.not_in_key == {"limit", "speed"}
    assert Base.not_in_key == {"limit"}
    with pytest.raises(RecipeError, match="speed: input should be greater than or equal to 1"):
        recipe.build(made, {"speed": 0}, "x")
