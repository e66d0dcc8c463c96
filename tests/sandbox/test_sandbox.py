"""Programs in the sandbox: what they can do, how they end, what a result says."""

import json
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from porism import sandbox
from porism.errors import RecipeError
from porism.sandbox import _box, _tiers
from porism.sandbox.inside import seccomp

SMALL = sandbox.Limits(cpu_seconds=1, wall_seconds=3)


@pytest.fixture(autouse=True)
def needs_it(tier: str) -> None:
    """Every test here runs programs."""


def test_a_program_reads_and_writes(tier: str) -> None:
    ran = sandbox.run(
        "import sys\nname = input()\nprint('hello', name)\nprint('é', file=sys.stderr)\nsys.exit(3)", "Ada\n"
    )
    assert ran._replace(seconds=0) == ("hello Ada\n", "é\n", 3, "", 0, tier)


def test_a_program_sees_ordinary_python() -> None:
    source = (
        "import json, sys, subprocess, tempfile, threading, multiprocessing, pathlib, decimal, sqlite3, zlib\n"
        "assert __name__ == '__main__' and sys.argv == ['program.py']\n"
        "pathlib.Path('a').write_text('x')\n"
        "with tempfile.TemporaryFile() as f: f.write(b'y')\n"
        "out = []\n"
        "t = threading.Thread(target=out.append, args=(1,)); t.start(); t.join()\n"
        "queue = multiprocessing.get_context('fork').SimpleQueue()\n"
        "child = multiprocessing.get_context('fork').Process(target=queue.put, args=(2,)); child.start()\n"
        "print(queue.get(), out, subprocess.run(['echo', 'three'], capture_output=True).stdout)\n"
        "child.join()\n"
    )
    ran = sandbox.run(source)
    assert ran.out == "2 [1] b'three\\n'\n", ran
    assert (ran.code, ran.err) == (0, "")


def test_an_exception_is_shown_as_python_shows_it() -> None:
    ran = sandbox.run("def f():\n    return 1 / 0\nf()")
    assert ran.code == 1
    assert ran.err.startswith('Traceback (most recent call last):\n  File "program.py", line 3, in <module>\n')
    assert ran.err.endswith("ZeroDivisionError: division by zero\n")


def test_output_that_is_no_text() -> None:
    ran = sandbox.run("import os\nos.write(1, b'\\xff\\x00a')")
    assert ran.out == "\\xff\x00a"


@pytest.mark.parametrize(
    ("source", "code"), [("import sys\nsys.exit('why')", 1), ("import os\nos.kill(os.getpid(), 9)", -9)]
)
def test_exit_codes(source: str, code: int) -> None:
    assert sandbox.run(source).code == code


def test_a_recursion_as_deep_as_python_allows() -> None:
    source = "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(990))"
    assert sandbox.run(source).out == "990\n"


def judged(source: str, *tests: str, **more: object) -> list[str]:
    outcome = sandbox.judge(source, {"tests": list(tests), **more}, limits=SMALL)
    assert not outcome.broken, outcome
    return [one.status for one in outcome.tests]


def test_tests_call_the_program() -> None:
    source = "def f(a, *, b=0): return [a + b, {'x': (a,)}]"
    assert judged(source, "assert f(1) == [1, {'x': (1,)}]", "assert f(1, b=2) == 3", "f(None)") == [
        "passed",
        "failed",
        "raised",
    ]


def test_tests_may_expect_an_exception() -> None:
    source = "def f(n):\n    raise ValueError('no') if n else KeyError('k')"
    test = "try:\n    f({})\n    assert False\nexcept {}:\n    pass"
    assert judged(source, test.format(1, "ValueError"), test.format(0, "LookupError"), test.format(1, "KeyError")) == [
        "passed",
        "passed",
        "raised",
    ]


def test_objects_of_the_program_stay_with_it() -> None:
    source = (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "def total(node): return node.v + (total(node.next) if node.next else 0)\n"
        "def ends(node): return node if node.next is None else ends(node.next)\n"
        "def gen(n):\n    for i in range(n): yield Node(i)\n"
    )
    setup = "root = Node(1)\nroot.next = Node(2)"
    tests = (
        "assert total(root) == 3",
        "assert ends(root) == root.next and ends(root) != root",
        "assert ends(root).v == 2",
        "assert [one.v for one in gen(3)] == [0, 1, 2]",
        "assert ends(root)",
    )
    assert judged(source, *tests, setup=setup) == ["passed"] * 4 + ["failed"]


def test_names_that_belong_to_the_tests() -> None:
    """The program can replace neither built-in functions nor the tests' helpers, only what is tested."""
    source = "def helper(x): return x\ndef sorted(x): return x\ndef f(x): return x\ndef sum(a, b): return a - b"
    tests = ("assert helper(f([2, 1])) == [1, 2]", "assert sorted(f([2, 1])) == [1, 2]", "assert sum(3, 1) == 2")
    helpers = "def helper(x): return sorted(x)\ndef f(x): return 0"
    assert judged(source, *tests, helpers=helpers, functions=["f", "sum"]) == ["passed"] * 3
    assert judged("", "assert f(1) == 0", helpers=helpers, functions=["f"]) == ["raised"]


