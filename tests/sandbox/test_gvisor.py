"""The tier gvisor, where runsc is installed."""

import json
import os
import socket
from pathlib import Path

import pytest

from porism import sandbox
from porism.sandbox import _box, _gvisor

pytestmark = pytest.mark.slow

SMALL = sandbox.Limits(cpu_seconds=2, wall_seconds=20, output_kb=64, processes=12)


@pytest.fixture(scope="module", autouse=True)
def needs_it() -> None:
    """Every test here runs programs in it."""
    try:
        assert sandbox.ready("gvisor") == "gvisor"
    except sandbox.Refused as error:
        pytest.skip(str(error))


def test_programs_and_tests(tmp_path: Path) -> None:
    ran = sandbox.run("import os\nprint(os.uname().release, input())", "Ada", sandbox="gvisor")
    assert ran.out.endswith(" Ada\n")
    assert not ran.out.startswith(os.uname().release), "the kernel is another one"
    assert ran.tier == "gvisor"
    tests = {"tests": ["assert f(2) == 4", "assert f(3) == 9"], "functions": ["f"]}
    judged = sandbox.judge("def f(n): return n + n", tests, sandbox="gvisor")
    assert [one.status for one in judged.tests] == ["passed", "failed"]
    cheat = "class A(int):\n def __eq__(self, other): return True\ndef f(n): return A(0)"
    assert [one.status for one in sandbox.judge(cheat, tests, sandbox="gvisor").tests] == ["failed"] * 2


def test_nothing_gets_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    devices = [Path(f"/dev/{name}").stat()[:6] for name in ("null", "zero", "full")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        program = (
            "import os, socket\n"
            f"for act in (lambda: open({str(secret)!r}).read(), lambda: open('/etc/passwd').read(),\n"
            f"            lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2),\n"
            f"            lambda: os.kill({os.getpid()}, 9), lambda: open('/usr/x', 'w'), lambda: os.setuid(0)):\n"
            "    try:\n        print('ESCAPED', act())\n    except OSError:\n        pass\n"
            "print(os.listdir('.'))\nopen('left', 'w').write('x')\n"
        )
        assert [sandbox.run(program, sandbox="gvisor").out for _ in range(2)] == ["[]\n", "[]\n"]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [Path(f"/dev/{name}").stat()[:6] for name in ("null", "zero", "full")] == devices, "owner and mode"


@pytest.mark.parametrize(
    ("source", "limit"),
    [("while True: pass", "cpu"), ("while True: print('x' * 1000)", "output"), ("x = bytearray(1 << 32)", "memory")],
)
def test_limits(source: str, limit: str) -> None:
    ran = sandbox.run(source, limits=SMALL, sandbox="gvisor")
    if limit == "cpu" and ran.limit == "starved":
        pytest.skip("the machine was too busy to use up the limit of processor time")
    assert ran.limit == limit


def test_who_watches_cannot_be_ended() -> None:
    attacks = json.loads(Path(__file__).with_name("attacks.json").read_text())["escapes"]
    for name in ("every signal to the one that watches", "kill all at once", "limits of the one that watches"):
        ran = sandbox.run("\n".join(attacks[name]), sandbox="gvisor")
        assert ("ESCAPED" in ran.out, ran.limit) == (False, ""), name


def test_nothing_is_left_behind() -> None:
    box = _gvisor.GvisorBox()
    folder = box._folder
    assert folder.is_dir()
    box.close()
    assert not folder.exists()
    assert isinstance(_box._boxes["gvisor"], _gvisor.GvisorBox)


def test_without_runsc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.Refused, match="runsc is not installed"):
        _gvisor.GvisorBox()
