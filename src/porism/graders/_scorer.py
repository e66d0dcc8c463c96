"""Scores of answers by a reward model or a verifier.

A folder that ``porism train reward`` or ``porism train verifier`` wrote is one; so is any sequence classifier with one
label. The number stands behind the last token of an answer, or behind each of its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porism.errors import ModelError
from porism.files import load_json
from porism.models.load import Loaded, load
from porism.prompts.render import encode_turns
from porism.records import Message

if TYPE_CHECKING:
    from porism.models.packing import Answer

__all__ = ["Scorer", "stepped"]

_MOST_TOKENS = 8192


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
        if not _trained(self.loaded.path):
            raise ModelError(
                f"{self.loaded.path}: expected a reward model or a verifier, got a model without a score. "
                "Train one: porism train reward, or porism train verifier."
            )
        self.loaded.model.set_attn_implementation(ATTENTION)
        self._scores = ScoreModel(self.loaded.model)

    def score(self, prompt: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """One score for each answer to a prompt; the prompt is computed once for all that fit into memory."""
        return [found[-1] for found in self.steps(prompt, [[answer] for answer in answers])]

    def steps(self, prompt: Sequence[Message], answers: Sequence[Sequence[str]]) -> list[list[float]]:
        """A score behind every step of each answer; the last one stands behind the token that ends the turn.

        Args:
            prompt: the messages.
            answers: the steps of each; joined they are the answer.
        """
        import torch

        from porism.models.packing import Item, moved, pack

        rows = [stepped(self.loaded.tokenizer, prompt, answer) for answer in answers]
        found: list[list[float]] = []
        for part in _parts(rows):
            item = Item(rows[part.start][0], [rows[at][1] for at in part])
            batch = moved(pack([item]), self.loaded.model.device)
            with torch.inference_mode():
                scores = self._scores.at_marks(self.loaded.model, batch).tolist()
            for at in part:
                count = len(rows[at][1].marks or [0])
                found.append(scores[:count])
                scores = scores[count:]
        return found


def stepped(tokenizer: Any, prompt: Sequence[Message], steps: Sequence[str]) -> tuple[list[int], Answer]:
    """A prompt and an answer in steps as token ids, with a mark behind each step.

    The steps are tokenised as one text; a step ends with the token that holds its last character, and the last one with
    the token that ends the turn.
    """
    from porism.models.packing import Answer

    text = "".join(steps)
    first, turns = encode_turns(tokenizer, prompt, [{"role": "assistant", "content": text}])
    turn = turns[-1]
    marks, end = [], max(0, turn.text.find(text))
    for step in steps[:-1]:
        end += len(step)
        marks.append(max(at for at, span in enumerate(turn.spans) if span[0] < end and span != (0, 0)))
    return first, Answer(turn.ids, marks=[*marks, len(turn.ids) - 1])


def _trained(folder: Path) -> bool:
    """Whether the folder says that it is a sequence classifier, or an adapter of one."""
    for name, key, wanted in (
        ("adapter_config.json", "task_type", "SEQ_CLS"),
        ("config.json", "architectures", "ForSequenceClassification"),
    ):
        file = folder / name
        if file.is_file():
            return wanted in str(load_json(file).get(key))
    return False


def _parts(rows: Sequence[tuple[list[int], Answer]]) -> Iterator[range]:
    """Answers that are computed at once."""
    start, room = 0, _MOST_TOKENS
    for at, (_, answer) in enumerate(rows):
        if at > start and len(answer.ids) > room:
            yield range(start, at)
            start, room = at, _MOST_TOKENS
        room -= len(answer.ids)
    if rows:
        yield range(start, len(rows))
