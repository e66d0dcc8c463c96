"""Adapters in the engine vllm: loaded while the server runs, and used only where the probe agrees."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_kit import chat, texts
from vllm_kit import Start, gone, lora, scores, starting, told

from porism.engines import _probe, local
from porism.engines._probe import Agreement
from porism.engines._weights import linear_layers, weights_of
from porism.errors import ModelError, RecipeError
from porism.models.load import fingerprint, load


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Any]:
    """Adapters of the tiny model: name → folder and network."""
    folder = tmp_path_factory.mktemp("adapters")
    made = {"a": 0.3, "b": 0.4, "faint": 1e-3}
    found: dict[str, Any] = {
        name: (folder / name, lora(tiny_model, folder / name, scale)) for name, scale in made.items()
    }
    found["wide"] = (folder / "wide", lora(tiny_model, folder / "wide", 0.3, rank=9))
    return found


@pytest.fixture
def start(tmp_path: Path, tiny_model: Path, adapters: dict[str, Any]) -> Iterator[Start]:
    table = adapters["a"][0].with_name("scores.json")
    if not table.exists():
        scores(tiny_model, {str(folder): network for folder, network in adapters.values()}, table)
    yield from starting(tmp_path, tiny_model, f"--fake-scores={table}")


def test_an_adapter_is_served_and_another_one_takes_its_place(
    start: Start, tmp_path: Path, adapters: dict[str, Any]
) -> None:
    engine = start(adapters["a"][0])
    pids = told(tmp_path)["pids"]
    assert texts(engine.generate([chat()])) == [["a-1 says 0"]]
    assert engine.generate([chat()])[0].weights == 0
    assert engine.model == fingerprint(str(adapters["a"][0]))
    assert "--max-lora-rank=8" in told(tmp_path)["argv"]

    folder, network = adapters["b"]
    network.train()
    agreement = engine.swap(folder, network=network)
    assert network.training  # as it was
    assert isinstance(agreement, Agreement)
    assert agreement.difference < 1e-5 < agreement.moved
    (reply,) = engine.generate([chat()])
    assert (reply.samples[0].text, reply.weights) == ("b-2 says 0", 1)
    assert engine.model == fingerprint(str(folder))

    names = [engine.swap(adapters[name][0], network=adapters[name][1]) and name for name in ("a", "b")]
    assert names == ["a", "b"]
    assert engine.weights == 3
    served = engine._connection._loop.run(engine._connection._caller.send("/models", None))["data"]
    assert [row["id"] for row in served][1:] == ["a-3", "b-4"]  # the one before may still be answering
    assert told(tmp_path)["pids"] == pids  # it was the same server all the time


def test_what_the_trainer_does_not_have_is_refused(start: Start, adapters: dict[str, Any]) -> None:
    engine = start(adapters["a"][0])
    with pytest.raises(
        ModelError, match=r"does not say what .*/b says.* differ by 0\.\d+ on average.* tolerance=0.0002"
    ):
        engine.swap(adapters["b"][0], network=adapters["a"][1])  # the file is not what is in memory
    expected = _probe.forward(adapters["a"][1], load(str(adapters["a"][0])).tokenizer)
    with pytest.raises(ModelError, match="does not say what"):
        engine.swap(adapters["b"][0], logprobs=expected)
    assert texts(engine.generate([chat()])) == [["a-1 says 0"]]
    assert engine.weights == 0
    served = engine._connection._loop.run(engine._connection._caller.send("/models", None))["data"]
    assert [row["id"] for row in served][1:] == ["a-1"]
    agreement = engine.swap(adapters["a"][0], logprobs=expected)
    assert agreement
    assert math.isnan(agreement.moved)
    assert engine.weights == 1


def test_a_server_that_ignores_the_adapter_is_found_out(start: Start, tmp_path: Path, adapters: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="does not say what"):
        start(adapters["a"][0], "--fake=deaf")
    assert gone(told(tmp_path)["pids"])
    assert start(adapters["a"][0], "--fake=deaf", tolerance=50.0).weights == 0
    assert start(adapters["a"][0], "--fake=deaf", probe=False).weights == 0


def test_a_probe_that_can_see_nothing_says_so(
    start: Start, adapters: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    start(adapters["faint"][0], tolerance=0.05)
    assert "the probe cannot tell whether it is in use" in capsys.readouterr().err
    start(adapters["a"][0], tolerance=0.01)
    assert "cannot tell" not in capsys.readouterr().err


def test_an_adapter_that_vllm_does_not_take_is_told_how_to_merge(
    start: Start, tmp_path: Path, adapters: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=r"does not take the adapter .*DoRA.* porism export .*/a --to FOLDER"):
        start(adapters["a"][0], "--fake=refuses")
    assert gone(told(tmp_path)["pids"])


def test_what_does_not_fit_the_running_server_starts_it_again(
    start: Start, tmp_path: Path, tiny_model: Path, adapters: dict[str, Any]
) -> None:
    engine = start(adapters["a"][0])
    first = told(tmp_path)
    engine.swap(adapters["wide"][0], network=adapters["wide"][1])
    assert gone(first["pids"])
    second = told(tmp_path)
    assert "--max-lora-rank=16" in second["argv"]
    assert second["environment"]["VLLM_API_KEY"] != first["environment"]["VLLM_API_KEY"]
    assert texts(engine.generate([chat()])) == [["wide-2 says 0"]]
    with pytest.raises(ModelError, match="does not say what"):  # a whole model is looked at, too
        engine.swap(tiny_model, network=adapters["a"][1])
    assert gone(told(tmp_path)["pids"])


def test_adapters_may_come_later(start: Start, tmp_path: Path, tiny_model: Path, adapters: dict[str, Any]) -> None:
    engine = start(tiny_model, max_lora_rank=3)
    assert "--max-lora-rank=8" in told(tmp_path)["argv"]
    assert texts(engine.generate([chat()])) == [["model says 0"]]
    engine.swap(adapters["a"][0], network=adapters["a"][1])
    assert texts(engine.generate([chat()])) == [["a-1 says 0"]]
    argv = told(tmp_path)["argv"]
    at = argv.index("--lora-target-modules")
    layers = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert argv[at + 1 : at + 8] == linear_layers(tiny_model) == layers  # the vocabulary's is not among them


def test_an_adapter_belongs_to_its_model(tmp_path: Path, tiny_model: Path, adapters: dict[str, Any]) -> None:
    folder = str(adapters["a"][0])
    assert weights_of(str(tiny_model), folder) == weights_of(folder)
    other = tmp_path / "other"
    load(str(tiny_model)).model.save_pretrained(other)
    with pytest.raises(RecipeError, match=f"adapter: .* was trained on {tiny_model}, and the model is {other}"):
        weights_of(str(other), folder)


def test_the_plain_forward_pass_says_what_the_local_engine_says(tiny_model: Path, adapters: dict[str, Any]) -> None:
    for name in (str(tiny_model), str(adapters["a"][0])):
        engine = local.start(name, dtype="float32")
        loaded = load(name)
        found = _probe.compare(engine.score(_probe.PAIRS), _probe.forward(loaded.model, loaded.tokenizer), 1e-4)
        assert found.holds, found
    with pytest.raises(ModelError, match="two tokenizers"):
        _probe.compare([[1.0]], [[1.0, 2.0]], 1.0)
    assert not Agreement(math.nan, 1.0).holds
