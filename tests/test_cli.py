import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROCEDURAL = ["problems", "procedural", "--tasks", "{chain_sum: {count: 3}}"]


def porism(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "porism", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )


def test_help_is_light() -> None:
    """What makes ``porism --help`` fast: it imports neither torch nor any verb."""
    code = (
        "import sys; sys.argv = ['porism', '--help']\n"
        "from porism import cli\n"
        "try:\n    cli.main()\n"
        "finally:\n    heavy = {'torch', 'transformers', 'numpy', 'yaml', 'porism.solve', 'porism.pipeline'}\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in (
        "run",
        "report",
        "pull",
        "export",
        "doctor",
        "chat",
        "knowledge",
        "problems",
        "solve",
        "grade",
        "curate",
        "train",
        "evaluate",
        "compare",
    ):
        assert f"\n  {command} " in done.stdout


def test_the_default_parts_are_the_verbs_own() -> None:
    from porism import cli, pipeline

    assert {verb: part for verb in pipeline.VERBS if (part := pipeline.default_part(verb))} == cli._DEFAULT_PARTS


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["report"],
        ["pull"],
        ["export"],
        ["doctor"],
        ["chat"],
        ["knowledge"],
        ["knowledge", "build"],
        ["knowledge", "search"],
        ["problems"],
        ["problems", "gsm8k"],
        ["solve"],
        ["solve", "cot"],
        ["curate"],
        ["curate", "decontaminate"],
        ["train"],
        ["train", "sft"],
        ["evaluate"],
        ["compare"],
    ],
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    done = porism(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Example: porism {command[0]}" in done.stdout


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("problems file", "Example: porism problems file --path"),
        ("problems procedural", "Example: porism problems procedural --tasks"),
        ("curate decontaminate", "--against test.jsonl"),
        ("train sft", "where to write: a folder (required)"),
        ("evaluate", "where to write: a folder (required)"),
        ("knowledge build", "Example: porism knowledge build --input"),
        ("knowledge search", "--mode"),
        ("solve direct", "where to write: a folder, or a .jsonl file"),
    ],
)
def test_help_fits_the_part(command: str, shown: str) -> None:
    assert shown in " ".join(porism(*command.split(), "--help").stdout.split())


def test_examples_are_of_parts_that_are_there() -> None:
    from porism import cli, find, pipeline

    for label in cli._EXAMPLES:
        verb, part = label.split()
        assert part in find.names(pipeline.parts_package(verb))


def test_version() -> None:
    import porism as package

    assert porism("--version").stdout == f"porism {package.__version__}\n"


def test_flags_and_pairs_say_the_same(tmp_path: Path) -> None:
    flags = porism(*PROCEDURAL, "--split", "test", "--seed", "4", "--output", "a", cwd=tmp_path)
    pairs = porism(*PROCEDURAL, "split=test", "seed=4", "output=b", cwd=tmp_path)
    assert flags.returncode == pairs.returncode == 0, flags.stderr + pairs.stderr
    assert (tmp_path / "a" / "records.jsonl").read_bytes() == (tmp_path / "b" / "records.jsonl").read_bytes()
    assert flags.stderr == "a: 3 records\n", "off a terminal there is no progress bar"


