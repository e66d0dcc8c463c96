"""The work of ``synth magpie``: the plan of all instructions, and what becomes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from porism import chains, store
from porism.engines import Engine, Sampling
from porism.records import Attempt, Message, Problem, content_id
from porism.synth._domains import Domain, chosen, quotas
from porism.synth._instructions import Draft, Turn, Writer
from porism.synth._prequery import PreQuery, Template
from porism.synth._responses import Responder
from porism.synth._sanitise import Cleaned, Rules, clean

if TYPE_CHECKING:
    from porism.synth.magpie import Settings

__all__ = ["Plan", "Slot", "Work", "plan"]


class Slot(NamedTuple):
    """An instruction that is to be written: its domain, its number within it, its first place in the output."""

    domain: Domain
    number: int
    at: int


class Plan(NamedTuple):
    """All instructions that may be written, made from the settings alone."""

    units: list[list[Slot]]
    wanted: dict[str, int]
    """Domain → how many are to be kept; beyond that none is written."""


@dataclass
class _Talk:
    """A conversation in the making."""

    slot: Slot
    said: list[Message] = field(default_factory=list)


def plan(settings: Settings) -> Plan:
    """The domains in turn, so that a run that is stopped early is balanced too; the output has them one by one.

    Raises:
        UserError: the domains or quotas are wrong.
    """
    domains = chosen(settings.domains, settings.domain_file)
    wanted = quotas(settings.total, domains, settings.quotas)
    tries = [count * (settings.most_tries if settings.count == "kept" else 1) for count in wanted]
    width = settings.turns * max(1, settings.responses)
    first = [sum(tries[:at]) for at in range(len(tries))]
    slots = [
        Slot(domain, number, (first[at] + number) * width)
        for number in range(max(tries))
        for at, domain in enumerate(domains)
        if number < tries[at]
    ]
    units = [slots[start : start + settings.at_once] for start in range(0, len(slots), settings.at_once)]
    return Plan(units, {domain.name: count for domain, count in zip(domains, wanted, strict=True)})


class Work:
    """Makes the records of one unit after the other.

    Args:
        settings: of the stage.
        planned: its plan.
        template: of the model that writes.
        engine: which runs it.
        responder: who answers; None for the instructions alone.
    """

    def __init__(
        self, settings: Settings, planned: Plan, template: Template, engine: Engine, responder: Responder | None
    ) -> None:
        self._settings, self._plan, self._template, self._engine = settings, planned, template, engine
        self._responder = responder
        self._sampling = Sampling(
            top_p=settings.ins_top_p,
            top_k=settings.ins_top_k,
            min_p=settings.ins_min_p,
            max_tokens=settings.ins_max_tokens,
        )
        raw = settings.engine == "openai"
        self._writer = Writer(
            engine, template, self._sampling, headings=settings.headings, raw=raw, logprobs=settings.logprobs
        )
        self._rules = Rules(
            leaked=settings.leaked,
            shortest=settings.min_chars,
            longest=settings.max_chars,
            language=settings.language,
            on_domain=settings.on_domain,
            with_data=settings.with_data,
        )
        self._kept: Counter[str] = Counter()

    def resume(self, out: store.Output) -> None:
        """Count what earlier sessions kept, where each domain is to have its share of those."""
        width = self._settings.turns * max(1, self._settings.responses)
        there = {at // width for at in out.places(_is_kept)}
        names = {slot.at // width: slot.domain.name for unit in self._plan.units for slot in unit}
        self._kept = Counter(names[number] for number in there)

    def unit(self, slots: Sequence[Slot]) -> Iterator[store.Placed]:
        """The records of some instructions."""
        talks = [_Talk(slot) for slot in slots if not self._is_full(slot)]
        for turn in range(self._settings.turns):
            if not talks:
                return
            drafts = self._writer.write([self._turn(talk, turn) for talk in talks])
            asked: list[tuple[_Talk, Problem]] = []
            for talk, draft in zip(talks, drafts, strict=True):
                if turn == 0 and self._is_full(talk.slot):
                    continue
                found = self._cleaned(talk, draft)
                problem = self._problem(talk.slot, turn, draft, found)
                if found.reason:
                    at = talk.slot.at + turn * self._settings.responses
                    yield store.Placed(at, problem, found.reason)
                    continue
                self._kept[talk.slot.domain.name] += turn == 0
                asked.append((talk, problem))
            if self._responder is None:
                yield from (store.Placed(talk.slot.at, problem) for talk, problem in asked)
                return
            talks = yield from self._answered(asked, turn, self._responder)

    def described(self) -> dict[str, Any]:
        """What the instructions were made with: the weights' hash, the template, the pre-query text of each domain."""
        prompts: dict[str, PreQuery] = {}
        domains = {slot.domain.name: slot.domain for unit in self._plan.units for slot in unit}
        for name, domain in domains.items():
            for number in range(domain.prompts):
                label = f"{name}, {number + 1}" if domain.prompts > 1 else name
                prompts[label] = self._template.pre_query(domain.conversation(number))
        family = self._template.family
        return {
            "model": self._engine.model,
            "family": family.name if family else "",
            "pre_query": {name: {"id": prompt.id, "text": prompt.text} for name, prompt in prompts.items()},
            "stops": sorted({stop for prompt in prompts.values() for stop in prompt.stops}),
            "wanted": self._plan.wanted,
        }

    @property
    def short(self) -> dict[str, int]:
        """Domain → how many it kept, where it has not its share after all tries."""
        wanted = self._plan.wanted if self._settings.count == "kept" else {}
        return {name: self._kept[name] for name, count in wanted.items() if self._kept[name] < count}

    def _is_full(self, slot: Slot) -> bool:
        """Whether the domain has its share."""
        return self._kept[slot.domain.name] >= self._plan.wanted[slot.domain.name]

    def _turn(self, talk: _Talk, turn: int) -> Turn:
        slot, settings = talk.slot, self._settings
        temperature = slot.domain.temperature if settings.ins_temp is None else settings.ins_temp
        return Turn([*slot.domain.conversation(slot.number), *talk.said], temperature, _seed(settings.seed, slot, turn))

    def _cleaned(self, talk: _Talk, draft: Draft) -> Cleaned:
        if draft.finish == "error":
            return Cleaned(draft.text, f"engine: {draft.error}")
        domain = talk.slot.domain
        return clean(draft.text, whole=draft.finish == "stop", domain=domain, rules=self._rules)

    def _problem(self, slot: Slot, turn: int, draft: Draft, found: Cleaned) -> Problem:
        """The instruction as a record that tells how it was made; a dropped one as it came."""
        turn_of = self._turn(_Talk(slot), turn)
        meta: dict[str, Any] = {
            "index": slot.number,
            "model": self._engine.model,
            "template": draft.prompt.id,
            "temperature": turn_of.temperature,
            "top_p": self._sampling.top_p,
            "top_k": self._sampling.top_k,
            "min_p": self._sampling.min_p,
            "max_tokens": self._sampling.max_tokens,
            "seed": turn_of.seed,
            "tokens": draft.tokens,
        }
        if draft.logprob is not None:
            meta["logprob"] = round(draft.logprob, 3)
        if self._settings.turns > 1:
            meta["turn"] = turn
        if found.changes:
            meta |= {"taken_away": list(found.changes), "written": draft.text}
        if found.reason:
            meta["dropped"] = True
        return Problem(
            question=draft.text if found.reason else found.text,
            answer="",
            kind=slot.domain.kind,
            source="magpie",
            group=slot.domain.name,
            meta=meta,
        )

    def _answered(
        self, asked: Sequence[tuple[_Talk, Problem]], turn: int, responder: Responder
    ) -> Generator[store.Placed, None, list[_Talk]]:
        """The attempts at the instructions of one turn; returns the conversations that can go on."""
        going: list[_Talk] = []
        if not asked:
            return going
        found = responder.respond([problem for _, problem in asked], [talk.said for talk, _ in asked])
        for (talk, problem), tries in zip(asked, found, strict=True):
            for number, (attempt, reason) in enumerate(tries):
                yield store.Placed(talk.slot.at + turn * self._settings.responses + number, attempt, reason)
            first, reason = tries[0]
            if first.finish == "stop" and not reason:
                said = [Message(role="user", content=problem.question), _without_reasoning(first)]
                going.append(_Talk(talk.slot, [*talk.said, *said]))
        return going


def _without_reasoning(attempt: Attempt) -> Message:
    """What an assistant's turn holds in a conversation that goes on."""
    span = chains.read(attempt.text).response
    return Message(role="assistant", content=attempt.text[span.start : span.end].strip() or attempt.text)


def _is_kept(row: Any) -> bool:
    return "problem" in row or not row.get("meta", {}).get("dropped")


def _seed(seed: int, slot: Slot, turn: int) -> int:
    """A seed for one instruction, which depends neither on the batch nor on what else is written."""
    return int(content_id("magpie", seed, slot.domain.name, slot.number, turn), 16)
