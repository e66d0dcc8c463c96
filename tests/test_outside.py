"""Code of the user's own that breaks its contract: one error that names it, and no traceback."""

import json
from pathlib import Path

import pytest

from conftest import problem
from porism import find, pipeline
from porism.errors import RecipeError
from porism.records import to_row

EMPTY_ENGINE = """
class own:
    def __init__(self, model): self.model = model
    def generate(self, requests): return []
    def close(self): pass
"""


@pytest.fixture
def given(tmp_path: Path) -> str:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(to_row(problem(n))) + "\n" for n in range(3)))
    return str(path)


@pytest.mark.parametrize(
    ("verb", "body", "complaint"),
    [
        ("problems", "def own(split): yield {'question': 'a?', 'answer': '1'}", "to yield Problem records"),
        ("problems", "def own(split): return None", r"to yield Problem records, got None"),
        (
            "problems",
            "from porism.records import Problem\ndef own(split): yield Problem(question='a?', answer=1)",
            "question, answer and solution as texts",
        ),
        ("problems", "def own(split, *, most=3): return []", "the parameter 'most' has no type"),
        ("problems", "def own(split, *, most: Nothing = 3): return []", "Nothing"),
        ("problems", "class Odd: pass\ndef own(split, *, most: Odd): return []", "cannot be settings"),
        ("problems", "own = 3", "expected a function or a class, got 3"),
        ("solve", "def own(problem): return [{'role': 'user'}]", "the texts role and content"),
        ("solve", "def own(problem): return problem.question", "a list of messages"),
        ("solve", "def own(question): return []", "first parameter is question"),
        ("solve", "def own(problems, engine, sampling): return [[]]", "a list of attempts at each of 3 problems"),
        ("solve", "def own(problems, engine, sampling): return [['text']] * 3", "a list of attempts at each"),
        ("engine", "def own(model): return None", "which lacks model, generate, close"),
        (
            "engine",
            EMPTY_ENGINE,
            "a Reply to each of 3 requests",
        ),
        ("curate", "def own(records): return None", r"to yield \(record, reason\), got None"),
        ("curate", "def own(records):\n    for r in records: yield r", r"to yield \(record, reason\)"),
        ("curate", "def own(records):\n    for r in records: yield {}, ''", r"to yield \(record, reason\)"),
        ("train", "class own:\n    Settings = dict\n    run = print", "a class on porism.recipe.Settings"),
        ("problems", "own = 1 / 0", r"own\.py, line 1: .*ZeroDivisionError"),
        ("problems", "raise SystemExit(3)", r"own\.py, line 1: .*SystemExit: 3"),
        ("problems", "import no_such_package", "No module named 'no_such_package'"),
        ("problems", "def own(:", "SyntaxError"),
    ],
)
def test_what_breaks_its_contract_is_named(tmp_path: Path, given: str, verb: str, body: str, complaint: str) -> None:
    own = tmp_path / "own.py"
    own.write_text(body + "\n")
    part = f"{own}:own"
    values: dict[str, object] = {} if verb == "problems" else {"input": [given]}
    if verb == "solve":
        values["engine"] = "scripted"
    if verb == "engine":
        verb, part, values["engine"] = "solve", "direct", part
    with pytest.raises(RecipeError, match=complaint) as error:
        pipeline.execute(pipeline.prepare(verb, part, values), tmp_path / "out")
    assert "own.py" in str(error.value)


def test_a_file_that_failed_once_fails_again(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def f(): pass\nraise ValueError('no')\n")
    for _ in range(2):
        with pytest.raises(RecipeError, match="ValueError: no"):
            find.find("porism.problems", f"{own}:f", "load")


def test_a_module_on_the_path_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sick_module.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match=r"sick_module:f.*No module named 'no_such_package'"):
        find.find("porism.problems", "sick_module:f", "load")
