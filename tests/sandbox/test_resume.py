"""Killed in the middle of a batch and started again: no program is graded twice, none is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from conftest import attempt, lines
from porism.problems._tests import CodeTests
from porism.records import Problem, to_row

COUNT, AT_ONCE = 24, 4
TESTS = CodeTests(tests=["assert f() >= 0"], function="f").text()


def stored(folder: Path, log: Path) -> Path:
    """Attempts whose programs take a tenth of a second, and say in a file that they ran, where they can."""
    rows = []
    for number in range(COUNT):
        text = (
            f"```python\nimport time\ntry:\n    with open({str(log)!r}, 'a') as file: print({number}, file=file)\n"
            f"except OSError: pass\ntime.sleep(0.1)\ndef f(): return {number}\n```"
        )
        problem = Problem(question=f"q{number}", answer=TESTS, kind="code")
        rows.append(to_row(attempt(problem=problem, text=text, verdict=None)))
    file = folder / "attempts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def command(file: Path, out: Path, sandbox: str) -> list[str]:
    settings = ["--input", str(file), "--output", str(out), "--sandbox", sandbox, "--at-once", str(AT_ONCE)]
    return [sys.executable, "-m", "porism", "grade", *settings]


def killed(file: Path, out: Path, sandbox: str) -> int:
    """Start grading, kill it when some units are stored; how many programs have a verdict by then."""
    process = subprocess.Popen(command(file, out, sandbox), stderr=subprocess.PIPE)
    journal = out / ".progress.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "records.jsonl").exists()
    return journal.read_bytes().count(b"\n") * AT_ONCE


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["unsafe", "bubblewrap"])
def test_goes_on_where_it_was_killed(tmp_path: Path, tier: str, sandbox: str) -> None:
    del tier
    log = tmp_path / "log"
    file = stored(tmp_path, log)
    done = killed(file, tmp_path / "cut", sandbox)
    assert AT_ONCE <= done < COUNT
    before = set(log.read_text().split()[:done]) if log.exists() else set()
    time.sleep(2)  # what was under way ends with the process that wanted it
    log.unlink(missing_ok=True)
    subprocess.run(command(file, tmp_path / "cut", sandbox), check=True, capture_output=True)
    rows = lines(tmp_path / "cut" / "records.jsonl")
    assert [row["problem"]["question"] for row in rows] == [f"q{number}" for number in range(COUNT)]
    assert Counter(row["verdict"]["status"] for row in rows) == {"correct": COUNT}
    assert {row["verdict"]["detail"]["sandbox"] for row in rows} == {sandbox}
    if sandbox == "unsafe":  # where programs can write to the file
        again = Counter(log.read_text().split())
        assert set(again.values()) == {1}
        assert len(again) == COUNT - done
        assert not before & set(again), "what has a verdict is not run again"
    subprocess.run(command(file, tmp_path / "whole", sandbox), check=True, capture_output=True)
    assert (tmp_path / "cut" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
