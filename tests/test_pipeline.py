"""A whole recipe on scripted answers and a tiny model: skipped, redone, interrupted, resumed."""

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from porism import pipeline, store
from porism.errors import DataError, UserError

RECIPE = """
name: demo
seed: 3
model: {model}
stages:
  - problems: procedural
    name: practice
    tasks: {{chain_sum: {{count: 12, max_digits: 1}}}}
  - problems: file
    name: heldout
    path: {heldout}
    set: held out
  - solve: direct
    name: before
    input: heldout
    engine: local
    max_tokens: 6
    max_unjudged: 1.0
    problems_at_once: 2
  - solve: worked
    input: practice
    problems_at_once: 3
  - curate: correct
  - curate: dedup
  - curate: decontaminate
    methods: [exact]
    against: [heldout]
  - train: sft
    epochs: 2
    batch_size: 2
    micro_batch_size: 2
    checkpoint_every: 2
    threads: 1
    dtype: float32
  - solve: direct
    name: after
    input: heldout
    model: train
    max_tokens: 6
    max_unjudged: 1.0
    problems_at_once: 2
  - evaluate:
    input: after
  - compare:
    before: before
    after: after
"""


@pytest.fixture
def recipe_file(tmp_path: Path, tiny_model: Path) -> Path:
    heldout = tmp_path / "heldout.json"
    heldout.write_text(json.dumps([{"question": f"{n} plus {n}?", "answer": 2 * n} for n in range(7)]))
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(model=tiny_model, heldout=heldout))
    return path


def contents(run: Path) -> dict[str, str]:
    """What must be equal in two runs: every file but the ones that hold times."""
    kept = {}
    for file in sorted(run.rglob("*")):
        varies = file.name in ("manifest.json", "report.html", "README.md", ".lock", "metrics.jsonl")
        if file.is_file() and not varies:
            kept[file.relative_to(run).as_posix()] = store.sha256(file)
    return kept


