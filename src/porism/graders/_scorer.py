"""Scores of answers by a reward model or a verifier.

A folder that ``porism train reward`` or ``porism train verifier`` wrote is one; so is any sequence classifier with one
label. The number stands behind the last token of an answer, or behind each of its steps.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from porism import chains
from porism.errors import ModelError, RecipeError
from porism.files import load_json
from porism.find import find
from porism.models.load import SCORER, Loaded, fingerprint, gives_scores, load
from porism.prompts.render import encode_turns
from porism.records import Message

if TYPE_CHECKING:
    from porism.models.packing import Answer, Item

__all__ = ["OverSteps", "Scored", "Scorer", "forget_scorers", "is_scored", "probability", "scorer_of", "stepped"]

OverSteps = Literal["min", "last", "mean", "product"]
"""How a process verifier's probabilities of the steps become one of the answer."""

_MOST_TOKENS = 8192
_TINY = 1e-12
_KINDS = ("reward", "verifier")


class Scored(NamedTuple):
    """What a scorer says of an answer."""

    score: float
    """A reward, or a verifier's log-odds that the answer is right. Not a number where it could not be scored."""
    steps: tuple[float, ...] = ()
    """Of a process verifier: the probability that each step is right."""
    error: str = ""


class Scorer:
    """Scores answers: the higher, the better. A verifier's score is the log-odds that the answer is right.

    Args:
        model: a folder, an alias or a hub's name of a reward model or verifier.
        dtype: of the weights in memory.

    Raises:
        ModelError: it cannot be loaded, or gives no score.
    """

    def __init__(self, model: str, dtype: str = "auto") -> None:
        from porism.models.packing import ATTENTION
        from porism.models.scores import ScoreModel

        self.loaded: Loaded = load(model, dtype, scores=True)
        folder = self.loaded.path
        if not gives_scores(folder):
            raise ModelError(
                f"{folder}: expected a reward model or a verifier, got a model without a score. "
                "Train one: porism train reward, or porism train verifier."
            )
        about = load_json(folder / SCORER) if (folder / SCORER).is_file() else {}
        about = about if isinstance(about, dict) else {}
        self.kind: str = about.get("kind") if about.get("kind") in _KINDS else ""  # type: ignore[assignment]
        """``reward`` or ``verifier``; empty where the folder does not say."""
        self.steps_by: str = str(about.get("steps_by") or "")
        """Of a process verifier: how it cuts answers into steps."""
        self.loaded.model.set_attn_implementation(ATTENTION)
        self._scores = ScoreModel(self.loaded.model)

    @property
    def model(self) -> str:
        """Fingerprint of its weights."""
        return self.loaded.fingerprint

    def expect(self, kind: str) -> None:
        """Refuse a scorer of the other kind: a reward is no probability.

        Raises:
            ModelError: the folder says that it is of the other kind.
        """
        if self.kind and self.kind != kind:
            raise ModelError(f"{self.loaded.path}: expected a {kind}, got a {self.kind}. Set kind to {self.kind}.")

    def score(self, prompt: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """One score for each answer to a prompt; the prompt is computed once for all that fit into memory."""
        return [found[-1] for found in self.steps(prompt, [[answer] for answer in answers])]

    def steps(self, prompt: Sequence[Message], answers: Sequence[Sequence[str]]) -> list[list[float]]:
        """A score behind every step of each answer; the last stands behind the token that ends the turn.

        Args:
            prompt: the messages.
            answers: the steps of each; joined they are the answer.
        """
        return self._marked([stepped(self.loaded.tokenizer, prompt, answer) for answer in answers])

    def scored(self, answers: Sequence[tuple[Sequence[Message], str]], over_steps: OverSteps = "min") -> list[Scored]:
        """What a reward model or verifier says of each answer, all computed together.

        Args:
            answers: prompt and text of each.
            over_steps: how a process verifier's steps become one number.
        """
        rows, places = [], []
        found = [Scored(math.nan)] * len(answers)
        for at, (prompt, text) in enumerate(answers):
            cut = [step.of(text) for step in chains.steps(text, self.steps_by)] if self.steps_by else []  # type: ignore[arg-type]
            try:
                rows.append(stepped(self.loaded.tokenizer, prompt, cut or [text]))
            except (TypeError, UnicodeEncodeError):
                found[at] = Scored(math.nan, error="half of a surrogate pair, which cannot be tokenised")
                continue
            except ModelError as error:  # the template refuses the turns
                found[at] = Scored(math.nan, error=str(error)[:200])
                continue
            places.append(at)
        for at, raw in zip(places, self._marked(rows), strict=True):
            found[at] = self._of(raw, over_steps)
        return found

    def _of(self, raw: Sequence[float], over_steps: OverSteps) -> Scored:
        if not self.steps_by:
            return Scored(raw[-1])
        return Scored(_over(raw, over_steps), tuple(probability(one) for one in raw))

    def _marked(self, rows: Sequence[tuple[list[int], Answer]]) -> list[list[float]]:
        """The scores at the marks of each row; rows of one prompt share it."""
        import torch

        from porism.models.packing import moved, pack

        found: list[list[float]] = [[] for _ in rows]
        for batch in _batches(rows):
            packed = moved(pack([item for item, _ in batch]), self.loaded.model.device)
            with torch.inference_mode():
                scores = self._scores.at_marks(self.loaded.model, packed).tolist()
            for _, places in batch:
                for at in places:
                    count = len(rows[at][1].marks or [0])
                    found[at], scores = scores[:count], scores[count:]
        return found


def is_scored(kind: str) -> bool:
    """True for a grader that asks a reward model or verifier: its module says ``SCORES = True``.

    Raises:
        RecipeError: no such grader.
    """
    return ":" not in kind and _is_scored(kind)


@functools.cache
def _is_scored(kind: str) -> bool:
    grader = find("porism.graders", kind, "grade_all", "grade")
    return bool(getattr(sys.modules[grader.__module__], "SCORES", False))


def scorer_of(model: str) -> Scorer:
    """A scorer by its folder; the one that was asked for last stays in memory until :func:`forget_scorers`.

    Raises:
        RecipeError: no folder is named.
        ModelError: see :class:`Scorer`.
    """
    if not model:
        raise RecipeError(
            "scores need a reward model or a verifier. Set scorer to its folder, such as runs/verifier/model."
        )
    return _kept(model, fingerprint(model))


@functools.lru_cache(maxsize=1)
def _kept(model: str, weights: str) -> Scorer:
    del weights
    return Scorer(model)


def forget_scorers() -> None:
    """Free the memory of the scorer that was asked for last."""
    _kept.cache_clear()


def stepped(tokenizer: Any, prompt: Sequence[Message], steps: Sequence[str]) -> tuple[list[int], Answer]:
    """A prompt and an answer in steps as token ids, with a mark behind each step.

    The steps are tokenised as one text; a step ends with the token that holds its last character, and the last one with
    the token that ends the turn.
    """
    from porism.models.packing import Answer

    text = "".join(steps)
    first, turns = encode_turns(tokenizer, prompt, [{"role": "assistant", "content": text}])
    turn = turns[-1]
    end = turn.text.find(text)
    if end < 0:  # a template may drop space around it
        end = max(0, turn.text.find(text.strip())) - (len(text) - len(text.lstrip()))
    marks = []
    for step in steps[:-1]:
        end += len(step)
        marks.append(max((at for at, span in enumerate(turn.spans) if span[0] < end and span != (0, 0)), default=0))
    return first, Answer(turn.ids, marks=[*marks, len(turn.ids) - 1])


def probability(log_odds: float) -> float:
    """σ(log-odds), without an overflow."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def _over(log_odds: Sequence[float], over_steps: OverSteps) -> float:
    """The log-odds of the whole answer."""
    if over_steps == "min":
        return min(log_odds)
    if over_steps == "last":
        return log_odds[-1]
    likely = [probability(one) for one in log_odds]
    found = math.prod(likely) if over_steps == "product" else math.fsum(likely) / len(likely)
    found = min(max(found, _TINY), 1 - _TINY)
    return math.log(found / (1 - found))


def _batches(rows: Sequence[tuple[list[int], Answer]]) -> Iterator[list[tuple[Item, list[int]]]]:
    """Rows that are computed at once: as items of one prompt, each with the places of its rows."""
    from porism.models.packing import Item

    groups: dict[tuple[int, ...], list[int]] = {}
    for at, (prompt, _) in enumerate(rows):
        groups.setdefault(tuple(prompt), []).append(at)
    batch: list[tuple[Item, list[int]]] = []
    room = _MOST_TOKENS
    for shared, places in groups.items():
        for part in _parts(rows, places, _MOST_TOKENS - len(shared)):
            item = Item(shared, [rows[at][1] for at in part])
            if batch and item.tokens > room:
                yield batch
                batch, room = [], _MOST_TOKENS
            batch.append((item, part))
            room -= item.tokens
    if batch:
        yield batch


def _parts(rows: Sequence[tuple[list[int], Answer]], places: Sequence[int], most: int) -> Iterator[list[int]]:
    """The answers to one prompt in parts of at most so many tokens, at least one in each."""
    part: list[int] = []
    room = most
    for at in places:
        size = len(rows[at][1].ids)
        if part and size > room:
            yield part
            part, room = [], most
        part.append(at)
        room -= size
    yield part
