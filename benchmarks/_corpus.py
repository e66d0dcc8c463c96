"""Records for the benchmark of curation: made of GSM8K's sentences, with near-twins planted among them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from porism import embeddings, store
from porism.records import Problem, Record

__all__ = [
    "Corpus",
    "Neighbour",
    "Records",
    "Texts",
    "contaminated",
    "corpus",
    "neighbours",
    "questions",
    "sentences",
    "vectors",
]

PARTS = 3
"""Sentences of a record."""
PLANTED = 0.05
"""Share of the records that are a near-twin of another one."""
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_OTHER_WORDS = (
    (" bought ", " purchased "),
    (" each ", " every single "),
    (" has ", " owns "),
    (" How many ", " What number of "),
    (" gets ", " receives "),
    (" makes ", " produces "),
    (" and ", " as well as "),
    (" the ", " this "),
    (" a ", " one "),
)
_NAMES = ("Amara", "Bogdan", "Chiara", "Dmitri", "Esperanza", "Farid", "Ingrid", "Kenji", "Lakshmi", "Oleander")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b(?! (?:Street|Avenue|School|County|State))")
_DAYS = frozenset(
    [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "Christmas",
        "English",
    ]
)
_UNITS = {
    "hours": "Stunden",
    "days": "Tage",
    "years": "Jahre",
    "None of these": "Keine davon",
    "and": "und",
    "km": "Kilometer",
    "minutes": "Minuten",
    "men": "Männer",
    "litres": "Liter",
}


class Texts(NamedTuple):
    """Sentences, and of each another wording."""

    plain: list[str]
    other: list[str]


class Corpus(NamedTuple):
    """Which sentences each record has; a planted one has those of its original, one of them in the other wording."""

    parts: np.ndarray
    """[N, 3]"""
    changed: np.ndarray
    """Which of its sentences is in the other wording, −1 for none. [N]"""
    original: np.ndarray
    """The record that it is the twin of, −1 for none. [N]"""


def sentences(data: Path, limit: int = 0) -> Texts:
    """The sentences of GSM8K's questions that another wording can be made of."""
    found: dict[str, str] = {}
    for name in ("gsm8k_train.jsonl", "gsm8k_test.jsonl"):
        for _, row in store.rows(data / name):
            for sentence in _SENTENCE.split(row["question"]):
                other = _reworded(sentence)
                if len(sentence) > 30 and other != sentence:
                    found.setdefault(sentence, other)
    plain = list(found)[: limit or None]
    return Texts(plain, [found[sentence] for sentence in plain])


def _reworded(sentence: str) -> str:
    for word, other in _OTHER_WORDS:
        if word in sentence:
            return sentence.replace(word, other, 1)
    return sentence


def corpus(total: int, available: int, seed: int = 1) -> Corpus:
    """A random corpus: each record of three sentences, the last ones twins of the first."""
    rng = np.random.default_rng(seed)
    planted = int(total * PLANTED)
    parts = rng.integers(0, available, (total - planted, PARTS))
    changed = np.concatenate([np.full(total - planted, -1), rng.integers(0, PARTS, planted)])
    original = np.concatenate([np.full(total - planted, -1), np.arange(planted)])
    order = rng.permutation(total)
    place = np.empty(total, np.int64)
    place[order] = np.arange(total)
    whole = np.concatenate([parts, parts[:planted]])
    return Corpus(whole[order], changed[order], np.where(original[order] >= 0, place[original[order]], -1))


def vectors(made: Corpus, texts: Texts) -> np.ndarray:
    """The vector of each record: the mean of its sentences' embeddings, of length 1. [N, D]."""
    plain = embeddings.embed(texts.plain)
    other = embeddings.embed(texts.other)
    found = np.zeros((len(made.parts), plain.shape[1]), np.float32)
    for column in range(PARTS):
        is_changed = (made.changed == column)[:, None]
        found += np.where(is_changed, other[made.parts[:, column]], plain[made.parts[:, column]])
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


class Records:
    """The corpus as records that can be gone through again, in memory that does not grow with them."""

    def __init__(self, made: Corpus, texts: Texts) -> None:
        self._made, self._texts = made, texts

    def __iter__(self) -> Iterator[Record]:
        for parts, changed in zip(self._made.parts.tolist(), self._made.changed.tolist(), strict=True):
            words = [
                (self._texts.other if column == changed else self._texts.plain)[at] for column, at in enumerate(parts)
            ]
            yield Problem(question=" ".join(words), answer="")


