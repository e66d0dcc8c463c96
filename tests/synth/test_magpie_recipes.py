"""Every shipped recipe of Magpie is one that runs: its settings are known, its stages fit together."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from synth_kit import rows, writer

from porism import pipeline
from porism.errors import ModelError

FOLDER = Path(__file__).parents[2] / "recipes" / "magpie"
RECIPES = sorted(FOLDER.glob("*.yaml"))
VLLM = ("tensor_parallel", "gpu_memory", "max_model_len")


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_it_is_checked_as_a_whole(file: Path, tiny_model: Path) -> None:
    judge = [f"tag.judge_model={tiny_model}"] if file.stem == "hle" else []
    told = yaml.safe_load(pipeline.dry_run(file, [f"model={tiny_model}", *judge]))
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


JUDGES = '''
import json

from porism.engines.scripted import Scripted


def start(model: str) -> Scripted:
    """A judge to whom questions with an odd number of characters are easy."""

    def say(request, number):
        asked = request.messages[0]["content"].partition("Instruction:\\n")[2].partition("\\n\\nResponse:")[0]
        told = {"quality": "good", "difficulty": "easy" if len(asked) % 2 else "hard", "category": "Math"}
        return json.dumps({"explanation": "So.", **told, "safety": "safe", "reward": 7})

    return Scripted(say)
'''


def scripted(file: Path, folder: Path, **changed: Any) -> Path:
    """A recipe with engines that need no model in place of vLLM, its stages as they are."""
    recipe = yaml.safe_load(file.read_text())
    (folder / "judges.py").write_text(JUDGES)
    for stage in recipe["stages"]:
        if stage.get("engine") == "vllm":
            for name in VLLM:
                stage.pop(name, None)
            stage["engine"] = writer(folder)
        if stage.get("synth") == "magpie":
            stage.update({"family": "deepseek-r1", "min_chars": 8, "total": 90})
        if "judge" in stage:
            stage.update({"judge_engine": f"{folder / 'judges.py'}:start", "judge_options": {}})
        stage.update(changed.get(stage.get("name", ""), {}))
    target = folder / file.name
    target.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return target


def test_the_preset_for_examinations_goes_from_instructions_to_pairs_and_the_report(tmp_path: Path) -> None:
    short = {"sft": {"min_response": 5}, "align": {"min_response": 5, "agreement": 0.4}, "dedup": {"method": "near"}}
    run = pipeline.run(scripted(FOLDER / "hle.yaml", tmp_path, **short), runs=tmp_path / "runs")
    folders = {path.name.partition("-")[2]: path for path in run.iterdir() if path.is_dir()}
    tagged = rows(folders["curate-tag"])
    assert {row["meta"]["judge"]["category"] for row in tagged} == {"Math"}
    assert {row["meta"]["language"] for row in tagged} <= {"en", "und"}
    kept = rows(folders["curate-filtered"])
    assert kept
    assert all(len(row["prompt"][-1]["content"]) % 2 == 0 for row in kept), "the filter asks for difficulty"
    asked = {row["problem"]["question"] for row in rows(folders["synth-align"])}
    assert asked == {row["prompt"][-1]["content"] for row in kept}, "Align data for what passed the filter"
    pairs = rows(folders["synth-align"], "align.jsonl")
    assert pairs
    assert all(row["meta"]["by"] == "correctness" for row in pairs)
    assert {row["meta"]["group"] for row in pairs} <= {"hle_algebra", "hle_calculus", "hle_geometry"}
    page = (folders["synth-report"] / "report.md").read_text()
    assert f"porism train sft --input {folders['curate-filtered'] / 'records.jsonl'}" in page
    assert f"porism train dpo --input {folders['synth-align'] / 'align.jsonl'}" in page
    told = json.loads((folders["synth-report"] / "report.json").read_text())
    assert list(told) == [
        folders[name].name for name in ("synth-instructions", "synth-sft", "curate-filtered", "synth-align")
    ]
    filtered = told[folders["curate-filtered"].name]["instructions"]
    assert filtered["dropped"]["condition"] == filtered["written"] - filtered["kept"]
    assert "Difficulty" in (folders["curate-analysis"] / "report.html").read_text().title()
