"""What tests of learning from roll-outs share: problems, rewards as code, a training run on the tiny model."""

from pathlib import Path
from typing import Any

from train_kit import metrics, train, write

from conftest import attempt, problem
from porism import store
from porism.records import Attempt

__all__ = ["CODE", "LETTERS", "VALUES", "attempts", "code", "guesser", "learn", "metrics", "problems"]

LETTERS = """
def reward(prompts, completions, answer, **columns):
    assert len(prompts) == len(completions) == len(answer)
    return [sum(letter.isascii() and letter.isalpha() for letter in one[0]["content"]) / 8 for one in completions]
"""
"""The share of letters: something that a random model can learn in a few steps."""

CODE = {
    "letters": LETTERS,
    "same": "def reward(prompts, completions, **columns):\n    return [1.0] * len(prompts)\n",
    "nan": "def reward(prompts, completions, **columns):\n    return [float('nan')] * len(prompts)\n",
    "short": "def reward(prompts, completions, **columns):\n    return [1.0]\n",
    "text": "def reward(prompts, completions, **columns):\n    return ['good'] * len(prompts)\n",
    "crash": "def reward(prompts, completions, **columns):\n    raise ZeroDivisionError('no such thing')\n",
    "some": (
        "def reward(prompts, completions, completion_ids, **columns):\n"
        "    if any(ids[0] % 2 for ids in completion_ids):\n        raise ValueError('odd')\n"
        "    return [len(ids) / 8 for ids in completion_ids]\n"
    ),
}


VALUES = {
    "samples": 4,
    "batch_size": 2,
    "micro_batch_size": 2,
    "max_tokens": 8,
    "max_steps": 4,
    "max_truncated": 1.0,
    "lr": 1e-2,
}
"""Settings of every training here, unless it says otherwise."""


def problems(tmp_path: Path, count: int = 6, **changes: Any) -> str:
    return write(tmp_path / "problems.jsonl", [problem(number, **changes) for number in range(count)])


def code(tmp_path: Path, name: str) -> str:
    file = tmp_path / f"{name}.py"
    file.write_text(CODE[name])
    return f"{file}:reward"


def learn(
    tmp_path: Path,
    target: str,
    model: Path,
    *,
    part: str = "rl",
    reward: str = "letters",
    answer: str = "",
    **settings: Any,
) -> Any:
    """A training on the tiny model, rewarded by code of the user's own; its settings may be overridden."""
    rows = problems(tmp_path, **({"answer": answer} if answer else {}))
    values = {"rewards": {code(tmp_path, reward): 1.0}, **VALUES, **settings}
    return train(part, tmp_path / target, rows, model, **values)


def attempts(target: Path) -> list[Attempt]:
    return [record for record in store.read(target, Attempt) if isinstance(record, Attempt)]


def guesser(folder: Path, tiny_model: Path) -> Path:
    """The tiny model, taught to answer with one of four digits and to end there."""
    guesses = ((number, guess) for number in (0, 3, 5) for guess in (1, 2, 3, 4))
    rows = [attempt(number, text=f"#### {guess}", sample=guess) for number, guess in guesses]
    own = write(folder / "guesses.jsonl", rows)
    settings = {"allow_unverified": True, "epochs": 40, "batch_size": 12, "micro_batch_size": 12, "lr": 1e-2}
    train("sft", folder / "guesser", own, tiny_model, **settings)
    return folder / "guesser" / "model"