def test_modules_of_the_tests_are_the_real_ones() -> None:
    """Also where the tests do not import them, and the program has something else of that name."""
    cheat = "class math:\n    isclose = staticmethod(lambda *a: True)\ndef f(n): return 0"
    assert judged(cheat, "assert math.isclose(f(2), 4.0)") == ["failed"]
    assert judged("def f(n): return 2.0 * n", "assert math.isclose(f(2), 4.0)") == ["passed"]
    assert judged("def copy(n): return n", "assert copy(2) == 2") == ["passed"]


def test_broken_tests_are_told_apart() -> None:
    for tests in (
        {"tests": ["assert f("]},
        {"tests": ["assert f(1)"], "helpers": "1 / 0"},
        {"tests": ["assert f(1)"], "setup": "import nothing_of_that_name"},
    ):
        assert sandbox.judge("def f(x): return x", tests).broken


def test_a_program_that_cannot_be_loaded() -> None:
    for source, why in (
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import numpy_", "ModuleNotFoundError"),
    ):
        outcome = sandbox.judge(source, {"tests": ["assert f(1)"]})
        assert why in outcome.failed
        assert outcome.tests == []


def test_calls_with_values() -> None:
    calls = [{"args": [n], "kwargs": {}, "expected": expected} for n, expected in ((1, [1, 2]), (2, [3, 2]), ("a", 0))]
    outcome = sandbox.judge("def f(n): return (n + 1, n)", {"calls": calls, "function": "f", "unordered": True})
    assert [one.status for one in outcome.tests] == ["passed", "passed", "raised"]
    assert outcome.tests[2].why.startswith("TypeError")
    outcome = sandbox.judge("def f(n): return n", {"calls": calls[:1], "function": "f"})
    assert outcome.tests[0].why == "expected [1, 2], got 1"
    outcome = sandbox.judge("def g(n): return n", {"calls": calls[:1], "function": "f"})
    assert outcome.tests[0].why == "the program defines no 'f'"
    outcome = sandbox.judge("def f(n): return object()", {"calls": calls[:1], "function": "f"})
    assert outcome.tests[0].why == "the program gave a value of the type object"


def test_an_end_in_the_middle_names_its_limit() -> None:
    outcome = sandbox.judge("def f(n):\n    while n: pass", {"tests": ["f(0)", "f(1)", "f(0)"]}, limits=SMALL)
    assert [one.status for one in outcome.tests] == ["passed", "ended"]
    assert outcome.limit in ("cpu", "starved")


def test_from_many_threads() -> None:
    with ThreadPoolExecutor(16) as threads:
        outs = list(threads.map(lambda n: sandbox.run(f"print({n})").out, range(48)))
    assert outs == [f"{n}\n" for n in range(48)]


def test_the_thread_that_started_it_may_end() -> None:
    """Nothing hangs on that thread: not the sandbox's life either."""
    box = _box._boxes.pop("bubblewrap", None)
    if box is not None:
        box.close()
    starter = threading.Thread(target=sandbox.run, args=("",))
    starter.start()
    starter.join()
    process = _box._boxes["bubblewrap"].process.pid
    assert sandbox.run("print(1)").out == "1\n"
    assert _box._boxes["bubblewrap"].process.pid == process


def test_one_that_was_killed_is_replaced() -> None:
    sandbox.run("")
    box = _box._boxes["bubblewrap"]
    box.process.kill()
    box.process.wait()
    assert sandbox.run("print(1)").out == "1\n"


def test_in_a_forked_process() -> None:
    sandbox.run("")
    mine = _box._boxes["bubblewrap"].process.pid
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            good = sandbox.run("print(2)").out == "2\n" and _box._boxes["bubblewrap"].process.pid != mine
            os.write(writer, b"good" if good else b"bad!")
            _box._close_all()
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 4) == b"good"
    os.close(reader)
    os.wait()
    assert sandbox.run("print(3)").out == "3\n"


def test_it_ends_with_its_parent() -> None:
    """Also where that is killed, in the middle of a program."""
    code = (
        "import os, threading, time\nfrom porism import sandbox\nfrom porism.sandbox import _box\n"
        "sandbox.run('')\nsleeper = 'import time; time.sleep(100)'\n"
        "threading.Thread(target=sandbox.run, args=(sleeper,), daemon=True).start()\n"
        "time.sleep(0.5)\nprint(_box._boxes['bubblewrap'].process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    deadline = threading.Event()
    for _ in range(100):
        if not alive(pid):
            return
        deadline.wait(0.1)
    pytest.fail("the sandbox outlived the process that started it")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_unknown_tiers_are_refused() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'bubblewrap'"):
        sandbox.run("", sandbox="bublewrap")


def test_without_bubblewrap_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_tiers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.Refused, match="bubblewrap is not installed, so programs are not run") as caught:
        _box.Box("bubblewrap")
    assert "set sandbox to unsafe" in str(caught.value)
    assert caught.value.exit_code == 2
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    tmp_path.chmod(0o755)
    with pytest.raises(sandbox.Refused, match="does not work on this machine .*No permissions"):
        _box.Box("bubblewrap")


