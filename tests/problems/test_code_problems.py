"""HumanEval, MBPP, and tests from the user's own files."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hub_server import Hub

from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.problems import MissingData, Unreadable, file, humaneval, mbpp
from porism.problems._tests import Call, Run, parse, read_tests
from porism.records import Problem

ROW = {
    "task_id": "HumanEval/0",
    "prompt": 'import math\n\n\ndef half(n: float) -> float:\n    """Half of n."""\n',
    "entry_point": "half",
    "canonical_solution": "    return n / 2\n",
    "test": "def check(candidate):\n    x = 4\n    assert candidate(x) == 2\n    assert candidate(1) == 0.5\n",
}
TASK = {
    "task_id": 11,
    "text": "Write a function to add two numbers.",
    "code": "def sum(a, b):\r\n  return a + b",
    "test_setup_code": "",
    "test_list": ["assert sum(1, 2) == 3", "assert sum(0, 0) == 0"],
    "challenge_test_list": [],
}


def written(path: Path, *rows: object) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["HumanEval.jsonl", "HumanEval.jsonl.gz"])
def test_humaneval(tmp_path: Path, name: str) -> None:
    place = written(tmp_path / name, ROW)
    (problem,) = humaneval.load("test", path=str(tmp_path))
    assert problem.kind == "code"
    assert ROW["prompt"].strip() in problem.question
    assert "candidate" not in problem.question
    assert problem.solution == f"```python\n{ROW['prompt']}    return n / 2\n```"
    tests = parse(problem.answer)
    assert tests.tests == ["x = 4", "assert candidate(x) == 2", "assert candidate(1) == 0.5"]
    assert (tests.function, tests.aliases, tests.start) == ("half", {"candidate": "half"}, ROW["prompt"])
    assert humaneval.files("test", path=str(tmp_path)) == [place]


def test_mbpp(tmp_path: Path) -> None:
    written(tmp_path / "mbpp.jsonl", TASK, {**TASK, "task_id": 601})
    (problem,) = mbpp.load("test", path=str(tmp_path))
    assert problem.question.startswith("Write a function to add two numbers.")
    assert "assert sum(1, 2) == 3" in problem.question
    assert "sum(0, 0)" not in problem.question
    tests = parse(problem.answer)
    assert tests.tests == TASK["test_list"]
    assert tests.functions == ["sum"], "the program's, though a built-in function has the name"
    assert len(list(mbpp.load("all", path=str(tmp_path)))) == 2
    assert [one.meta["task"] for one in mbpp.load("train", path=str(tmp_path))] == [601]
    with pytest.raises(RecipeError, match="no split 'tests'. Did you mean 'test'"):
        list(mbpp.load("tests", path=str(tmp_path)))


def test_what_is_published(data: Path) -> None:
    human, basic = list(humaneval.load("test", path=str(data))), list(mbpp.load("all", path=str(data)))
    assert (len(human), len(basic)) == (164, 974)
    assert len({one.id for one in human + basic}) == 164 + 974
    assert [len(list(mbpp.load(split, path=str(data)))) for split in ("prompt", "test", "validation", "train")] == [
        10,
        500,
        90,
        374,
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "test": "x = 1"}, "no tests: expected the test to define check"),
        ({**ROW, "test": "def"}, "the test is no Python"),
        ({"task_id": "x"}, "no HumanEval row: expected the texts task_id, prompt"),
    ],
)
def test_a_malformed_row_is_named_and_the_next_one_follows(tmp_path: Path, row: dict, said: str) -> None:
    written(tmp_path / "HumanEval.jsonl", row, ROW)
    bad, good = humaneval.load("test", path=str(tmp_path))
    assert isinstance(bad, Unreadable)
    assert bad.place.endswith("line 1")
    assert bad.reason.startswith(said)
    assert isinstance(good, Problem)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"HumanEval, test split: expected HumanEval.jsonl.gz or .* with fetch=hf"):
        list(humaneval.load("test", path=str(tmp_path)))
    written(tmp_path / "mbpp.jsonl", {"task_id": 1})
    (bad,) = mbpp.load("all", path=str(tmp_path))
    assert isinstance(bad, Unreadable)
    assert bad.reason.startswith("no MBPP row: expected task_id, text, code and test_list")
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode())[:-9])
    with pytest.raises(DataError, match="damaged"):
        list(humaneval.load("test", path=str(tmp_path)))


def parquet(*rows: dict) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def test_parquet_as_the_hub_has_it(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_bytes(parquet(ROW))
    (problem,) = humaneval.load("test", path=str(tmp_path / "test.parquet"))
    assert problem.meta["task"] == "HumanEval/0"


def test_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORISM_DATA", str(tmp_path))
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    held = {"openai_humaneval/test-00000-of-00001.parquet": parquet(ROW)}
    with Hub(held, kind="datasets", repo="openai/openai_humaneval") as server:
        (problem,) = humaneval.load("test", fetch="hf", endpoint=server.url)
        assert problem.meta["function"] == "half"
        assert [one.id for one in humaneval.load("train", fetch="hf", endpoint=server.url)] == [problem.id]
        assert humaneval.files("test", fetch="hf", endpoint=server.url)[0].name == "files.json"
    basic = {
        f"{config}/{split}-00000-of-00001.parquet": parquet({**TASK, "task_id": number})
        for config in ("full", "sanitized")
        for split, number in (("test", 11), ("train", 601))
    }
    with Hub(basic, kind="datasets", repo="google-research-datasets/mbpp") as server:
        (task,) = mbpp.load("train", fetch="hf", endpoint=server.url)
        assert task.meta["task"] == 601
        assert len(server.gets("resolve")) == 1, "the full set's file"
        with pytest.raises(RecipeError, match="the hub has the splits apart"):
            list(mbpp.load("all", fetch="hf", endpoint=server.url))


# --- your own tests ---


@pytest.mark.parametrize(
    ("value", "kind", "first"),
    [
        (["assert f(1) == 1"], "code", "assert f(1) == 1"),
        ("assert f(1) == 1", "code", "assert f(1) == 1"),
        ('["assert f(1) == 1"]', "code", "assert f(1) == 1"),
        ([{"input": "1", "output": "2"}], "runs", Run(input="1", output="2")),
        ({"function": "f", "tests": [{"args": [1], "expected": 2}]}, "calls", Call(args=[1], expected=2)),
        ({"inputs": ["1\n"], "outputs": ["2\n"]}, "runs", Run(input="1\n", output="2\n")),
        ({"inputs": [["1", "2"]], "outputs": [["3"]]}, "runs", Run(input="1\n2", output="3")),
        ({"inputs": [[1]], "outputs": [[2]], "fn_name": "f"}, "calls", Call(args=[1], expected=2)),
    ],
)
def test_the_forms_of_tests(value: object, kind: str, first: object) -> None:
    tests = read_tests(value, "here")
    assert tests.kind == kind
    assert tests.tests[0] == first
    assert parse(tests.text()) == tests


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "here: expected tests"),
        ([], "here: tests"),
        ([{"args": [1], "expected": 2}], "here: calls need the name of the function"),
        (["assert f()", {"input": "", "output": ""}], "all of a problem are alike"),
        ({"tests": ["assert f()"], "tolerence": 1}, "unknown setting 'tolerence'. Did you mean 'tolerance'"),
        ({"inputs": ["1"], "outputs": []}, "as many outputs as inputs"),
    ],
)
def test_what_is_no_test_is_refused(value: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_tests(value, "here")


def test_a_file_of_code_problems(tmp_path: Path) -> None:
    rows = [
        {"question": "Square?", "answer": {"function": "f", "tests": [{"args": [2], "expected": 4}]}, "solution": "s"},
        {"question": "Add?", "answer": [{"input": "1 2", "output": "3"}]},
    ]
    place = written(tmp_path / "mine.jsonl", *rows)
    stage = pipeline.prepare("problems", "file", {"path": str(place), "kind": "code"})
    pipeline.execute(stage, tmp_path / "out")
    found = [row for _, row in store.rows(tmp_path / "out" / "records.jsonl")]
    assert [row["kind"] for row in found] == ["code", "code"]
    assert json.loads(found[0]["answer"]) == {"function": "f", "tests": [{"args": [2], "expected": 4}]}
    assert found[0]["solution"] == "s"
    dropped = list(file.load(path=str(place), kind="code", answer="tests"))
    assert [row.reason for row in dropped if isinstance(row, Unreadable)] == [
        "no tests: expected them under 'tests'."
    ] * 2
