"""Every shipped recipe has settings that are known and stages that fit together."""

from pathlib import Path

import pytest

from porism import pipeline, recipe
from porism.models.wheel import WHEELS

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*/recipe.yaml"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.parent.name)
def test_a_recipe_is_parsed(file: Path) -> None:
    plan = recipe.load(file)
    assert plan.name == file.parent.name
    assert (file.parent / "README.md").is_file()
    names: set[str] = set()
    for entry in plan.stages:
        part = entry.part or pipeline.default_part(entry.verb)
        known = pipeline.settings_class(entry.verb, part, entry.settings).model_fields
        assert set(entry.settings) <= set(known), entry.name
        given = {"input": ["x"], "before": "x", "after": "x", "against": ["x"], **entry.settings}
        values = {name: [one] if name == "input" and isinstance(one, str) else one for name, one in given.items()}
        pipeline.prepare(entry.verb, entry.part, {name: one for name, one in values.items() if name in known})
        bare = {name.partition(".")[0] for name in names}  # of stages that are repeated
        for name in ("model", "teacher"):
            model = entry.settings.get(name, "")
            assert "/" in model or not model or model in {*names, *bare, *WHEELS}, f"{entry.name}: {name}"
        names |= {entry.name, entry.verb}
