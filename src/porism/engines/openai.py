"""Generation by any server that speaks OpenAI's protocol: vLLM, llama.cpp, Ollama, OpenAI itself, and many more.

Requests run side by side, each tried again where that can help. One that fails for good is a sample with the reason;
what would befall every request (a wrong key, an unknown model, a dead server) is one error that says what to do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
import os
import queue
import re
import urllib.parse
from collections.abc import Coroutine, Mapping, Sequence
from threading import Event
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from porism import console
from porism.engines import OnText, Reply, Request, Sample, _wire
from porism.engines._asking import Asker, Board
from porism.engines._calls import Caller, CallFailed, EventLoop, Policy
from porism.engines._ledger import Ledger, Usage
from porism.engines._raw import Scoring, Tokens
from porism.errors import ModelError, RecipeError
from porism.models._site import in_the_open
from porism.recipe import NOT_IN_KEY

__all__ = ["OpenAI", "Usage", "connected", "start"]

T = TypeVar("T")

_LOOK = 0.05
"""Seconds between two looks at whether the caller has cancelled."""

_USUAL_KEY = "OPENAI_API_KEY"
_DESCRIBES = ("id", "owned_by", "root", "parent", "max_model_len", "meta", "revision", "digest")
"""What tells models apart in a server's list; times and permissions change with every look."""


