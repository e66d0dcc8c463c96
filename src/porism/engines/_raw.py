"""Prompts without a chat template: their tokens, a server that adds a template anyway, and scoring a completion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from porism.engines import Request
from porism.engines._calls import Caller, CallFailed
from porism.engines._ledger import Ledger, OverBudget
from porism.engines._wire import Server
from porism.errors import ModelError
from porism.models import facts
from porism.prompts.render import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Scoring", "Tokens", "load_tokenizer", "refuse_template", "used"]

_PROBE = "a"
"""One letter is one token in every vocabulary, so a longer prompt is not what was sent."""

_NO_SUCH_PLACE = (404, 405, 501)
"""Statuses of a server that has no ``/tokenize``; another failure may pass."""

_MARKS = 2
"""Tokens that a tokenizer may put around a text: one that begins it and one that ends it."""


class Tokens:
    """Text as token ids: by a tokenizer here, else by the server's ``/tokenize`` (vLLM and llama.cpp have one).

    Args:
        caller: reaches the server.
        base_url: of the server; ``/tokenize`` lies beside its ``/v1``.
        model: the model's name there.
        tokenizer: a model's alias or folder, or nothing.
    """

    def __init__(self, caller: Caller, base_url: str, model: str, tokenizer: str) -> None:
        self._caller, self._model, self._name = caller, model, tokenizer
        self._address = base_url.rstrip("/").removesuffix("/v1") + "/tokenize"
        self._asks = True
        self._loading = asyncio.Lock()
        self._here: PreTrainedTokenizerBase | None = None

    async def of_text(self, text: str, *, special: bool) -> list[int] | None:
        """The ids of a text, or None where nobody can tell.

        Args:
            text: to cut.
            special: with the tokens that the tokenizer puts around a text of its own.
        """
        if self._name:
            return list((await self._tokenizer())(text, add_special_tokens=special)["input_ids"])
        flags = {"add_special_tokens": special, "add_special": special}
        return await self._asked({"prompt": text, "content": text, **flags})

    async def of_prompt(self, request: Request) -> list[int] | None:
        """The ids of what a request asks, its prefix included, or None where nobody can tell."""
        if request.messages:
            messages = [dict(message) for message in request.messages]
            if self._name:
                head: list[int] | None = encode(await self._tokenizer(), request.messages)
            else:
                head = await self._asked({"messages": messages, "add_generation_prompt": True})
        elif request.ids:
            head = list(request.ids)
        else:
            return await self.of_text(request.text + request.prefix, special=True)
        tail = await self.of_text(request.prefix, special=False) if request.prefix else []
        return None if head is None or tail is None else head + tail

    async def _tokenizer(self) -> PreTrainedTokenizerBase:
        async with self._loading:
            if self._here is None:
                self._here = await asyncio.to_thread(load_tokenizer, self._name)
            return self._here

    async def _asked(self, what: Mapping[str, Any]) -> list[int] | None:
        if not self._asks:
            return None
        try:
            reply = await self._caller.send(self._address, {"model": self._model, **what}, fatal=frozenset(), retries=1)
        except CallFailed as failure:
            self._asks = failure.status not in _NO_SUCH_PLACE
            return None
        found = reply.get("tokens") if isinstance(reply, dict) else None
        if not isinstance(found, list) or not all(isinstance(token, int) for token in found):
            self._asks = False
            return None
        return found


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of an alias or folder.

    Raises:
        ModelError: unknown, unsafe or unreadable.
    """
    return facts.tokenizer_of(facts.place_of(name))


async def refuse_template(caller: Caller, server: Server, tokens: Tokens, base_url: str) -> tuple[int, int]:
    """Ask the server to go on from one letter, and see from its count of tokens whether it put a template around it.

    Returns:
        Tokens of prompt and answer that this took; both 0 where the server does not count.

    Raises:
        ModelError: it did, or has no raw completions.
        CallFailed: the question failed.
    """
    sent = {"model": server.model, "prompt": _PROBE, "max_tokens": 1, "temperature": 0.0}
    reply = await caller.send("/completions", sent)
    prompt, answer = used(reply)
    expected = await tokens.of_text(_PROBE, special=True)
    most = 1 + _MARKS if expected is None else len(expected)
    if prompt > most:
        raise ModelError(
            f"{base_url} puts a chat template around raw prompts: it counts {prompt} tokens in the prompt {_PROBE!r}, "
            f"where at most {most} can be. Text and token prompts would not reach the model as they are; ask with "
            "messages, or use a server whose /completions is raw (vLLM, llama.cpp)."
        )
    return prompt, answer


