"""What the report shows of a training on its own answers."""

import json
from pathlib import Path

import pytest

from conftest import attempt
from porism.evaluate import rollouts
from porism.records import Status, to_row


def line(step: int, rate: float) -> dict[str, float]:
    return {
        "step": step,
        "loss": 0.0,
        "reward": rate,
        "pass_rate": rate,
        "pass_rate/g0": rate / 2,
        "length": 10.0,
        "entropy": 1.0,
        "kl": 0.01,
        "zero_variance": 0.25,
        "unjudged": 0.1,
    }


def test_curves_groups_and_answers_before_and_after(tmp_path: Path) -> None:
    first = attempt(1, Status.WRONG, text="#### 7", meta={"iteration": 0, "reward": 0.0})
    last = attempt(1, text="#### 2", meta={"iteration": 5, "reward": 1.0})
    once = attempt(3, meta={"iteration": 2, "reward": 1.0})
    rows = [json.dumps(to_row(one)) + "\n" for one in (first, once, last)]
    (tmp_path / "records.jsonl").write_text("".join(rows))
    found = rollouts.section(tmp_path, [line(step, step / 10) for step in range(1, 7)])
    assert found is not None
    assert len(found["plots"]) == 5
    assert all(plot.startswith("<svg") for plot in found["plots"].values())
    assert found["groups"] == {"g0": (pytest.approx(0.075), pytest.approx(0.275))}
    assert found["rates"]["zero variance"] == pytest.approx(0.25)
    (sample,) = found["samples"]
    assert [(side["iteration"], side["status"], side["text"]) for side in sample["sides"]] == [
        (1, "wrong", "#### 7"),
        (6, "correct", "#### 2"),
    ]


def test_other_trainings_have_no_such_part(tmp_path: Path) -> None:
    assert rollouts.section(tmp_path, [{"step": 1, "loss": 0.5, "reward": 0.1}]) is None