def contaminated(data: Path, of_each: int, clean: int, seed: int = 5) -> tuple[list[tuple[str, str]], list[str]]:
    """Training rows with planted test questions, each with its kind (none for a clean one), and the test questions."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    test = [row["question"] for _, row in store.rows(data / "gsm8k_test.jsonl")]
    choices = [_choice(row) for _, row in store.rows(data / "aqua_test.jsonl")]
    named = [question for question in test if _names(question)]
    several = [question for question in test if len(_SENTENCE.split(question)) >= 3]
    numbered = [question for question in test if re.search(r"\d", question)]
    rows = [("verbatim", question) for question in rng.sample(test, of_each)]
    rows += [("renamed", _renamed(question, rng)) for question in rng.sample(named, of_each)]
    rows += [("renumbered", _renumbered(question, rng)) for question in rng.sample(numbered, of_each)]
    rows += [("reordered", _reordered(question, rng)) for question in rng.sample(several, of_each)]
    rows += [
        ("translated options", _translated(stem, options))
        for stem, options in rng.sample(choices, min(of_each, len(choices)))
    ]
    others = [row["question"] for _, row in store.rows(data / "gsm8k_train.jsonl")]
    others += [row["question"] for row in store.load_json(data / "strategyqa_train.json")]
    rows += [("", question) for question in others[:clean]]
    rng.shuffle(rows)
    return rows, [*test, *(f"{stem}\nOptions: {' '.join(options)}" for stem, options in choices)]


class Neighbour(NamedTuple):
    """A question that is another one, changed."""

    kind: str
    question: str
    original: int
    """Which question it was."""


def questions(data: Path, total: int) -> list[str]:
    """The first so many distinct questions of GSM8K, AQuA and StrategyQA."""
    found: dict[str, None] = {}
    for name in ("gsm8k_train.jsonl", "gsm8k_test.jsonl", "aqua_dev.jsonl", "aqua_test.jsonl"):
        found |= {row["question"].strip(): None for _, row in store.rows(data / name)}
    found |= {row["question"].strip(): None for row in store.load_json(data / "strategyqa_train.json")}
    return list(found)[:total]


def neighbours(known: list[str], of_each: int, seed: int = 7) -> list[Neighbour]:
    """Changed questions: other names, other words, other numbers, sentences in another order, half of the sentences."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    changes: dict[str, Callable[[str], str]] = {
        "renamed": lambda question: _renamed(question, rng),
        "reworded": lambda question: " ".join(map(_reworded, _SENTENCE.split(question))),
        "renumbered": lambda question: _renumbered(question, rng),
        "reordered": lambda question: _reordered(question, rng),
        "half": _half,
    }
    found: list[Neighbour] = []
    for kind, change in changes.items():
        places = [at for at, question in enumerate(known) if len(_SENTENCE.split(question)) >= 3]
        changed = ((at, change(known[at])) for at in rng.sample(places, len(places)))
        taken = (Neighbour(kind, text, at) for at, text in changed if text != known[at])
        found += [one for _, one in zip(range(of_each), taken, strict=False)]
    return found


def _half(question: str) -> str:
    parts = _SENTENCE.split(question)
    return " ".join(parts[len(parts) // 2 :])


def _choice(row: dict[str, Any]) -> tuple[str, list[str]]:
    return row["question"], row["options"]


def _names(question: str) -> list[str]:
    return sorted({name for name in _NAME.findall(question) if name not in _DAYS})


def _renamed(question: str, rng: random.Random) -> str:
    for name, other in zip(_names(question), rng.sample(_NAMES, len(_NAMES)), strict=False):
        question = re.sub(rf"\b{name}\b", other, question)
    return question


def _renumbered(question: str, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda found: str(int(found[0]) + rng.randint(1, 9)), question)


def _reordered(question: str, rng: random.Random) -> str:
    *story, last = _SENTENCE.split(question)
    return " ".join([*(rng.sample(story, len(story)) if len(story) > 2 else story[::-1]), last])


def _translated(stem: str, options: list[str]) -> str:
    text = "；".join(options)
    for word, other in _UNITS.items():
        text = re.sub(rf"\b{word}\b", other, text)
    return f"{stem}\n选项：{text}"
