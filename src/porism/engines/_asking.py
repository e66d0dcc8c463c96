"""One request to a server, from what has to be known before it is sent to the samples that come of it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from porism import console
from porism.engines import Request, Sample, _wire
from porism.engines._calls import Caller, CallFailed
from porism.engines._ledger import Ledger, OverBudget
from porism.engines._raw import Tokens, refuse_template
from porism.engines._streams import Stream
from porism.errors import ModelError

__all__ = ["Asker", "Board"]

_REJECTED = (400, 422)
"""Statuses of a server that does not take a parameter."""


@dataclass
class Board:
    """What has come of one request so far."""

    samples: dict[int, Sample] = field(default_factory=dict)
    prompt_tokens: int = 0
    dead: str = ""


class Asker:
    """Gets the samples of requests.

    Args:
        caller: sends requests.
        server: what is known of the other side; what is learnt is added.
        ledger: counts tokens and money.
        tokens: cuts texts as the model does.
        base_url: for messages.
        failed: a file for requests that failed for good; nothing for none.
    """

    def __init__(
        self, caller: Caller, server: _wire.Server, ledger: Ledger, tokens: Tokens, *, base_url: str, failed: str
    ) -> None:
        self._caller, self._server, self._ledger, self._tokens = caller, server, ledger, tokens
        self._base_url, self._failed = base_url, Path(failed).expanduser() if failed else None
        self._probing = asyncio.Lock()
        self._raw = False

    async def fill(self, board: Board, request: Request, tell: Callable[[int, str], None] | None) -> None:
        """Get every sample of a request: in one call where the server takes ``n``, else in several."""
        everything = list(range(request.n))
        if request.n == 1 or self._server.takes_n:
            rejected = await self._ask(board, request, everything, tell)
            if rejected:
                await self._ask(board, request, [0], tell)
                if board.samples[0].finish == "error":
                    board.samples = dict.fromkeys(everything, board.samples[0])
                    return
        missing = [number for number in everything if number not in board.samples]
        if missing:
            self._server.takes_n = False
            await asyncio.gather(*(self._ask(board, request, [number], tell) for number in missing))

    async def _ask(
        self, board: Board, request: Request, numbers: list[int], tell: Callable[[int, str], None] | None
    ) -> bool:
        """Make one call for some samples. True where the server rejects several samples in one."""
        try:
            answer = await self._called(request, numbers, tell)
        except OverBudget as error:
            failure = CallFailed(str(error))
        except CallFailed as error:
            if len(numbers) > 1 and error.status in _REJECTED:
                return True
            failure = error
            self._ledger.count(failed=1)
            self._keep(request, numbers, error.reason)
        else:
            board.samples |= answer.samples
            board.prompt_tokens = board.prompt_tokens or answer.prompt_tokens
            broken = {sample.error for sample in answer.samples.values() if sample.error}
            if broken:
                self._ledger.count(failed=1)
                self._keep(request, numbers, "; ".join(sorted(broken)))
            return False
        board.samples |= {number: Sample(text="", finish="error", error=failure.reason) for number in numbers}
        board.dead = board.dead or (failure.reason if failure.dead else "")
        return False

    async def _called(
        self, request: Request, numbers: list[int], tell: Callable[[int, str], None] | None
    ) -> _wire.Answer:
        prefix_ids = await self._ready(request)
        prompt, completion = _wire.dearest(request, len(numbers))
        dearest = self._ledger.price(prompt, completion)
        collect = functools.partial(Stream, request, numbers, tell) if tell else None
        await self._ledger.admit(dearest)
        try:
            reply = await self._sent(request, numbers, prefix_ids, collect)
            try:
                answer = _wire.answer(reply, request, numbers)
            except ValueError as error:
                raise CallFailed(self._caller.clean(str(error))) from None
            if answer.told:
                self._ledger.spend(answer.prompt_tokens, answer.completion_tokens)
            else:  # nobody knows what it cost: no less than the budget must hold back
                self._ledger.spend(prompt, completion)
        finally:
            self._ledger.release(dearest)
        if not answer.samples:
            raise CallFailed("the reply has no choices")
        if request.ids and answer.prompt_tokens > len(request.ids) + len(prefix_ids) + 1:
            raise ModelError(
                f"{self._base_url} counts {answer.prompt_tokens} tokens in a prompt of {len(request.ids)} token ids: "
                "it adds a template. Ask with messages, or use a server whose /completions is raw (vLLM, llama.cpp)."
            )
        return answer

    async def _sent(
        self,
        request: Request,
        numbers: list[int],
        prefix_ids: Sequence[int],
        collect: Callable[[], Stream] | None,
    ) -> Any:
        """The reply to a call, once the server's own name for the longest answer is known."""
        while True:
            body = _wire.body(request, numbers, self._server, prefix_ids=prefix_ids)
            if collect:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            try:
                return await self._caller.send(_wire.path(request), body, collect=collect)
            except CallFailed as failure:
                newer = "max_completion_tokens"
                if failure.status != 400 or newer not in failure.reason or newer in body or "max_tokens" not in body:
                    raise
                self._server.limit = newer

    async def _ready(self, request: Request) -> Sequence[int]:
        """See to it that a request can be sent as it is meant.

        Returns:
            The prefix as token ids, where the prompt is one of ids.

        Raises:
            CallFailed: it cannot.
            ModelError: no raw prompt can.
        """
        if request.messages and request.prefix and not self._server.vllm:
            raise CallFailed(
                "a prefix in a chat needs a server that goes on with the last message, such as vLLM; if this one does "
                "(continue_final_message), set server=vllm"
            )
        prefix_ids: Sequence[int] = ()
        if not request.messages:
            await self.refuse_template()
            if request.ids and request.prefix:
                found = await self._tokens.of_text(request.prefix, special=False)
                if found is None:
                    raise CallFailed("a prefix behind token ids needs the model's tokenizer: set tokenizer")
                prefix_ids = found
        context = self._server.context
        if context and sum(_wire.dearest(request, 1)) > context:
            ids = await self._tokens.of_prompt(request)
            room = context - request.sampling.max_tokens
            if ids is not None and len(ids) > room:
                raise CallFailed(
                    f"the prompt has {len(ids)} tokens, but the context and max_tokens leave room for {room}"
                )
        return prefix_ids

    async def refuse_template(self) -> None:
        """Before the first raw prompt: does the server leave it as it is?"""
        async with self._probing:
            if not self._raw:
                used = await refuse_template(self._caller, self._server, self._tokens, self._base_url)
                if not used[0]:
                    console.notice(f"{self._base_url} does not count tokens: it may put a template around raw prompts")
                self._ledger.spend(*used)
                self._raw = True

    def _keep(self, request: Request, numbers: Sequence[int], reason: str) -> None:
        """Write a failed request down: what was asked, and why nothing came of it."""
        if self._failed is None:
            return
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "base_url": self._base_url,
            "model": self._server.model,
            "error": reason,
            "samples": list(numbers),
            "request": dataclasses.asdict(request),
        }
        self._failed.parent.mkdir(parents=True, exist_ok=True)
        with self._failed.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(self._caller.blot(json.dumps(row, ensure_ascii=False)) + "\n")