class OpenAI:
    """An engine behind HTTP. :func:`start` makes one.

    Args:
        caller: sends requests.
        server: what is known of the other side.
        ledger: counts tokens and money.
        base_url: for messages and the fingerprint.
        tokenizer: whose tokens the model's are; nothing if unknown.
        failed: a file for requests that failed for good; nothing for none.
        loop: where ``caller`` lives.
    """

    def __init__(
        self,
        caller: Caller,
        server: _wire.Server,
        ledger: Ledger,
        *,
        base_url: str,
        tokenizer: str,
        failed: str,
        loop: EventLoop,
    ) -> None:
        self._caller, self._server, self._ledger, self._loop, self._base_url = caller, server, ledger, loop, base_url
        self._tokenizer, self._failed = tokenizer, failed
        tokens = Tokens(caller, base_url, server.model, tokenizer)
        self._asker = Asker(caller, server, ledger, tokens, base_url=base_url, failed=failed)
        self._scoring = Scoring(caller, server, tokens, ledger, base_url)
        self.model = ""
        self._stopped: ModelError | None = None
        caller.on_retry = lambda: ledger.count(retries=1)

    @property
    def usage(self) -> Usage:
        """Requests, tokens and money so far."""
        return self._ledger.usage

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request, in order; one that fails for good has samples with the reason.

        Where what befalls every request (a key that is revoked, credit that is used up) comes when some are answered,
        those are returned, the others have the reason, and the next call raises it: what was paid for is not lost.

        Args:
            requests: what to answer.
            on_text: told of text as it comes, in the calling thread.
            cancel: once it is set, what is in flight is aborted and ends with the error ``cancelled``.

        Raises:
            ModelError: wrong key, unknown model, no credit, or nothing could be reached at all.
            RecipeError: a JSON schema that is not JSON.
        """
        for request in requests:
            _wire.check(request)
        if self._stopped:
            raise self._stopped
        if not requests:
            return []
        if on_text is None:
            return self._loop.run(self._all(requests, None, cancel))
        told: queue.SimpleQueue[tuple[int, int, str] | None] = queue.SimpleQueue()

        async def streamed() -> list[Reply]:
            try:
                return await self._all(requests, lambda *news: told.put(news), cancel)
            finally:
                told.put(None)

        def pass_on() -> None:
            for news in iter(told.get, None):
                on_text(*news)

        return self._loop.run(streamed(), pass_on)

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probability of each token of a completion, given its prompt.

        Raises:
            ModelError: the server cannot echo a prompt with its log-probabilities, or a call failed for good.
        """

        async def all_scores() -> list[list[float]]:
            try:
                await self._asker.refuse_template()
            except CallFailed as failure:
                raise self._unreachable(failure.reason) from None
            tasks = await _together([self._scoring.score(*pair) for pair in pairs])
            return [task.result() for task in tasks]

        return self._loop.run(all_scores())

    def other(self, model: str) -> OpenAI:
        """The same server, asked for another of its models: same connections, same counts; closed with this one."""
        return OpenAI(
            self._caller,
            dataclasses.replace(self._server, model=model),
            self._ledger,
            base_url=self._base_url,
            tokenizer=self._tokenizer,
            failed=self._failed,
            loop=self._loop,
        )

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send something that is no request for text, such as a server's own command, and return what comes back.

        Raises:
            ModelError: it failed; with the server's reason.
        """
        try:
            return self._loop.run(self._caller.send(path, body, fatal=frozenset(), retries=0))
        except CallFailed as failure:
            raise ModelError(f"{self._base_url}{path}: {failure.reason}") from None

    def close(self) -> None:
        """Abort what is in flight, close the connections, and say what it cost."""
        if not self._loop.running:
            return
        self._loop.run(self._caller.close())
        self._loop.close()
        usage = self.usage
        if usage.cost or usage.failed:
            console.notice(
                f"{self._server.model}: {usage.requests:,} requests, {usage.failed:,} failed, "
                f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens, cost {usage.cost:.4g}"
            )

    async def connect(self) -> None:
        """Look at the server's list of models: is it there, is the key right, what is this model?

        Raises:
            ModelError: it is not, or the key is refused.
        """
        try:
            listed = await self._caller.send("/models", None, fatal=frozenset({401, 402, 403}))
        except CallFailed as failure:
            if not 400 <= failure.status < 500:
                raise self._unreachable(failure.reason) from None
            listed = {}
        rows = listed.get("data") if isinstance(listed, dict) else None
        rows = [row for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict)]
        own: dict[str, Any] = next((row for row in rows if row.get("id") == self._server.model), {})
        described = {name: own[name] for name in _DESCRIBES if name in own}
        what = json.dumps([self._base_url, self._server.model, described], sort_keys=True)
        self.model = hashlib.sha256(what.encode()).hexdigest()
        self._server.vllm = self._server.vllm or own.get("owned_by") == "vllm"
        self._server.context = _wire.count(own.get("max_model_len"))

    def _unreachable(self, reason: str) -> ModelError:
        return ModelError(f"{self._base_url} cannot be reached: {reason}. Is the server running, and base_url right?")

    async def _all(self, requests: Sequence[Request], tell: OnText | None, cancel: Event | None) -> list[Reply]:
        answered = self._caller.answered
        boards = [Board() for _ in requests]
        work = [
            self._asker.fill(board, request, functools.partial(tell, at) if tell else None)
            for at, (board, request) in enumerate(zip(boards, requests, strict=True))
        ]
        try:
            await _together(work, cancel)
        except ModelError as error:
            if not any(sample.finish != "error" for board in boards for sample in board.samples.values()):
                raise
            self._stopped = error
            unasked = Sample(text="", finish="error", error=str(error))
            for board, request in zip(boards, requests, strict=True):
                board.samples = {number: board.samples.get(number, unasked) for number in range(request.n)}
        dead = next((board.dead for board in boards if board.dead), "")
        if dead and self._caller.answered == answered:
            raise self._unreachable(dead)
        return [_reply(request, board) for request, board in zip(requests, boards, strict=True)]


async def _together(work: Sequence[Coroutine[Any, Any, T]], cancel: Event | None = None) -> list[asyncio.Task[T]]:
    """Do everything side by side; the first exception, or ``cancel``, ends the rest.

    Returns:
        The finished tasks, in order; those that ``cancel`` ended are cancelled.
    """
    tasks = [asyncio.create_task(one) for one in work]
    watcher = asyncio.create_task(_watch(cancel, tasks)) if cancel else None
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION) if tasks else (set(), None)
        error = next((e for task in finished if not task.cancelled() and (e := task.exception())), None)
    finally:
        for task in (*tasks, watcher):
            if task:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if error:
        raise error
    return tasks


async def _watch(cancel: Event, tasks: Sequence[asyncio.Task[Any]]) -> None:
    while not cancel.is_set():  # noqa: ASYNC110 (it is set in another thread)
        await asyncio.sleep(_LOOK)
    for task in tasks:
        task.cancel()


def _reply(request: Request, board: Board) -> Reply:
    cancelled = Sample(text="", finish="error", error="cancelled")
    samples = tuple(board.samples.get(number, cancelled) for number in range(request.n))
    return Reply(samples=samples, prompt_tokens=board.prompt_tokens)


def _variable(name: str) -> str:
    """Refuse what is no variable's name, without showing it.

    Raises:
        RecipeError: it is none.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        raise RecipeError(
            "key_env: expected the name of an environment variable, such as OPENAI_API_KEY; what came is not shown, "
            "in case it is the key itself."
        )
    return name


