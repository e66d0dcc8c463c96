"""The attack suite: nothing gets out, nothing passes, nothing hangs the machine, nothing is left behind."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from porism import sandbox

pytestmark = pytest.mark.attack

LIMITS = sandbox.Limits(
    cpu_seconds=1, wall_seconds=30, memory_mb=300, processes=16, folder_mb=16, output_kb=256, files=64
)
WAITS = dataclasses.replace(LIMITS, wall_seconds=2)
ATTACKS = json.loads(Path(__file__).with_name("attacks.json").read_text())
ESCAPES, FLOODS, LEFT_BEHIND, CHEATS = (ATTACKS[kind] for kind in ("escapes", "floods", "leave", "cheats"))
WORD = "porism-secret-7f3a"
TESTS = (
    "assert f(2) == 4",
    "assert f(5) == 25, 'five'",
    "assert abs(f(3)) == 9",
    "assert all(map(lambda n: f(n) == n * n, (2, 3)))",
)


class World(NamedTuple):
    """What is outside."""

    secret: Path
    victim: subprocess.Popen[bytes]
    devices: list[Any]
    port: int
    visits: list[Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tier: str) -> Iterator[World]:
    """A file, a process and a server that no program may reach."""
    del tier
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text(WORD)
    for folder in (secret, *list(secret.parents)[:-2]):  # what keeps it is the sandbox, not its mode
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o777)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    visits: list[Any] = []
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(server, visits), daemon=True).start()
    os.environ["PORISM_TEST_SECRET"] = WORD
    yield World(secret, victim, devices(), server.getsockname()[1], visits)
    del os.environ["PORISM_TEST_SECRET"]
    server.close()
    victim.kill()
    victim.wait()


def devices() -> list[Any]:
    """Mode and owner of the devices that programs see."""
    return [Path(f"/dev/{name}").stat()[:6] for name in ("null", "full", "random", "urandom")]


def _serve(server: socket.socket, visits: list[Any]) -> None:
    while True:
        try:
            visits.append(server.accept())
        except OSError:
            return


@pytest.fixture(scope="module")
def ran(world: World) -> Iterator[Callable[[str], Any]]:
    """The outcome of each attack; they are run side by side."""
    places = {
        "{secret}": str(world.secret),
        "{victim}": str(world.victim.pid),
        "{port}": str(world.port),
        "{home}": str(Path.home()),
        "{project}": str(Path(__file__).parents[2]),
        "{secret_word}": WORD,
    }

    def put_in(lines: list[str]) -> str:
        program = "\n".join(lines)
        for name, value in places.items():
            program = program.replace(name, value)
        return program

    def cheat(lines: list[str]) -> list[sandbox.Judged]:
        program = "\n".join(lines)
        limits = WAITS if "SIGSTOP" in program else LIMITS
        calls = [{"args": [n], "kwargs": {}, "expected": n * n} for n in (2, 5, 3)]
        return [
            sandbox.judge(program, {"tests": list(TESTS), "functions": ["f"]}, limits=limits),
            sandbox.judge(program, {"calls": calls, "function": "f"}, limits=limits),
        ]

    with ThreadPoolExecutor(4) as threads:
        futures: dict[str, Future[Any]] = {}
        programs = {
            **{name: (program, "") for name, program in {**ESCAPES, **LEFT_BEHIND}.items()},
            **{name: (flood["program"], flood["limit"]) for name, flood in FLOODS.items()},
        }
        for name, (program, limit) in programs.items():
            limits = WAITS if limit == "wall" else LIMITS
            futures[name] = threads.submit(sandbox.run, put_in(program), limits=limits)
        for name, program in CHEATS.items():
            futures[f"cheat: {name}"] = threads.submit(cheat, program)
        yield lambda name: futures[name].result()


def test_there_are_enough() -> None:
    assert len(ESCAPES) + len(FLOODS) + len(LEFT_BEHIND) + len(CHEATS) >= 60


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_gets_out(name: str, ran: Callable[[str], sandbox.Ran], world: World) -> None:
    outcome = ran(name)
    assert "ESCAPED" not in outcome.out
    assert WORD not in outcome.out + outcome.err
    assert outcome.limit in ("", "cpu"), outcome
    assert world.secret.read_text() == WORD
    assert world.victim.poll() is None
    assert world.visits == []


@pytest.mark.parametrize("name", FLOODS)
def test_each_limit_is_hit_where_it_should_be(name: str, ran: Callable[[str], sandbox.Ran]) -> None:
    outcome = ran(name)
    wanted = FLOODS[name]["limit"]
    if wanted == "cpu" and outcome.limit == "starved":
        pytest.skip("the machine was too busy to use up the limit of processor time")
    assert outcome.limit == wanted, outcome
    assert outcome.code != 0
    assert len(outcome.out) <= LIMITS.output_kb * 1024


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_a_program_that_leaves_something_ends_well(name: str, ran: Callable[[str], sandbox.Ran]) -> None:
    outcome = ran(name)
    assert (outcome.code, outcome.limit) == (0, "")


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_passes(name: str, ran: Callable[[str], list[sandbox.Judged]]) -> None:
    for outcome in ran(f"cheat: {name}"):
        assert not outcome.broken
        assert not any(one.status == "passed" for one in outcome.tests)


def test_nothing_is_left_behind(ran: Callable[[str], Any], world: World, tier: str) -> None:
    for name in (*ESCAPES, *FLOODS, *LEFT_BEHIND, *(f"cheat: {name}" for name in CHEATS)):
        ran(name)
    box = sandbox._box._boxes[tier]
    deadline = time.monotonic() + 10
    while (left := descendants(box.process.pid)) and time.monotonic() < deadline and len(left) > 2:
        time.sleep(0.1)
    assert len(left) <= 2, "the sandbox's first process, and the one that forks"
    assert box.alive
    assert devices() == world.devices
    mounts = Path("/proc/self/mountinfo").read_text()
    assert "porism" not in mounts
    after = "import os\nprint(os.listdir('.'), os.listdir('/dev/shm'), os.getpid() < 10)"
    assert sandbox.run(after).out == "[] [] True\n"


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]
