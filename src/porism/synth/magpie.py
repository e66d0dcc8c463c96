"""Problems from a model that is prompted with nothing: it writes the user's turn, then answers it.

The model gets all that its chat template writes before a user's words, under a system message that names a domain, and
goes on as the user would (Magpie: Xu et al., 2024, arXiv:2406.08464). What comes is sanitised, each drop with its
reason, and answered in the ordinary way, by the same model or another one.

Departures from the paper's scripts: no stop at a newline or at the word "assistant"; a seed for each instruction, so
that records depend neither on the batch nor on where a run was cut off; Align pairs by correctness or agreement first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from porism import console, recipe, store
from porism import sandbox as box
from porism.engines import LOADS, Engine
from porism.engines._stage import Staged, kept, starter
from porism.errors import RecipeError
from porism.graders import asks_engine
from porism.models.load import fingerprint
from porism.problems._language import known_languages
from porism.records import Message, content_id
from porism.synth import _products
from porism.synth._domains import MATHEMATICS, chosen, quotas
from porism.synth._instructions import template_of
from porism.synth._prequery import of_family
from porism.synth._responses import Responder, ResponseSettings, nucleus, prompt_hash, reward_code, scorer_hash
from porism.synth._work import Work, plan

__all__ = ["Settings", "check", "inputs", "run"]

_SAID = [Message(role="user", content="?"), Message(role="assistant", content="!")]
"""A first turn, to see whether a second one can follow it."""


class Settings(ResponseSettings):
    """Settings of ``porism synth magpie``."""

    model: Annotated[str, Field(description="who writes the instructions: an alias, a folder, a server's model")] = (
        "smollm2-135m"
    )
    engine: Annotated[str, Field(description="who runs it; a server must have raw completions")] = "local"
    family: Annotated[str, Field(description="the family of a server's chat template, where tokenizer is not set")] = ""
    total: Annotated[int, Field(description="how many instructions, over all domains", ge=1)] = 1000
    count: Annotated[
        Literal["written", "kept"], Field(description="which ones total counts: all that are written, or those kept")
    ] = "written"
    most_tries: Annotated[int, Field(description="with count=kept: write at most so many times total", ge=1)] = 4
    domains: Annotated[list[str], Field(description="what they are about: shipped domains, your own, or none")] = [
        *MATHEMATICS
    ]
    domain_file: Annotated[str, Field(description="domains of your own, one JSON object a line")] = ""
    quotas: Annotated[dict[str, float], Field(description="weights of domains; 1 for those not named")] = {}
    ins_temp: Annotated[
        float | None, Field(description="temperature of instructions; each domain's own if not given", ge=0)
    ] = None
    ins_top_p: Annotated[
        float, AfterValidator(nucleus), Field(description="nucleus sampling of the instructions, in (0, 1]")
    ] = 1.0
    ins_top_k: Annotated[int, Field(description="only the k likeliest tokens; 0 for all", ge=0)] = 0
    ins_min_p: Annotated[float, Field(description="only tokens this share as likely as the likeliest", ge=0, le=1)] = (
        0.0
    )
    ins_max_tokens: Annotated[int, Field(description="longest instruction", ge=1)] = 512
    headings: Annotated[bool, Field(description="let instructions begin with a Markdown heading")] = False
    logprobs: Annotated[bool, Field(description="write into meta how likely each instruction is to the model")] = False
    leaked: Annotated[
        Literal["cut", "drop"], Field(description="what becomes of an instruction that is followed by its solution")
    ] = "cut"
    min_chars: Annotated[int, Field(description="drop shorter instructions", ge=1)] = 20
    max_chars: Annotated[int, Field(description="drop longer instructions", ge=1)] = 1000
    language: Annotated[str, Field(description="drop other languages: an ISO 639-1 code; '' for any")] = "en"
    on_domain: Annotated[bool, Field(description="drop what has none of its domain's words")] = False
    with_data: Annotated[bool, Field(description="drop what has neither a number nor a formula")] = False
    turns: Annotated[int, Field(description="user turns of a conversation", ge=1)] = 1
    responses: Annotated[
        int, Field(description="responses to each instruction; 0 for the instructions alone", ge=0)
    ] = 1
    res_model: Annotated[str, Field(description="who answers; the same model if empty")] = ""
    res_engine: Annotated[str, Field(description="who runs that one; the same engine if empty")] = ""
    res_options: Annotated[dict[str, Any], Field(description="settings of that engine")] = {}
    at_once: Annotated[int, Field(description="instructions in one unit of work", ge=1)] = 512

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find what does not go together.

        Raises:
            ValueError: settings exclude one another.
        """
        if self.turns > 1 and not self.responses:
            raise ValueError("turns: a second turn needs a response to the first. Set responses to at least 1.")
        if self.responses > 1 and not self.res_temp:
            raise ValueError("res_temp: at 0 all responses would be the same. Set it, to 0.8 say, or responses to 1.")
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is above max_chars {self.max_chars}.")
        if self.res_options and not (self.res_model or self.res_engine):
            raise ValueError("res_options: they belong to another engine or model. Set res_model or res_engine.")
        return self


