"""Every benchmark still runs, at a small size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("[!_]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_runs_small(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--small"], cwd=script.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    if "skipped" in result:
        pytest.skip(result["skipped"])
    assert result["command"]


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_has_committed_results(script: Path) -> None:
    result = json.loads((script.parent / "results" / f"{script.stem}.json").read_text())
    assert result["date"]
    assert result["machine"]