def test_unsafe_says_so() -> None:
    ran = sandbox.run("import os\nprint(os.path.exists('/proc/self'))", sandbox="unsafe")
    assert (ran.out, ran.tier) == ("True\n", "unsafe")
    outcome = sandbox.judge("def f(): return 1", {"tests": ["assert f() == 1"]}, sandbox="unsafe")
    assert outcome.tier == "unsafe"
    assert outcome.tests[0].status == "passed"


def test_the_filter_is_a_program_for_each_machine() -> None:
    for machine in seccomp.KNOWN_MACHINES:
        assert len(seccomp.program(machine)) % 8 == 0


def test_limits_are_what_is_asked_for() -> None:
    source = (
        "import json, resource as r\n"
        "kinds = r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE\n"
        "print(json.dumps([r.getrlimit(kind)[0] for kind in kinds]))"
    )
    limits = sandbox.Limits(cpu_seconds=7, memory_mb=200, processes=9, folder_mb=3, files=50)
    assert json.loads(sandbox.run(source, limits=limits).out) == [7, 200 << 20, 9, 3 << 20, 50]


def test_without_root() -> None:
    """Where the tests are run by root: by the system's Python, for another user."""
    python = Path("/usr/bin/python3")
    if os.getuid() != 0:
        pytest.skip("the tests are not run by root")
    if not python.exists():
        pytest.skip("there is no Python of the system's")
    packages = [str(Path(sandbox.__file__).parents[2]), *(path for path in sys.path if path.endswith("site-packages"))]
    code = (
        "import os\nfrom porism import sandbox\n"
        "print(os.getuid(), sandbox.run(\"import os; print(os.getuid(), os.path.exists('/home'))\"))"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(packages)},
        user=65532,
        group=65532,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("the system's Python cannot read this checkout, or is too old")
    assert done.stdout.startswith("65532 Ran(out='1000 False\\n'"), done.stderr


def test_a_program_without_what_the_setup_uses() -> None:
    """It is the program's fault, not that of the tests."""
    tests = {"tests": ["assert total(root) == 1"], "setup": "root = Node(1)"}
    outcome = sandbox.judge("def total(node): return node.v", tests)
    assert outcome.failed.startswith("the tests' setup: NameError: name 'Node'")
    assert (outcome.broken, list(outcome.tests)) == ("", [])


def test_an_end_that_a_test_hides() -> None:
    tests = {"tests": ["try:\n    f(1)\nexcept:\n    pass", "assert True"]}
    outcome = sandbox.judge("import os\ndef f(n): os._exit(0)", tests, limits=SMALL)
    assert [one.status for one in outcome.tests] == ["ended"]


def test_values_that_cannot_be_told() -> None:
    huge = "def f(n): return 10 ** 10_000"
    assert judged(huge, "assert f(1) == 0, f(1)", "assert f(2) == 0") == ["failed", "failed"]
    calls = [{"args": [n], "kwargs": {}, "expected": [0]} for n in (1, 2)]
    outcome = sandbox.judge("def f(n): return range(10 ** 15) if n == 1 else [0]", {"calls": calls, "function": "f"})
    assert [one.status for one in outcome.tests] == ["failed", "passed"]
    outcome = sandbox.judge("def f(n): raise ValueError('\\ud800')", {"calls": calls, "function": "f"})
    assert [one.why for one in outcome.tests] == ["ValueError: \ud800"] * 2


def test_tests_that_forge_their_report() -> None:
    forged = (
        "import sys\nframe = sys._getframe()\nwhile 'report' not in frame.f_locals: frame = frame.f_back\n"
        "frame.f_locals['report'].send({'nonce': frame.f_locals['tests']['nonce'], 'tests': 5})"
    )
    with pytest.raises(sandbox.SandboxError, match="cannot be read"):
        sandbox.judge("def f(n): return n", {"tests": [forged]}, limits=SMALL)


def test_sockets_beyond_the_first_thousand_descriptors() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most[1] < 4096:
        pytest.skip("so many files cannot be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, most[1]))
    kept = []
    try:
        while not kept or kept[-1] < 1100:
            kept.append(os.open(os.devnull, os.O_RDONLY))
        assert sandbox.run("print(1)").out == "1\n"
        assert judged("def f(n): return n", "assert f(1) == 1") == ["passed"]
    finally:
        for descriptor in kept:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, most)


def test_a_program_can_interrupt_itself() -> None:
    source = (
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt:\n    print('yes')"
    )
    assert sandbox.run(source).out == "yes\n"


def test_what_is_too_long_to_be_sent() -> None:
    """Is refused, and leaves no socket open."""
    with pytest.raises(sandbox.SandboxError, match="a value of more than 8 MB"):
        sandbox.run("", "x" * (9 << 20))
    with pytest.raises(RecipeError, match="output_kb: expected at most 3072, got 8000"):
        sandbox.Limits(output_kb=8000)
    most = sandbox.Limits(output_kb=3072)
    assert len(sandbox.run("print('x' * 3_000_000)", limits=most).out) == 3_000_001
