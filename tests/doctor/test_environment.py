import http.server
import importlib.metadata
import re
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from doctor_kit import checks

from porism.doctor import Status, _environment, _network
from porism.models import machine

ROOT = Path(__file__).parents[2]


def test_the_tested_versions_are_those_of_the_constraints() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {name: pinned[name] for name in _environment.TESTED} == _environment.TESTED


def test_without_a_model_the_machine_alone_is_looked_at() -> None:
    found = checks()
    assert {one.group for one in found.values()} == {"environment"}
    assert found["environment python"].status == Status.OK
    assert found["environment dtype"].found.startswith(machine.choose_dtype())
    assert found["environment memory"].figures["total"] >= found["environment memory"].figures["free"] > 10**8
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    installed = set(found["environment extras"].figures["installed"])
    assert "dev" in declared - installed, "what is for those who work on Porism is not told"
    assert installed <= declared


def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0" if name in ("peft", "torch") else real(name))
    found = checks()
    assert found["environment packages"].status == Status.FAILED
    assert "peft>=0.21 (there is 1.0)" not in found["environment packages"].found, "1.0 is newer"
    assert "torch>=2.13 (there is 1.0)" in found["environment packages"].found
    assert found["environment versions"].status == Status.WARNING
    assert "peft 1.0 (tested: " in found["environment versions"].found


def test_a_missing_extra_has_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "llguidance":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = checks()["environment extras"]
    assert found.figures["missing"] == ["guided"]
    assert "pip install 'porism[guided]'" in found.found


def test_little_disk_and_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 10**10 - 10**9, 10**9))
    for module in (machine, _environment):
        monkeypatch.setattr(module, "processors", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "_idle", lambda most: 3)
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "not" / "there"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "https://user:secret@mirror.example:8443/path?token=secret")
    found = checks()
    assert found["environment disk"].status == Status.WARNING
    assert "1.0 GB free" in found["environment disk"].found
    assert found["environment threads"].status == Status.WARNING
    assert found["environment threads"].found == "3 of 64 processors are idle, so that many threads are chosen"
    assert capsys.readouterr().err == ""
    assert found["environment hub"].found == (
        "HF_HUB_OFFLINE is set: nothing is fetched from a hub; HF_ENDPOINT is https://mirror.example:8443"
    )


# --- hosts ---


class Host(http.server.BaseHTTPRequestHandler):
    """Answers every request with the status that its server has."""

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        sends = self.server.sends_to if "resolve" in self.path else ""  # type: ignore[attr-defined]
        self.send_response(302 if sends else self.server.status)  # type: ignore[attr-defined]
        if sends:
            self.send_header("Location", f"{sends}/signed?secret=hush")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    made.status, made.asked, made.sends_to = 200, [], ""  # type: ignore[attr-defined]
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_hosts_are_asked_only_when_wanted(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("HF_ENDPOINT", f"{address}/secret-path")
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:hush@127.0.0.1:{silent.getsockname()[1]}/simple")
        monkeypatch.setattr(_network, "_SECONDS", 0.5)
        assert not any(one.group == "network" for one in checks().values())
        begun = time.monotonic()
        found = checks(network=True)
        assert time.monotonic() - begun < 10
    assert server.asked == ["/", f"/secret-path/{_network._WEIGHTS}"]  # type: ignore[attr-defined]
    assert found["network hub"].status == Status.OK
    assert found["network hub"].found.startswith(f"{address} answers")
    scope, index = found["network ModelScope"], found["network PyPI"]
    assert scope.status == index.status == Status.WARNING
    assert "cannot be reached" in scope.found
    assert "modelscope:" in scope.cure
    assert "cannot be reached" in index.found
    assert "hush" not in repr(found)
    server.status = 503  # type: ignore[attr-defined]
    assert "an error of its own (status 503)" in checks(network=True)["network hub"].found
    server.status = 404  # type: ignore[attr-defined]
    assert checks(network=True)["network hub"].status == Status.OK


def test_the_host_that_a_hub_sends_to_is_asked_too(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_network, "_SECONDS", 0.5)
    monkeypatch.setattr(
        _network, "places", lambda: [_network._Place("hub", f"http://127.0.0.1:{server.server_port}", "")]
    )
    assert "network the hub's weights" not in checks(network=True)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server.sends_to = f"http://127.0.0.1:{closed.getsockname()[1]}"  # type: ignore[attr-defined]
        found = checks(network=True)
    assert found["network hub"].status == Status.OK
    weights = found["network the hub's weights"]
    assert weights.status == Status.WARNING
    assert weights.found.startswith(f"{server.sends_to} cannot be reached")  # type: ignore[attr-defined]
    assert "firewall" in weights.cure
    assert "hush" not in repr(found)


def test_the_index_of_pip_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    file.write_text("[global]\nindex-url = https://pip.example/100%/simple\n")
    assert _network.places()[2].address == "https://pip.example/100%/simple"
    monkeypatch.setenv("HF_ENDPOINT", "ftp://files.example")
    monkeypatch.setattr(_network, "_SECONDS", 0.2)
    assert "expected an http or https address" in checks(network=True)["network hub"].found
