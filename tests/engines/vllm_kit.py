"""What the tests of the engine vllm share: an interpreter that has a fake of it, adapters, and who is still alive."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import porism
from porism.engines import vllm

HERE = Path(__file__).parent

Start = Callable[..., vllm.Vllm]


def fake_python(folder: Path) -> str:
    """An interpreter in whose environment ``vllm`` is the fake: a real process with the real command line."""
    path = os.pathsep.join([str(HERE / "fake_vllm"), str(HERE), str(Path(porism.__file__).parents[1])])
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def starting(folder: Path, model: Path, *always: str) -> Iterator[Start]:
    """Starts engines with the fake, and closes them at the end."""
    engines = []

    def started(name: object = model, *args: str, **settings: Any) -> vllm.Vllm:
        (folder / "told.json").unlink(missing_ok=True)
        every = [f"--fake-tells={folder / 'told.json'}", *always, *args]
        settings = {"dtype": "float32", "python": fake_python(folder), **settings}
        engines.append(vllm.start(str(name), server_args=every, **settings))
        return engines[-1]

    yield started
    for engine in engines:
        engine.close()


def told(folder: Path) -> dict[str, Any]:
    """What the fake saw when it was started: pids, argv, environment."""
    file = folder / "told.json"
    wait_for(file.exists)
    value: dict[str, Any] = json.loads(file.read_text())
    return value


def wait_for(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def lora(model: Path, folder: Path, scale: float, rank: int = 2) -> Any:
    """Write a random adapter and return its network."""
    import peft
    import torch

    from porism.models.load import load

    config = peft.LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False)
    network = peft.get_peft_model(load(str(model)).model, config)
    torch.manual_seed(rank)
    for name, value in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=scale)
    network.peft_config["default"].base_model_name_or_path = str(model)
    network.save_pretrained(folder)
    return network.eval()


def scores(model: Path, networks: dict[str, Any], file: Path) -> None:
    """Write what the base ("") and each adapter (by its folder) say of the probe's texts, for the fake to repeat."""
    import torch

    from porism.engines._probe import TEXTS
    from porism.models.load import load

    loaded = load(str(model))
    table: dict[str, dict[str, list[float | None]]] = {}
    for name, network in {"": loaded.model, **networks}.items():
        table[name] = {}
        for prompt, completion in TEXTS:
            ids = loaded.tokenizer(prompt)["input_ids"] + loaded.tokenizer(completion)["input_ids"]
            with torch.inference_mode():
                logits = network(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            told = [float(logits[at - 1, ids[at]]) for at in range(1, len(ids))]
            table[name][" ".join(map(str, ids))] = [None, *told]
    file.write_text(json.dumps(table))
