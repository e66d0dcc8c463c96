"""Symbolic work under a deadline: from threads, asyncio and forked processes; what overruns is killed."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from porism.graders import check
from porism.graders._answers import compare
from porism.graders._pool import Overran, Pool, shared
from porism.records import Status

SYMBOLIC = (r"\sum_{k=1}^{4} k", "10")
OPTIONS = {"float_rounding": 6, "strict": True, "allow_set_relation_comp": True}
SLOW = {"gold": r"\int_0^{7} \sin(x^{7}) \cos(e^x) dx", "answer": "1", "options": OPTIONS}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_answers() -> None:
    outcome = compare(*SYMBOLIC, seconds=60)
    assert outcome.correct
    assert "Math-Verify" in outcome.reason


def test_a_worker_that_overruns_is_killed_and_replaced() -> None:
    pool = Pool(1)
    try:
        assert pool.ask({"gold": "1", "answer": "x", "options": OPTIONS}, 60) == {"equal": False}
        before = pool.workers
        began = time.monotonic()
        with pytest.raises(Overran, match="deadline"):
            pool.ask(SLOW, 1.0)
        assert time.monotonic() - began < 1.5
        assert sum(map(is_alive, before)) == len(before) - 1
        assert pool.ask({"gold": "1", "answer": "x", "options": OPTIONS}, 60) == {"equal": False}
        assert all(map(is_alive, pool.workers))
    finally:
        pool.close()


def test_workers_that_died_are_replaced() -> None:
    pool = Pool(1)
    try:
        pool.ask({"gold": "1", "answer": "x", "options": OPTIONS}, 60)
        for pid in pool.workers:
            os.kill(pid, 9)
        deadline = time.monotonic() + 10
        while any(map(is_alive, pool.workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pool.ask({"gold": "1", "answer": "1", "options": OPTIONS}, 60) == {"equal": True}
    finally:
        pool.close()


def test_a_worker_that_dies_at_work_is_a_timeout() -> None:
    pool = Pool(1)
    try:
        pool.ask({"gold": "1", "answer": "x", "options": OPTIONS}, 60)
        killer = threading.Timer(0.9, lambda: [os.kill(pid, 9) for pid in pool.workers])
        killer.start()
        with pytest.raises(Overran, match="died"):
            pool.ask(SLOW, 1.2)
        killer.join()
        assert pool.ask({"gold": "1", "answer": "1", "options": OPTIONS}, 60) == {"equal": True}
    finally:
        pool.close()


def test_thirty_two_threads_at_once() -> None:
    golds = [str(number) for number in range(64)]
    with ThreadPoolExecutor(32) as threads:
        fast = list(threads.map(lambda gold: check(gold=gold, text=rf"\boxed{{{gold}.0}}", kind="math").status, golds))
        slow = list(
            threads.map(lambda n: compare(rf"\sum_{{k=1}}^{{{n}}} k", str(n * (n + 1) // 2), seconds=60), range(2, 34))
        )
    assert set(fast) == {Status.CORRECT}
    assert all(outcome.correct for outcome in slow)


def test_from_asyncio() -> None:
    async def several() -> list[bool]:
        outcomes = await asyncio.gather(*(asyncio.to_thread(compare, *SYMBOLIC, seconds=60) for _ in range(4)))
        return [outcome.correct for outcome in outcomes]

    assert asyncio.run(several()) == [True] * 4


def test_inside_a_forked_process() -> None:
    compare(*SYMBOLIC, seconds=60)
    mine = shared().workers
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # a data loader's worker
        try:
            good = compare(*SYMBOLIC, seconds=60).correct and not set(shared().workers) & set(mine)
            os.write(writer, b"good" if good else b"bad!")
            shared().close()
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 4) == b"good"
    os.close(reader)
    os.waitpid(child, 0)
    assert compare(*SYMBOLIC, seconds=60).correct, "the parent's workers still answer the parent"


def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import os\nfrom porism.graders._answers import compare\nfrom porism.graders._pool import shared\n"
        f"compare({SYMBOLIC[0]!r}, '10', seconds=60)\nprint(*shared().workers, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))
