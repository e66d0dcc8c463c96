"""HumanEval, MBPP, and tests from the user's own files."""

import gzip
import http.server
import json
import threading
from pathlib import Path

import pytest

from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.problems import MissingData, file, humaneval, mbpp
from porism.problems._tests import Call, Run, parse, read_tests

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
    assert humaneval.files("test", path="hub") == []


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
        ({**ROW, "test": "x = 1"}, "line 1: expected the test to define check"),
        ({**ROW, "test": "def"}, "line 1: the test is no Python"),
        ({"task_id": "x"}, "line 1: expected the texts task_id, prompt"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, row: dict, said: str) -> None:
    written(tmp_path / "HumanEval.jsonl", row)
    with pytest.raises(DataError, match=said):
        list(humaneval.load("test", path=str(tmp_path)))


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"HumanEval: expected HumanEval.jsonl.gz or .* set path to hub"):
        list(humaneval.load("test", path=str(tmp_path)))
    written(tmp_path / "mbpp.jsonl", {"task_id": 1})
    with pytest.raises(DataError, match="line 1: expected task_id, text, code and test_list"):
        list(mbpp.load("all", path=str(tmp_path)))
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="damaged"):
        list(humaneval.load("test", path=str(tmp_path)))


def test_parquet_as_the_hub_has_it(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "test.parquet")
    (problem,) = humaneval.load("test", path=str(tmp_path / "test.parquet"))
    assert problem.meta["task"] == "HumanEval/0"


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file of one data set, as a hub does."""

    def do_HEAD(self) -> None:
        body = self.server.body if self.path == self.server.place else b""  # type: ignore[attr-defined]
        self.send_response(200 if body else 404)
        for name, value in (("ETag", '"abc"'), ("X-Repo-Commit", "c" * 40), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        if not body:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.slow
def test_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "test.parquet")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.body = (tmp_path / "test.parquet").read_bytes()  # type: ignore[attr-defined]
    server.place = (  # type: ignore[attr-defined]
        "/datasets/openai/openai_humaneval/resolve/main/openai_humaneval/test-00000-of-00001.parquet"
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    try:
        (problem,) = humaneval.load("test", path="hub")
        assert problem.meta["function"] == "half"
        with pytest.raises(DataError, match=r"MBPP: the hub does not give full/train-00000"):
            list(mbpp.load("train", path="hub"))
        with pytest.raises(RecipeError, match="the hub has the splits apart"):
            list(mbpp.load("all", path="hub"))
    finally:
        server.shutdown()
        server.server_close()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(MissingData, match="the hub cannot be reached"):
        list(mbpp.load("test", path="hub"))


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
    with pytest.raises(DataError, match=r"mine.jsonl, line 1: expected tests under 'tests'"):
        list(file.load(path=str(place), kind="code", answer="tests"))
