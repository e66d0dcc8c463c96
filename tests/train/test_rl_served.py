"""Roll-outs by a vLLM server that is given the weights: a real process on loopback that stands in for vLLM."""

from pathlib import Path
from typing import Any

import pytest
from rl_kit import attempts, learn, metrics
from vllm_kit import fake_python

from porism.errors import ModelError

OWN = """
def reward(prompts, completions, completion_ids, **columns):
    return [float(ids[0]) for ids in completion_ids]
"""


def served(tmp_path: Path, model: Path, *args: str, **settings: Any) -> Any:
    (tmp_path / "own.py").write_text(OWN)
    options = {"python": fake_python(tmp_path), "dtype": "float32", "probe": False, "server_args": list(args)}
    values = {"engine": "vllm", "engine_options": options, "method": "lora", "lora_r": 2, "max_difference": 99.0}
    return learn(tmp_path, "x", model, rewards={f"{tmp_path / 'own.py'}:reward": 1.0}, **{**values, **settings})


def test_each_iteration_is_rolled_out_on_its_own_weights(tiny_model: Path, tmp_path: Path) -> None:
    """The server is given the adapter before each iteration, and every answer says which one it is from."""
    served(tmp_path, tiny_model, "--fake=tokens", max_steps=3)
    found = attempts(tmp_path / "x")
    names = [one.text.split(" ")[0] for one in found]
    assert names == ["weights-0-1"] * 8 + ["weights-1-2"] * 8 + ["weights-2-3"] * 8
    assert [one.meta["weights"] for one in found[::8]] == [0, 1, 2]
    assert [line["reward"] for line in metrics(tmp_path / "x")] == [6.5] * 3
    assert metrics(tmp_path / "x")[0]["sampler_difference"] > 0.1  # of a server that is another model
    assert not (tmp_path / "x" / "weights").exists()


def test_a_server_that_says_something_else_is_found_out(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not tell the tokens"):
        served(tmp_path, tiny_model, max_steps=1)
