"""Strategies that look things up: nearest worked examples, and passages above the question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from knowledge_kit import build, solved, write

from conftest import lines
from porism import knowledge, pipeline, recipe, strategies
from porism.engines import Sampling
from porism.engines.scripted import Scripted
from porism.errors import DataError, RecipeError, StorageError
from porism.solve import Settings
from porism.strategies import react


@pytest.fixture
def index(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    file = write(tmp_path / "solved.jsonl", [solved(number) for number in range(20)])
    build([file], tmp_path / "index", tiny_model)
    return str(tmp_path / "index")


def bound(name: str, **values: object) -> strategies.Strategy:
    kind = recipe.settings_of(strategies.function(name), Settings)
    return strategies.bind(name, recipe.build(kind, {"input": [], **values}, "test"))


@pytest.mark.parametrize("name", ["few_shot", "cot"])
def test_the_nearest_examples_are_shown_and_never_the_own_solution(index: str, name: str) -> None:
    problems = [solved(number).problem for number in (3, 8)]
    tries = bound(name, index=index, shots=3)(problems, Scripted({}, default="#### 1"), Sampling())
    for (attempt,), own in zip(tries, problems, strict=True):
        assert len(attempt.messages) == 7
        shown = [message["content"] for message in attempt.messages]
        assert shown[-1] == own.question
        assert own.question not in shown[:-1]
        wanted = knowledge.opened(index).search(own.question, top=3, asked=own).found
        assert shown[4] == wanted[0].item.text, "the nearest stands next to the question"
        told = wanted[0].item.solution if name == "cot" else f"#### {wanted[0].item.answer}"
        assert shown[5] == told


def test_rag_shows_what_was_found_and_says_so(index: str) -> None:
    own = solved(3).problem
    engine = Scripted({}, default="#### 1")
    ((attempt,),) = bound("rag", index=index, top=2, instruction="Go.", system="Be brief.")([own], engine, Sampling())
    content = attempt.messages[-1]["content"]
    assert attempt.messages[0] == {"role": "system", "content": "Be brief."}
    assert content.endswith(f"Question: {own.question}\n\nGo.")
    assert solved(3).text not in content
    trace = attempt.meta["retrieval"]
    assert len(trace["shown"]) == 2
    assert sum(trace["left_out"].values()) >= 1
    found = knowledge.opened(index).search(own.question, top=2, asked=own).found
    assert [one["item"] for one in trace["shown"]] == [one.item.id for one in found]
    assert f"[1] Question: {found[0].item.text}\nAnswer: {found[0].item.solution}" in content


def test_rag_keeps_to_its_settings(index: str) -> None:
    own = solved(3).problem

    def content(**values: object) -> str:
        ((attempt,),) = bound("rag", index=index, **values)([own], Scripted({}), Sampling())
        return str(attempt.messages[-1]["content"])

    assert solved(3).text in content(leaks=[])
    assert "[5] " in content(top=5)
    assert len(content(top=5, context=100)) < len(content(top=5))
    assert content(mode="words", top=8) != content(mode="vectors", top=8)


def test_rag_goes_on_without_an_index_that_fails(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    solve = bound("rag", index=index)
    monkeypatch.setattr(
        knowledge.Index, "search_all", lambda *_, **__: (_ for _ in ()).throw(StorageError("the server went away"))
    )
    ((attempt,),) = solve([solved(3).problem], Scripted({}, default="#### 1"), Sampling())
    assert attempt.messages[-1]["content"] == solved(3).problem.question
    assert attempt.meta["retrieval"]["error"] == "the server went away"
    assert attempt.text == "#### 1"


def test_a_stage_with_an_index(index: str, tmp_path: Path, tiny_model: Path) -> None:
    test = write(tmp_path / "test.jsonl", [solved(number).problem for number in (0, 1, 40)])
    values = {"input": [str(test)], "engine": "scripted", "default": "#### 320", "index": index}
    stage = pipeline.prepare("solve", "rag", values)
    pipeline.execute(stage, tmp_path / "out")
    rows = lines(tmp_path / "out" / "records.jsonl")
    assert [row["verdict"]["status"] for row in rows] == ["correct", "wrong", "wrong"]
    changed = write(tmp_path / "solved.jsonl", [solved(number) for number in range(10, 14)])
    build([changed], index, tiny_model)
    pipeline.execute(pipeline.prepare("solve", "rag", values), tmp_path / "out")
    again = lines(tmp_path / "out" / "records.jsonl")
    assert again[0]["meta"]["retrieval"] != rows[0]["meta"]["retrieval"], "a changed index redoes the stage"


def test_what_does_not_fit_is_found_before_anything_runs(tmp_path: Path, index: str, tiny_model: Path) -> None:
    test = write(tmp_path / "test.jsonl", [solved(0).problem])
    values = {"input": [str(test)], "engine": "scripted"}
    with pytest.raises(DataError, match="no index is there"):
        pipeline.prepare("solve", "rag", {**values, "index": str(tmp_path / "none")})
    (tmp_path / "a.txt").write_text("a text alone")
    build([tmp_path / "a.txt"], tmp_path / "texts", tiny_model)
    with pytest.raises(DataError, match="found documents alone"):
        pipeline.prepare("solve", "few_shot", {**values, "index": str(tmp_path / "texts")})
    assert pipeline.prepare("solve", "few_shot", {**values, "index": index, "shots": 20}).settings


def test_a_model_looks_things_up_by_a_tool_and_never_the_own_solution(index: str) -> None:
    own = solved(3)
    look = json.dumps({"thought": "t", "tool": "retrieve", "arguments": {"text": own.problem.question}})
    answer = json.dumps({"thought": "t", "answer": "1"})
    engine = Scripted(lambda request, _: answer if request.messages[-1]["content"].startswith("Obs") else look)
    settings = {"retrieve": {"index": index, "top": 2}}
    strategy = bound("react", tools=["retrieve"], tool_settings=settings, worked=False)
    ((attempt,),) = strategy([own.problem], engine, Sampling(max_tokens=200))
    trace = strategies.trace_of(attempt)
    assert trace is not None
    told = next(turn.text for turn in trace.turns if turn.does == "tool")
    assert told.startswith("[1] ")
    assert own.text not in told
    with pytest.raises(RecipeError, match="the tool retrieve: needs the setting 'index'"):
        react.check(tools=["retrieve"])
