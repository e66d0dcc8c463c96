"""The engine behind HTTP as a stage: failed attempts, budgets, interruptions."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

from fake_openai import Act, Fake, Seen
from openai_kit import FAST, KEY

from conftest import lines, problem
from porism import pipeline, store
from porism.errors import DataError, ModelError
from porism.records import to_row

# --- as a stage ----------------------------------------------------------------------------------------


def problems(folder: Path, count: int) -> str:
    file = folder / "p.jsonl"
    file.write_text("".join(json.dumps(to_row(problem(n))) + "\n" for n in range(count)))
    return str(file)


def right(body: dict[str, Any], number: int) -> str:
    question = body["messages"][-1]["content"]
    return f"#### {int(question.split()[2]) + 1}"


def solve(target: Path, fake: Fake, records: str, **settings: Any) -> store.Manifest:
    values = {"input": [records], "engine": "openai", "model": "m", "base_url": fake.url, **FAST, **settings}
    return pipeline.execute(pipeline.prepare("solve", "direct", values), target)


def test_failed_attempts_are_asked_again_when_the_stage_goes_on(tmp_path: Path) -> None:
    records = problems(tmp_path, 12)
    out = tmp_path / "s"
    broken = {"What is 3 + 1?", "What is 7 + 1?", "What is 8 + 1?"}

    def bad(seen: Seen) -> Act | None:
        return Act(400, {}) if seen.body and seen.body["messages"][-1]["content"] in broken else None

    with Fake(bad, answer=right) as fake:
        with pytest.raises(DataError, match=r"3 of 12 attempts.*3 error"):
            solve(out, fake, records, problems_at_once=5, failed=str(tmp_path / "failed_requests.jsonl"))
        assert len(lines(tmp_path / "failed_requests.jsonl")) == 3
        with pytest.raises(DataError, match="3 of 12 attempts"):
            solve(out, fake, records, problems_at_once=5, retry_errors=False)
        assert len(fake.asked()) == 12
        broken.remove("What is 3 + 1?")
        with pytest.raises(DataError, match="2 of 12 attempts"):
            solve(out, fake, records, problems_at_once=5, concurrency=3)
        assert len(fake.asked()) == 15
        broken.clear()
        assert solve(out, fake, records, problems_at_once=5, retries=1).counts == {
            "correct": 12,
            "dropped": 0,
            "records": 12,
        }
        assert len(fake.asked()) == 17
        solve(tmp_path / "whole", fake, records)
        assert (out / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path: Path) -> None:
    records = problems(tmp_path, 10)
    money = {"price_out": 1e6, "max_tokens": 2, "samples": 2}
    with Fake(answer=right) as fake:
        with pytest.raises(DataError, match="Most often: budget used up"):
            solve(tmp_path / "s", fake, records, budget=24.0, **money)
        assert 0 < len(fake.asked()) < 10
        solve(tmp_path / "s", fake, records, budget=100.0, **money)
        assert len(fake.asked()) == 10, "what was paid for is kept"
        solve(tmp_path / "whole", fake, records, **money)
    assert (tmp_path / "s" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


def porism(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "porism", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_goes_on_after_it_was_killed_and_the_key_is_nowhere(tmp_path: Path) -> None:
    records = problems(tmp_path, 24)
    env = {**os.environ, "MY_KEY": KEY, "OPENAI_LOG": "debug", "OPENAI_API_KEY": ""}
    said = ""
    with Fake(lambda seen: Act(then=True, delay=0.05) if seen.body else None, answer=right) as fake:
        command = ["solve", "--input", records, "--engine", "openai", "--base-url", fake.url, "--model", "m"]
        command += ["--key-env", "MY_KEY", "--problems-at-once", "4", "--concurrency", "2", "--failed", "failed.jsonl"]
        process = porism(*command, "--output", "s", cwd=tmp_path, env=env)
        progress = tmp_path / "s" / ".progress.jsonl"
        while not progress.exists() or progress.read_text().count("\n") < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        said += "".join(process.communicate())
        before = len(fake.asked())
        assert before < 24
        process = porism(*command, "--output", "s", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 0, said
        assert "goes on: it was cut off" in said
        assert len(fake.asked()) < before + 20, "finished units are not asked again"
        process = porism(*command, "--output", "whole", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 0, said
        assert (tmp_path / "s" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
        assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in fake.seen)

        fake.script = lambda seen: Act(401 if seen.body else 200, {"error": {"message": f"bad {KEY}"}})
        process = porism(*command, "--output", "t", "--seed", "2", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 2, said
        assert "porism: " in said
        assert "The key in the environment variable MY_KEY was refused" in said
        assert "Traceback" not in said
    assert "HTTP Request" in said or "HTTP Response" in said, "the client's own log was on"
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 4
    assert not any(KEY.encode() in data for data in written)
    assert KEY not in said


def test_ctrl_c_aborts_what_is_in_flight(tmp_path: Path) -> None:
    records = problems(tmp_path, 8)
    with Fake(lambda seen: Act(then=True, delay=60) if len(fake.asked()) > 4 else None, answer=right) as fake:
        command = ["solve", "--input", records, "--engine", "openai", "--base-url", fake.url, "--model", "m"]
        process = porism(*command, "--problems-at-once", "4", "--output", "s", cwd=tmp_path, env=dict(os.environ))
        while len(fake.asked()) < 6:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert errors.strip().splitlines()[-1] == "porism: Stopped. The same command goes on from here."
        fake.script = lambda seen: None
        process = porism(*command, "--problems-at-once", "4", "--output", "s", cwd=tmp_path, env=dict(os.environ))
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_a_port_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        command = ["solve", "--input", problems(tmp_path, 1), "--engine", "openai", "--base-url", url, "--retries", "1"]
        process = porism(*command, "--output", "s", cwd=tmp_path, env=dict(os.environ))
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.startswith(f"porism: {url} cannot be reached")
    assert len(errors.strip().splitlines()) == 1


def test_a_stage_tells_what_it_used_and_keeps_what_failed(tmp_path: Path) -> None:
    """All sessions together, also one that ended in an error; failed requests lie beside the attempts."""
    records = problems(tmp_path, 10)
    revoked = True

    def script(seen: Seen) -> Act | None:
        asked = seen.body["messages"][-1]["content"] if seen.body else ""
        if asked == "What is 3 + 1?" and revoked:
            return Act(400, {"error": {"message": "odd"}})
        return Act(401, {}) if revoked and len(fake.asked()) > 6 else None

    with Fake(script, answer=right) as fake:
        with pytest.raises((DataError, ModelError)):
            solve(tmp_path / "s", fake, records, problems_at_once=5, concurrency=1, price_out=1e6)
        paid = store.Manifest.load(tmp_path / "s" / "manifest.json").figures["engine_cost"]
        assert paid > 0
        failed = lines(tmp_path / "s" / "failed_requests.jsonl")
        assert failed[0]["error"].startswith("400")
        revoked = False
        figures = solve(tmp_path / "s", fake, records, problems_at_once=5, price_out=1e6).figures
    assert figures["engine_requests"] == 10
    assert figures["engine_cost"] > paid
    assert figures["engine_prompt_tokens"] > 0