def test_the_whole_chain_and_its_report(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from porism.evaluate import report

    run = pipeline.run(recipe_file, runs=tmp_path / "runs")
    assert [folder.name for folder in sorted(run.glob("[0-9]*"), key=lambda f: int(f.name.split("-")[0]))] == [
        "1-problems-practice",
        "2-problems-heldout",
        "3-solve-before",
        "4-solve-worked",
        "5-curate-correct",
        "6-curate-dedup",
        "7-curate-decontaminate",
        "8-train-sft",
        "9-solve-after",
        "10-evaluate",
        "11-compare",
    ]
    comparison = json.loads((run / "11-compare" / "comparison.json").read_text())
    assert comparison["held out"]["problems"] == 7
    page = report.write(run).read_text()
    assert "held out" in page
    assert page.count("<svg") >= 3
    first = contents(run)
    capsys.readouterr()
    pipeline.run(recipe_file, runs=tmp_path / "runs")
    assert capsys.readouterr().err.count("done before, kept") == 11
    assert contents(run) == first


def test_what_changed_is_done_again_and_the_rest_is_kept(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline.run(recipe_file, runs=tmp_path / "runs")

    def again(*overrides: str) -> list[str]:
        capsys.readouterr()
        pipeline.run(recipe_file, overrides, runs=tmp_path / "runs")
        lines = capsys.readouterr().err.splitlines()
        return [line.strip() for line in lines if "done again" in line or "done before" in line]

    lines = again("train.lr=0.01")
    assert lines[:7] == ["done before, kept"] * 7
    assert lines[7].startswith("done again: setting lr was None, is now 0.01")
    assert lines[8].startswith("done again: input model changed")
    again()

    heldout = recipe_file.with_name("heldout.json")
    heldout.write_text(heldout.read_text().replace("1 plus 1", "1 and 1"))
    lines = again()
    assert lines[0] == "done before, kept"
    assert "heldout.json changed" in lines[1]
    assert "problems-heldout/records.jsonl changed" in lines[2]
    assert lines[7] == "done before, kept", "the training rows did not change"

    (run / "5-curate-correct" / "records.jsonl").unlink()
    lines = again()
    assert lines[4] == "done again: records.jsonl is missing"
    assert lines[5:] == ["done before, kept"] * 6, "the records came out as they were"

    with (run / "5-curate-correct" / "records.jsonl").open("a") as file:
        file.write("{")
    assert again()[4] == "done again: records.jsonl was changed after it was written"


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_the_same(recipe_file: Path, tmp_path: Path) -> None:
    """``kill -9`` at ten moments drawn by seed, all over a run; the same command then ends like a calm run."""

    def start(runs: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "porism", "run", str(recipe_file), "--runs", str(runs)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (runs / "demo" / "recipe.yaml").exists():
            time.sleep(0.02)
        return process

    calm = tmp_path / "calm"
    process = start(calm)
    begun = time.monotonic()
    assert process.wait() == 0
    length = time.monotonic() - begun
    stages_cut = set()
    for number, share in enumerate(random.Random(seed).uniform(0, 1) for seed in range(10)):
        runs = tmp_path / str(number)
        process = start(runs)
        time.sleep(share * length)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stages_cut.add(len(list((runs / "demo").glob("[0-9]*"))))
        assert start(runs).wait() == 0
        assert contents(runs / "demo") == contents(calm / "demo"), f"killed after {share:.0%} of the run"
        shutil.rmtree(runs)
    assert len(stages_cut) >= 3, "the moments fall into different stages"


@pytest.mark.parametrize("die_at", [1, 3, 5, 8, 11])
def test_training_resumes_to_the_same_weights(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, die_at: int
) -> None:
    """Cut off in a step or between steps and checkpoints, training ends with the weights of an uninterrupted run."""
    from porism.train import _trainer

    calm = pipeline.run(recipe_file, runs=tmp_path / "calm")

    class Killed(Exception):
        pass

    true_loss = _trainer.Trainer.compute_loss
    calls = 0

    def mortal(self: object, *args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == die_at:
            raise Killed
        return true_loss(self, *args, **kwargs)

    monkeypatch.setattr(_trainer.Trainer, "compute_loss", mortal)
    with pytest.raises(Killed):
        pipeline.run(recipe_file, runs=tmp_path / "cut")
    checkpoints = tmp_path / "cut" / "demo" / "8-train-sft" / "checkpoints"
    if die_at > 5:  # also leave a checkpoint that was cut off while it was being written
        newest = max(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        shutil.copytree(newest, checkpoints / "checkpoint-99")
        (checkpoints / "checkpoint-99" / "complete").unlink()
        (checkpoints / "checkpoint-99" / "model.safetensors").write_bytes(b"half")
    run = pipeline.run(recipe_file, runs=tmp_path / "cut")
    assert contents(run) == contents(calm)
    steps = [row["step"] for _, row in store.rows(run / "8-train-sft" / "metrics.jsonl")]
    assert steps == list(range(1, len(steps) + 1)), "every step is logged once"


def test_stages_are_checked_before_the_first_one_runs(recipe_file: Path, tmp_path: Path) -> None:
    for override, complaint in (
        ("after.model=nowhere", "no model 'nowhere'"),
        ("after.input=heldoot", "Did you mean 'heldout'"),
        ("after.input=compare", "neither an earlier stage nor a file"),
        ("train.lora_rank=3", "unknown setting 'lora_rank'"),
        ("after.temperature=hot", "temperature: "),
        ("after.engine=locall", "Did you mean 'local'"),
        ("heldout.path=gone.json", "no such file: gone.json"),
        ("after.model=before", "the stage 'before' makes no model"),
        ("after.input=before", "expected problems, but the stage 'before' makes attempts"),
        ("evaluate.input=train", "expected attempts, but the stage 'train' makes examples"),
        ("curate-correct.input=practice", "expected attempts, but the stage 'practice' makes problems"),
        ("compare.after=evaluate", "the stage 'evaluate' makes no records"),
        ("train.batch_size=5", "not a multiple"),
        ("train.report_to=[swanlab]", "pip install swanlab"),
        ("train.seed=-1", "seed: input should be greater than or equal to 0"),
        ("seed=4294967296", "seed: input should be less than 4294967296"),
        ("practice.tasks={}", "tasks: expected at least one task"),
        ("after.script=x.json", "'script' is a setting of the engine 'scripted', and the engine is 'local'"),
    ):
        with pytest.raises(UserError, match=complaint):
            pipeline.run(recipe_file, [override], runs=tmp_path / "runs")
        assert not list((tmp_path / "runs").glob("demo/[0-9]*")), "nothing was computed"


def test_a_dry_run_prints_a_recipe_that_runs_the_same(recipe_file: Path, tmp_path: Path) -> None:
    text = pipeline.dry_run(recipe_file, ["train.lr=1e-5"])
    assert "lr: 1.0e-05" in text
    assert "lora_alpha: 32" in text
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert pipeline.dry_run(again) == text


def test_training_data_that_stands_in_the_test_set_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    run = pipeline.run(recipe_file, runs=tmp_path / "runs")
    row = next(store.rows(run / "1-problems-practice" / "records.jsonl"))[1]
    heldout = recipe_file.with_name("heldout.json")
    items = [*json.loads(heldout.read_text()), {"question": row["question"].upper() + "  !", "answer": row["answer"]}]
    heldout.write_text(json.dumps(items))
    with pytest.raises(DataError, match="asks what the test record"):
        pipeline.run(recipe_file, runs=tmp_path / "runs")


def test_a_disk_that_takes_no_more_is_one_clear_line(tmp_path: Path) -> None:
    """A real limit on file size stands for a full disk: exit code 2, no traceback, and the same command goes on."""
    command = [sys.executable, "-m", "porism", "problems", "procedural", "--tasks", "{chain_sum: {count: 40}}"]
    command += ["--output", str(tmp_path / "out")]
    limit = (2000, 2000)
    full = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert full.returncode == 2, full.stderr
    assert "larger than this system allows" in full.stderr
    assert "Traceback" not in full.stderr
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(store.rows(tmp_path / "out" / "records.jsonl"))) == 40


def test_no_space_left_while_weights_are_written(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import safetensors

    from porism import cli

    monkeypatch.setattr(sys, "argv", ["porism", "--version"])

    def full(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(cli, "_app", lambda arguments: full)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert "no space left on the device" in capsys.readouterr().err


def test_a_stage_put_in_front_renumbers_the_rest_and_redoes_nothing(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from porism.evaluate import report

    run = pipeline.run(recipe_file, runs=tmp_path / "runs")
    first = {path.partition("-")[2]: digest for path, digest in contents(run).items() if path[0].isdigit()}
    text = recipe_file.read_text()
    front = "stages:\n  - problems: procedural\n    name: more\n    tasks: {gcd: {count: 2}}\n"
    recipe_file.write_text(text.replace("stages:\n", front))
    capsys.readouterr()
    pipeline.run(recipe_file, runs=tmp_path / "runs")
    errors = capsys.readouterr().err
    assert errors.count("done before, kept") == 11
    assert "  was 8-train-sft\n" in errors
    again = {path.partition("-")[2]: digest for path, digest in contents(run).items() if path[0].isdigit()}
    assert {name: digest for name, digest in again.items() if not name.startswith("problems-more")} == first
    assert json.loads((run / "stages.json").read_text())[8:10] == ["9-train-sft", "10-solve-after"]
    assert "Length of answers" in report.write(run).read_text()

    recipe_file.write_text(text)
    pipeline.run(recipe_file, runs=tmp_path / "runs")
    assert capsys.readouterr().err.count("done before, kept") == 11, "and back"


def test_a_folder_that_is_not_surely_the_stages_is_left_where_it_is(tmp_path: Path, tiny_model: Path) -> None:
    for name in ("1-solve-a", "2-solve-a", "1-train-b", "3-train-c"):
        (tmp_path / name).mkdir()
    (tmp_path / "3-train-c" / "model").mkdir()
    adapter = tmp_path / "3-train-c" / "model" / "adapter_config.json"
    adapter.write_text(json.dumps({"base_model_name_or_path": str((tmp_path / "1-train-b" / "model").resolve())}))
    names = ["3-solve-a", "4-train-b", "5-train-c"]
    for name in names:
        pipeline._renumber(tmp_path, name, names, [])
    assert {path.name for path in tmp_path.iterdir()} == {"1-solve-a", "2-solve-a", "1-train-b", "5-train-c"}
    pipeline._renumber(tmp_path, "3-solve-a", names, ["2-solve-a"])
    assert (tmp_path / "3-solve-a").exists()
    assert (tmp_path / "1-solve-a").exists()
