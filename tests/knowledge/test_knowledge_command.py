"""The commands, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from knowledge_kit import postgres, solved, write

from conftest import problem
from porism import cli


def porism(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "porism", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment},
    )  # fmt: skip


def test_build_and_search(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))

    def typed(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["porism", "knowledge", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out, said.err

    write(tmp_path / "solved.jsonl", [*[solved(number) for number in range(12)], problem(1, solution="")])
    model = [f"encoder_model={tiny_model}", "encoder=last_token"]
    _, said = typed("build", "input=solved.jsonl", "index=idx", *model)
    assert "idx: 12 solved problems; 12 added, 0 removed" in said
    assert "left out: 1 a problem without a solution" in said
    question = solved(3).problem.question
    arguments = ["search", "--index", "idx", "--query", question, "--top", "2"]
    shown, _ = typed(*arguments)
    assert shown.startswith("1. test (score ")
    assert question in shown.split("2. ")[0]
    asked, said = typed(*arguments, "asked=true", "format=json")
    rows = [json.loads(line) for line in asked.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2]
    assert question not in [row["text"] for row in rows]
    assert "left out, since the query's own solution may be there" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--index", "x"], "the setting 'input' is required"),
        (["build", "--input", "none.txt", "--index", "x"], "no such file"),
        (["search", "--index", "none", "--query", "a"], "no index is there"),
        (["search", "--index", "none", "--query", "a", "--mode", "nearby"], "mode: input should be"),
    ],
)
def test_mistakes_are_told_in_one_message(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = porism("knowledge", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_with_the_sentence_encoder_and_a_server(tmp_path: Path) -> None:
    """Meaning beats words: no word of the query stands in what is found."""
    (tmp_path / "notes").mkdir()
    texts = {
        "animals.md": "A puppy sleeps most of the day.\n",
        "money.md": "Interest is paid on a deposit every year.\n",
        "sky.txt": "The moon goes around the earth in a month.\n",
    }
    for name, text in texts.items():
        (tmp_path / "notes" / name).write_text(text)
    with postgres() as address:
        for place in ("idx", f"{address}#notes"):
            done = porism("knowledge", "build", "--input", "notes", "--index", place, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert "3 passages of 3 documents; 3 added" in done.stderr
            found = porism(
                "knowledge", "search", "--index", place, "--query", "young dogs nap", "format=json", cwd=tmp_path
            )
            assert json.loads(found.stdout.splitlines()[0])["source"] == "animals.md"
