"""Concepts in recipes: judges that a stage trained, solvers of their own, vectors that changed, engines that fail."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from concepts_kit import engine, said
from synth_kit import rows, synth

from porism import pipeline, store
from porism.errors import DataError, RecipeError, UserError
from porism.files import to_line
from porism.models.load import fingerprint
from porism.records import Concepts, Problem, to_row

ROW = {
    "prompt": [{"role": "user", "content": "1 + 1?"}],
    "completion": [{"role": "assistant", "content": "2"}],
}
GIVE_RATINGS = json.dumps(dict.fromkeys(("format", "accuracy", "difficulty", "coverage", "solvability"), "Bad"))


def write(file: Path, *records: Any) -> Path:
    file.write_bytes(b"".join(to_line(to_row(record)) for record in records))
    return file


def draws(folder: Path, count: int = 3) -> Path:
    return write(
        folder / "draws.jsonl", *(Concepts(concepts=["sums", f"c{at}"], level="primary") for at in range(count))
    )


def recipe(folder: Path, model: Path, **changed: Any) -> Path:
    """A stage that trains, and one whose judges are what it trained and the model that writes."""
    (folder / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    judged = {
        "synth": "concepts-generate",
        "name": "problems",
        "input": str(draws(folder, 1)),
        "engine": engine(folder),
        "judges": ["learnt", ""],
        "judge_engine": "local",
        "judge_options": {"dtype": "float32", "threads": 1},
        "judge_tokens": 400,
        "keep": "bad",
        "solutions": 0,
        "allow_empty": True,  # whether such a judge says anything that can be read is no matter here
        **changed,
    }
    trained = {
        "train": "sft",
        "name": "learnt",
        "input": str(folder / "rows.jsonl"),
        "model": str(model),
        "max_steps": 1,
        "batch_size": 1,
        "micro_batch_size": 1,
        "lr": 0.1,
    }
    before = {"problems": "procedural", "name": "seeds", "tasks": {"chain_sum": {"count": 1}}}
    file = folder / "judged.yaml"
    file.write_text(yaml.safe_dump({"name": "judged", "stages": [before, trained, judged]}, sort_keys=False))
    return file


@pytest.fixture
def long_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with a context that holds a prompt, letter by letter."""
    folder = shutil.copytree(tiny_model, tmp_path / "long")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return folder


