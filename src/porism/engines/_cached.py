"""Replies that are kept on disk: what was asked before, of the same weights and in the same way, is not made again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from porism.engines import Engine, OnText, Reply, Request, Sample
from porism.engines._shelf import Shelf

__all__ = ["Cached"]


class Cached:
    """An engine in front of which stands a shelf of replies.

    A sample is kept under a hash of the weights, of what else makes the engine's replies what they are, and of the
    request: prompt, prefix, settings, seed, the sample's number. What failed or was cancelled is not kept, nor is what
    weights say that a trainer has changed since they were loaded: they have no hash.

    Where sample ``i`` depends on its request's seed and on ``i`` alone, samples are kept one by one: of eight only
    those are made that are not there, and at temperature 0 one stands for all. Elsewhere a request is kept as a whole,
    since a server may make something else of eight samples than of twice four.

    Args:
        engine: who makes what is not there; it is not asked for anything else.
        shelf: where replies are kept.
        model: fingerprint of the engine's weights.
        made_by: the engine's name, and those of its settings that may change a reply.
        single: samples are kept one by one.
    """

    def __init__(
        self, engine: Engine, shelf: Shelf, model: str, made_by: Mapping[str, object], *, single: bool
    ) -> None:
        self._engine, self._shelf, self._single = engine, shelf, single
        self.model = model
        """Fingerprint of the weights that answer."""
        self.taken = 0
        """Samples that came from the shelf so far."""
        self._made_by = [model, dict(made_by), _code()]

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request, in order, from the shelf as far as it goes; see :class:`porism.engines.Engine`."""
        if getattr(self._engine, "weights", 0):
            return self._engine.generate(requests, on_text=on_text, cancel=cancel)
        keys = [self._keys(request) for request in requests]
        kept = self._shelf.get(key for each in keys for key in each)
        boards = [
            _Board(at, request, each, kept, whole=not self._single)
            for at, (request, each) in enumerate(zip(requests, keys, strict=True))
        ]
        self.taken += sum(len(board.samples) for board in boards)
        tell = on_text or _untold
        for board in boards:
            board.tell(sorted(board.samples), tell)
        asked = [(board, *self._rest(board)) for board in boards if board.missing]
        if asked:

            def news(index: int, number: int, text: str) -> None:
                board, _, first = asked[index]
                if number + first in board.missing:
                    tell(board.at, number + first, text)

            made = self._engine.generate(
                [request for _, request, _ in asked], on_text=news if on_text else None, cancel=cancel
            )
            fresh: dict[bytes, Any] = {}
            for (board, request, first), reply in zip(asked, made, strict=True):
                copies = board.missing[request.n :] if self._greedy(request) else []
                fresh |= board.take(reply, first)
                board.tell(copies, tell)
            self._shelf.put(fresh)
        return [board.reply() for board in boards]

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probability of each token of each completion; see :class:`porism.engines.Engine`."""
        if getattr(self._engine, "weights", 0):
            return self._engine.score(pairs)
        keys = [self._key("score", _prompt(request), text) for request, text in pairs]
        kept = self._shelf.get(keys)
        missing = [at for at, key in enumerate(keys) if key not in kept]
        if missing:
            made = self._engine.score([pairs[at] for at in missing])
            fresh = {keys[at]: values for at, values in zip(missing, made, strict=True)}
            self._shelf.put(fresh)
            kept |= fresh
        return [list(kept[key]) for key in keys]

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _keys(self, request: Request) -> list[bytes]:
        """The key of each sample; it is the same one where they are kept together, or are the same."""
        asked = [_prompt(request), dataclasses.asdict(request.sampling), request.logprobs]
        if not self._single:
            return [self._key("request", *asked, request.seed, request.n)] * request.n
        if self._greedy(request):
            return [self._key("greedy", *asked)] * request.n
        return [self._key("sample", *asked, request.seed, number) for number in range(request.n)]

    def _key(self, *parts: object) -> bytes:
        text = json.dumps([self._made_by, *parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()

    def _rest(self, board: _Board) -> tuple[Request, int]:
        """What to ask for the samples that are missing, and the number of the first one that comes."""
        request = board.request
        if self._greedy(request):
            return dataclasses.replace(request, n=1), 0
        first, last = board.missing[0], board.missing[-1]
        if self._single and first and getattr(self._engine, "takes_first", False):
            return dataclasses.replace(request, n=last + 1 - first, first=first), first
        return request, 0

    def _greedy(self, request: Request) -> bool:
        """Whether one sample stands for all of them."""
        return self._single and request.sampling.temperature == 0


class _Board:
    """The samples of one request, as far as they are there.

    Args:
        at: the request's number in its call.
        request: what is asked.
        keys: of each sample.
        kept: what the shelf has: key → number of prompt tokens, and one sample or all of them.
        whole: all samples are kept together.
    """

    def __init__(
        self, at: int, request: Request, keys: Sequence[bytes], kept: Mapping[bytes, Any], *, whole: bool
    ) -> None:
        self.at, self.request, self._keys, self._whole = at, request, keys, whole
        self._prompt_tokens = self._weights = 0
        self.samples: dict[int, Sample] = {}
        for number, key in enumerate(keys):
            if key in kept:
                self._prompt_tokens, samples = kept[key]
                self.samples[number] = _sample(samples[number if whole else 0])
        self.missing = [number for number in range(request.n) if number not in self.samples]

    def take(self, reply: Reply, first: int) -> dict[bytes, Any]:
        """Take the samples that were made, from this number on; a single one may stand for all.

        Returns:
            What is to be kept.
        """
        self._prompt_tokens, self._weights = reply.prompt_tokens, reply.weights
        for number in self.missing:
            self.samples[number] = reply.samples[min(number - first, len(reply.samples) - 1)]
        if reply.weights:
            return {}
        failed = {number for number, sample in self.samples.items() if sample.finish == "error"}
        if self._whole:
            return {} if failed else {self._keys[0]: self._entry(*range(self.request.n))}
        return {self._keys[number]: self._entry(number) for number in self.missing if number not in failed}

    def tell(self, numbers: Sequence[int], on_text: OnText) -> None:
        """Pass on the texts of some samples."""
        for number in numbers:
            on_text(self.at, number, self.samples[number].text)

    def reply(self) -> Reply:
        """All of them, in order."""
        samples = tuple(self.samples[number] for number in range(self.request.n))
        return Reply(samples=samples, prompt_tokens=self._prompt_tokens, weights=self._weights)

    def _entry(self, *numbers: int) -> list[Any]:
        return [self._prompt_tokens, [dataclasses.asdict(self.samples[number]) for number in numbers]]


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(**{**row, "ids": tuple(row["ids"]), "logprobs": tuple(row["logprobs"])})


def _prompt(request: Request) -> list[Any]:
    return [[dict(message) for message in request.messages], request.text, list(request.ids), request.prefix]


def _untold(index: int, number: int, text: str) -> None:
    """Nobody listens."""


@functools.cache
def _code() -> str:
    """A hash of the code that makes replies: a mended engine must not answer with what it said before."""
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("*.py")), folder.parent / "prompts" / "render.py"]
    parts = [file.read_bytes() for file in files]
    parts += [importlib.metadata.version(name).encode() for name in ("torch", "transformers")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
