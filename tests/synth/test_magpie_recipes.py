"""Every shipped recipe of Magpie is one that runs: its settings are known, its stages fit together."""

from pathlib import Path

import pytest
import yaml

from porism import pipeline
from porism.errors import ModelError

FOLDER = Path(__file__).parents[2] / "recipes" / "magpie"
RECIPES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_it_is_checked_as_a_whole(file: Path, tiny_model: Path) -> None:
    told = yaml.safe_load(pipeline.dry_run(file, [f"model={tiny_model}"]))
    first = told["stages"][0]
    assert first["synth"] == "magpie"
    if first["engine"] == "vllm":
        assert first["total"] == 1000, "the scripts' default"
        assert first["tensor_parallel"] >= 1
        with pytest.raises(ModelError, match="porism pull"):
            pipeline.dry_run(file)
    assert any(stage.get("synth") == "report" for stage in told["stages"])


def test_the_recipes_are_described() -> None:
    text = (FOLDER / "README.md").read_text()
    assert all(f"`{file.name}`" in text for file in RECIPES)
