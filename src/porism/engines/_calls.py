"""Calls to an OpenAI-compatible server: so many at a time, tries with backoff, deadlines, and what a failure means."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from porism.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["FATAL", "CallFailed", "Caller", "Collector", "EventLoop", "Policy", "client_library"]

T = TypeVar("T")

FATAL = frozenset({401, 402, 403, 404})
"""Statuses that every other request would get as well."""

_AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may pass."""

_LONGEST_WAIT = 60.0
_LONGEST_REASON = 400
_SHORTEST_KEY = 4
"""Shorter keys are no secrets, and blotting them out would blot out everything."""


class Policy(NamedTuple):
    """How often and how long a call is tried."""

    concurrency: int = 16
    """Calls at a time."""
    retries: int = 6
    """Tries after the first."""
    backoff: float = 0.5
    """Seconds: the longest wait after the first try; it doubles with each."""
    timeout: float = 600.0
    """Seconds for one try."""
    deadline: float = 1800.0
    """Seconds for all tries of a call."""


class CallFailed(Exception):
    """A call that failed for good.

    Args:
        reason: for people, without any secret.
        status: the HTTP status, 0 where none came.
        again: another try might help.
        dead: no connection could be made.
        wait: seconds that the server asked to wait.
    """

    def __init__(
        self, reason: str, *, status: int = 0, again: bool = False, dead: bool = False, wait: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.again, self.dead, self.wait = reason, status, again, dead, wait


class Collector(Protocol):
    """Takes the parts of a streamed reply."""

    shown: bool
    """Text has been passed on, so that another try would repeat it."""

    def feed(self, chunk: Any) -> None:
        """Take one part."""

    def reply(self) -> dict[str, Any]:
        """The whole, in the layout of a reply that was not streamed.

        Raises:
            ValueError: the stream ended early.
        """


class EventLoop:
    """An event loop in a thread of its own, so that asynchronous work may be asked for from anywhere."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="porism-openai", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], while_waiting: Callable[[], None] | None = None) -> T:
        """Do the work there and wait for it; what interrupts the wait (Ctrl-C, say) cancels the work.

        Args:
            work: to do.
            while_waiting: called once in this thread, to wait with.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            if while_waiting:
                while_waiting()
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def running(self) -> bool:
        """False once it is closed."""
        return not self._loop.is_closed()

    def close(self) -> None:
        """Cancel what runs and end the thread."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Caller:
    """Sends requests through the ``openai`` client; its own retries are off.

    Args:
        base_url: such as ``http://127.0.0.1:8000/v1``.
        key: sent as bearer token; nothing is sent where it is empty.
        key_env: the variable that the key comes from, for messages.
        policy: how often and how long.
        direct: never through a proxy that the environment names.

    Raises:
        MissingExtra: the client is not installed.
    """

    def __init__(self, base_url: str, key: str, key_env: str, policy: Policy, *, direct: bool = False) -> None:
        self._openai = client_library()
        self._key, self._key_env, self._policy, self._base_url = key, key_env, policy, base_url
        self._headers: Mapping[str, Any] = {} if key else {"Authorization": self._openai.Omit()}
        self._client = self._openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=policy.timeout,
            http_client=self._openai.DefaultAsyncHttpxClient(trust_env=False) if direct else None,
        )
        self._slots = asyncio.Semaphore(policy.concurrency)
        self.answered = 0
        """How often a server has answered, be it with an error."""
        self.on_retry: Callable[[], None] = lambda: None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        fatal: frozenset[int] = FATAL,
        retries: int | None = None,
        collect: Callable[[], Collector] | None = None,
    ) -> Any:
        """POST a body, or GET where there is none, until it is answered.

        Args:
            path: below ``base_url``, or a whole address.
            body: JSON.
            fatal: statuses that end everything.
            retries: instead of the policy's.
            collect: makes a collector for each try; the reply is then streamed into it.

        Returns:
            The JSON value that came back.

        Raises:
            CallFailed: it failed for good.
            ModelError: it failed with a status in ``fatal``, so that every other call would fail too.
        """
        async with self._slots:
            most = self._policy.retries if retries is None else retries
            clock = asyncio.get_running_loop().time
            end = clock() + self._policy.deadline
            once = {"idempotency_key": f"porism-{uuid.uuid4()}", "headers": self._headers}
            tries = 0
            while True:
                tries += 1
                failure = await self._tried(path, body, once, collect() if collect else None, end)
                if not isinstance(failure, CallFailed):
                    return failure.value
                if failure.status in fatal:
                    raise await self._fatal(failure, path, str((body or {}).get("model", "")))
                if not failure.again or tries > most:
                    raise self._after(failure, tries)
                wait = self._wait(tries, failure.wait)
                if clock() + wait >= end:
                    raise self._after(failure, tries, f"; the deadline of {self._policy.deadline:g} s leaves no time")
                await asyncio.sleep(wait)
                self.on_retry()

    def clean(self, text: str) -> str:
        """Text from outside on one line, with the key blotted out."""
        return " ".join(self.blot(text).split())[:_LONGEST_REASON]

    def blot(self, text: str) -> str:
        """Text with the key blotted out."""
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_KEY else text

    async def _tried(
        self, path: str, body: Mapping[str, Any] | None, options: Any, into: Collector | None, end: float
    ) -> _Answer | CallFailed:
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(min(clock() + self._policy.timeout, end)):
                value = await self._once(path, body, options, into)
        except (self._openai.APIError, TimeoutError, ValueError, RecursionError) as error:
            failure = self._failure(error)
            if into is not None and into.shown:
                failure.again = False
            self.answered += bool(failure.status)
            return failure
        self.answered += 1
        return _Answer(value)

    async def _once(self, path: str, body: Mapping[str, Any] | None, options: Any, into: Collector | None) -> Any:
        if body is None:
            return await self._client.get(path, cast_to=object, options={"headers": self._headers})
        if into is None:
            return await self._client.post(path, cast_to=object, body=body, options=options)
        stream = await self._client.post(
            path, cast_to=object, body=body, options=options, stream=True, stream_cls=self._openai.AsyncStream[object]
        )
        async with stream:
            async for chunk in stream:
                into.feed(chunk)
        return into.reply()

    def _failure(self, error: Exception) -> CallFailed:
        """What an exception of the client means."""
        api = self._openai
        if isinstance(error, api.APITimeoutError | TimeoutError):
            return CallFailed(f"no answer within {self._policy.timeout:g} s", again=True, dead=_unconnected(error))
        if isinstance(error, api.APIConnectionError):
            cause = error.__cause__ or error
            reason = self.clean(str(cause) or type(cause).__name__)
            return CallFailed(f"the connection failed ({reason})", again=True, dead=_unconnected(error))
        if isinstance(error, api.APIStatusError):
            headers = error.response.headers
            wait = _retry_after(headers.get("retry-after-ms", ""), headers.get("retry-after", ""))
            status = 402 if error.code == "insufficient_quota" else error.status_code
            said = f"{error.status_code}: {self.clean(_message(error.body) or error.message)}"
            return CallFailed(said, status=status, again=status >= 500 or status in _AGAIN, wait=wait)
        if isinstance(error, api.APIError):
            return CallFailed(f"an error in the stream: {self.clean(error.message)}", again=True)
        if isinstance(error, UnicodeEncodeError):
            return CallFailed("the prompt holds half a character (a lone surrogate), which cannot be sent")
        return CallFailed(f"a reply that cannot be read ({self.clean(str(error))})", again=True)

    def _wait(self, tries: int, asked: float) -> float:
        """Seconds to the next try: full jitter under a bound that doubles; never earlier than the server asked for."""
        if asked:
            return asked + random.uniform(0, self._policy.backoff)
        return random.uniform(0, min(_LONGEST_WAIT, self._policy.backoff * 2 ** (tries - 1)))

    @staticmethod
    def _after(failure: CallFailed, tries: int, more: str = "") -> CallFailed:
        told = f" after {tries} tries" if tries > 1 else ""
        return CallFailed(f"{failure.reason}{told}{more}", status=failure.status, dead=failure.dead)

    async def _fatal(self, failure: CallFailed, path: str, model: str) -> ModelError:
        """The error that ends everything: what the server said, and what to do."""
        where = f"{self._base_url} answered {failure.reason.rstrip('.')}"
        if failure.status == 402:
            return ModelError(f"{where}. The account has no credit left, or its limit is reached.")
        if failure.status == 404:
            return ModelError(f"{where}. {await self._offers(path, model)}")
        if not self._key:
            return ModelError(
                f"{where}. No key was sent: set the environment variable {self._key_env}, "
                "or name another one with key_env."
            )
        return ModelError(
            f"{where}. The key in the environment variable {self._key_env} was refused: check it, "
            "and that it may use this model."
        )

    async def _offers(self, path: str, model: str) -> str:
        """What to do about a model, or a place, that the server does not know."""
        found = await self._tried("/models", None, {}, None, asyncio.get_running_loop().time() + 30)
        names = _model_names(found.value) if isinstance(found, _Answer) else []
        if model in names:
            return f"It lists the model {model}, but seems to have no {path} for it."
        if names:
            shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            return f"Set model to one that it offers: {shown}."
        return "It lists no models either: check base_url, which mostly ends in /v1."


class _Answer(NamedTuple):
    value: Any


def _model_names(listed: Any) -> list[str]:
    """The names in a reply of ``/models``."""
    rows = listed.get("data") if isinstance(listed, dict) else None
    return [str(row["id"]) for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict) and "id" in row]


def client_library(engine: str = "openai") -> Any:
    """The ``openai`` package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import openai
    except ImportError:
        raise MissingExtra("openai", "'porism[openai]'", f"The engine {engine!r}") from None
    return openai


def _unconnected(error: BaseException) -> bool:
    """True where no connection was made at all: refused, unknown host, or a time-out in connecting."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _message(body: object) -> str:
    """The message in an error's body, whatever its layout."""
    if not isinstance(body, dict):
        return str(body or "")
    found = body.get("message") or body.get("detail") or body.get("error")
    return _message(found) if isinstance(found, dict) else str(found or "")


def _retry_after(milliseconds: str, header: str) -> float:
    """Seconds that the server asks to wait: a number, or an HTTP date. 0 where it does not ask."""
    for text, scale in ((milliseconds, 0.001), (header, 1.0)):
        try:
            return max(0.0, float(text) * scale)
        except ValueError:
            continue
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - time.time())
