"""The concepts that problems test, named by a model: one set a problem, with a level.

The answer is constrained to a JSON object with so many concepts and one of the levels, and read exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from porism import store
from porism.engines import Request, Sampling
from porism.errors import DataError
from porism.records import Concepts, Message, Problem, content_id
from porism.synth import _blocks, _concepts
from porism.synth._drops import count_drops
from porism.synth._engines import AskSettings, Engines, model_hash

__all__ = ["Settings", "inputs", "read", "run", "schema"]


class Settings(AskSettings):
    """Settings of ``porism synth concepts-extract``."""

    reads = (Problem,)
    makes = (Concepts,)

    input: Annotated[list[str], Field(description="problems: files or stage folders")]
    domain: Annotated[
        Literal["auto", "math", "code"],
        Field(description="of the problems; auto: code for those that ask for a program"),
    ] = "auto"
    count: Annotated[int, Field(description="concepts of each problem", ge=1, le=20)] = 5
    longest: Annotated[int, Field(description="longest concept, in characters", ge=8)] = 60
    temperature: Annotated[float, Field(description="0 takes the likeliest token", ge=0)] = 0.0
    max_tokens: Annotated[int, Field(description="longest answer", ge=1)] = 256
    constrained: Annotated[bool, Field(description="let the engine allow only such an object")] = True


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the problems, of the model where one is loaded, and of the prompt."""
    found = store.hashes(store.locate(path) for path in settings.input) | model_hash(settings)
    return found | {"prompts": content_id(_blocks.template("extract"))}


def run(settings: Settings, out: store.Output) -> None:
    """Ask for the concepts of every problem.

    Raises:
        DataError: no problems, the engine failed too often, or nothing could be read.
    """
    problems = [cast("Problem", record) for path in settings.input for record in store.read(path, Problem)]
    if not problems:
        raise DataError(f"{', '.join(settings.input)}: no problems in the input.")
    units = [
        range(start, min(start + settings.at_once, len(problems)))
        for start in range(0, len(problems), settings.at_once)
    ]
    with Engines(settings, out) as engines:

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            requests = [_request(problems[at], settings) for at in places]
            for at, reply in zip(places, engines.own.generate(requests), strict=True):
                sample, problem = reply.samples[0], problems[at]
                if sample.finish == "error":
                    yield store.Placed(at, problem, f"engine: {sample.error}")
                    continue
                found = read(sample.text, settings.count, settings.longest, _levels(problem, settings))
                if isinstance(found, str):
                    yield store.Placed(at, problem, found)
                else:
                    yield store.Placed(at, _record(problem, *found, settings))

        out.process(units, work, title=f"synth concepts-extract: {len(problems)} problems", unit="problems")
    count_drops(out, "synth concepts-extract", settings.max_failed, allow_empty=settings.allow_empty)


def schema(count: int, longest: int, levels: Sequence[str]) -> str:
    """The JSON schema of an answer.

    Args:
        count: how many concepts.
        longest: characters of a concept.
        levels: which there are.
    """
    concept = {"type": "string", "minLength": 2, "maxLength": longest}
    concepts = {"type": "array", "items": concept, "minItems": count, "maxItems": count}
    level = {"type": "string", "enum": list(levels)}
    return json.dumps(
        {
            "type": "object",
            "properties": {"concepts": concepts, "level": level},
            "required": ["concepts", "level"],
            "additionalProperties": False,
        }
    )


def read(text: str, count: int, longest: int, levels: Sequence[str]) -> tuple[list[str], str] | str:
    """The concepts and the level of an answer, or why it holds none.

    Args:
        text: the answer.
        count: at most so many; different ones.
        longest: characters of a concept.
        levels: which there are.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"unreadable: not JSON: {text.strip()[:60]!r}"
    concepts = value.get("concepts") if isinstance(value, dict) else None
    if not isinstance(concepts, list) or not all(isinstance(one, str) for one in concepts):
        return "unreadable: no list of concepts"
    if value.get("level") not in levels:
        return f"unreadable: the level {str(value.get('level'))[:40]!r} is none"
    different = {_concepts.key(one): " ".join(one.split()) for one in reversed(concepts)}
    found = [one for one in reversed(different.values()) if 2 <= len(one) <= longest][:count]
    return (found, str(value["level"])) if found else "unreadable: no concept of a fit length"


def _request(problem: Problem, settings: Settings) -> Request:
    levels = _levels(problem, settings)
    asked = _blocks.filled("extract", count=str(settings.count), problem=problem.question, levels=", ".join(levels))
    sampling = Sampling(
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        json_schema=schema(settings.count, settings.longest, levels) if settings.constrained else "",
    )
    seed = int(content_id("extract", settings.seed, problem.id), 16)
    return Request(messages=[Message(role="user", content=asked)], sampling=sampling, seed=seed)


def _domain(problem: Problem, settings: Settings) -> str:
    if settings.domain != "auto":
        return settings.domain
    return "code" if problem.kind == "code" else "math"


def _levels(problem: Problem, settings: Settings) -> list[str]:
    return list(_concepts.shipped(_domain(problem, settings)).levels)


def _record(problem: Problem, concepts: list[str], level: str, settings: Settings) -> Concepts:
    meta: dict[str, Any] = {"problem": problem.id}
    return Concepts(concepts=concepts, level=level, subject=problem.group, domain=_domain(problem, settings), meta=meta)
