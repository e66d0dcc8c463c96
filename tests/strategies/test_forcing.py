"""Budget forcing: thinking that is prolonged, and thinking that is ended."""

from pathlib import Path
from typing import Any

from strategy_kit import Batches, bound, solved, traced

from conftest import problem
from porism.engines import Request, Sampling
from porism.records import Attempt


def forced(script: Any = None, **values: Any) -> tuple[Attempt, Batches]:
    def thinks(request: Request, number: int) -> str:
        if request.prefix.endswith("Final answer:"):
            return " 1"
        return "so. " + " ".join(["hm"] * 50) if "Wait" in request.prefix else "it is 2 </think> never seen"

    engine = Batches(script or thinks)
    (one,) = solved("budget", [problem()], engine, **values)
    return one, engine


def test_thinking_ends_and_the_answer_follows() -> None:
    one, engine = forced()
    assert one.text == "it is 2\n\nFinal answer: 1"
    assert [turn.does for turn in traced(one).turns] == ["think", "answer"]
    assert [turn.text for turn in traced(one).turns] == ["it is 2 ", " 1"], "without what was there before"
    assert traced(one).candidates[0].answer == "1"
    assert engine.requests[0].sampling.stop == ("</think>",)
    assert engine.requests[1].sampling.max_tokens == 64


def test_thinking_goes_on() -> None:
    one, engine = forced(waits=1)
    assert one.text.startswith("it is 2\nWait,so. hm")
    assert [turn.does for turn in traced(one).turns] == ["think", "wait", "answer"]
    assert engine.requests[1].prefix == "it is 2\nWait,"
    one, _ = forced(waits=3, least=5, again=" Hold on.", open="<think>\n", close="</think>\n")
    assert [turn.does for turn in traced(one).turns] == ["think", "wait", "answer"], "until there are enough tokens"
    assert one.text.startswith("<think>\nit is 2 Hold on.")


def test_thinking_is_ended() -> None:
    one, engine = forced(lambda request, number: " 1" if ":" in request.prefix else " ".join(["hm"] * 500), think=20)
    assert one.text == f"{' '.join(['hm'] * 20)}\n\nFinal answer: 1"
    assert engine.requests[0].sampling.max_tokens == 20
    one, engine = forced(waits=5, think=30)
    assert sum(turn.tokens for turn in traced(one).turns if turn.does != "answer") == 30


def test_a_budget_in_tokens_cuts_the_thinking() -> None:
    one, _ = forced(lambda request, number: " ".join(["hm"] * 500), think=400, budget_tokens=100)
    assert traced(one).tokens == 100
    assert traced(one).stopped == "tokens"
    assert one.text.count("hm") == 100


def test_a_real_engine_goes_on_from_its_own_text(tiny_model: Path) -> None:
    from porism.engines import local

    engine = local.start(str(tiny_model), dtype="float32", threads=1)
    try:
        solve = bound("budget", think=12, waits=1, answer_tokens=4)
        ((one,), (other,)) = solve([problem(0), problem(1)], engine, Sampling(temperature=0.8))
    finally:
        engine.close()
    assert "\n\nFinal answer:" in one.text
    assert "\n\nFinal answer:" in other.text
    assert sum(turn.tokens for turn in traced(one).turns) == one.completion_tokens <= 16