def _address(base_url: str) -> str:
    """Refuse an address that is none, or that holds a secret.

    Raises:
        RecipeError: no http or https address, or one with a user, a query or a fragment.
    """
    try:
        parts = urllib.parse.urlsplit(base_url)
        plain = parts.scheme in ("http", "https") and bool(re.fullmatch(r"[\w.:\[\]-]+", parts.netloc))
        plain = plain and parts.port != 0  # reading it also refuses what is no port
        hidden = "@" in parts.netloc or parts.query or parts.fragment
    except ValueError:
        plain, hidden = False, ""
    if hidden:
        raise RecipeError(
            "base_url: expected an address without user, password and query. Put the key into the environment "
            "variable that key_env names."
        )
    if not plain:
        raise RecipeError(f"base_url: expected an address such as http://127.0.0.1:8000/v1, got {base_url!r}.")
    return base_url


def start(
    model: str,
    *,
    base_url: Annotated[
        str, AfterValidator(_address), Field(description="the server, such as http://127.0.0.1:8000/v1")
    ],
    key_env: Annotated[
        str, AfterValidator(_variable), Field(description="environment variable that holds the key"), NOT_IN_KEY
    ] = _USUAL_KEY,
    concurrency: Annotated[int, Field(description="requests at a time", ge=1, le=1000), NOT_IN_KEY] = 16,
    retries: Annotated[int, Field(description="tries after the first", ge=0), NOT_IN_KEY] = 6,
    backoff: Annotated[float, Field(description="seconds: longest first wait; doubles", ge=0), NOT_IN_KEY] = 0.5,
    timeout: Annotated[float, Field(description="seconds for one try", gt=0), NOT_IN_KEY] = 600.0,
    deadline: Annotated[float, Field(description="seconds for all tries of a request", gt=0), NOT_IN_KEY] = 1800.0,
    price_in: Annotated[float, Field(description="money for a million prompt tokens", ge=0), NOT_IN_KEY] = 0.0,
    price_out: Annotated[float, Field(description="money for a million generated tokens", ge=0), NOT_IN_KEY] = 0.0,
    budget: Annotated[float, Field(description="most money to spend; 0 for no limit", ge=0), NOT_IN_KEY] = 0.0,
    failed: Annotated[
        str, Field(description="a file for requests that failed for good; left out, the stage's"), NOT_IN_KEY
    ] = "",
    tokenizer: Annotated[str, Field(description="an alias or folder with the model's tokenizer")] = "",
    server: Annotated[Literal["auto", "vllm", "other"], Field(description="whose own parameters it takes")] = "auto",
    extra_body: Annotated[dict[str, Any], Field(description="put into every request; null leaves a field out")] = {},  # noqa: B006
) -> OpenAI:
    """An engine on a server. The key is read from the environment, and sent to that server only.

    Raises:
        MissingExtra: the ``openai`` package is not installed.
        ModelError: the server cannot be reached, or refuses the key.
        RecipeError: a setting is wrong, or there is a budget without prices.
    """
    if budget and not (price_in or price_out):
        raise RecipeError("budget: expected price_in or price_out with it, so that the cost can be counted.")
    base_url = _address(base_url).rstrip("/")
    key = os.environ.get(_variable(key_env), "").strip()
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):  # before a header's error message could show it
        raise ModelError(f"the environment variable {key_env} holds characters that no key has. Set it again.")
    if key and key_env == _USUAL_KEY and in_the_open(base_url):
        raise RecipeError(
            f"base_url: {base_url} is reached without encryption, so the key in {_USUAL_KEY} is not sent there. Use "
            "https; or name a variable with that server's own key by key_env, or one that is not set to send none."
        )
    caller = Caller(base_url, key, key_env, Policy(concurrency, retries, backoff, timeout, deadline))
    known = _wire.Server(model, vllm=server == "vllm", extra=extra_body)
    ledger = Ledger(price_in, price_out, budget)
    engine = connected(caller, known, ledger, base_url=base_url, tokenizer=tokenizer, failed=failed)
    known.vllm = known.vllm and server != "other"
    return engine


def connected(
    caller: Caller, server: _wire.Server, ledger: Ledger, *, base_url: str, tokenizer: str, failed: str = ""
) -> OpenAI:
    """An engine on a server that has been looked at; see :class:`OpenAI`.

    Raises:
        ModelError: the server cannot be reached, or refuses the key.
    """
    loop = EventLoop()
    engine = OpenAI(caller, server, ledger, base_url=base_url, tokenizer=tokenizer, failed=failed, loop=loop)
    try:
        loop.run(engine.connect())
    except BaseException:
        engine.close()
        raise
    return engine
