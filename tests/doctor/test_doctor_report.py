import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rich.console
from doctor_kit import copied, row, written

from porism import doctor
from porism.doctor import Check, Options, Piece, Preview, Status

FOUND = [
    Check("model", "folder", Status.OK, "sound"),
    Check("model", "context", Status.WARNING, "long\n\x1b[2J", "Cut [bold]it[/bold]."),
    Check("data", "rows", Status.FAILED, "none"),
    Preview("1", [Piece("asked\x07 ", learnt=False, tokens=3), Piece("said" * 400, learnt=True, tokens=2)]),
]


def shown(*, colour: bool, options: Options | None = None) -> tuple[str, bool]:
    out = io.StringIO()
    console = rich.console.Console(
        file=out, force_terminal=colour, color_system="standard" if colour else None, soft_wrap=True, highlight=False
    )
    well = doctor.show(FOUND, options or Options(), "rows.jsonl", console)
    return out.getvalue(), well


def test_a_line_a_check_and_a_count() -> None:
    text, well = shown(colour=False)
    assert not well
    lines = text.splitlines()
    assert lines[:4] == [
        "Model",
        "  ok       folder     sound",
        "  warning  context    long \\x1b[2J → Cut [bold]it[/bold].",
        "Data",
    ]
    assert "1 ok, 1 warning, 1 failed." in text
    assert "Not looked at: hosts (--network), overlap with a test set (--against FILE)." in text
    assert "Not looked at" not in shown(colour=False, options=Options(network=True, against=["x"]))[0]


def test_what_is_learnt_is_marked_or_coloured() -> None:
    plain, _ = shown(colour=False)
    assert "row 1 (3 masked + 2 learnt tokens)\nasked\\x07 ⟦saidsaid" in plain
    assert " … 400 characters … " in plain
    assert "\x1b" not in plain
    coloured, _ = shown(colour=True)
    assert "\x1b[2masked\\x07 \x1b[0m\x1b[32msaid" in coloured
    assert "⟦" not in coloured
    assert "\x1b[2J" not in coloured


def test_json_is_for_programs() -> None:
    text, well = doctor.as_json(FOUND)
    value = json.loads(text)
    assert not well
    assert value["counts"] == {"ok": 1, "warning": 1, "failed": 1}
    assert value["checks"][1]["cure"] == "Cut [bold]it[/bold]."
    assert value["preview"][0]["pieces"][0] == {"text": "asked\x07 ", "learnt": False, "tokens": 3}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "porism", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_exit_codes(tiny_model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", row())
    well = run(str(tiny_model), str(file), "--method", "lora", "--max-length", "64", "--json")
    assert well.returncode == 0, well.stderr
    value = json.loads(well.stdout)
    assert value["counts"]["failed"] == 0
    assert value["preview"][0]["pieces"][1]["text"] == "#### 2<|im_end|>"
    assert any(one["name"] == "peak" and one["found"].startswith("lora in ") for one in value["checks"])

    broken = copied(tiny_model, tmp_path)
    (broken / "evil.py").touch()
    ill = run(str(broken))
    assert ill.returncode == 2
    assert "failed   folder" in ill.stdout
    assert "1 failed" in ill.stdout
    assert ill.stderr == ""

    wrong = run("--method", "sfd")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Did you mean 'sft'" in wrong.stderr


@pytest.mark.parametrize("name", ["doctor", "chat"])
def test_importing_it_is_light(name: str) -> None:
    code = f"import sys, porism.{name}; print(sorted({{'torch', 'transformers', 'openai'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
