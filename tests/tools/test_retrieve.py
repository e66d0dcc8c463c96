"""The retrieval tool says what an index holds, and never the solution of the problem that is being solved."""

from pathlib import Path

import pytest
from knowledge_kit import build, solved, write

from porism import tools
from porism.errors import RecipeError


@pytest.fixture
def index(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    file = write(tmp_path / "solved.jsonl", [solved(number) for number in range(20)])
    build([file], tmp_path / "index", tiny_model)
    return str(tmp_path / "index")


def test_it_says_what_is_nearest(index: str) -> None:
    retrieve = tools.tool("retrieve")
    answer = retrieve(solved(3).problem.question, index=index, top=2)
    assert not answer.failed
    assert answer.text.startswith(f"[1] {solved(3).problem.question}\n{solved(3).text}")
    assert "[2] " in answer.text
    assert "[3] " not in answer.text
    guarded = retrieve(solved(3).problem.question, index=index, top=2, asked=solved(3).problem)
    assert solved(3).text not in guarded.text


def test_a_toolbox_tells_it_which_problem_is_being_solved(index: str) -> None:
    box = tools.Toolbox(["retrieve"], {"retrieve": {"index": index, "top": 2}})
    assert list(box.schema("retrieve")["properties"]) == ["text"]
    call = tools.Call("retrieve", {"text": solved(3).problem.question})
    assert solved(3).text in box.call(call).text
    assert solved(3).text not in box.call(call, asked=solved(3).problem).text
    with pytest.raises(RecipeError, match="unknown setting 'asked'"):
        tools.Toolbox(["retrieve"], {"retrieve": {"index": index, "asked": None}})


@pytest.mark.parametrize("text", ["", "  \n", "x" * 100_000, "\ud800 \0 \x1b[2J", "'; drop table items; --"])
def test_nonsense_is_answered(index: str, text: str) -> None:
    answer = tools.tool("retrieve")(text, index=index)
    assert answer.failed == (not text.strip())
    assert 0 < len(answer.text) < 5_000


def test_an_index_that_cannot_be_used_is_an_answer(tmp_path: Path) -> None:
    answer = tools.tool("retrieve")("apples", index=str(tmp_path / "nowhere"))
    assert answer.failed
    assert "no index is there" in answer.text
