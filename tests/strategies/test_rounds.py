"""Attempts that take several turns: they go forward together, within their budgets, and nothing ends the batch."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from strategy_kit import Batches, asked, solved, traced

from conftest import problem
from porism import strategies
from porism.engines import Reply, Request, Sample, Sampling
from porism.errors import RecipeError
from porism.records import Message, Problem
from porism.strategies import Ask, Branch, Desk, together


@together("count")
async def count(problem: Problem, desk: Desk, *, rounds: int = 3) -> None:
    """Asks so many times as the question's number tells, and offers each text."""
    most = int(problem.question.split()[2]) % 4 + rounds
    for number in range(most):
        shown = [Message(role="user", content=f"{problem.question} {number}")]
        ((said,),) = await desk.ask(Ask(messages=shown, does="draft", branch=str(number)))
        (reading,) = await desk.read([(said.text, said.finish)])
        desk.offer(said.text, Branch(branch=str(number), answer=reading.answer, tokens=said.tokens))


def run(engine: Any, problems: int = 5, sampling: Sampling | None = None, **values: Any) -> list[Any]:
    found = count([problem(n) for n in range(problems)], engine, sampling or Sampling(), **values)
    return [tries[0] for tries in found]


def test_a_round_is_one_batch_of_all_that_are_not_through() -> None:
    engine = Batches(lambda request, _: f"#### {asked(request).split()[-1]}")
    attempts = run(engine)
    assert engine.batches == [5, 5, 5, 3, 2, 1]
    assert [one.text for one in attempts] == ["#### 2", "#### 3", "#### 4", "#### 5", "#### 2"]
    trace = traced(attempts[1])
    assert [turn.branch for turn in trace.turns] == ["0", "1", "2", "3"]
    assert trace.candidates[3].answer == "3"
    assert (trace.calls, trace.tokens, trace.chosen, trace.stopped) == (4, 8, 3, "")
    assert attempts[1].completion_tokens == 8
    assert attempts[1].prompt_tokens == 4 * 6, "of all prompts"
    assert attempts[1].messages[0]["content"] == "What is 1 + 1? 0", "the first prompt"


def test_an_attempt_does_not_depend_on_its_company() -> None:
    together_, alone = Batches(lambda request, _: "#### 1"), Batches(lambda request, _: "#### 1")
    run(together_, seed=3)
    count([problem(2)], alone, Sampling(), seed=3)
    whole = {asked(one): one.seed for one in together_.requests}
    assert all(whole[asked(one)] == one.seed for one in alone.requests)
    assert len(set(whole.values())) == len(whole)
    assert alone.requests[0].seed == strategies.problem_seed(3, problem(2)), "as direct would ask"
    three = count([problem(2)], Batches(lambda request, _: "#### 1"), Sampling(), samples=3)
    assert [one.sample for one in three[0]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("budget", "calls", "why"),
    [
        ({"budget_calls": 2}, [2, 2], "calls"),
        ({"budget_tokens": 5}, [3, 3], "tokens"),
        ({"budget_tokens": 1000, "budget_calls": 1000}, [4, 5], ""),
    ],
)
def test_a_budget_ends_with_the_best_answer_so_far(budget: dict[str, int], calls: list[int], why: str) -> None:
    attempts = run(Batches(lambda request, _: "#### 7"), 2, rounds=4, **budget)
    traces = [traced(one) for one in attempts]
    assert [trace.calls for trace in traces] == calls
    assert {trace.stopped for trace in traces} == {why}
    assert all(trace.tokens <= budget.get("budget_tokens", 1000) for trace in traces)
    assert all(one.text.startswith("####") and one.finish in ("stop", "length") for one in attempts)


class Slow:
    """An engine that takes its time, and heeds ``cancel``."""

    model = "slow"

    def __init__(self) -> None:
        self.rounds = 0

    def generate(
        self, requests: Sequence[Request], *, on_text: object = None, cancel: threading.Event | None = None
    ) -> list[Reply]:
        self.rounds += 1
        seconds = 0.01 if self.rounds == 1 else 20.0
        late = cancel.wait(seconds) if cancel else time.sleep(seconds)
        sample = Sample(text="", finish="error", error="cancelled") if late else Sample(text="#### 7", tokens=2)
        return [Reply(samples=(sample,) * request.n) for request in requests]


def test_time_that_is_over_ends_what_is_under_way() -> None:
    began = time.monotonic()
    attempts = run(Slow(), 3, budget_seconds=0.5)
    assert time.monotonic() - began < 5
    for one in attempts:
        assert (one.text, one.finish) == ("#### 7", "stop")
        assert traced(one).stopped == "seconds"
    assert traced(attempts[0]).seconds == pytest.approx(0.01 / 3, abs=0.05)


def test_an_engine_that_fails_on_the_way_is_in_the_trace_and_the_others_go_on() -> None:
    engine = Batches(lambda request, _: "#### 7", lambda request: asked(request) == "What is 1 + 1? 2")
    attempts = run(engine)
    assert [traced(one).stopped for one in attempts] == ["", "engine: the server is gone", "", "", ""]
    broken = traced(attempts[1])
    assert broken.turns[-1].error == "the server is gone"
    assert (attempts[1].text, attempts[1].finish) == ("#### 7", "stop")
    assert broken.calls == 3


def test_an_engine_that_fails_at_once_leaves_an_error() -> None:
    (attempt,) = run(Batches(lambda request, _: "", lambda request: True), 1)
    assert attempt.finish == "error"
    assert attempt.error == "no answer: engine: the server is gone"


def test_a_strategy_of_ones_own(tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from porism.prompts import messages\n"
        "from porism.records import Problem\n"
        "from porism.strategies import Ask, Branch, Desk, together\n\n"
        "@together('twice')\n"
        "async def solve(problem: Problem, desk: Desk, *, word: str = 'Again.') -> None:\n"
        "    for words in ('', word):\n"
        "        asked = messages.question(problem, words)\n"
        "        ((said,),) = await desk.ask(Ask(messages=asked, does='draft'))\n"
        "        desk.offer(said.text, Branch(tokens=said.tokens))\n"
    )
    engine = Batches(lambda request, _: "#### 1")
    (attempt,) = solved(f"{file}:solve", [problem()], engine, word="Once more.")
    assert attempt.strategy == "twice"
    assert asked(engine.requests[1]).endswith("Once more.")
    with pytest.raises(RecipeError, match="unknown setting 'wrd'"):
        solved(f"{file}:solve", [problem()], engine, wrd="x")
