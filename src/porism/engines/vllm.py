"""Generation by vLLM as a child process: in an environment of its own, on loopback, ended with this process.

It is asked as :mod:`porism.engines.openai` asks any server. LoRA adapters are swapped while it runs; new weights are
used only after the server's log-probabilities of fixed texts agree with a plain forward pass of the model itself.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from porism import console
from porism.engines import OnText, Reply, Request, _command, _probe, _serving, _wire, openai
from porism.engines._calls import Caller, Policy, client_library
from porism.engines._command import Options, allowed
from porism.engines._ledger import Ledger
from porism.engines._probe import Agreement
from porism.engines._weights import RANKS, Weights, weights_of
from porism.errors import ModelError
from porism.models.load import fingerprint
from porism.models.machine import Dtype
from porism.models.names import home
from porism.recipe import NOT_IN_KEY

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Agreement", "Vllm", "start"]

_PORTS = 3
"""How many ports are tried: another process may take a free one before the server does."""
_POLICY = Policy(retries=2, timeout=7200.0, deadline=14_400.0)
"""For a server on this machine: what takes long is work, and its death is seen."""


class Vllm:
    """A vLLM server that belongs to this process. :func:`start` makes one.

    Args:
        found: the interpreter that has vLLM.
        options: how the server is run.
        weights: what it serves first.
    """

    def __init__(self, found: _command.Found, options: Options, weights: Weights) -> None:
        self._found, self._options = found, options
        self._log = _log_file(options.log)
        self._loads = 0
        self._boot(weights)
        if weights.adapter is not None:
            try:
                self._use(weights, None, (), version=0)
            except BaseException:
                self.close()
                raise
        self.model = fingerprint(str(weights.folder), base=self._base_hash)
        """Fingerprint of the weights that answer."""

    @property
    def weights(self) -> int:
        """Version of the weights that answer: how often they were changed since the start."""
        return self._current[1]

    def swap(
        self, model: str | Path, *, network: PreTrainedModel | None = None, logprobs: Sequence[Sequence[float]] = ()
    ) -> Agreement | None:
        """Answer with other weights from here on, once a probe agrees that the server has them.

        An adapter on the same base is loaded while the server runs; requests under way end with the weights that they
        began with. For anything else the server is started again.

        Args:
            model: an adapter's folder, or a model.
            network: the trainer's own model, to compare with; left out, the folder is loaded for that.
            logprobs: what :func:`porism.engines._probe.forward` gave for it in another process, instead.

        Returns:
            What the probe found; None where ``probe`` is off.

        Raises:
            ModelError: the server does not take the weights, or says something else than the model. It goes on with
                the old ones; where it had to be started again, it is closed.
        """
        self._open()
        weights, version = weights_of(str(model)), self.weights + 1
        again = not self._fits(weights)
        if again:
            self._end()
            self._boot(weights)
        try:
            agreement = self._use(weights, network, logprobs, version=version)
        except BaseException:
            if again:
                self.close()
            raise
        self.model = fingerprint(str(weights.folder), base=self._base_hash)
        return agreement

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request, in order; see :meth:`porism.engines.openai.OpenAI.generate`.

        Raises:
            ModelError: the server has died; with the end of its log.
        """
        engine, version = self._open()
        try:
            replies = engine.generate(requests, on_text=on_text, cancel=cancel)
        except ModelError:
            self._refuse_dead()
            raise
        return [dataclasses.replace(reply, weights=version) for reply in replies]

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probability of each token of a completion, given its prompt.

        Raises:
            ModelError: the server has died, or a call failed for good.
        """
        try:
            return self._open()[0].score(pairs)
        except ModelError:
            self._refuse_dead()
            raise

    def close(self) -> None:
        """End the server. Its log is removed, unless ``log`` names it or the server died."""
        kept = self._options.log or not self._server.alive
        self._end()
        if not kept:
            self._log.unlink(missing_ok=True)

    # --- the server ---

    def _boot(self, weights: Weights) -> None:
        """Start a server on a base model, and connect to it.

        Raises:
            ModelError: it does not come up; with the end of its log.
        """
        options, key = self._options, _serving.new_key()
        rank = max(options.max_lora_rank, weights.rank)
        variables = _command.environment(self._found, key, options, lora=rank > 0)
        arguments = _command.arguments(self._found, options, weights, rank)
        build = f"vLLM {self._found.version}{' for CPUs' if self._found.cpu else ''}"
        console.notice(f"Starting {build} on {weights.base}; its log is {self._log}")
        for left in range(_PORTS - 1, -1, -1):
            port = _serving.free_port()
            self._server = _serving.Server(
                self._found.python, arguments, port=port, variables=variables, log=self._log, key=key
            )
            try:
                self._server.wait(options.start_timeout)
                self._connect(weights, key)
                break
            except ModelError as error:
                self._server.stop()
                if not left or "address already in use" not in str(error).lower():
                    raise
            except BaseException:
                self._server.stop()
                raise
        self._running, self._rank, self._closed = weights, rank, False
        self._base_hash = fingerprint(str(weights.base))

    def _connect(self, weights: Weights, key: str) -> None:
        base_url = f"http://127.0.0.1:{self._server.port}/v1"
        policy = _POLICY._replace(concurrency=self._options.concurrency)
        caller = Caller(base_url, key, "VLLM_API_KEY", policy, direct=True)
        server = _wire.Server(weights.base.name, vllm=True)
        tokenizer = str(weights.tokenizer)
        self._connection = openai.connected(caller, server, Ledger(), base_url=base_url, tokenizer=tokenizer)
        self._current = self._connection, 0
        """Who answers, and the version of the weights: one thing, so that no reply tells another one's."""
        self._serves: list[str] = []

    def _end(self) -> None:
        self._closed = True
        self._connection.close()
        self._server.stop()

    def _open(self) -> tuple[openai.OpenAI, int]:
        """Who answers, and with which version of the weights.

        Raises:
            ModelError: nobody, since the server was ended.
        """
        if self._closed:
            raise ModelError("this vLLM server was ended: by close, or because new weights could not be used.")
        return self._current

    def _refuse_dead(self) -> None:
        """Say so where the server is no more.

        Raises:
            ModelError: it has died; with the end of its log.
        """
        if not self._server.alive:
            raise self._server.failed("died") from None

    # --- its weights ---

    def _fits(self, weights: Weights) -> bool:
        """Whether the server that runs can load these: an adapter on its base, of no higher rank, with its tokens."""
        running = self._running
        known = running.base == weights.base and weights.tokenizer in (running.tokenizer, running.base)
        return weights.adapter is not None and known and weights.rank <= self._rank

    def _use(
        self,
        weights: Weights,
        network: PreTrainedModel | None,
        logprobs: Sequence[Sequence[float]],
        *,
        version: int,
    ) -> Agreement | None:
        """Answer with these weights, if they can be loaded and the probe agrees."""
        name = weights.base.name
        if weights.adapter is not None:
            self._loads += 1
            name = f"{weights.adapter.name}-{self._loads}"
            self._load(weights.adapter, name)
        engine = self._connection.other(name)
        try:
            agreement = self._agreement(engine, weights, network, logprobs) if self._options.probe else None
        except BaseException:
            self._unload(name)
            raise
        old, self._serves = self._serves[:-1], [*self._serves[-1:], name]  # the last may still be at work on requests
        self._current = engine, version
        for each in old:
            self._unload(each)
        return agreement

    def _load(self, adapter: Path, name: str) -> None:
        try:
            self._connection.post("/load_lora_adapter", {"lora_name": name, "lora_path": str(adapter.resolve())})
        except ModelError as error:
            self._refuse_dead()
            raise ModelError(
                f"vLLM does not take the adapter {adapter}: {error} A merged model it takes: "
                f"porism export {adapter} --to FOLDER"
            ) from None

    def _unload(self, name: str) -> None:
        """Free an adapter's place; where the server does not, that is said, since it ends nothing."""
        if name == self._running.base.name or not self._server.alive:
            return
        try:
            self._connection.post("/unload_lora_adapter", {"lora_name": name})
        except ModelError as error:
            console.notice(f"  vLLM keeps the adapter {name}: {error}")

    def _agreement(
        self,
        engine: openai.OpenAI,
        weights: Weights,
        network: PreTrainedModel | None,
        logprobs: Sequence[Sequence[float]],
    ) -> Agreement:
        """Compare what the server says with what the model says.

        Raises:
            ModelError: they are too far apart.
        """
        if not logprobs and network is None:
            _probe.refuse_too_large(weights)
        wanted, base = (logprobs, ()) if logprobs else _probe.reference(weights, network)
        found = _probe.compare(engine.score(_probe.PAIRS), wanted, _tolerance(self._options), base)
        if not found.holds:
            raise ModelError(
                f"vLLM does not say what {weights.folder} says: log-probabilities of fixed texts differ by "
                f"{found.difference:.4f} on average, more than tolerance={found.tolerance:g}. They are not used. Was "
                "the folder written after the model was compared, or does the server read it otherwise?"
            )
        if found.moved < found.tolerance:
            console.notice(
                f"  {weights.folder} moves log-probabilities by {found.moved:.4f}, less than tolerance "
                f"({found.tolerance:g}): the probe cannot tell whether it is in use"
            )
        return found


