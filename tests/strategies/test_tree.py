"""Trees of thoughts: which partial solutions go on, how they are judged, and what is taken."""

from typing import Any

import pytest
from strategy_kit import Batches, asked, solved, traced

from conftest import problem
from porism import pipeline
from porism.engines import Request
from porism.errors import RecipeError
from porism.records import Attempt


def script(request: Request, number: int) -> str:
    """Steps are numbered; the first branch is the good one, and a third step states the answer: right if it is good."""
    words = asked(request)
    if "Can this lead" in words:
        return "sure" if "bad" not in words else "impossible"
    if "most promising" in words:
        return next((line[0] for line in words.split("\n") if line[1:3] == ". " and "bad" not in line), "1")
    step = "good" if number == 0 else f"bad{number}"
    depth = words.count("good") + words.count("bad")
    if "Finish the solution" in words or depth >= 2:
        return f"{step}\n#### {1 if number == 0 and 'bad' not in words else 9}"
    return step


def grow(problems: int = 1, script: Any = script, fails: Any = None, **values: Any) -> tuple[list[Attempt], Batches]:
    engine = Batches(script, fails) if fails else Batches(script)
    return solved("tree", [problem(0)] * problems, engine, **values), engine


def does(one: Attempt, what: str) -> list[str]:
    return [turn.branch for turn in traced(one).turns if turn.does == what]


def test_a_beam_goes_on_with_the_best() -> None:
    ((one,), engine) = grow(beam=1)
    assert one.text == "good\n\ngood\n\ngood\n#### 1"
    assert does(one, "thought") == ["0", "1", "2", "0.0", "0.1", "0.2", "0.0.0", "0.0.1", "0.0.2"]
    assert does(one, "value") == does(one, "thought"), "each is judged alone"
    trace = traced(one)
    assert trace.votes == {"1": 1.0, "9": 0.0}
    assert trace.candidates[trace.chosen or 0].branch == "0.0.0"
    assert engine.batches == [1, 3, 1, 3, 1, 3], "a level is two calls of the engine"


def test_breadth_goes_on_with_all_that_are_not_given_up() -> None:
    ((one,), _) = grow(search="breadth", prune=0.0, branches=2, depth=2)
    assert does(one, "thought") == ["0", "1", "0.0", "0.1", "1.0", "1.1"]
    assert does(one, "finish") == ["0.0", "0.1", "1.0", "1.1"]
    ((one,), _) = grow(search="breadth", branches=2, depth=2)
    assert does(one, "thought") == ["0", "1", "0.0", "0.1"], "what is impossible is given up"
    assert does(one, "finish") == ["0.0"]
    assert one.text.endswith("#### 1")


def test_depth_comes_back_where_it_came_to_nothing() -> None:
    def trap(request: Request, number: int) -> str:
        """The first branch looks sure, and is impossible one step later; the second is likely and right."""
        words = asked(request)
        if "Can this lead" in words:
            if "end" in words:
                return "impossible"
            return "sure" if "trap" in words else "likely"
        if "trap" in words:
            return "end"
        return "trap" if number == 0 and "way" not in words else "way\n#### 1" if "way" in words else "way"

    ((one,), _) = grow(script=trap, search="depth", branches=2, depth=3, accept=0.5)
    assert one.text == "way\n\nway\n#### 1"
    assert does(one, "thought") == ["0", "1", "0.0", "0.1", "1.0", "1.1"]
    assert len(traced(one).candidates) == 2
    ((first,), _) = grow(search="depth", accept=0.9)
    assert first.text.endswith("good\n#### 1")
    assert len(does(first, "thought")) == 9, "it ends with the first that is good enough"


def test_votes_compare_a_level() -> None:
    ((one,), engine) = grow(evaluate="vote", beam=1, judgements=3)
    assert one.text == "good\n\ngood\n\ngood\n#### 1"
    votes = [request for request in engine.requests if "most promising" in asked(request)]
    assert [request.n for request in votes] == [3, 3, 3]
    assert {request.sampling.regex for request in votes} == {"1|2|3"}


def test_perspectives_are_the_first_branches() -> None:
    ((one,), engine) = grow(perspectives=["algebra", "Draw a picture of it."], branches=1, depth=1)
    first = [asked(request) for request in engine.requests[:2]]
    assert "write equations" in first[0]
    assert "Draw a picture of it." in first[1]
    assert does(one, "thought") == ["0.0", "1.0"]
    with pytest.raises(RecipeError, match="tree: perspectives: no 'algebr'. Did you mean 'algebra'"):
        pipeline.prepare("solve", "tree", {"input": ["x"], "temperature": 0.7, "perspectives": ["algebr"]})
    with pytest.raises(RecipeError, match="tree: at temperature 0 all branches would be the same"):
        pipeline.prepare("solve", "tree", {"input": ["x"]})


def test_equal_answers_add_up() -> None:
    answers = ["#### 4", "#### 0.5", r"#### \frac{1}{2}"]

    def leaf(request: Request, number: int) -> str:
        return "likely" if "Can this lead" in asked(request) else answers[number]

    engine = Batches(leaf)
    (one,) = solved("tree", [problem(0, kind="math", answer="0.5")], engine)
    assert traced(one).votes == {"4": 0.5, "0.5": 1.0}
    assert one.text == "#### 0.5"


def test_trees_grow_together() -> None:
    attempts, engine = grow(16, beam=1)
    assert engine.batches == [16, 48, 16, 48, 16, 48]
    assert len({one.text for one in attempts}) == 1


def test_an_evaluation_that_fails_says_nothing_of_a_state() -> None:
    ((one,), _) = grow(beam=1, fails=lambda request: "Can this lead" in asked(request) and "bad1" in asked(request))
    assert one.text == "good\n\ngood\n\ngood\n#### 1"
    assert [turn.error for turn in traced(one).turns].count("the server is gone") == 3


def test_an_engine_that_fails_in_the_middle_leaves_the_best_so_far() -> None:
    ((one,), _) = grow(fails=lambda request: asked(request).count("good") > 1)
    assert one.text == "good\n\ngood"
    assert one.finish == "length"
    assert traced(one).stopped == "engine: the server is gone"


@pytest.mark.parametrize(("calls", "text"), [(2, "good"), (7, "good\n\ngood"), (14, "good\n\ngood\n\ngood\n#### 1")])
def test_a_budget_leaves_the_best_so_far(calls: int, text: str) -> None:
    ((one,), _) = grow(beam=1, budget_calls=calls)
    assert one.text == text
    assert traced(one).calls == calls
    assert traced(one).stopped == "calls"


def test_what_cannot_be_read_stops_nothing() -> None:
    ((one,), _) = grow(script=lambda request, number: "Well.")
    assert one.text == "\n\n".join(["Well."] * 4)
    assert traced(one).candidates[0].answer is None
    ((one,), _) = grow(script=lambda request, number: " ")
    assert one.finish == "error"
