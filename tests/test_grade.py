"""The grade stage: stored attempts, scored again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import attempt, lines
from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.graders import grade_all
from porism.records import Problem, to_row


def stored(folder: Path, texts: list[str], **problem: str) -> Path:
    file = folder / "attempts.jsonl"
    rows = [
        to_row(attempt(problem=Problem(question=f"q{n}", answer="5", **problem), text=text))
        for n, text in enumerate(texts)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def grade(file: Path, out: Path, **values: object) -> list[dict]:
    stage = pipeline.prepare("grade", "", {"input": [str(file)], **values})
    pipeline.execute(stage, out)
    return lines(out / "records.jsonl")


def test_another_profile_gives_other_verdicts(tmp_path: Path) -> None:
    file = stored(tmp_path, ["#### 5", "It is 5", "It is 6"])
    flexible = grade(file, tmp_path / "a", profile="flexible")
    strict = grade(file, tmp_path / "b", profile="strict")
    assert [row["verdict"]["status"] for row in flexible] == ["correct", "correct", "wrong"]
    assert [row["verdict"]["status"] for row in strict] == ["correct", "unparsed", "unparsed"]
    assert json.loads((tmp_path / "b" / "changes.json").read_text()) == {
        "correct → unparsed": 2,
        "correct → correct": 1,
    }
    manifest = store.Manifest.load(tmp_path / "b" / "manifest.json")
    assert manifest.counts == {"correct": 1, "dropped": 0, "records": 3, "unparsed": 2}
    assert manifest.figures["changed"] == 2


def test_another_grader_for_all(tmp_path: Path) -> None:
    file = stored(tmp_path, [r"\boxed{\frac{10}{2}}", r"\boxed{\sqrt{25}}"])
    rows = grade(file, tmp_path / "out", kind="math")
    assert [row["verdict"]["status"] for row in rows] == ["correct", "correct"]
    assert {row["problem"]["kind"] for row in rows} == {"math"}


def test_a_judge(tmp_path: Path) -> None:
    file = stored(tmp_path, ["five", "six"], kind="judge")
    with pytest.raises(RecipeError, match="Set judge_model"):
        grade(file, tmp_path / "none")
    options = {"judge_engine": "scripted", "judge_options": {"default": "Same.\nVERDICT: CORRECT"}}
    rows = grade(file, tmp_path / "out", **options)
    assert [row["verdict"]["status"] for row in rows] == ["correct", "correct"]


def test_a_judges_prompt_is_the_one_that_is_named(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("{question} {reference} {response}")
    file = stored(tmp_path, ["five"], kind="judge")
    options = {"judge_engine": "scripted", "judge_options": {"default": "VERDICT: CORRECT"}}
    with pytest.raises(DataError, match=r"missing: \{mark\}"):
        grade(file, tmp_path / "out", judge_prompt=str(prompt), **options)


def test_attempts_are_graded_so_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from porism import grade as stage

    sizes = []
    monkeypatch.setattr(
        stage, "grade_all", lambda some, *rest, **more: sizes.append(len(some)) or grade_all(some, *rest, **more)
    )
    grade(stored(tmp_path, ["5"] * 5), tmp_path / "out", at_once=2)
    assert sizes == [2, 2, 1]


def test_too_much_that_cannot_be_judged_stops(tmp_path: Path) -> None:
    file = stored(tmp_path, ["no number here"])
    with pytest.raises(DataError, match="max_unjudged"):
        grade(file, tmp_path / "out")
    assert grade(file, tmp_path / "out", max_unjudged=1.0)


def test_a_graders_file_is_part_of_what_is_read(tmp_path: Path) -> None:
    grader = tmp_path / "near.py"
    grader.write_text(
        "from porism.records import Status, Verdict\n"
        "def grade(problem, attempt, *, profile):\n    return Verdict(status=Status.CORRECT)\n"
    )
    file = stored(tmp_path, ["x"], kind=f"{grader}:grade")
    assert grade(file, tmp_path / "out")[0]["verdict"]["status"] == "correct"
    grader.write_text(grader.read_text().replace("CORRECT", "WRONG"))
    assert grade(file, tmp_path / "out")[0]["verdict"]["status"] == "wrong"


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--profile", "strikt"], "'strict'"), (["--kind", "maths"], "'math'"), (["--max-failed", "2"], "max_failed")],
)
def test_mistakes_are_told(tmp_path: Path, flags: list[str], said: str) -> None:
    file = stored(tmp_path, ["5"])
    command = ["grade", "--input", str(file), "--output", str(tmp_path / "out"), *flags]
    done = subprocess.run([sys.executable, "-m", "porism", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "records.jsonl").exists()
