"""The records that flow between stages. Read this file first.

``problems`` makes a :class:`Problem`. ``solve`` turns it into an :class:`Attempt`, which carries the
problem, the prompt, the text that came back and a :class:`Verdict`. ``curate`` keeps or drops records.
``train`` reads attempts, and rows in TRL's layouts: :class:`Example`, :class:`Pair` and :class:`Stepwise`. Before there
is a problem there may be :class:`Concepts`, from which ``synth`` writes one.

All are frozen, and each has an ``id`` that is a hash of what it says: the same content has the same id
on every machine, and an edited record has another. On disk each record is one line of JSON with the
fields below (and ``id``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal

from typing_extensions import TypedDict

__all__ = [
    "JUDGED",
    "Attempt",
    "Concepts",
    "Example",
    "Finish",
    "Message",
    "Pair",
    "Problem",
    "Record",
    "Status",
    "Stepwise",
    "Verdict",
    "content_id",
    "to_row",
]


class Status(StrEnum):
    """What a grader concluded. Only the first two are judgements; the rest say why there is none."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    """No answer could be read in the text."""
    TRUNCATED = "truncated"
    """The token limit cut the text off before it stated an answer."""
    TIMEOUT = "timeout"
    ERROR = "error"
    GOLD_UNPARSED = "gold_unparsed"
    """The reference answer itself could not be read."""


JUDGED = frozenset({Status.CORRECT, Status.WRONG})
"""Statuses that are a judgement on the answer."""

Finish = Literal["stop", "length", "error"]
"""Why generation ended: an end token or stop string, the token limit, or a failure of the engine."""


_NO_OTHER_FIELDS = {"extra": "forbid"}


class Message(TypedDict):
    """One turn of a chat, as every chat template expects it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with its reference answer."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    question: str
    answer: str
    solution: str = ""
    """A worked solution that ends in the answer, where the source has one."""
    kind: str = "number"
    """The grader that judges answers: a file in ``porism/graders`` or ``module:name``."""
    source: str = ""
    """Where it comes from: ``procedural``, ``gsm8k``, a file's name."""
    group: str = ""
    """Template or subject: what near-twins share, and what results are broken down by."""
    set: str = ""
    """The set that it is measured in, as a report names it; the source where left empty."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Hash of question, reference answer and kind."""
        return content_id("problem", self.question, self.answer, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A grader's conclusion about one attempt."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    status: Status
    answer: str | None = None
    """The answer as it was read in the text."""
    rule: str = ""
    """The extraction rule that found it."""
    grader: str = ""
    profile: str = ""
    """The set of extraction rules that was allowed."""
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else a grader tells: the sandbox and the outcome of each test, for code."""

    @property
    def correct(self) -> bool:
        """True only for a judged, correct answer."""
        return self.status is Status.CORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a problem: what was asked, what came back, what it is worth."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    problem: Problem
    strategy: str
    messages: Sequence[Message]
    text: str
    finish: Finish = "stop"
    sample: int = 0
    """Which of the n samples of this problem."""
    seed: int = 0
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    verdict: Verdict | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Hash of the problem, the prompt, the sample's number and the text."""
        return content_id("attempt", self.problem.id, self.strategy, list(self.messages), self.sample, self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training row in TRL's conversational prompt/completion layout."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    prompt: Sequence[Message]
    completion: Sequence[Message]
    meta: Mapping[str, Any] = field(default_factory=dict)
    label: bool | None = None
    """Whether the completion is wanted, for methods that learn from single answers (KTO, outcome verifiers)."""
    loss_mask: Sequence[float | Sequence[int]] | None = None
    """Where the completion carries a loss: a number for each of its tokens, or spans of characters ``[start, end]``."""

    @property
    def id(self) -> str:
        """Hash of prompt and completion, and of label and mask where there are any."""
        said = [one for one in (self.label, self.loss_mask) if one is not None]
        return content_id("example", list(self.prompt), list(self.completion), *said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one prompt, the first better than the second, in TRL's conversational preference layout."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    prompt: Sequence[Message]
    chosen: Sequence[Message]
    rejected: Sequence[Message]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Hash of the prompt and both answers."""
        return content_id("pair", list(self.prompt), list(self.chosen), list(self.rejected))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concepts:
    """Concepts that belong together: one alone, those of a problem, or a draw from which a problem is to be written."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    concepts: Sequence[str]
    level: str = ""
    """How hard it is, or the problem is to be: a level of its domain, such as ``high school``."""
    subject: str = ""
    domain: str = ""
    """``math`` or ``code``."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Hash of the concepts, in order, and the level."""
        return content_id("concepts", list(self.concepts), self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepwise:
    """An answer in steps, each judged, in TRL's layout for process supervision."""

    __pydantic_config__: ClassVar = _NO_OTHER_FIELDS

    prompt: Sequence[Message]
    completions: Sequence[str]
    """The steps; joined they are the answer."""
    labels: Sequence[float]
    """Of each step: 1 where it is right, 0 where it is wrong, or the share of roll-outs from it that were right."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Hash of the prompt, the steps and their labels."""
        return content_id("stepwise", list(self.prompt), list(self.completions), list(self.labels))


Record = Problem | Attempt | Example | Pair | Stepwise | Concepts


def content_id(*parts: object) -> str:
    """A short, stable hash of JSON-able parts.

    Returns:
        The first 16 hexadecimal digits of the SHA-256 of their canonical JSON.
    """
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def to_row(record: Record) -> dict[str, Any]:
    """The record as the JSON object that stands on disk, ``id`` first, empty fields left out."""
    return {"id": record.id, **_plain(record)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            f.name: _plain(item) for f in dataclasses.fields(value) if not _left_out(f, item := getattr(value, f.name))
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _left_out(described: dataclasses.Field[Any], item: object) -> bool:
    """True for an optional field that is empty: reading the row back restores the default."""
    required = described.default is described.default_factory is dataclasses.MISSING
    return not required and item in (None, "", {})
