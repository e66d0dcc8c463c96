"""Calibration, efficiency and contamination: against sums by hand and against scikit-learn's definitions."""

import math

import numpy as np
import pytest

from conftest import attempt, problem
from porism.errors import DataError
from porism.evaluate import calibration, contamination, details, efficiency
from porism.records import Attempt, Status, Verdict

SURE = [0.9, 0.9, 0.6, 0.6, 0.2]
RIGHT = [True, True, True, False, False]


def test_scores() -> None:
    names = range(5)
    expected = np.mean([(s - r) ** 2 for s, r in zip(SURE, RIGHT, strict=True)])
    assert calibration.brier(SURE, RIGHT, names).value == pytest.approx(expected)
    # bins 0.9: |1 − 0.9|, 0.6: |0.5 − 0.6|, 0.2: |0 − 0.2|
    assert calibration.expected_error(SURE, RIGHT, names).value == pytest.approx(0.4 * 0.1 + 0.4 * 0.1 + 0.2 * 0.2)
    bins = calibration.reliability(SURE, RIGHT)
    assert [(one.answers, round(one.confidence, 6), one.accuracy.value) for one in bins] == [
        (1, 0.2, 0.0), (2, 0.6, 0.5), (2, 0.9, 1.0),
    ]  # fmt: skip
    assert calibration.reliability([1.0], [True])[0].high == 1.0, "certainty belongs to the last bin"


def test_risk_and_coverage() -> None:
    assert calibration.risk_at(SURE, RIGHT, 0.4) == 0.0
    assert calibration.risk_at(SURE, RIGHT, 0.8) == pytest.approx(0.25)
    assert calibration.risk_at(SURE, RIGHT, 0.6) == pytest.approx(0.5 / 3), "of two of one confidence, half of each"
    assert calibration.risk_at(SURE, RIGHT, 1.0) == pytest.approx(0.4)
    risks = [calibration.risk_at(SURE, RIGHT, share) for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert calibration.area_under_risk(SURE, RIGHT, range(5)).value == pytest.approx(np.mean(risks))
    assert calibration.area_under_risk([0.5] * 4, [True, False] * 2, range(4)).value == pytest.approx(0.5)
    assert calibration.area_under_risk([0.9, 0.1], [True, False], range(2)).value == pytest.approx(0.25)


def test_a_calibrated_model_has_little_error() -> None:
    generator = np.random.default_rng(0)
    said = generator.random(1500)
    right = (generator.random(1500) < said).tolist()
    assert calibration.expected_error(said.tolist(), right, range(1500)).value < 0.05
    area = calibration.area_under_risk(said.tolist(), right, range(1500))
    assert area.low < area.value < area.high
    assert area.value < 0.5 * (1 - np.mean(right)) + 0.1, "the sure answers are right more often"


def test_undefined() -> None:
    assert math.isnan(calibration.risk_at([], [], 0.5))
    for one in (
        calibration.brier([], [], []),
        calibration.expected_error([], [], []),
        calibration.area_under_risk([], [], []),
    ):
        assert all(math.isnan(value) for value in one)
    assert calibration.reliability([], []) == []


def with_probability(value: object, status: Status = Status.CORRECT, number: int = 0) -> Attempt:
    verdict = Verdict(status=status, grader="verifier", detail={"probability": value})
    return attempt(number, verdict=verdict, meta={"trace": {"sure": value}})


def test_confidence_by_its_tag() -> None:
    some = [with_probability(0.9), with_probability(0.3, Status.WRONG, 1)]
    for tag in ("detail.probability", "trace.sure", "meta.trace.sure"):
        found = details.details(some, confidence=tag)["calibration"]
        assert found["brier"]["value"] == pytest.approx((0.1**2 + 0.3**2) / 2)
    for bad in (None, 1.5, True, "0.9"):
        with pytest.raises(DataError, match="no probability under 'trace.sure'"):
            details.details([with_probability(bad)], confidence="trace.sure")


def test_votes_are_a_confidence() -> None:
    def answered(answer: str, sample: int, number: int) -> Attempt:
        status = Status.CORRECT if answer == str(number + 1) else Status.WRONG
        return attempt(
            number, sample=sample, verdict=Verdict(status=status, answer=answer, grader="number", profile="auto")
        )

    some = [answered(answer, at, 0) for at, answer in enumerate("1112")]
    some += [answered(answer, at, 1) for at, answer in enumerate("3325")]
    found = details.details(some)["calibration"]
    assert found["confidence"] == "share of votes"
    assert found["brier"]["value"] == pytest.approx(((0.75 - 1) ** 2 + (0.5 - 0) ** 2) / 2)
    assert details.details(some[:1])["calibration"] == {}


def spent(number: int, tokens: int, status: Status = Status.CORRECT, **more: object) -> Attempt:
    return attempt(number, status, completion_tokens=tokens, **more)


def test_tokens() -> None:
    some = [spent(0, 10), spent(1, 30, Status.WRONG), spent(2, 20, finish="length"), spent(3, 100, Status.WRONG)]
    assert efficiency.tokens_per_answer(some).value == 40
    assert efficiency.tokens_per_correct(some).value == 80
    assert efficiency.truncated(some).value == 0.25
    assert efficiency.accuracy_within(some, 15).value == 0.25
    assert efficiency.accuracy_within(some, 20).value == 0.5
    assert math.isnan(efficiency.tokens_per_correct(some[1:2]).value), "none is correct"
    assert math.isnan(efficiency.tokens_per_correct([]).value)


def test_intervals_of_tokens_take_problems_for_independent() -> None:
    alike = [spent(n % 10, 10 + 5 * (n % 10), sample=n // 10) for n in range(40)]
    apart = [spent(n, 10 + 5 * (n % 10)) for n in range(40)]
    widths = [one.high - one.low for one in map(efficiency.tokens_per_answer, (alike, apart))]
    assert widths[0] > 1.8 * widths[1]


def test_latency() -> None:
    some = [spent(n, 10, meta={"seconds": float(n)}) for n in range(1, 101)]
    median, late = efficiency.latency(some, 0.5), efficiency.latency(some, 0.95)
    assert (median.value, late.value) == (50.0, 95.0)
    assert median.low < 50 < median.high
    assert math.isnan(efficiency.latency([spent(0, 10)], 0.5).value)


def test_contamination() -> None:
    mark = {"contaminated": {"method": "ngrams", "score": 1.0}}
    some = [attempt(n, Status.CORRECT if n < 8 else Status.WRONG, meta=mark if n < 5 else {}) for n in range(20)]
    found = contamination.report(some)
    assert found is not None
    assert (found.contaminated, found.clean, found.methods) == (5, 15, {"ngrams": 5})
    assert (found.on_contaminated.value, found.on_clean.value) == (1.0, 0.2)
    assert found.difference.low > 0
    assert contamination.report(some[5:]) is None
    marked = attempt(0, problem=problem(0, meta=mark))
    assert contamination.mark_of(marked) == mark["contaminated"], "the mark may be the problem's"
    assert details.details(some)["contamination"]["contaminated"] == 5
