"""Rewards by distance: the four tables, the general form, what is refused, how a number is read."""

import math

import pytest

from conftest import attempt, problem
from porism.errors import DataError
from porism.graders import check, grade
from porism.graders.distance import PRESETS, best_constant, number_in, of
from porism.records import Status

AWAY = (0.0, 0.4, 0.5, 1.0, 1.2, 1.5, 2.0, 2.1)
TABLES = {
    "12-6-3": [12, 6, 6, 6, 3, 3, 3, 0],
    "5-4-3-2-1": [5, 4, 4, 3, 2, 2, 1, 0],
    "10-8-6-4-2": [10, 8, 8, 6, 4, 4, 2, 0],
    "16-12-8-4": [16, 12, 8, 8, 4, 4, 4, 0],
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_tables(name: str) -> None:
    rewards = PRESETS[name]
    assert [rewards(10 + away, 10) for away in AWAY] == TABLES[name]
    assert [rewards(10 - away, 10) for away in AWAY] == TABLES[name]


def test_the_other_shapes() -> None:
    def at(shape: str, found: float, wanted: float, **more: object) -> float:
        return of({"shape": shape, "top": 2.0, "scale": 4.0, **more})(found, wanted)

    assert at("linear", 12, 10) == 1.0
    assert at("linear", 30, 10) == 0.0
    assert at("linear", 30, 10, beyond=-8) == -8.0
    assert at("exponential", 14, 10) == pytest.approx(2 * math.exp(-1))
    assert at("gaussian", 14, 10) == pytest.approx(2 * math.exp(-0.5))
    assert at("huber", 12, 10) == pytest.approx(2 * (1 - 0.125))
    assert at("huber", 15, 10, beyond=-9) == pytest.approx(2 * (1 - 0.75))
    assert at("log_ratio", 20, 10, scale=1.0) == pytest.approx(1.0)
    assert at("log_ratio", 5, 10, scale=1.0) == pytest.approx(1.0)
    assert at("log_ratio", 0, 10) == 0.0
    assert at("linear", 60, 10, unit=25.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("12-6", "expected a preset"),
        (7, "expected a preset"),
        ({"shape": "tiers"}, "belong together"),
        ({"shape": "linear", "tiers": [[0, 1]]}, "belong together"),
        ({"tiers": [[0, 1], [1, 2]]}, "do not rise"),
        ({"tiers": [[0, 1], [1, 0.5]], "beyond": 0.7}, "do not rise"),
        ({"tiers": [[1, 3], [1, 2]]}, "no distance meets"),
        ({"tiers": [[0, 16, True], [1, 8]]}, "no distance meets '< 0'"),
        ({"tiers": [[1, 3], [1, 2, True]]}, "no distance meets"),
        ({"tiers": [[0, 5]], "invalid": 1}, "at most the worst"),
        ({"shape": "linear", "scales": 2}, "scales"),
    ],
)
def test_what_is_refused(value: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        of(value)


def test_how_a_number_is_read() -> None:
    assert number_in("42") == 42
    assert number_in(" -5.5\n", "only") == -5.5
    assert number_in("Step 3: 40", "only") is None
    assert number_in("Step 3: 40") is None
    assert number_in("It takes a while.\n#### 40") == 40
    assert number_in(r"So \boxed{7}, then \boxed{12.7}") == 12.7
    assert number_in("Step 3: 40", "first") == 3
    assert number_in("Step 3: 40", "last") == 40
    assert number_in("<think>100</think>12") == 12
    assert number_in("a1 1e5 v2.0.1", "first") is None
    assert number_in("9" * 400) is None
    assert number_in("") is None


def test_verdicts() -> None:
    def judged(text: str, **meta: object) -> tuple[Status, object]:
        verdict = grade(attempt(4, text=text, problem=problem(4, answer="5", kind="distance", meta=meta)))
        return verdict.status, verdict.detail.get("reward")

    assert judged("5") == (Status.CORRECT, 12.0)
    assert judged("#### 6", distance="5-4-3-2-1") == (Status.WRONG, 3.0)
    assert judged("I cannot say") == (Status.UNPARSED, None)
    assert judged("I cannot say", distance={"shape": "linear", "invalid": -1}) == (Status.UNPARSED, -1.0)
    assert check(gold="five", text="5", kind="distance").status is Status.GOLD_UNPARSED
    with pytest.raises(DataError, match=r"meta\.distance: expected a preset"):
        judged("5", distance="nearly")


def test_the_best_constant() -> None:
    """What always saying one number earns: the mark that a trained model has to pass."""
    assert best_constant(PRESETS["12-6-3"], [4, 5, 5, 6, 9]) == (5, (6 + 12 + 12 + 6 + 0) / 5)
    with pytest.raises(DataError, match="got none"):
        best_constant(PRESETS["12-6-3"], [])