def check(settings: Settings) -> None:
    """Find what is wrong in the settings, the domains and the code that they name, before anything runs.

    Raises:
        UserError: there is one.
    """
    domains = chosen(settings.domains, settings.domain_file)
    quotas(settings.total, domains, settings.quotas)
    for kind in {domain.kind for domain in domains}:
        asks_engine(kind)
    if settings.language not in ("", *known_languages()):
        raise RecipeError(
            f"language: {settings.language!r} is no language that can be told. Known: {', '.join(known_languages())}; "
            "empty for any."
        )
    box.described(settings.sandbox)
    prompt_hash(settings)
    reward_code(settings)
    if settings.engine not in LOADS and not getattr(settings, "tokenizer", ""):
        template = of_family(settings.family)
        for domain in domains:
            template.pre_query([*domain.conversation(), *(_SAID if settings.turns > 1 else [])])
    if _answers_apart(settings):
        _other_options(settings)


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the models that are loaded, of the domains' texts and of a shipped prompt."""
    found = prompt_hash(settings) | (scorer_hash(settings) if settings.responses else {})
    found["domains"] = content_id([domain.id for domain in chosen(settings.domains, settings.domain_file)])
    if settings.engine in LOADS:
        found["model"] = fingerprint(getattr(settings, "adapter", "") or settings.model)
    if _answers_apart(settings) and (settings.res_engine or settings.engine) in LOADS:
        found["res_model"] = fingerprint(settings.res_options.get("adapter") or settings.res_model or settings.model)
    return found


def run(settings: Settings, out: store.Output) -> None:
    """Write instructions, sanitise them, answer them, and make the products.

    Raises:
        DataError: the engine failed too often, or nothing was kept.
        ModelError: the model, its template or the server is unfit.
    """
    tokenizer = getattr(settings, "tokenizer", "")
    template = template_of(settings.engine, settings.model, tokenizer=tokenizer, family=settings.family)
    planned = plan(settings)
    with _engines(settings, out) as (writes, answers):
        responder = Responder("magpie", answers, settings, settings.responses) if settings.responses else None
        work = Work(settings, planned, template, writes, responder)
        if settings.count == "kept":
            work.resume(out)
        out.process(planned.units, work.unit, title=f"synth magpie: {settings.total} instructions", unit="instructions")
        described = work.described()
        if work.short:
            told = ", ".join(f"{name} {count} of {planned.wanted[name]}" for name, count in work.short.items())
            tries = f"most_tries={settings.most_tries} times as many"
            console.notice(f"  fewer were kept than wanted, after {tries}: {told}")
    target = out.beside("generation.json")
    store.write_json(target, {"settings": settings.model_dump(mode="json"), **described})
    out.add(target)
    _products.finish(out, settings, "synth magpie", candidates=settings.responses)


@contextmanager
def _engines(settings: Settings, out: store.Output) -> Iterator[tuple[Engine, Engine]]:
    """Who writes and who answers; one engine where no other is asked for. Each is started when it is first needed."""
    known = out.manifest.key.inputs if out.manifest else {}
    with ExitStack() as stack:
        writes = stack.enter_context(Staged(settings.engine, settings.model, settings, out))
        writer = kept(writes, settings, known.get("model", ""), wanted=settings.cache)
        if not _answers_apart(settings):
            try:
                yield writer, writer
            finally:
                writes.account()
            return
        options = _other_options(settings)
        name, model = settings.res_engine or settings.engine, settings.res_model or settings.model
        answers = stack.enter_context(Staged(name, model, options, out, prefix="res_"))
        try:
            yield writer, kept(answers, options, known.get("res_model", ""), wanted=settings.cache)
        finally:
            writes.account()
            answers.account()


def _answers_apart(settings: Settings) -> bool:
    """Whether another model, or engine, answers."""
    return bool(settings.responses and (settings.res_model or settings.res_engine))


def _other_options(settings: Settings) -> recipe.Settings:
    """The settings of the engine that answers.

    Raises:
        RecipeError: no such engine, or a setting that it has not.
    """
    start = starter(settings.res_engine or settings.engine)
    return recipe.build(recipe.settings_of(start, recipe.Settings), settings.res_options, "res_options")
