"""Judges rate a problem by five criteria; what counts is made of their ratings, not of their words.

The criteria and the rule are PromptCoT's (Zhao et al., 2025, arXiv:2503.02324). Departures: the answer is constrained
to the ratings, read exactly, and the overall verdict is computed from it; in the published code a text that says "not
perfect" counts as perfect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from porism.engines import Engine, Request, Sampling
from porism.records import Concepts, content_id
from porism.synth._blocks import filled, listed

__all__ = ["CRITERIA", "RATINGS", "SCHEMA", "Judge", "Judgement", "Overall", "kept", "overall", "read", "schema"]

CRITERIA = ("format", "accuracy", "difficulty", "coverage", "solvability")
RATINGS = ("Perfect", "Acceptable", "Bad")
Overall = Literal["perfect", "acceptable", "bad"]

_LONGEST = 6_000
_FAILED = "engine: "
"""In front of an error that is the engine's, and no unreadable verdict."""
_RANK: Mapping[str, int] = {"bad": 0, "acceptable": 1, "perfect": 2}


def schema() -> str:
    """The JSON schema of a judge's answer."""
    ratings = {name: {"type": "string", "enum": list(RATINGS)} for name in CRITERIA}
    return json.dumps(
        {"type": "object", "properties": ratings, "required": list(CRITERIA), "additionalProperties": False}
    )


SCHEMA = schema()


class Judgement(NamedTuple):
    """What one judge said; with an error, nothing that counts."""

    model: str
    ratings: Mapping[str, str]
    error: str = ""

    @property
    def overall(self) -> Overall:
        """The verdict that follows from the ratings."""
        return overall(self.ratings)

    def plain(self) -> dict[str, Any]:
        """As it stands in a record."""
        if self.error:
            return {"model": self.model, "error": self.error}
        return {"model": self.model, "ratings": dict(self.ratings), "overall": self.overall}


def overall(ratings: Mapping[str, str]) -> Overall:
    """``perfect``: accuracy, solvability and at least two others are Perfect, and none is Bad; ``bad``: one is Bad."""
    if "Bad" in ratings.values():
        return "bad"
    sure = ratings["accuracy"] == ratings["solvability"] == "Perfect"
    return "perfect" if sure and list(ratings.values()).count("Perfect") >= 4 else "acceptable"


def read(text: str) -> dict[str, str] | None:
    """The ratings in a judge's answer; None where it is not exactly one object with one rating of each criterion.

    A block of code around it is the only thing that may stand beside it.

    >>> read('{"format": "not Perfect"}') is None
    True
    """
    lines = text.strip().splitlines()
    if len(lines) > 1 and lines[0].strip() in ("```", "```json") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    try:
        value = json.loads("\n".join(lines), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != set(CRITERIA):
        return None
    if not all(isinstance(rating, str) and rating in RATINGS for rating in value.values()):
        return None
    return {name: value[name] for name in CRITERIA}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once.

    Raises:
        ValueError: a key stands twice.
    """
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def kept(judgements: Sequence[Judgement], least: Overall) -> str:
    """Why a problem is dropped; empty where every judge's verdict is at least ``least``."""
    for number, one in enumerate(judgements, 1):
        if one.error.startswith(_FAILED):
            return f"{_FAILED}judge {number}: {one.error.removeprefix(_FAILED)}"
    for number, one in enumerate(judgements, 1):
        if one.error:
            return f"judge {number} gave no verdict: {one.error}"
    for number, one in enumerate(judgements, 1):
        if _RANK[one.overall] < _RANK[least]:
            low = ", ".join(f"{name} {rating}" for name, rating in one.ratings.items() if rating != "Perfect")
            return f"judged {one.overall}: by judge {number} ({low})"
    return ""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """One judge.

    Args:
        number: tells judges that are the same model apart: their samples differ.
        engine: who judges.
        temperature: of its answers.
        max_tokens: longest answer.
        constrained: let the engine allow ratings only.
    """

    number: int
    engine: Engine
    temperature: float
    max_tokens: int
    constrained: bool

    def rate(self, written: Sequence[tuple[Concepts, str, str]], seed: int) -> list[Judgement]:
        """Rate problems.

        Args:
            written: the concepts, the rationale and the problem of each.
            seed: of the sampling.
        """
        sampling = Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            json_schema=SCHEMA if self.constrained else "",
        )
        requests = [
            Request(
                messages=[{"role": "user", "content": _asked(*one)}],
                sampling=sampling,
                seed=int(content_id("judge", seed, self.number, one[0].id, one[1], one[2]), 16),
            )
            for one in written
        ]
        replies = self.engine.generate(requests) if requests else []
        return [self._judgement(reply.samples[0].text, reply.samples[0].error) for reply in replies]

    def _judgement(self, text: str, error: str) -> Judgement:
        if error:
            return Judgement(self.engine.model, {}, f"{_FAILED}{error}")
        ratings = read(text)
        if ratings is None:
            return Judgement(self.engine.model, {}, f"unreadable: {text.strip()[:80]!r}")
        return Judgement(self.engine.model, ratings)


def _asked(concepts: Concepts, rationale: str, problem: str) -> str:
    """The judge's prompt; what is judged stands between marks that it cannot contain."""
    shown = (rationale[:_LONGEST], problem[:_LONGEST])
    mark = hashlib.sha256("\0".join(shown).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return filled(
        "judge",
        level=concepts.level or "any",
        concepts=listed(concepts.concepts),
        rationale=shown[0],
        problem=shown[1],
        mark=mark,
    )
