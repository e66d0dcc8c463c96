"""A vote that stops when it is settled: by the Beta rule, by windows; replayed from stored attempts, or asked for."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from strategy_kit import Batches, solved, traced

from conftest import attempt, problem
from porism.errors import RecipeError
from porism.records import Attempt, Problem, to_row
from porism.strategies.vote import lead


def test_the_closed_form_is_the_integral() -> None:
    from scipy import stats

    for first, second in ((1, 0), (4, 0), (3, 1), (9, 5), (20, 20), (40, 0)):
        assert lead(first, second) == pytest.approx(stats.beta(first + 1, second + 1).sf(0.5))


def stored(folder: Path, texts: dict[int, list[str]], tokens: int = 5) -> dict[str, Any]:
    """Attempts on disk, and the settings that replay them."""
    rows = [
        attempt(n, text=text, sample=at, verdict=None, completion_tokens=tokens)
        for n, each in texts.items()
        for at, text in enumerate(each)
    ]
    file = folder / "tried.jsonl"
    file.write_text("".join(json.dumps(to_row(row)) + "\n" for row in rows))
    return {"attempts": [str(file)]}


def replay(folder: Path, texts: dict[int, list[str]], **values: Any) -> list[Attempt]:
    """The vote on stored attempts; an engine that is asked would fail."""
    problems = [problem(n) for n in texts]
    return solved("vote", problems, None, **stored(folder, texts), **values)  # type: ignore[arg-type]


def used(one: Attempt) -> int:
    return len(traced(one).candidates)


def test_a_clear_vote_stops_early(tmp_path: Path) -> None:
    clear, open_ = ["#### 7"] * 40, ["#### 7", "#### 8"] * 20
    late = ["#### 9", "#### 7", "#### 7", "#### 7", *["#### 7.0"] * 36]
    texts = {0: clear, 1: open_, 2: late, 3: ["hm"] * 40}
    found = replay(tmp_path, texts, stopping="beta")
    assert [used(one) for one in found] == [4, 40, 8, 40]
    assert found[0].completion_tokens == 20
    assert traced(found[2]).votes == {"9": 1, "7": 7}
    assert traced(found[0]).calls == 0, "no model was asked"
    assert [used(one) for one in replay(tmp_path, texts, stopping="beta", confidence=0.999)][:2] == [12, 40]
    assert [used(one) for one in replay(tmp_path, texts, stopping="beta", window=1)] == [4, 40, 7, 40]
    assert [used(one) for one in replay(tmp_path, texts, stopping="windows", window=3)] == [3, 40, 6, 40]
    assert [used(one) for one in replay(tmp_path, texts, stopping="windows", window=3, most=5)] == [3, 5, 5, 5]
    assert [used(one) for one in replay(tmp_path, texts)] == [40] * 4


def test_asking_stops_where_replaying_does(tmp_path: Path) -> None:
    rng = random.Random(0)
    texts = {n: [f"#### {rng.choice('7789')}" for _ in range(40)] for n in range(12)}
    sampling = {"samples": 40, "stopping": "beta", "window": 4}
    engine = Batches(lambda request, number: texts[int(request.messages[-1]["content"].split()[2])][number])
    asked = solved("vote", [problem(n) for n in texts], engine, **sampling)
    again = replay(tmp_path, texts, **sampling)
    assert [used(one) for one in asked] == [used(one) for one in again]
    assert [traced(one).votes for one in asked] == [traced(one).votes for one in again]
    assert engine.batches == sorted(engine.batches, reverse=True), "each round asks for those that are open"
    assert sum(engine.batches) < 120
    assert {request.n for request in engine.requests} == {4}


def test_an_engine_that_cannot_go_on_with_its_samples_gets_other_seeds() -> None:
    engine = Batches(lambda request, number: f"#### {request.seed % 97}{number}")
    engine.takes_first = False
    (one,) = solved("vote", [problem()], engine, samples=12, stopping="windows")
    assert len({request.seed for request in engine.requests}) == 3
    assert [branch.sample for branch in traced(one).candidates] == list(range(12))


def test_few_samples_lose_little(tmp_path: Path) -> None:
    """On problems of which about half are solved, the rule saves more than 30 % of 40 samples, for half a point."""
    rng = random.Random(1)
    chances = [rng.betavariate(1.0, 1.0) for _ in range(120)]
    texts = {
        n: [f"#### {n + 1}" if rng.random() < chance else f"#### {n + 2 + rng.randrange(4)}" for _ in range(40)]
        for n, chance in enumerate(chances)
    }

    def right(found: list[Attempt]) -> float:
        return sum(one.text == f"#### {one.problem.answer}" for one in found) / len(found)

    whole, short = replay(tmp_path, texts), replay(tmp_path, texts, stopping="beta")
    assert 0.4 < right(whole) < 0.9
    assert right(short) >= right(whole) - 0.005
    assert sum(map(used, short)) <= 0.7 * sum(map(used, whole))


def test_a_budget_ends_a_vote(tmp_path: Path) -> None:
    engine = Batches(lambda request, number: "#### 7")
    (one,) = solved("vote", [problem()], engine, samples=8, budget_calls=3)
    assert (used(one), traced(one).stopped) == (3, "calls")
    (one,) = solved("vote", [problem()], engine, samples=8, budget_calls=6, stopping="windows", window=5)
    assert (used(one), traced(one).stopped) == (5, "")
    texts = {0: ["#### 7", "#### 8"] * 4}
    (one,) = replay(tmp_path, texts, stopping="beta", window=2, budget_calls=5)
    assert (used(one), traced(one).stopped) == (5, "calls")
    (one,) = replay(tmp_path, texts, stopping="beta", window=2, budget_tokens=11)
    assert (used(one), traced(one).stopped) == (3, "tokens")


def test_an_engine_that_is_gone_is_not_asked_for_ever() -> None:
    engine = Batches(lambda request, number: "#### 7", lambda request: "0 + 1" in request.messages[-1]["content"])
    broken, fine = solved("vote", [problem(0), problem(1)], engine, samples=40, stopping="beta")
    assert (broken.finish, traced(broken).stopped) == ("error", "engine: the server is gone")
    assert fine.finish == "stop"
    assert engine.batches == [2]


def test_only_what_the_verifier_trusts_votes(tmp_path: Path) -> None:
    asked = Problem(question="?", answer="1")
    rows = [
        attempt(0, problem=asked, text=text, sample=at, verdict=None, meta={"reward": score})
        for at, (text, score) in enumerate([("#### 1", 2.0), *[("#### 2", 0.1)] * 5])
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(to_row(row)) + "\n" for row in rows))

    def text(**values: Any) -> str:
        return solved("weighted_vote", [asked], None, attempts=[str(file)], **values)[0].text  # type: ignore[arg-type]

    assert text() == "#### 2"
    assert text(keep_above=0.8) == "#### 1"
    assert text(keep_above=0.8, power=0.0) == "#### 1"
    assert text(keep_above=0.99) == "#### 2", "where nobody is trusted, all vote"
    with pytest.raises(RecipeError, match="keep_above: input should be less than or equal to 1"):
        text(keep_above=2.0)
