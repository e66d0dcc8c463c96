"""Generation in this process with transformers' ``generate``.

Prompts of like length share a batch, a prefix that they have in common is computed once, and rows that have ended make
room for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field

from porism.engines import Reply, Request, Sample, Sampling
from porism.errors import RecipeError
from porism.models.load import Loaded, load
from porism.models.machine import Dtype, choose_dtype, choose_threads, prepare
from porism.prompts.render import encode
from porism.records import content_id

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, LogitsProcessorList, PreTrainedTokenizerBase, StoppingCriteriaList

__all__ = ["Local", "start"]


_WORTH_SHARING = 32
"""Shorter common prefixes are simply computed with each row."""

_SEGMENT = 16
"""Tokens between two looks at which rows have ended."""


class _Row(NamedTuple):
    request: int
    sample: int
    ids: list[int]


class Local:
    """An engine on a model in memory.

    A row's result depends on its own prompt, settings and seed: greedy decoding takes the arg max, and sampling
    draws from a generator of its own. Batches are planned from the requests alone. In float32 a row is the same
    whatever shares its batch, up to rounding in the last bits; the same requests in the same order always make
    the same batches.

    Args:
        loaded: model and tokenizer.
        batch_size: most rows in one batch.
    """

    def __init__(self, loaded: Loaded, batch_size: int = 64) -> None:
        self.model = loaded.fingerprint
        self._network, self._tokenizer = loaded.model, loaded.tokenizer
        self._batch_size = batch_size
        self._context = int(getattr(loaded.model.config, "max_position_embeddings", 0) or 2**30)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order; one that does not fit the model's context gets an error, not an answer."""
        prompts: list[list[int]] = []
        fitting: list[_Row] = []
        samples: dict[tuple[int, int], Sample] = {}
        for index, request in enumerate(requests):
            ids, reason = self._encoded(request)
            prompts.append(ids)
            if reason:
                failed = Sample(text="", finish="error", error=reason)
                samples.update({(index, number): failed for number in range(request.n)})
            else:
                fitting += [_Row(index, number, ids) for number in range(request.n)]
        for sampling, batch in self._plan(requests, fitting):
            answers = self._run(sampling, batch, [requests[row.request].seed for row in batch])
            samples.update({(row.request, row.sample): answer for row, answer in zip(batch, answers, strict=True)})
        return [
            Reply(samples=tuple(samples[index, i] for i in range(request.n)), prompt_tokens=len(ids))
            for index, (request, ids) in enumerate(zip(requests, prompts, strict=True))
        ]

    def _encoded(self, request: Request) -> tuple[list[int], str]:
        """The prompt's token ids, and why it cannot be answered, if it cannot.

        Raises:
            RecipeError: no prompt at all can be answered with these settings.
        """
        most = request.sampling.max_tokens
        if most >= self._context:
            raise RecipeError(
                f"max_tokens: expected fewer than the {self._context} tokens that the model's context holds, prompt "
                f"and answer together, got {most}. Lower it."
            )
        try:
            ids = encode(self._tokenizer, request.messages)
        except (TypeError, UnicodeEncodeError) as error:  # half of a surrogate pair
            return [], f"the prompt cannot be tokenised: {error}"
        limit = self._context - most
        if len(ids) > limit:
            return ids, f"the prompt has {len(ids)} tokens, but the context and max_tokens leave room for {limit}"
        return ids, ""

    def close(self) -> None:
        """Drop the model."""
        del self._network

    def _plan(self, requests: Sequence[Request], rows: list[_Row]) -> Iterator[tuple[Sampling, list[_Row]]]:
        """Batches of rows with the same sampling settings, longest prompts first, so that little is padded."""

        def settings(row: _Row) -> str:
            return repr(requests[row.request].sampling)

        for _, same in groupby(sorted(rows, key=settings), key=settings):
            ordered = sorted(same, key=lambda row: (-len(row.ids), row.request, row.sample))
            for start in range(0, len(ordered), self._batch_size):
                batch = ordered[start : start + self._batch_size]
                yield requests[batch[0].request].sampling, batch

    def _run(self, sampling: Sampling, batch: list[_Row], seeds: list[int]) -> list[Sample]:
        """Generate for a batch; rows that have ended are taken out every few tokens, and the rest goes on alone."""
        import torch

        tokenizer, network = self._tokenizer, self._network
        pad = int(tokenizer.pad_token_id)
        shared = _shared_prefix([row.ids for row in batch])
        width = max(len(row.ids) for row in batch)
        gaps = [width - len(row.ids) for row in batch]
        ids = [row.ids[:shared] + [pad] * gap + row.ids[shared:] for row, gap in zip(batch, gaps, strict=True)]
        mask = [[1] * shared + [0] * gap + [1] * (width - shared - gap) for gap in gaps]
        ids_B_T, mask_B_T = (torch.tensor(rows, device=network.device) for rows in (ids, mask))
        generators = _generators(sampling, [(seed, row.sample) for seed, row in zip(seeds, batch, strict=True)])
        ends = _end_ids(network.generation_config.eos_token_id, tokenizer.eos_token_id)
        texts: list[list[int]] = [[] for _ in batch]
        alive = list(range(len(batch)))
        with torch.inference_mode():
            cache = self._prefill(ids_B_T[:1, :shared], len(batch))
            while alive:
                done = ids_B_T.shape[1] - width
                out = network.generate(
                    input_ids=ids_B_T,
                    attention_mask=mask_B_T,
                    past_key_values=cache,
                    max_new_tokens=min(_SEGMENT, sampling.max_tokens - done),
                    do_sample=False,
                    logits_processor=_processors(sampling, [generators[row] for row in alive] if generators else []),
                    stopping_criteria=_criteria(tokenizer, sampling.stop, width),
                    pad_token_id=pad,
                    return_dict_in_generate=True,
                )
                going = []
                for place, row in enumerate(alive):
                    texts[row] = out.sequences[place, width:].tolist()
                    ended = ends.intersection(texts[row]) or self._stop_at(texts[row], sampling.stop) >= 0
                    if not ended and len(texts[row]) < sampling.max_tokens:
                        going.append(place)
                alive = [alive[place] for place in going]
                chosen = torch.tensor(going, dtype=torch.long, device=network.device)
                cache = out.past_key_values
                cache.batch_select_indices(chosen)
                ids_B_T = out.sequences[chosen]
                grown = ids_B_T.shape[1] - mask_B_T.shape[1]
                mask_B_T = torch.nn.functional.pad(mask_B_T[chosen], (0, grown), value=1)
        return [self._sample(text, ends, sampling) for text in texts]

    def _prefill(self, ids_1_T: torch.Tensor, rows: int) -> DynamicCache | None:
        """Keys and values of a prefix that all rows share, computed once; None for an empty prefix."""
        import transformers

        if ids_1_T.shape[1] == 0:
            return None
        cache = transformers.DynamicCache(config=self._network.config)
        self._network(input_ids=ids_1_T, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(rows)
        return cache

    def _sample(self, ids: list[int], ends: set[int], sampling: Sampling) -> Sample:
        """Cut one row of generated ids at its end token or stop string."""
        length = next((at + 1 for at, token in enumerate(ids) if token in ends), len(ids))
        ended = length > 0 and ids[length - 1] in ends
        text = self._tokenizer.decode(ids[:length], skip_special_tokens=True)
        cut = self._stop_at(ids[:length], sampling.stop)
        if cut < 0:
            return Sample(text=text, finish="stop" if ended else "length", tokens=length)
        tokens = next(n for n in range(1, length + 1) if self._stop_at(ids[:n], sampling.stop) >= 0)
        return Sample(text=text[:cut], finish="stop", tokens=tokens)

    def _stop_at(self, ids: list[int], stops: Sequence[str]) -> int:
        """Where in the text of ``ids`` the first stop string begins; -1 where there is none."""
        if not stops:
            return -1
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return min((at for at in map(text.find, stops) if at >= 0), default=-1)


def _shared_prefix(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with, such as worked examples; each keeps at least one token of its own."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)
    length = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    length = min(length, min(map(len, prompts)) - 1)
    return length if length >= _WORTH_SHARING else 0


def _end_ids(*configured: int | list[int] | None) -> set[int]:
    ends: set[int] = set()
    for item in configured:
        ends.update(item if isinstance(item, list) else [] if item is None else [item])
    return ends


def _generators(sampling: Sampling, draws: list[tuple[int, int]]) -> list[torch.Generator]:
    """One random generator a row, seeded by the request's seed and the sample's number; none for greedy decoding."""
    import torch

    if sampling.temperature == 0:
        return []
    return [torch.Generator().manual_seed(int(content_id(seed, sample), 16) >> 1) for seed, sample in draws]


def _processors(sampling: Sampling, generators: list[torch.Generator]) -> LogitsProcessorList:
    """Logits processors that make ``generate``'s arg max an exact draw from each row's own generator.

    Adding Gumbel noise and taking the arg max samples from the softmax (Gumbel-max); noise from a generator that is
    seeded by the row alone makes a row independent of what shares its batch, which ``do_sample`` is not.
    """
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList
    from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    processors = LogitsProcessorList()
    if not generators:
        return processors

    class Gumbel(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: torch.Tensor, scores_B_V: torch.Tensor) -> torch.Tensor:
            del input_ids
            noise = torch.stack([torch.empty(scores_B_V.shape[1]).exponential_(generator=g) for g in generators])
            return scores_B_V.float() - noise.log().to(scores_B_V.device)

    processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    processors.append(Gumbel())
    return processors


def _criteria(tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], width: int) -> StoppingCriteriaList:
    """Stop a row once a stop string stands in its new text.

    Transformers' own ``stop_strings`` also matches a string that begins in the prompt.

    Args:
        tokenizer: turns ids into text.
        stops: the strings.
        width: length of the padded prompts; what follows is new.
    """
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    reach = max(map(len, stops), default=0) + 4  # tokens: each has a character, but some are parts of one

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
            del scores
            tails = tokenizer.batch_decode(input_ids[:, width:][:, -reach:], skip_special_tokens=True)
            return torch.tensor([any(stop in tail for stop in stops) for tail in tails], device=input_ids.device)

    return StoppingCriteriaList([Stop()] if stops else [])


def start(
    model: str,
    *,
    dtype: Annotated[Dtype, Field(description="of the weights; auto is bfloat16 where the processor has it")] = "auto",
    threads: Annotated[int, Field(description="threads of torch; 0 for all processors", ge=0)] = 0,
    batch_size: Annotated[int, Field(description="most rows in one batch", ge=1)] = 64,
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
