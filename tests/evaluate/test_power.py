"""What a benchmark can show, before it is run."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from porism.errors import RecipeError
from porism.evaluate import planning
from porism.evaluate.power import Design, detectable, half_width, mcnemar_power, needed, plan
from porism.evaluate.statistics import mcnemar


def test_gsm8k() -> None:
    """1,319 problems at 50 %: a standard error of 1.4 points; 3 points between two models that agree often."""
    assert half_width(1319, Design(correlation=0.0)) / 1.96 == pytest.approx(0.0138, abs=1e-4)
    assert detectable(1319, Design(correlation=0.7)) == pytest.approx(0.030, abs=0.001)


@pytest.mark.parametrize("n", [100, 500, 1319])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_the_exact_test_finds_it(n: int, correlation: float) -> None:
    """McNemar's exact test is a little less sharp than the normal approximation by which a set is planned."""
    design = Design(accuracy=0.5, correlation=correlation)
    found = detectable(n, design)
    exact = mcnemar_power(n, (design.variance + found) / 2, (design.variance - found) / 2)
    assert 0.70 <= exact <= 0.82


def test_the_exact_power_is_that_of_a_simulation() -> None:
    generator = np.random.default_rng(2)
    gained, lost = 0.15, 0.05
    drawn = generator.multinomial(150, [gained, lost, 1 - gained - lost], size=3000)
    found = np.mean([mcnemar(int(fewer), int(more)) <= 0.05 for more, fewer, _ in drawn])
    assert mcnemar_power(150, gained, lost) == pytest.approx(found, abs=0.03)
    assert mcnemar_power(150, 0.1, 0.1) <= 0.05, "no difference is found in at most 5 %"
    assert mcnemar_power(0, 0.1, 0.1) == mcnemar_power(10, 0.0, 0.0) == 0.0


def test_problems_and_difference_belong_together() -> None:
    for design in (
        Design(),
        Design(accuracy=0.1, samples=4),
        Design(power=0.9, cluster_size=5, cluster_correlation=0.3),
    ):
        n = needed(0.05, design)
        assert detectable(n, design) <= 0.05 < detectable(n - 2, design)


def test_what_makes_a_difference_easier_to_find() -> None:
    base = detectable(300, Design())
    assert detectable(1200, Design()) == pytest.approx(base / 2, rel=0.02)
    assert detectable(300, Design(correlation=0.9)) < base < detectable(300, Design(correlation=0.0))
    assert detectable(300, Design(samples=8)) < base
    assert detectable(300, Design(samples=8, sampling=0.0)) == base, (
        "where nothing is left to chance, samples are alike"
    )
    assert detectable(300, Design(cluster_size=10, cluster_correlation=0.2)) > base
    assert detectable(300, Design(alpha=0.005)) > base
    assert detectable(300, Design(power=0.5)) < base
    assert math.isnan(detectable(0, Design()))
    assert math.isnan(half_width(0, Design()))
    assert detectable(1, Design(correlation=-1.0)) <= 1


def test_a_simulated_comparison_with_samples() -> None:
    """The variance that is planned with is that of a simulation: two models, 4 samples, chances that go together."""
    generator = np.random.default_rng(4)
    rates = generator.beta(1, 1, (4000, 200))  # both models have the same chance at a problem
    shares = [generator.binomial(4, rates) / 4 for _ in range(2)]
    differences = (shares[0] - shares[1]).mean(axis=1)
    correlation = 1 / 3  # of two answers with the same Beta(1, 1) chance
    planned = Design(accuracy=0.5, correlation=correlation, samples=4, sampling=2 / 3)
    assert differences.var() == pytest.approx(planned.variance / 200, rel=0.05)


def test_the_table() -> None:
    (row,) = plan(200, [Design(accuracy=0.3)], gain=0.05)
    assert row["accuracy"] == "30%"
    assert row["95 % interval"] == "±6.4"
    assert row["problems for 5 points"] == needed(0.05, Design(accuracy=0.3))
    assert "McNemar finds it" not in plan(200, [Design(samples=4)])[0]


def shown(capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    settings = {"problems": 0, "paths": [], "accuracies": [0.5], "correlation": 0.5, "samples": 1,
                "cluster_correlation": 0.0, "gain": 0.0, "alpha": 0.05, "comparisons": 1, "chance": 0.8}  # fmt: skip
    planning.show(**{**settings, **given})
    return capsys.readouterr().out


def test_every_option_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = "".join(
        f'{{"question": "What is {n} + 1?", "answer": "{n + 1}", "group": "g{n % 2}", "set": "s"}}\n' for n in range(8)
    )
    (tmp_path / "p.jsonl").write_text(rows)
    paths = [str(tmp_path / "p.jsonl")]
    alone = shown(capsys, paths=paths)
    assert re.search(r"50%\s+8\s", alone)
    assert shown(capsys, paths=paths, cluster_correlation=0.5) != alone
    plain = shown(capsys, problems=200)
    changes: list[dict[str, Any]] = [
        {"accuracies": [0.1]},
        {"accuracies": []},
        {"correlation": 0.9},
        {"samples": 8},
        {"gain": 0.05},
        {"alpha": 0.01},
        {"comparisons": 4},
        {"chance": 0.9},
    ]
    for change in changes:
        assert shown(capsys, problems=200, **change) != plain, change
    for wrong in ({}, {"problems": 5, "paths": paths}, {"problems": 5, "accuracies": [1.5]}):
        with pytest.raises(RecipeError, match="expected"):
            shown(capsys, **wrong)


def test_from_the_shell(tmp_path: Path) -> None:
    command = ["eval", "--power", "--problems", "200", "--accuracy", "0.3", "--gain", "0.05"]
    done = subprocess.run(
        [sys.executable, "-m", "porism", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"30%\s+200\s+±6\.4", done.stdout)
    assert not list(tmp_path.iterdir()), "nothing is written"