def used(reply: Any) -> tuple[int, int]:
    """Tokens of prompt and answer as a reply counts them; 0 where it does not."""
    usage = (reply.get("usage") if isinstance(reply, dict) else None) or {}
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


class _Pair(NamedTuple):
    """What is scored: a prompt and a completion, as texts or as ids."""

    prompt: str
    completion: str
    prompt_ids: Sequence[int] | None
    completion_ids: Sequence[int] | None


class Scoring:
    """Log-probabilities of completions, read from raw completions that echo their prompt.

    Args:
        caller: reaches the server.
        server: what is known of it.
        tokens: cuts texts.
        ledger: counts what it takes.
        base_url: for messages.
    """

    def __init__(self, caller: Caller, server: Server, tokens: Tokens, ledger: Ledger, base_url: str) -> None:
        self._caller, self._server, self._tokens, self._ledger = caller, server, tokens, ledger
        self._base_url = base_url
        self._generates = 0

    async def score(self, request: Request, completion: str) -> list[float]:
        """The log-probability of each token of a completion.

        Raises:
            ModelError: the server cannot tell.
        """
        if not completion:
            return []
        pair = await self._pair(request, completion)
        whole = pair.prompt + completion
        prompt: Any = whole if pair.prompt_ids is None else [*pair.prompt_ids, *(pair.completion_ids or ())]
        most = len(prompt if pair.prompt_ids else whole.encode("utf-8", "surrogatepass"))
        dearest = self._ledger.price(most, 1)
        try:
            await self._ledger.admit(dearest)
            try:
                reply = await self._echo(prompt)
                counted = used(reply)
                self._ledger.spend(counted[0] or most, counted[1])
            finally:
                self._ledger.release(dearest)
        except (CallFailed, OverBudget) as failure:
            raise self._cannot(str(failure)) from None
        try:
            found = reply["choices"][0]["logprobs"]
            values, offsets = found["token_logprobs"], found.get("text_offset") or []
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._cannot("its reply has no log-probabilities of the prompt") from None
        if pair.prompt_ids is None:
            chosen = self._by_offset(values, offsets, pair)
        else:
            chosen = values[len(pair.prompt_ids) : len(prompt)]
            if len(chosen) != len(pair.completion_ids or ()):
                raise self._cannot("it does not echo the prompt")
        if not chosen or any(value is None for value in chosen):
            raise self._cannot("its reply lacks log-probabilities of the completion")
        return [float(value) for value in chosen]

    async def _pair(self, request: Request, completion: str) -> _Pair:
        """Prompt and completion, tokenised apart where somebody can: the model meets exactly the prompt's tokens."""
        prompt_ids = await self._tokens.of_prompt(request)
        completion_ids = await self._tokens.of_text(completion, special=False) if prompt_ids is not None else None
        if completion_ids is not None:
            return _Pair("", completion, prompt_ids, completion_ids)
        if not request.text:
            raise self._cannot("only the model's tokenizer can tell messages or ids from the completion: set tokenizer")
        return _Pair(request.text + request.prefix, completion, None, None)

    async def _echo(self, prompt: Any) -> Any:
        sent = {"model": self._server.model, "prompt": prompt, "echo": True, "logprobs": 1, "temperature": 0.0}
        try:
            return await self._caller.send("/completions", {**sent, "max_tokens": self._generates})
        except CallFailed as failure:
            if self._generates or failure.status not in (400, 422):
                raise
        self._generates = 1  # some servers always generate; what they add lies behind the completion
        return await self._caller.send("/completions", {**sent, "max_tokens": 1})

    def _by_offset(self, values: Sequence[Any], offsets: Sequence[int], pair: _Pair) -> list[Any]:
        start, end = len(pair.prompt), len(pair.prompt) + len(pair.completion)
        if len(offsets) != len(values) or not offsets or offsets[0] != 0:
            raise self._cannot("it does not echo the prompt")
        if start not in offsets:
            raise self._cannot(
                "its tokenizer makes one token of the prompt's end and the completion's beginning; set tokenizer, "
                "so that they are cut apart"
            )
        return [value for value, offset in zip(values, offsets, strict=True) if start <= offset < end]

    def _cannot(self, why: str) -> ModelError:
        return ModelError(f"{self._base_url} cannot score completions: {why}. Score with the engine 'local', or vLLM.")
