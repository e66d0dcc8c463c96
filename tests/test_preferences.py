"""The one rule for pairs: which candidate is chosen, which rejected, and why there is none."""

import itertools
import math
import random

import pytest

from conftest import attempt
from porism.preferences import Candidate, choose
from porism.preferences import candidate as of
from porism.records import Status


def make(*marks: str, rewards: tuple[float | None, ...] = ()) -> list[Candidate]:
    """``+`` right, ``-`` wrong, ``?`` not judged, ``x`` cut off."""
    kinds = {"+": True, "-": False, "?": None, "x": None}
    given = rewards or (None,) * len(marks)
    return [
        Candidate(
            text=f"text {at}",
            correct=kinds[mark],
            answer="4" if mark == "+" else f"{at}!",
            reward=reward,
            tokens=10 * at,
            whole=mark != "x",
        )
        for at, (mark, reward) in enumerate(zip(marks, given, strict=True))
    ]


def test_correctness_comes_before_any_reward() -> None:
    ((chosen, rejected, by, margin),), _ = choose(make("-", "+", "+", "-", rewards=(9.0, 1.0, 2.0, 8.0)))
    assert (chosen, rejected, by, margin) == (2, 3, "correctness", -6.0)
    (first,), _ = choose(make("-", "+", "+"))
    assert (first.chosen, first.rejected, first.margin) == (1, 0, 0.0)
    (worse,), _ = choose(make("+", "+", "-", "-", rewards=(None, -3.0, None, -2.0)))
    assert (worse.chosen, worse.rejected, worse.margin) == (1, 3, -1.0), "those without a reward come last"


def test_a_wrong_one_is_never_chosen_and_a_right_one_never_rejected_against_a_wrong_one() -> None:
    chance = random.Random(7)
    for marks in itertools.product("+-?x", repeat=4):
        rewards = tuple(chance.choice([None, 0.0, 1.0, 2.0]) for _ in marks)
        candidates = make(*marks, rewards=rewards)
        for most, balance in ((1, False), (4, True)):
            found, why = choose(candidates, most=most, balance=balance)
            assert bool(found) != bool(why)
            used = [at for one in found for at in (one.chosen, one.rejected)]
            assert len(used) == len(set(used))
            assert "x" not in {marks[at] for at in used}
            for one in found:
                assert marks[one.chosen] != "-"
                if one.by == "correctness":
                    assert (marks[one.chosen], marks[one.rejected]) == ("+", "-")
                    assert candidates[one.chosen].answer != candidates[one.rejected].answer
                else:
                    assert one.margin > 0
                    assert "-" not in marks
            assert (found, why) == choose(candidates, most=most, balance=balance), "the same again"


def test_as_many_pairs_as_the_rarer_side_has() -> None:
    marks = "++-+---"
    for most in (1, 2, 3, 9):
        assert len(choose(make(*marks), most=most)[0]) == min(most, 3)


def test_pairs_of_like_length() -> None:
    candidates = make("-", "-", "-", "+")
    assert choose(candidates)[0][0].rejected == 0
    assert choose(candidates, balance=True)[0][0].rejected == 2


@pytest.mark.parametrize(
    ("marks", "rewards", "why"),
    [
        ("+", (), "too few: 1 of 1"),
        ("+x", (), "too few: 1 of 2"),
        ("++", (), "all correct: 2 candidates"),
        ("--", (), "none correct: 2 of 2"),
        ("--", (1.0, 2.0), "none correct"),
        ("??", (), "not judged: 2 candidates"),
        ("??", (1.0, 1.0), "tie: not judged, and rewards are 0 apart"),
        ("??", (1.0, math.nan), "not judged"),
        ("??", (1.0, math.inf), "not judged: 2 candidates, and no reward"),
        ("++", (1.0, 1.4), "tie: all correct, and rewards are 0.4 apart, more than 0.5"),
    ],
)
def test_ties_have_their_reason(marks: str, rewards: tuple[float, ...], why: str) -> None:
    found, reason = choose(make(*marks, rewards=rewards), margin=0.5)
    assert not found
    assert reason.startswith(why)


def test_where_all_are_right_the_reward_decides() -> None:
    (pair,), _ = choose(make("+", "+", "+", rewards=(1.0, 3.0, 0.5)), margin=0.5)
    assert (pair.chosen, pair.rejected, pair.by, pair.margin) == (1, 2, "reward", 2.5)


def test_the_same_text_or_the_same_final_answer_makes_no_pair() -> None:
    twice = [Candidate(text="a  b", correct=True), Candidate(text="a b\n", correct=False)]
    assert choose(twice)[1].startswith("too few")
    alike = [Candidate(text="a", correct=True, answer="1/2"), Candidate(text="b", correct=False, answer=" 1 / 2")]
    assert choose(alike)[1].startswith("same answer")


def test_attempts_become_candidates_as_their_verdicts_say() -> None:
    assert of(attempt(1)).correct is True
    assert of(attempt(1, Status.WRONG)).correct is False
    for status in (Status.UNPARSED, Status.TRUNCATED, Status.ERROR, Status.TIMEOUT, Status.GOLD_UNPARSED):
        assert of(attempt(1, status)).correct is None
    assert of(attempt(1, verdict=None)).correct is None
    assert not of(attempt(1, finish="length")).whole
    assert of(attempt(1), 2.5).reward == 2.5