def _log_file(wanted: str) -> Path:
    file = Path(wanted).expanduser() if wanted else home() / "logs" / f"vllm-{os.getpid()}-{time.time_ns()}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _tolerance(options: Options) -> float:
    if options.tolerance:
        return options.tolerance
    return _probe.QUANTISED if options.quantization else _probe.TOLERANCES[options.dtype]


def start(
    model: str,
    *,
    python: Annotated[str, Field(description="the interpreter of the environment that has vLLM"), NOT_IN_KEY] = "",
    adapter: Annotated[str, Field(description="a folder with a LoRA adapter of the model"), NOT_IN_KEY] = "",
    dtype: Annotated[Dtype, Field(description="of the weights; auto leaves it to vLLM, on a CPU to its kind")] = "auto",
    quantization: Annotated[str, Field(description="such as fp8; by default what the model's files have")] = "",
    max_model_len: Annotated[int, Field(description="longest context; 0 for the model's own", ge=0)] = 0,
    tensor_parallel: Annotated[int, Field(description="GPUs that share each layer", ge=1)] = 1,
    data_parallel: Annotated[int, Field(description="copies of the model, side by side", ge=1), NOT_IN_KEY] = 1,
    gpu_memory: Annotated[
        float, Field(description="share of the memory; 0: vLLM's choice", ge=0, le=1), NOT_IN_KEY
    ] = 0,
    max_lora_rank: Annotated[
        int, Field(description="of adapters that are swapped in; 0 for the first one's", ge=0, le=RANKS[-1]), NOT_IN_KEY
    ] = 0,
    server_args: Annotated[list[str], AfterValidator(allowed), Field(description="more of vLLM's own arguments")] = [],  # noqa: B006
    concurrency: Annotated[int, Field(description="requests at a time", ge=1, le=1000), NOT_IN_KEY] = 256,
    start_timeout: Annotated[
        float, Field(description="seconds until the server must be ready", gt=0), NOT_IN_KEY
    ] = 900.0,
    log: Annotated[str, Field(description="a file for the server's log"), NOT_IN_KEY] = "",
    probe: Annotated[bool, Field(description="compare an adapter with the server before its use"), NOT_IN_KEY] = True,
    tolerance: Annotated[float, Field(description="of that, in nats; 0: by the dtype", ge=0), NOT_IN_KEY] = 0.0,
) -> Vllm:
    """An engine on a vLLM server that is started for it and ends with it.

    Raises:
        MissingExtra: the interpreter has no vLLM, or this one has no ``openai``.
        ModelError: the model is unknown or unsafe, the server does not come up, or the adapter fails the probe.
        RecipeError: no such interpreter, or an adapter of another model.
    """
    options = Options(
        tensor_parallel=tensor_parallel,
        data_parallel=data_parallel,
        quantization=quantization,
        gpu_memory=gpu_memory,
        max_model_len=max_model_len,
        dtype=dtype,
        max_lora_rank=next((rank for rank in RANKS if rank >= max_lora_rank), 0) if max_lora_rank else 0,
        server_args=allowed(server_args),
        concurrency=concurrency,
        start_timeout=start_timeout,
        log=log,
        probe=probe,
        tolerance=tolerance,
    )
    client_library("vllm")  # found missing before the server has started
    return Vllm(_command.look(python), options, weights_of(model, adapter))