def test_a_judge_may_be_what_an_earlier_stage_trained(long_model: Path, tmp_path: Path) -> None:
    file = recipe(tmp_path, long_model)
    run = pipeline.run(file, runs=tmp_path / "runs")
    stage = run / "3-synth-problems"
    (row,) = [
        row for name in ("records.jsonl", "dropped.jsonl") if (stage / name).exists() for row in rows(stage, name)
    ]
    first, second = row["meta"]["judges"]
    assert first["model"] == fingerprint(str(run / "2-train-learnt" / "model")) != fingerprint(str(long_model))
    assert second["overall"] == "perfect"
    manifest = store.Manifest.load(run / "3-synth-problems" / "manifest.json")
    assert "judges" in manifest.key.inputs
    assert "judges" not in manifest.key.settings, "a path counts by what is there"
    moved = (tmp_path / "runs").rename(tmp_path / "elsewhere")
    before = (moved / "judged" / "3-synth-problems" / "records.jsonl").stat().st_mtime_ns
    pipeline.run(file, runs=moved)
    assert (moved / "judged" / "3-synth-problems" / "records.jsonl").stat().st_mtime_ns == before
    pipeline.run(file, ["learnt.seed=5", "learnt.lr=0.5"], runs=moved)
    assert (moved / "judged" / "3-synth-problems" / "records.jsonl").stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"judges": ["seeds", ""]}, "judges: the stage 'seeds' makes no model"),
        ({"solver": "seeds"}, "solver: the stage 'seeds' makes no model"),
        ({"judges": ["lernt", ""]}, "lernt"),
    ],
)
def test_judges_that_are_no_models_are_told_before_anything_runs(
    tiny_model: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.run(recipe(tmp_path, tiny_model, **changed), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_judges_of_another_engine_need_not_be_models_here(tiny_model: Path, tmp_path: Path) -> None:
    file = recipe(tmp_path, tiny_model, judges=["remote/model", ""], judge_engine="scripted", judge_options={})
    assert "remote/model" in pipeline.dry_run(file)


def test_the_grader_of_a_recipe_may_be_a_stage_too(tiny_model: Path, tmp_path: Path) -> None:
    file = recipe(tmp_path, tiny_model)
    value = yaml.safe_load(file.read_text())
    value["stages"].append({"solve": "direct", "input": "seeds", "engine": "scripted", "judge_model": "seeds"})
    file.write_text(yaml.safe_dump(value, sort_keys=False))
    with pytest.raises(RecipeError, match="judge_model: the stage 'seeds' makes no model"):
        pipeline.dry_run(file)
    value["stages"][-1]["judge_model"] = "learnt"
    file.write_text(yaml.safe_dump(value, sort_keys=False))
    assert "judge_model: learnt" in pipeline.dry_run(file)


def test_another_model_may_solve(tmp_path: Path) -> None:
    other = said(someone="It is \\boxed{9}.")
    options: dict[str, Any] = {"input": [str(draws(tmp_path))], "engine": engine(tmp_path), "solutions": 3}
    synth("concepts-generate", tmp_path / "own", **options)
    synth("concepts-generate", tmp_path / "other", **options, solver="someone", judge_options={"said": other})
    assert {row["answer"] for row in rows(tmp_path / "own")} == {"5"}
    assert {row["answer"] for row in rows(tmp_path / "other")} == {"9"}


def test_sets_are_drawn_again_where_vectors_changed(tmp_path: Path) -> None:
    names = [f"concept {at}" for at in range(30)]
    encoded = write(tmp_path / "encoded.jsonl", *(Concepts(concepts=[name]) for name in names))
    chance = np.random.default_rng(0)
    given: dict[str, Any] = {"input": [str(encoded)], "embed": str(encoded), "total": 40, "size": 3}
    found = []
    for _ in range(2):
        vectors = chance.normal(size=(30, 8)).astype(np.float32)
        np.save(tmp_path / "encoded.vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        synth("concepts-sample", tmp_path / "out", **given)
        found.append([row["concepts"] for row in rows(tmp_path / "out")])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("part", "fails", "reason"),
    [
        ("concepts-generate", "You judge", "engine: judge 1: it is down"),
        ("concepts-generate", "Write one pro", "engine: it is down"),
        ("concepts-generate", "What is 2", "engine: it is down"),
        ("testcases", "You test", "engine: it is down"),
        ("testcases", "Read two", "engine: it is down"),
        ("trajectories", "Read two", "engine: it is down"),
    ],
)
def test_an_engine_that_fails_is_no_bad_problem(tmp_path: Path, tier: str, part: str, fails: str, reason: str) -> None:
    """Counted apart, and more than ``max_failed`` of it is an error."""
    del tier
    problem = Problem(question="Read two numbers.", answer="", kind="code" if part == "testcases" else "math")
    given = draws(tmp_path) if part == "concepts-generate" else write(tmp_path / "p.jsonl", problem)
    options: dict[str, Any] = {"input": [str(given)], "engine": engine(tmp_path), "fails": fails, "cache": False}
    with pytest.raises(DataError, match="the engine failed on . of"):
        synth(part, tmp_path / "out", **options)
    assert {row["reason"] for row in rows(tmp_path / "out", "dropped.jsonl")} == {reason}


def test_trajectories_run_programs_where_they_are_told(tmp_path: Path) -> None:
    tests = json.dumps({"tests": [{"input": "1 2", "output": "3"}]})
    problem = write(tmp_path / "p.jsonl", Problem(question="Add two numbers.", answer=tests, kind="code"))
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    options: dict[str, Any] = {"input": [str(problem)], "engine": engine(tmp_path), "said": said(solutions=[program])}
    with pytest.raises(RecipeError, match="sandbox: there is no 'box'"):
        synth("trajectories", tmp_path / "out", **options, sandbox="box")
    synth("trajectories", tmp_path / "out", **options, samples=1, sandbox="unsafe")
    (row,) = rows(tmp_path / "out")
    assert row["verdict"]["status"] == "correct"
    assert row["verdict"]["detail"]["sandbox"] == "unsafe"


def test_rounds_are_compared_by_quality_and_later_stages_are_not_judged_again(tmp_path: Path) -> None:
    bad = said(judges=[GIVE_RATINGS])
    options: dict[str, Any] = {"input": [str(draws(tmp_path))], "engine": engine(tmp_path), "solutions": 3}
    synth("concepts-generate", tmp_path / "sample.1", **options, said=bad, allow_empty=True)
    synth("concepts-generate", tmp_path / "sample.2", **options)
    tries = {"input": [str(tmp_path / "sample.2")], "engine": engine(tmp_path), "samples": 4}
    solutions = said(solutions=["a: \\boxed{5}", "b: \\boxed{6}", "c: \\boxed{7}", "d: \\boxed{8}"])
    synth("trajectories", tmp_path / "tries", **tries, said=solutions)
    pipeline.execute(pipeline.prepare("curate", "pair", {"input": [str(tmp_path / "tries")]}), tmp_path / "pairs")
    (pair, *_) = rows(tmp_path / "pairs")
    made = rows(tmp_path / "sample.2")[0]["meta"]
    assert [pair["meta"][name] for name in ("concepts", "rationale", "judges")] == [
        made[name] for name in ("concepts", "rationale", "judges")
    ]
    stages = [str(tmp_path / name) for name in ("sample.1", "sample.2", "tries", "pairs")]
    synth("concepts-report", tmp_path / "page", input=stages)
    figures = json.loads((tmp_path / "page" / "report.json").read_text())
    assert figures[0]["quality"] == {
        "written": 3, "judged": 3, "perfect": 0, "acceptable": 0, "bad": 3, "no verdict": 0, "rating": 0.0, "kept": 0,
    }  # fmt: skip
    assert (figures[1]["quality"]["perfect"], figures[1]["quality"]["rating"]) == (3, 2.0)
    assert figures[2]["quality"] == figures[3]["quality"] == {}
    page = (tmp_path / "page" / "report.html").read_text()
    assert "Quality by round" in page
    assert "0 kept, 3 dropped (3 judged bad)" in page
    assert "Chosen:" in page


ARITHMETIC = '''
import json
import re

from porism.engines.scripted import Scripted

RATINGS = {name: "Perfect" for name in ("format", "accuracy", "difficulty", "coverage", "solvability")}


def start(model):
    """Right in one of four solutions."""

    def say(request, number):
        asked = request.messages[-1]["content"]
        if asked.startswith("Write one pro"):
            return f"What is 2 + {request.seed % 97}?" if "BEGIN PROBLEM" in request.prefix else "Add two numbers."
        if asked.startswith("You judge"):
            return json.dumps(RATINGS)
        first, *rest = re.findall(r"[-+*]?\\s*\\d+", asked)
        right = int(first.replace(" ", ""))
        for part in rest:
            value = int(part.strip("+-* "))
            right = right * value if "*" in part else right - value if "-" in part else right + value
        wrong = right + 2 if number % 4 == 3 else right + 1
        return f"Try {number}.\\n#### {right if number % 4 == 0 else wrong}"

    return Scripted(say)
'''


@pytest.mark.slow
def test_self_play_goes_from_concepts_to_a_model_that_dpo_has_trained(tiny_model: Path, tmp_path: Path) -> None:
    """The shipped recipe as it is, but that a script writes and the tiny model is trained."""
    (tmp_path / "arithmetic.py").write_text(ARITHMETIC)
    asked = ("problems", "first-tries", "tries", "before", "after-sft", "after-dpo")
    given = [f"{name}.engine={tmp_path / 'arithmetic.py'}:start" for name in asked]
    file = Path(__file__).parents[2] / "recipes" / "promptcot-selfplay" / "recipe.yaml"
    run = pipeline.run(file, [f"model={tiny_model}", *given], runs=tmp_path / "runs")
    stages = {folder.name.partition("-")[2]: folder for folder in run.iterdir() if folder.is_dir()}
    pairs = rows(stages["curate-pairs.2"])
    assert len({row["meta"]["problem"] for row in pairs}) > 20
    assert any("rationale" in row["meta"] and "judges" in row["meta"] for row in pairs), "of problems from concepts"
    held_out = {row["question"] for row in rows(stages["problems-held-out"])}
    assert not held_out & {row["prompt"][-1]["content"] for row in pairs}
    first, second = (fingerprint(str(stages[f"train-dpo.{number}"] / "model")) for number in (1, 2))
    assert fingerprint(str(stages["train-sft"] / "model")) != first != second
    assert {row["model"] for row in rows(stages["solve-after-dpo"])}
    assert "Chosen:" in (stages["synth-page"] / "report.html").read_text()
    assert len(list(run.glob("*compare*/comparison.json"))) == 3
