import json
import sys
from pathlib import Path

import pytest

from conftest import problem
from porism import pipeline, store
from porism.engines.scripted import Scripted
from porism.errors import DataError
from porism.records import Record, to_row


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records))
    return str(path)


@pytest.fixture
def problems(tmp_path: Path) -> str:
    return write(tmp_path / "p.jsonl", [problem(n, question=f"{'long ' * (n % 3)}{n}?") for n in range(9)])


def solve(target: Path, problems: str, script: dict[str, object], **settings: object) -> store.Manifest:
    file = target.with_name("script.json")
    file.write_text(json.dumps(script))
    values = {"input": [problems], "engine": "scripted", "script": str(file), **settings}
    return pipeline.execute(pipeline.prepare("solve", "direct", values), target)


def test_attempts_come_out_in_the_order_of_the_problems(problems: str, tmp_path: Path) -> None:
    manifest = solve(tmp_path / "a", problems, {}, default="#### 5", samples=2, problems_at_once=2)
    rows = [row for _, row in store.rows(tmp_path / "a" / "records.jsonl")]
    assert [(row["problem"]["answer"], row["sample"]) for row in rows] == [
        (str(n + 1), s) for n in range(9) for s in (0, 1)
    ]
    assert manifest.counts == {"correct": 2, "dropped": 0, "records": 18, "wrong": 16}
    for size in (1, 9):
        solve(tmp_path / f"b{size}", problems, {}, default="#### 5", samples=2, problems_at_once=size)
        assert (tmp_path / f"b{size}" / "records.jsonl").read_bytes() == (tmp_path / "a" / "records.jsonl").read_bytes()


def test_too_much_that_cannot_be_judged_stops_the_run(
    problems: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"9 of 9 attempts could not be judged.*max_unjudged.*9 unparsed"):
        solve(tmp_path / "a", problems, {}, default="dunno")
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "generate", None)  # what is done is not asked for again
        manifest = solve(tmp_path / "a", problems, {}, default="dunno", max_unjudged=1.0)
    assert manifest.counts["unparsed"] == 9

    bad = write(tmp_path / "bad.jsonl", [problem(n, answer="many") for n in range(3)])
    with pytest.raises(DataError, match=r"max_failed=0.05 allows \(3 gold_unparsed\).*not a number"):
        solve(tmp_path / "c", bad, {}, default="#### 3")
    assert solve(tmp_path / "c", bad, {}, default="#### 3", max_failed=1.0).counts["gold_unparsed"] == 3


def test_settings_reach_engine_and_grader(problems: str, tmp_path: Path) -> None:
    def texts(name: str, **settings: object) -> list[str]:
        solve(tmp_path / name, problems, {}, default="9 or 7 STOP #### 3", max_unjudged=1.0, **settings)
        return [f"{r['text']}|{r['verdict'].get('answer')}" for _, r in store.rows(tmp_path / name / "records.jsonl")]

    assert texts("a")[0] == "9 or 7 STOP #### 3|3"
    assert texts("b", stop=["STOP"])[0] == "9 or 7 |7"
    assert texts("c", max_tokens=1)[0] == "9|9"
    assert texts("d", profile="strict", stop=["STOP"])[0] == "9 or 7 |None"


def test_a_changed_script_or_a_users_own_code_is_noticed(problems: str, tmp_path: Path) -> None:
    solve(tmp_path / "a", problems, {"0?": "#### 1"}, default="#### 9")
    assert solve(tmp_path / "a", problems, {"0?": "#### 3"}, default="#### 9").counts == {
        "correct": 1,
        "dropped": 0,
        "records": 9,
        "wrong": 8,
    }
    mine = tmp_path / "mine.py"

    def texts(body: str) -> set[str]:
        mine.write_text(f"def ask(problem):\n    return [{{'role': 'user', 'content': {body}}}]\n")
        for name in [name for name in sys.modules if name.startswith("porism_outside")]:
            del sys.modules[name]  # a session of its own
        values = {"input": [problems], "engine": "scripted", "default": "#### 1"}
        pipeline.execute(pipeline.prepare("solve", f"{mine}:ask", values), tmp_path / "b")
        return {row["messages"][0]["content"] for _, row in store.rows(tmp_path / "b" / "records.jsonl")}

    assert texts("'one'") == {"one"}
    assert texts("'two'") == {"two"}


def test_no_problems_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no problems in the input"):
        solve(tmp_path / "a", write(tmp_path / "e.jsonl", []), {})
    (tmp_path / "x.jsonl").write_text('{"prompt": [], "completion": []}\n')
    with pytest.raises(DataError, match="expected problem records, got example"):
        solve(tmp_path / "b", str(tmp_path / "x.jsonl"), {})
