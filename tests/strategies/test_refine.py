"""Drafts that are checked and made again."""

from typing import Any

import pytest
from strategy_kit import Batches, asked, solved, traced

from porism import pipeline
from porism.engines import Request
from porism.errors import RecipeError
from porism.records import Attempt, Problem

QUESTION = "Tom has 3 apples and buys 4. How many has he?"


def refined(script: Any, fails: Any = None, **values: Any) -> tuple[Attempt, Batches]:
    engine = Batches(script, fails) if fails else Batches(script)
    (one,) = solved("refine", [Problem(question=QUESTION, answer="7")], engine, **values)
    return one, engine


def critic(request: Request, number: int) -> str:
    """Finds the first draft wrong, and the second one right."""
    words = asked(request)
    if words.startswith("Check your solution"):
        return "Verdict: wrong" if "12" in request.messages[-2]["content"] else "All fine.\nVerdict: correct"
    return "3 + 4 = 7\n#### 7" if words.startswith("Now write") else "3 * 4 = 12\n#### 12"


def test_a_critique_makes_the_next_draft() -> None:
    one, engine = refined(critic)
    assert one.text == "3 + 4 = 7\n#### 7"
    assert [turn.does for turn in traced(one).turns] == ["draft", "feedback", "draft", "feedback"]
    assert [branch.answer for branch in traced(one).candidates] == ["12", "7"]
    roles = [message["role"] for message in engine.requests[2].messages]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert one.messages[-1]["content"] == QUESTION
    assert refined(critic, rounds=0)[0].text.endswith("12")


def test_drafts_are_made_again_until_one_passes() -> None:
    def verifier(request: Request, number: int) -> str:
        words = asked(request)
        if "Say yes or no" in words:
            return "yes" if "#### 7" in words or number == 0 else "no"
        return "#### 7" if len(drafts(engine)) > 1 else "#### 12"

    def drafts(engine: Batches) -> list[Request]:
        return [one for one in engine.requests if asked(one) == QUESTION]

    engine = Batches(verifier)
    (one,) = solved("refine", [Problem(question=QUESTION, answer="7")], engine, check="verify", judgements=3)
    assert one.text == "#### 7"
    assert [branch.score for branch in traced(one).candidates] == [pytest.approx(1 / 3), 1.0]
    engine = Batches(verifier)
    (one,) = solved("refine", [Problem(question=QUESTION, answer="7")], engine, check="verify", accept=0.3)
    assert one.text == "#### 12", "a share of a third is enough"


def test_the_best_of_those_that_fail_is_taken() -> None:
    texts = iter(["no number", "#### 5", "#### 6"])

    def never(request: Request, number: int) -> str:
        if "Say yes or no" not in asked(request):
            return next(texts)
        return "yes" if "#### 5" in asked(request) and number == 0 else "no"

    one, _ = refined(never, check="verify", rounds=2)
    assert one.text == "#### 5"
    assert [branch.score for branch in traced(one).candidates] == [0.0, pytest.approx(1 / 3), 0.0]


def test_hidden_numbers_are_found_again_from_a_right_answer() -> None:
    def solver(request: Request, number: int) -> str:
        words = asked(request)
        if "Which number is X" not in words:
            return "#### 7" if request.seed % 2 else "#### 7.0"
        return f"The answer is {3 if 'has X apples' in words else 4}"

    one, engine = refined(solver, check="backward", judgements=2)
    assert traced(one).candidates[0].score == 1.0
    hidden = [asked(request) for request in engine.requests if "Which number" in asked(request)]
    assert len(hidden) == 2
    assert any("Tom has X apples and buys 4." in text for text in hidden)
    assert all("the answer is 7" in text for text in hidden)
    one, _ = refined(lambda request, number: "The answer is 5", check="backward", judgements=2, rounds=1)
    assert [branch.score for branch in traced(one).candidates] == [0.0, 0.0]


def test_a_question_without_numbers_is_verified_by_asking() -> None:
    engine = Batches(lambda request, number: "yes" if "Say yes or no" in asked(request) else "#### 7")
    (one,) = solved("refine", [Problem(question="How many days has a week?", answer="7")], engine, check="backward")
    assert traced(one).candidates[0].score == 1.0


def test_a_check_that_fails_leaves_the_draft() -> None:
    one, _ = refined(critic, fails=lambda request: asked(request).startswith("Check your"))
    assert one.text.endswith("12")
    assert traced(one).stopped == "engine: the server is gone"
    one, _ = refined(critic, budget_calls=2)
    assert (one.text[-2:], traced(one).stopped) == ("12", "calls")


def test_another_solution_needs_a_temperature() -> None:
    with pytest.raises(RecipeError, match="refine: with check=verify another solution is tried"):
        pipeline.prepare("solve", "refine", {"input": ["x"], "check": "verify"})
    pipeline.prepare("solve", "refine", {"input": ["x"]})


@pytest.mark.parametrize("check", ["verify", "backward"])
def test_what_has_no_answer_to_be_read_is_verified_all_the_same(check: str) -> None:
    engine = Batches(lambda request, number: "yes" if "Say yes or no" in asked(request) else "An essay on 3 apples.")
    (one,) = solved(
        "refine", [Problem(question="Write on 3 apples.", answer="good", kind="judge")], engine, check=check
    )
    assert [branch.score for branch in traced(one).candidates] == [1.0]
