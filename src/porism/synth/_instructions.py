"""Lets a model write user turns: from the pre-query text, each with a seed of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism.engines import LOADS, Engine, Request, Sample, Sampling
from porism.errors import ModelError
from porism.records import Finish, Message, content_id
from porism.synth._prequery import PreQuery, Template, of_family, of_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Draft", "Turn", "Writer", "template_of"]

_AGAINST = -100.0
"""Added to the logit of a token that begins a heading: the least that OpenAI's protocol takes."""


class Turn(NamedTuple):
    """What is asked for: the next user turn of a conversation."""

    conversation: Sequence[Message]
    temperature: float
    seed: int


class Draft(NamedTuple):
    """What the model wrote."""

    text: str
    finish: Finish
    tokens: int
    error: str
    prompt: PreQuery
    logprob: float | None = None
    """Log-probability of all that was written, before temperature and nucleus, where it was asked for."""


def template_of(engine: str, model: str, *, tokenizer: str = "", family: str = "") -> Template:
    """The chat template of a model, from its own tokenizer where there is one.

    Args:
        engine: who runs the model.
        model: its alias or folder, where the engine loads it.
        tokenizer: an alias or folder with the tokenizer of a server's model.
        family: what a server's template is like, where there is no tokenizer.

    Raises:
        ModelError: the tokenizer cannot be had, the template is unfit, or nothing is known of it.
        RecipeError: no such family.
    """
    from porism.models import facts

    if engine in LOADS or tokenizer:
        return of_tokenizer(facts.tokenizer_of(facts.place_of(tokenizer or model)))
    return of_family(family)


class Writer:
    """Gets user turns from a model.

    Args:
        engine: which runs it.
        template: its chat template.
        sampling: how tokens are chosen; each turn brings its own temperature.
        headings: whether an instruction may begin with a Markdown heading. Where it may not, one that does is drawn
            again, its first token with a bias against ``#`` and the rest without one. That is the distribution which
            the bias gives to all, at the cost of one prompt instead of two.
        raw: said beside an error, where the engine is a server.
        logprobs: ask how likely each draft is.
    """

    def __init__(
        self,
        engine: Engine,
        template: Template,
        sampling: Sampling,
        *,
        headings: bool,
        raw: bool = False,
        logprobs: bool = False,
    ) -> None:
        self._engine, self._template, self._sampling, self._raw = engine, template, sampling, raw
        self._logprobs = logprobs
        bias = [] if headings or template.tokenizer is None else _headings(template.tokenizer)
        self._bias = tuple((token, _AGAINST) for token in bias)
        self._against = frozenset(bias)
        self._prompts: dict[str, PreQuery] = {}

    def write(self, turns: Sequence[Turn]) -> list[Draft]:
        """One draft a turn, in order.

        Raises:
            ModelError: the server has no raw completions.
        """
        prompts = [self._prompt(turn.conversation) for turn in turns]
        requests = [self._request(prompt, turn) for prompt, turn in zip(prompts, turns, strict=True)]
        drawn = [[sample] for sample in self._ask(requests)]
        again = [at for at, (sample,) in enumerate(drawn) if self._bias and self._is_heading(sample)]
        for at, parts in zip(again, self._redrawn([requests[at] for at in again]), strict=True):
            drawn[at] = parts
        return [self._draft(prompt, parts) for prompt, parts in zip(prompts, drawn, strict=True)]

    def _prompt(self, conversation: Sequence[Message]) -> PreQuery:
        key = content_id(list(conversation))
        if key not in self._prompts:
            if len(self._prompts) > 1_000:  # those of later turns are each used once
                self._prompts.clear()
            self._prompts[key] = self._template.pre_query(conversation)
        return self._prompts[key]

    def _request(self, prompt: PreQuery, turn: Turn) -> Request:
        sampling = dataclasses.replace(self._sampling, temperature=turn.temperature, stop=prompt.stops)
        if prompt.ids:
            return Request(ids=prompt.ids, sampling=sampling, seed=turn.seed, logprobs=self._logprobs)
        return Request(text=prompt.text, sampling=sampling, seed=turn.seed, logprobs=self._logprobs)

    def _is_heading(self, sample: Sample) -> bool:
        """Whether it begins with a token that begins a heading."""
        if sample.finish == "error":
            return False
        return sample.ids[0] in self._against if sample.ids else sample.text.lstrip().startswith("#")

    def _redrawn(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """The first token of each, drawn with the bias, and the rest where that did not end it."""
        fresh = [dataclasses.replace(one, seed=int(content_id(one.seed, "again"), 16)) for one in requests]
        biased = [dataclasses.replace(one.sampling, max_tokens=1, stop=(), logit_bias=self._bias) for one in fresh]
        firsts = self._ask([dataclasses.replace(one, sampling=how) for one, how in zip(fresh, biased, strict=True)])
        going = [at for at, first in enumerate(firsts) if first.finish == "length"]
        rests = self._ask([self._after(fresh[at], firsts[at]) for at in going])
        found = [[first] for first in firsts]
        for at, rest in zip(going, rests, strict=True):
            found[at].append(rest)
        return found

    def _after(self, request: Request, first: Sample) -> Request:
        """The request for what follows a first token."""
        most = max(1, request.sampling.max_tokens - 1)
        sampling = dataclasses.replace(request.sampling, max_tokens=most)
        seed = int(content_id(request.seed, "rest"), 16)
        if not request.ids:
            return dataclasses.replace(request, text=request.text + first.text, sampling=sampling, seed=seed)
        ids = first.ids or self._ids(first.text)
        return dataclasses.replace(request, ids=(*request.ids, *ids), sampling=sampling, seed=seed)

    def _ids(self, text: str) -> tuple[int, ...]:
        if self._template.tokenizer is None:
            return ()
        return tuple(self._template.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _ask(self, requests: Sequence[Request]) -> list[Sample]:
        if not requests:
            return []
        try:
            return [reply.samples[0] for reply in self._engine.generate(requests)]
        except ModelError as error:
            if not self._raw:
                raise
            raise ModelError(
                f"{error} Magpie needs raw completions, to let the model go on from its pre-query text; a server that "
                "only chats cannot give them."
            ) from None

    def _draft(self, prompt: PreQuery, parts: Sequence[Sample]) -> Draft:
        last = parts[-1]
        ids = [token for part in parts for token in part.ids]
        if all(part.ids or not part.text for part in parts) and ids and self._template.tokenizer is not None:
            text = self._template.text_of(ids, prompt.stops)
        else:
            text = "".join(part.text for part in parts)
        for stop in prompt.stops:
            text = text.partition(stop)[0]
        told = [logprob for part in parts for logprob in part.logprobs]
        logprob = math.fsum(told) if told else None
        return Draft(text, last.finish, sum(part.tokens for part in parts), last.error, prompt, logprob)


def _headings(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that begin a Markdown heading."""
    maybe = sorted(token for text, token in tokenizer.get_vocab().items() if "#" in text)
    return [token for token in maybe if str(tokenizer.decode([token])).lstrip().startswith("#")]
