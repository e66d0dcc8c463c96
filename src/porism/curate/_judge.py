"""Tags that a model gives, constrained to a JSON schema, so that no tag is lost to a reply that cannot be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from types import TracebackType
from typing import Any, Self

from porism import recipe
from porism.curate._expression import SCALES
from porism.curate._rules import SUBJECTS
from porism.curate._text import question_of, readable, response_of
from porism.engines import LOADS, Engine, Request, Sampling, cached
from porism.errors import RecipeError
from porism.find import find
from porism.models.load import fingerprint
from porism.models.machine import choose_dtype
from porism.records import Record, content_id

__all__ = ["CATEGORIES", "Judge", "schema"]

CATEGORIES = (
    "Information seeking",
    "Reasoning",
    "Planning",
    "Editing",
    "Coding & Debugging",
    "Math",
    "Role playing",
    "Data analysis",
    "Creative writing",
    "Advice seeking",
    "Brainstorming",
    "Others",
)
"""Magpie's."""

_TAGS: Mapping[str, Mapping[str, Any]] = {
    "difficulty": {"enum": list(SCALES[0])},
    "quality": {"enum": list(SCALES[1])},
    "category": {"enum": list(CATEGORIES)},
    "subject": {"enum": list(SUBJECTS)},
    "safety": {"enum": ["safe", "unsafe"]},
    "reward": {"type": "integer", "minimum": 1, "maximum": 10},
}
_EXPLAINED = 160
_QUESTION, _RESPONSE = 4_000, 4_000
"""Characters that are shown."""
_MAX_TOKENS = 512
"""A bound only: a reply ends with its object."""


def schema(tags: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a reply: a short explanation, then each tag."""
    properties = {"explanation": {"type": "string", "maxLength": _EXPLAINED}, **{name: _TAGS[name] for name in tags}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class Judge:
    """Asks a model for tags.

    Args:
        tags: which.
        model: who is asked.
        engine: what runs it.
        options: settings of that engine.

    Raises:
        RecipeError: no model is named, or a setting is wrong.
    """

    def __init__(self, tags: Sequence[str], *, model: str, engine: str, options: Mapping[str, Any]) -> None:
        if not model and engine in LOADS:
            raise RecipeError("judge: tags that a model gives need one that judges. Set judge_model.")
        self._tags = list(tags)
        start: Callable[..., Engine] = find("porism.engines", engine, "start")
        kind = recipe.settings_of(start, recipe.Settings)
        chosen = recipe.build(kind, options, "judge_options")
        self._engine = recipe.bind(start, chosen)(model)
        if engine in LOADS:
            apart = kind.not_in_key | {"threads", "batch_size"}
            made_by = {name: getattr(chosen, name) for name in kind.model_fields if name not in apart}
            made_by |= {"dtype": choose_dtype(made_by["dtype"])} if engine == "local" else {}
            self._asked = cached(
                self._engine, fingerprint(model), {**made_by, "engine": engine}, single=engine == "local"
            )
        else:
            self._asked = self._engine
        self._prompt = resources.files("porism.prompts").joinpath("tag.txt").read_text(encoding="utf-8")
        self._sampling = Sampling(max_tokens=_MAX_TOKENS, json_schema=json.dumps(schema(tags)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()

    def tags(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """The tags of each record; where there are none, ``error`` says why."""
        requests = [
            Request(
                messages=[{"role": "user", "content": self._filled(record)}],
                sampling=self._sampling,
                seed=int(content_id("tag", record.id), 16),
            )
            for record in records
        ]
        replies = self._asked.generate(requests)
        return [self._read(reply.samples[0].text, reply.samples[0].error) for reply in replies]

    def _filled(self, record: Record) -> str:
        """The prompt; what is judged stands between marks that it cannot contain."""
        question, response = readable(question_of(record)[:_QUESTION]), readable(response_of(record)[:_RESPONSE])
        mark = hashlib.sha256(f"{question}\0{response}".encode()).hexdigest()[:16]
        text = f"{mark}\nInstruction:\n{question}\n\nResponse:\n{response}\n{mark}"
        wanted = "\n".join(f"- {name}: {_told(_TAGS[name])}" for name in self._tags)
        return self._prompt.replace("{tags}", wanted).replace("{mark}", mark).replace("{text}", text)

    def _read(self, reply: str, error: str) -> dict[str, Any]:
        if error:
            return {"error": f"the judge failed: {error}"}
        try:
            value = json.loads(reply)
        except (ValueError, RecursionError):
            return {"error": f"the judge's reply is no JSON: {reply.strip()[-80:]!r}"}
        if not isinstance(value, dict):
            return {"error": f"the judge's reply is no object: {reply.strip()[:80]!r}"}
        wrong = [name for name in self._tags if not _fits(_TAGS[name], value.get(name))]
        if wrong:
            return {"error": f"the judge's reply has no fitting {', '.join(wrong)}: {reply.strip()[:80]!r}"}
        explained = {"explanation": value["explanation"]} if isinstance(value.get("explanation"), str) else {}
        return {**{name: value[name] for name in self._tags}, **explained}


def _told(kind: Mapping[str, Any]) -> str:
    return " | ".join(kind["enum"]) if "enum" in kind else f"a whole number from {kind['minimum']} to {kind['maximum']}"


def _fits(kind: Mapping[str, Any], value: object) -> bool:
    if "enum" in kind:
        return value in kind["enum"]
    return isinstance(value, int) and not isinstance(value, bool) and kind["minimum"] <= value <= kind["maximum"]
