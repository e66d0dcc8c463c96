"""Generation in this process, on the very weights that are in memory.

Prompts are computed once each, laid end to end without padding; what all of them begin with is computed once for all;
the samples of one prompt share its keys and values. Rows that have ended make room for waiting ones. The model's own
layers run, through :mod:`porism.engines._attention`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from porism import console
from porism.engines import OnText, Reply, Request, Sample
from porism.engines._streams import overlap
from porism.errors import ModelError, RecipeError
from porism.models import memory
from porism.models.load import Loaded, load
from porism.models.machine import Dtype, choose_dtype, choose_threads, prepare
from porism.prompts.render import encode, text_ids

if TYPE_CHECKING:
    import random

    import torch

    from porism.engines._attention import Cache
    from porism.engines._guided import Guide

__all__ = ["Local", "start"]

_WORTH_SHARING = 32
"""Shorter common beginnings are simply computed with each prompt."""
_MOST_PREFILL = 1_024
"""Tokens of prompts in one forward pass."""


@dataclass
class _Row:
    """One sample in the making."""

    request: int
    sample: int
    prompt: tuple[int, ...]
    random: random.Random
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    guide: Guide | None = None
    told: str = ""
    """Text that ``on_text`` has been told."""


@dataclass
class _Call:
    """One call of :meth:`Local.generate`."""

    requests: Sequence[Request]
    on_text: OnText | None
    cancel: Event | None
    done: dict[tuple[int, int], Sample] = field(default_factory=dict)

    @property
    def cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.is_set()

    def end_all(self, rows: Sequence[_Row], text: Callable[[_Row, Request], str]) -> None:
        """End what was not finished when the call was cancelled, with the text so far."""
        for row in rows:
            if (row.request, row.sample) not in self.done:
                said = text(row, self.requests[row.request]) if row.ids else ""
                self.done[row.request, row.sample] = Sample(
                    text=said, finish="error", error="cancelled", tokens=len(row.ids), ids=tuple(row.ids)
                )


class Local:
    """An engine on a model in memory.

    A row's result depends on its own prompt, settings and seed: greedy decoding takes the arg max, and sampling draws
    from a generator of its own. What shares its batch decides which kernels multiply, and so the last bits of its
    logits. That can turn a token only where two are equally likely to about six digits (greedy), or where the number
    that is drawn falls within such a distance of the border between two tokens (sampling): docs/engines.md has a count.

    Args:
        loaded: model and tokenizer. The weights are read where they are: a trainer that changes them in place
            changes what this engine says, and calls :meth:`weights_changed`.
        batch_size: most rows at once; fewer where the memory that is free holds fewer.
    """

    takes_first = True
    """Sample ``i`` depends on its request's seed and on ``first + i`` alone."""

    def __init__(self, loaded: Loaded, batch_size: int = 256) -> None:
        from porism.engines._guided import Guides

        self.model = loaded.fingerprint
        self.weights = 0
        self._network, self._tokenizer = loaded.model, loaded.tokenizer
        self._batch_size = batch_size
        self._vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._context = int(getattr(loaded.model.config, "max_position_embeddings", 0) or 2**30)
        self._guides = Guides(loaded.tokenizer)
        self._unfit: str | None = None
        """Why the model does not run on the cached attention; None as long as that was not tried."""
        self._ends = _end_ids(loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id)
        self._marks: dict[tuple[str, ...], frozenset[int]] = {}

    def weights_changed(self) -> None:
        """Tell that a trainer has changed the weights: replies carry a new version from here on."""
        self.weights += 1

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request, in order; one that does not fit the model's context gets an error, not an answer.

        Args:
            requests: what to answer.
            on_text: told of each row's text as it is made; held back as long as it may be part of a stop string.
            cancel: looked at before every token.
        """
        import torch

        from porism.engines._attention import attention

        call = _Call(requests, on_text, cancel)
        prompts = [self._encoded(call, index) for index in range(len(requests))]
        waiting = self._rows(call, prompts)
        if self._fits():
            with torch.inference_mode(), attention(self._network):
                for batch in self._batches(requests, waiting):
                    self._run(call, batch)
        else:
            for batch in self._batches(requests, waiting):
                self._run_plainly(call, batch)
        return [
            Reply(
                samples=tuple(call.done[index, sample] for sample in range(request.n)),
                prompt_tokens=len(ids),
                weights=self.weights,
            )
            for index, (request, ids) in enumerate(zip(requests, prompts, strict=True))
        ]

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probability of each token of each completion, given its prompt.

        Args:
            pairs: prompts, and the text that follows each.

        Raises:
            ModelError: one of them does not fit the model's context, or is no text.
        """
        import torch

        rows = [self._scored(*pair) for pair in pairs]
        fits = self._fits()
        with torch.inference_mode():
            if fits:
                return [scores for batch in _by_size(rows, _MOST_PREFILL) for scores in self._score(batch)]
            return [self._score_plainly(*row) for row in rows]

    def _scored(self, request: Request, text: str) -> tuple[list[int], list[int]]:
        """Prompt and completion as token ids.

        Raises:
            ModelError: they do not fit the context, or cannot be tokenised.
        """
        try:
            prompt, completion = self._encode(request), text_ids(self._tokenizer, text, special=False)
        except TypeError as error:
            raise ModelError(f"a prompt or completion to be scored cannot be tokenised: {error}.") from None
        reason = self._wrong(prompt, self._context - len(completion))
        if reason:
            raise ModelError(f"{reason.replace('max_tokens', 'the completion')}; it cannot be scored.")
        return prompt, completion

    def _score(self, batch: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Log-probabilities of completions, laid end to end with their prompts."""
        import torch

        from porism.engines._attention import Cache, attention
        from porism.engines._sampling import logprobs

        at = 0
        keep: list[int] = []
        targets: list[int] = []
        for prompt, completion in batch:
            keep += range(at + len(prompt) - 1, at + len(prompt) + len(completion) - 1)
            targets += completion
            at += len(prompt) + len(completion)
        cache = Cache()
        with attention(self._network), cache.prefilling([len(prompt) + len(own) for prompt, own in batch]):
            logits = self._forward(cache, [[*prompt, *completion] for prompt, completion in batch], keep)
        scores = iter(logprobs(logits, torch.tensor(targets, device=logits.device, dtype=torch.long)).tolist())
        return [[next(scores) for _ in completion] for _, completion in batch]

    def _score_plainly(self, prompt: list[int], completion: list[int]) -> list[float]:
        """Log-probabilities of one completion, by the model's own forward pass."""
        import torch

        from porism.engines._sampling import logprobs

        device = self._network.device
        logits = self._network(input_ids=torch.tensor([prompt + completion], device=device), use_cache=False).logits[0]
        scores = logprobs(logits[len(prompt) - 1 : -1], torch.tensor(completion, device=device, dtype=torch.long))
        found: list[float] = scores.tolist()
        return found

    def close(self) -> None:
        """Drop the model."""
        with contextlib.suppress(AttributeError):  # it is closed already
            del self._network

    def _fits(self) -> bool:
        """Whether the model runs on the cached attention; says so once where it does not."""
        if self._unfit is None:
            from porism.engines._fallback import unfit

            self._unfit = unfit(self._network)
            if self._unfit:
                console.notice(
                    f"{type(self._network).__name__} does not run on the cached attention ({self._unfit}). "
                    "Transformers' generate answers instead: right, but slower."
                )
        return not self._unfit

    # --- planning ---

    def _encode(self, request: Request) -> list[int]:
        if request.messages:
            ids = encode(self._tokenizer, request.messages)
        elif request.text:
            ids = text_ids(self._tokenizer, request.text, special=True)
        else:
            ids = list(request.ids)
        return ids + (text_ids(self._tokenizer, request.prefix, special=False) if request.prefix else [])

    def _encoded(self, call: _Call, index: int) -> tuple[int, ...]:
        """The prompt's token ids; a request that cannot be answered gets its error.

        Raises:
            RecipeError: no prompt at all can be answered with these settings.
        """
        request = call.requests[index]
        most = request.sampling.max_tokens
        if most >= self._context:
            raise RecipeError(
                f"max_tokens: expected fewer than the {self._context} tokens that the model's context holds, prompt "
                f"and answer together, got {most}. Lower it."
            )
        unknown = [token for token, _ in request.sampling.logit_bias if not 0 <= token < self._vocabulary]
        if unknown:
            raise RecipeError(
                f"logit_bias: expected token ids from 0 to {self._vocabulary - 1}, the model's, got {unknown[0]}."
            )
        ids: tuple[int, ...] = ()
        try:
            ids = tuple(self._encode(request))
            reason = self._wrong(ids, self._context - most)
        except TypeError as error:
            reason = f"the prompt cannot be tokenised: {error}"
        if reason:
            failed = Sample(text="", finish="error", error=reason)
            call.done.update({(index, number): failed for number in range(request.n)})
        return ids

    def _wrong(self, ids: Sequence[int], limit: int) -> str:
        """Why the model cannot read this prompt, or nothing."""
        if not ids:
            return "the prompt has no tokens"
        unknown = next((token for token in ids if not 0 <= token < self._vocabulary), None)
        if unknown is not None:
            return f"the prompt has the token id {unknown}, and the model's go from 0 to {self._vocabulary - 1}"
        if len(ids) > limit:
            return f"the prompt has {len(ids)} tokens, but the context and max_tokens leave room for {limit}"
        return ""

    def _rows(self, call: _Call, prompts: Sequence[tuple[int, ...]]) -> list[_Row]:
        """The rows of all requests that can be answered."""
        from porism.engines._sampling import generator

        return [
            _Row(
                index,
                number,
                ids,
                generator(request.seed, request.first + number),
                guide=self._guides.guide(request.sampling),
            )
            for index, (request, ids) in enumerate(zip(call.requests, prompts, strict=True))
            for number in range(request.n)
            if (index, number) not in call.done
        ]

    @staticmethod
    def _batches(requests: Sequence[Request], rows: list[_Row]) -> Iterator[list[_Row]]:
        """Rows with the same settings go together, longest prompts first: planned from the requests alone."""
        kinds: dict[str, list[_Row]] = {}
        for row in rows:
            kinds.setdefault(repr(requests[row.request].sampling), []).append(row)
        for _, same in sorted(kinds.items()):
            yield sorted(same, key=lambda row: (-len(row.prompt), row.request, row.sample))

    # --- generating ---

    def _run(self, call: _Call, waiting: list[_Row]) -> None:
        """Generate for rows of one kind: let rows in, go one token forward, take ended rows out, and so on."""
        from porism.engines._attention import Cache

        waiting.reverse()
        most = self._most_rows(call, waiting)
        cache = Cache(alone=len(waiting) == 1)
        lead = _common_beginning([row.prompt for row in waiting])
        if lead:
            with cache.prefilling([lead], lead=True):
                self._forward(cache, [waiting[0].prompt[:lead]], [lead - 1])
        rows: list[_Row] = []
        live: list[int] = []
        while waiting or live:
            if call.cancelled:
                call.end_all([*waiting, *rows], self._text)
                return
            room = most - len(live)
            if waiting and room >= min(len(waiting), max(1, most // 8)):
                rows = [rows[at] for at in live]
                if rows:
                    cache.keep(live)
                elif cache.row_prompt:
                    cache.keep([])
                rows += self._admit(call, cache, waiting, room, lead)
                live = [at for at, row in enumerate(rows) if (row.request, row.sample) not in call.done]
                continue
            if len(live) < len(rows) * 7 // 8:
                cache.keep(live)
                rows = [rows[at] for at in live]
                live = list(range(len(rows)))
            self._step(call, cache, rows)
            live = [at for at in live if (rows[at].request, rows[at].sample) not in call.done]

    def _most_rows(self, call: _Call, waiting: Sequence[_Row]) -> int:
        """Rows at once: as many as are asked for, or whose keys and values half of the free memory holds.

        A prompt counts twice, since it is kept both as it came and in the grid that is read.
        """
        answer = call.requests[waiting[0].request].sampling.max_tokens
        longest = max(len(row.prompt) for row in waiting)
        each = memory.cache_bytes(self._network.config, answer + 2 * longest, self._network.dtype.itemsize)
        return max(1, min(self._batch_size, memory.available().free // 2 // max(1, each)))

    def _run_plainly(self, call: _Call, waiting: list[_Row]) -> None:
        """Generate for rows of one kind with transformers' ``generate``, prompts of one length at a time."""
        from porism.engines import _fallback

        for _, same in itertools.groupby(waiting, key=lambda row: len(row.prompt)):
            alike = list(same)
            for start in range(0, len(alike), self._batch_size):
                chosen = alike[start : start + self._batch_size]

                def take(logits: torch.Tensor, rows: list[_Row] = chosen) -> list[int]:
                    self._take(call, rows, logits)
                    return [row.ids[-1] for row in rows]

                def done(rows: list[_Row] = chosen) -> list[bool]:
                    if call.cancelled:
                        call.end_all(rows, self._text)
                    return [(row.request, row.sample) in call.done for row in rows]

                if not all(done()):
                    most = call.requests[chosen[0].request].sampling.max_tokens
                    _fallback.generate(self._network, [row.prompt for row in chosen], most, take, done)

    def _admit(self, call: _Call, cache: Cache, waiting: list[_Row], room: int, lead: int) -> list[_Row]:
        """Compute the prompts of the next rows and choose each row's first token."""
        admitted = [waiting.pop() for _ in range(min(room, len(waiting)))]
        numbers: dict[tuple[int, ...], int] = {}
        for row in admitted:
            numbers.setdefault(row.prompt, len(cache.prompt_lengths) + len(numbers))
        logits: list[torch.Tensor] = []
        for batch in _by_size([(list(prompt[lead:]), []) for prompt in numbers], _MOST_PREFILL):
            own = [prompt for prompt, _ in batch]
            ends: list[int] = []
            for prompt in own:
                ends.append((ends[-1] if ends else -1) + len(prompt))
            with cache.prefilling([len(prompt) for prompt in own]):
                logits.append(self._forward(cache, own, ends, before=lead))
        import torch

        first = torch.cat(logits)
        base = min(numbers.values())
        for row in admitted:
            cache.admit(numbers[row.prompt])
        places = torch.tensor([numbers[row.prompt] - base for row in admitted], device=first.device)
        self._take(call, admitted, first[places])
        return admitted

    def _step(self, call: _Call, cache: Cache, rows: list[_Row]) -> None:
        """One token forward."""
        import torch

        positions = torch.tensor([cache.positions()], device=self._network.device)
        ids = torch.tensor([[row.ids[-1] for row in rows]], device=self._network.device)
        with cache.stepping():
            logits = self._network(input_ids=ids, position_ids=positions, use_cache=False, porism_cache=cache).logits[0]
        self._take(call, rows, logits)

    def _forward(
        self, cache: Cache, sequences: Sequence[Sequence[int]], keep: Sequence[int], *, before: int = 0
    ) -> torch.Tensor:
        """Logits [N, V] at the places ``keep`` of sequences that are laid end to end."""
        import torch

        device = self._network.device
        ids = [token for sequence in sequences for token in sequence]
        positions = [before + at for sequence in sequences for at in range(len(sequence))]
        out: Any = self._network(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(list(keep), device=device, dtype=torch.long),
            porism_cache=cache,
        )
        logits: torch.Tensor = out.logits[0]
        return logits

    def _take(self, call: _Call, rows: Sequence[_Row], logits: torch.Tensor) -> None:
        """Choose each row's next token; finish the rows that end with it."""
        import torch

        from porism.engines._sampling import choose, logprobs

        sampling = call.requests[rows[0].request].sampling
        wanted = any(call.requests[row.request].logprobs for row in rows)
        original = logits.clone() if wanted else logits
        allowed = None
        if rows[0].guide is not None:
            masks = [row.guide.allowed(logits.shape[1]) for row in rows if row.guide is not None]
            allowed = torch.stack(masks).to(logits.device)
        tokens = choose(logits, sampling, [row.random for row in rows], allowed)
        told = logprobs(original, tokens).tolist() if wanted else [0.0] * len(rows)
        for row, token, logprob in zip(rows, tokens.tolist(), told, strict=True):
            if (row.request, row.sample) in call.done:
                continue
            row.ids.append(token)
            row.logprobs.append(logprob)
            if row.guide is not None:
                row.guide.take(token)
            sample = self._finished(call.requests[row.request], row)
            if call.on_text is not None:
                self._tell(call, row, sample)
            if sample is not None:
                call.done[row.request, row.sample] = sample

    # --- ending ---

    def _finished(self, request: Request, row: _Row) -> Sample | None:
        """The row's sample, if its last token ends it."""
        sampling = request.sampling
        if row.guide is not None and row.guide.error:
            reason = f"the grammar of the answer failed: {row.guide.error}"
            return Sample(text=self._text(row, request), finish="error", error=reason, tokens=len(row.ids))
        ended = row.ids[-1] in self._ends or row.ids[-1] in self._stop_tokens(sampling.stop)
        cut = self._stop_at(row, request) if sampling.stop else -1
        if not ended and cut < 0 and len(row.ids) < sampling.max_tokens:
            return None
        text = self._text(row, request)
        return Sample(
            text=text[:cut] if cut >= 0 else text,
            finish="stop" if ended or cut >= 0 else "length",
            tokens=len(row.ids),
            ids=tuple(row.ids),
            logprobs=tuple(row.logprobs) if request.logprobs else (),
        )

    def _stop_tokens(self, stops: tuple[str, ...]) -> frozenset[int]:
        """Stop strings that are tokens by themselves: those of them that are marks do not show in decoded text."""
        if stops not in self._marks:
            added = self._tokenizer.get_added_vocab() if stops else {}
            self._marks[stops] = frozenset(added[stop] for stop in stops if stop in added)
        return self._marks[stops]

    def _text(self, row: _Row, request: Request) -> str:
        return request.prefix + str(self._tokenizer.decode(row.ids, skip_special_tokens=True))

    def _stop_at(self, row: _Row, request: Request) -> int:
        """Where the first stop string begins in the row's text; -1 where there is none. The end of the text decides."""
        stops = request.sampling.stop
        reach = max(len(stop.encode("utf-8", "surrogatepass")) for stop in stops) + 4  # a token has a byte or more
        tail = str(self._tokenizer.decode(row.ids[-reach:], skip_special_tokens=True))
        if not any(stop in tail for stop in stops):
            return -1
        text = self._text(row, request)
        found = [at for at in (text.find(stop, len(request.prefix)) for stop in stops) if at >= 0]
        return min(found, default=-1)

    def _tell(self, call: _Call, row: _Row, sample: Sample | None) -> None:
        """Tell ``on_text`` what is new and certain: no half character, and nothing that may begin a stop string."""
        request = call.requests[row.request]
        if sample is not None:
            text = sample.text
        else:
            text = self._text(row, request).rstrip("\ufffd")
            held = max((overlap(text, stop) for stop in request.sampling.stop), default=0)
            text = text[: len(text) - held]
        if call.on_text is not None and len(text) > len(row.told):
            call.on_text(row.request, row.sample, text[len(row.told) :])
            row.told = text


def _common_beginning(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all prompts begin with, such as worked examples; each keeps at least one token of its own."""
    different = set(prompts)
    if len(different) < 2:
        return 0
    first, last = min(different), max(different)
    length = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    length = min(length, min(map(len, different)) - 1)
    return length if length >= _WORTH_SHARING else 0


def _by_size(rows: Sequence[tuple[list[int], list[int]]], most: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Sequences in batches of at most so many tokens; a longer one goes alone."""
    batch: list[tuple[list[int], list[int]]] = []
    total = 0
    for row in rows:
        size = len(row[0]) + len(row[1])
        if batch and total + size > most:
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += size
    if batch:
        yield batch


def _end_ids(*configured: int | list[int] | None) -> set[int]:
    ends: set[int] = set()
    for item in configured:
        ends.update(item if isinstance(item, list) else [] if item is None else [item])
    return ends


def start(
    model: str,
    *,
    dtype: Annotated[Dtype, Field(description="of the weights; auto is bfloat16 where the processor has it")] = "auto",
    threads: Annotated[int, Field(description="threads of torch; 0: as many as are idle", ge=0)] = 0,
    batch_size: Annotated[int, Field(description="most rows at once", ge=1)] = 256,
) -> Local:
    """An engine on a model that is loaded into this process.

    Raises:
        ModelError: see :func:`porism.models.load.load`.
    """
    import torch

    prepare(choose_threads(threads))
    loaded = load(model, choose_dtype(dtype))
    if torch.cuda.is_available():
        loaded.model.to("cuda")
    return Local(loaded, batch_size)