def test_stages_work_on_each_others_files(tmp_path: Path) -> None:
    assert porism(*PROCEDURAL, "--output", "p.jsonl", cwd=tmp_path).returncode == 0
    done = porism(
        "solve", "--input", "p.jsonl", "--engine", "scripted", "--default", "#### 1", "--output", "s", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert porism("solve", "worked", "--input", "p.jsonl", "--output", "w.jsonl", cwd=tmp_path).returncode == 0
    assert porism("curate", "correct", "--input", "w.jsonl", "--output", "c.jsonl", cwd=tmp_path).returncode == 0
    table = porism("evaluate", "--input", "w.jsonl", "--output", "m", cwd=tmp_path)
    assert "100.0%" in table.stdout
    table = porism("compare", "--before", "s", "--after", "w.jsonl", "--output", "cmp", cwd=tmp_path)
    assert "gain in points" in table.stdout
    assert porism("problems", "file", "--path", "p.jsonl", "--output", "again", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["problems", "gsm9k", "--output", "x"], "Did you mean 'gsm8k'"),
        (["problems", "gsm8k", "--limt", "3", "--output", "x"], "--limit"),
        (
            ["problems", "gsm8k", "--limit", "many", "--output", "x"],
            "limit: input should be a valid integer, got 'many'",
        ),
        (["problems", "gsm8k", "--limit", "0", "--output", "x"], "greater than or equal to 1"),
        (["problems", "gsm8k", "--path", "/nowhere", "--output", "x"], "expected gsm8k_train.jsonl"),
        (["solve", "cot", "--output", "x"], "'input' is required"),
        (["solve", "cot", "--input", "gone.jsonl", "--output", "x"], "gone.jsonl: expected a file of records"),
        (
            ["solve", "cot", "--input", "bad.jsonl", "--output", "x", "--engine", "scripted"],
            "bad.jsonl, line 2: not valid JSON",
        ),
        (["train", "sft", "--input", "gone.jsonl", "--output", "x", "--model", "nope"], "no model 'nope'"),
        (
            ["solve", "--input", "p", "--engine", "scripted", "--batch-size", "3", "--output", "x"],
            "'batch_size' is a setting of the engine 'local', and the engine is 'scripted'",
        ),
        (["solve", "--input", "p", "--engine", "nope", "--output", "x"], "no engine is called 'nope'"),
        (["solve", "few_shot", "--input", "p", "--shots", "40", "--output", "x"], "expected at least 40 examples"),
        ([*PROCEDURAL[:3], "{}", "--output", "x"], "tasks: expected at least one task"),
        (["run", "gone.yaml"], "no such recipe"),
        (["report", "."], "expected a run's folder"),
        (["pull", "nope"], "no model 'nope'"),
        ([*PROCEDURAL, "--output", "bad.jsonl/x"], "bad.jsonl"),
        ([*PROCEDURAL, "--output", "exists.txt"], "exists.txt: expected a folder, found a file"),
        ([*PROCEDURAL, "--seed", "-1", "--output", "x"], "seed: input should be greater than or equal to 0"),
        (["frobnicate"], "No such command"),
        ([*PROCEDURAL, "--output", "/proc/nope/x"], "/proc/nope"),
    ],
)
def test_a_users_mistake_is_one_clear_message_and_exit_code_2(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "?", "answer": "1"}\n{"question"\n')
    (tmp_path / "exists.txt").touch()
    done = porism(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("porism: ")


def test_no_permission_is_said_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from porism import cli

    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/locked/x")

    monkeypatch.setattr(cli, "_app", lambda arguments: denied)
    monkeypatch.setattr(sys, "argv", ["porism"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("porism: /locked/x: permission denied")


def test_text_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    assert porism(*PROCEDURAL, "--output", "p.jsonl", cwd=tmp_path).returncode == 0
    common = ["--input", "p.jsonl", "--engine", "scripted", "--default", "#### 1"]

    def system(text: str, name: str) -> str:
        done = porism("solve", *common, "--system", text, "--instruction", "a=b", "--output", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        row = json.loads((tmp_path / name / "records.jsonl").read_text().splitlines()[0])
        assert row["messages"][1]["content"].endswith("a=b")
        return row["messages"][0]["content"]

    assert [system(text, f"s{n}") for n, text in enumerate(("", "Be brief: think", "yes"))] == [
        "",
        "Be brief: think",
        "yes",
    ]
    stop = porism("solve", "few_shot", *common, "--stop", "a, b", "--stop", ",", "--output", "t", cwd=tmp_path)
    assert stop.returncode == 0, stop.stderr
    assert json.loads((tmp_path / "t" / "manifest.json").read_text())["key"]["settings"]["stop"] == ["a, b", ","]


def test_an_output_is_not_written_over_its_own_input(tmp_path: Path) -> None:
    assert porism(*PROCEDURAL, "--output", "p.jsonl", cwd=tmp_path).returncode == 0
    before = (tmp_path / "p.jsonl").read_bytes()
    done = porism("curate", "dedup", "--input", "p.jsonl", "--output", "p.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert "is also read by this stage" in done.stderr
    assert (tmp_path / "p.jsonl").read_bytes() == before


def test_a_mistake_in_the_settings_does_not_cost_the_finished_output(tmp_path: Path) -> None:
    assert porism(*PROCEDURAL, "--output", "p", cwd=tmp_path).returncode == 0
    before = (tmp_path / "p" / "records.jsonl").read_bytes()
    for tasks in ("{chain_sum: {count: many}}", "{chain_sums: {}}", "{gsm_symbolic: {templates: 5}}"):
        done = porism("problems", "procedural", "--tasks", tasks, "--output", "p", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert (tmp_path / "p" / "records.jsonl").read_bytes() == before
    assert "done before, kept" in porism(*PROCEDURAL, "--output", "p", cwd=tmp_path).stderr


SLOW_ENGINE = """
import time
from porism.engines.scripted import Scripted
def start(model, *, pause: float = 0.4):
    def answer(request, number):
        time.sleep(pause)
        return "#### 1"
    return Scripted(answer)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(tmp_path: Path, sign: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(SLOW_ENGINE)
    many = ["problems", "procedural", "--tasks", "{chain_sum: {count: 12}}"]
    assert porism(*many, "--output", "p.jsonl", cwd=tmp_path).returncode == 0
    command = ["solve", "--input", "p.jsonl", "--engine", "slow.py:start", "--problems-at-once", "1", "--output", "s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "porism", *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    progress = tmp_path / "s" / ".progress.jsonl"
    while not progress.exists() or progress.read_text().count("\n") < 2:
        time.sleep(0.05)
    process.send_signal(sign)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "porism: Stopped. The same command goes on from here."
    done_before = progress.read_text().count("\n")
    assert 2 <= done_before < 12
    done = porism(*command, "--pause", "0.4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "goes on: it was cut off" in done.stderr
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    assert manifest["counts"]["records"] == 12
    assert manifest["seconds"] > 12 * 0.4, "the time of both sessions counts"


@pytest.mark.parametrize("moment", ["while it is loaded", "in a library that makes an error of it"])
def test_ctrl_c_is_one_line_and_130_also_at_the_start(tmp_path: Path, moment: str) -> None:
    body = "raise KeyboardInterrupt" if moment == "while it is loaded" else INTERRUPTED
    (tmp_path / ("typer.py" if moment == "while it is loaded" else "yaml.py")).write_text(body)
    done = porism("run", "x.yaml", cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "porism: Stopped. The same command goes on from here.\n"


INTERRUPTED = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    raise ImportError("not loaded")
"""
