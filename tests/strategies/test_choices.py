"""Strategies that choose one of several candidates: sampled or stored, by votes, by scores, by both."""

import json
from pathlib import Path
from typing import Any

import pytest
from train_kit import train, write

from conftest import attempt, lines, problem
from porism import pipeline
from porism.errors import DataError, RecipeError
from porism.records import Attempt, Status, to_row

TEXTS = ["It is 0.5.", "\\boxed{7}", r"So \boxed{\frac{1}{2}}", "7", "No number here.", "7.0"]


def tried(scores: list[float] | None = None, texts: list[str] = TEXTS, kind: str = "math") -> list[Attempt]:
    """Stored samples of one problem whose answer is 1/2."""
    asked = problem(0, answer="0.5", kind=kind)
    return [
        attempt(0, problem=asked, text=text, sample=at, verdict=None, meta={"reward": scores[at]} if scores else {})
        for at, text in enumerate(texts)
    ]


def chosen(part: str, tmp_path: Path, records: list[Attempt], **settings: Any) -> dict[str, Any]:
    """The attempt that a strategy makes of stored ones, with no model at hand."""
    file = write(tmp_path / "tried.jsonl", records)  # type: ignore[arg-type]
    asked = tmp_path / "problems.jsonl"
    asked.write_text(json.dumps(to_row(records[0].problem)) + "\n")
    target = tmp_path / f"{part}{len(list(tmp_path.iterdir()))}"
    values = {"input": [str(asked)], "attempts": [file], "model": "/nowhere", "max_unjudged": 1.0, **settings}
    manifest = pipeline.execute(pipeline.prepare("solve", part, values), target)
    assert "model" not in manifest.key.inputs
    (row,) = lines(target / "records.jsonl")
    return row


def test_a_vote_counts_equal_answers_together(tmp_path: Path) -> None:
    row = chosen("vote", tmp_path, tried())
    assert row["text"] == "\\boxed{7}"
    assert row["meta"]["trace"]["votes"] == {"0.5": 2.0, "7": 3.0}
    assert row["verdict"]["status"] == "wrong"
    assert row["completion_tokens"] == 5 * len(TEXTS), "what all candidates cost"
    assert [one["tokens"] for one in row["meta"]["trace"]["candidates"]] == [5] * len(TEXTS)
    assert chosen("vote", tmp_path, tried(), most=3)["text"] == TEXTS[0]
    assert chosen("vote", tmp_path, tried(), most=2)["text"] == TEXTS[0], "of equally many the first"


def test_no_candidate_states_an_answer(tmp_path: Path) -> None:
    texts = ["Well.", "Hm."]
    assert chosen("vote", tmp_path, tried(None, texts, "number"))["text"] == "Well."
    assert chosen("best_of", tmp_path, tried([0.0, 1.0], texts, "number"))["text"] == "Hm."
    assert chosen("weighted_vote", tmp_path, tried([0.0, 1.0], texts, "number"))["text"] == "Hm."


def test_the_best_score_wins(tmp_path: Path) -> None:
    row = chosen("best_of", tmp_path, tried([0.1, 0.2, 3.0, 0.3, 9.0, 0.4]))
    assert row["text"] == TEXTS[2], "the best of those that state an answer"
    assert row["verdict"]["status"] == "correct"
    assert row["meta"]["trace"]["chosen"] == 2


def test_a_weighted_vote_lies_between(tmp_path: Path) -> None:
    scores = [-0.5, -1.0, 2.0, -1.0, 0.0, -1.0]
    row = chosen("weighted_vote", tmp_path, tried(scores))
    assert row["text"] == TEXTS[2]
    assert row["meta"]["trace"]["votes"]["0.5"] == pytest.approx(0.37754 + 0.880797, abs=1e-4)
    assert chosen("weighted_vote", tmp_path, tried(scores), power=0.0)["text"] == TEXTS[1]
    assert chosen("weighted_vote", tmp_path, tried([0, 0, 1.0, 0, 0, 0]))["text"] == TEXTS[1]
    assert chosen("weighted_vote", tmp_path, tried([0, 0, 1.0, 0, 0, 0]), power=9.0)["text"] == TEXTS[2]


def test_scores_and_attempts_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no score under 'reward', got None. Set scorer"):
        chosen("best_of", tmp_path, tried())
    with pytest.raises(DataError, match="no attempt at the problem"):
        chosen("vote", tmp_path, tried(), input=[write(tmp_path / "other.jsonl", [problem(5)])])
    for values, complaint in (
        ({"samples": 1}, "vote: it chooses among several samples"),
        ({"samples": 4}, "vote: at temperature 0"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            pipeline.prepare("solve", "vote", {"input": ["x"], **values})
    with pytest.raises(RecipeError, match="best_of: samples have to be scored. Set scorer"):
        pipeline.prepare("solve", "best_of", {"input": ["x"], "samples": 4, "temperature": 0.7})


def test_samples_are_made_scored_and_chosen(tiny_model: Path, tmp_path: Path) -> None:
    """The whole way: a verifier is trained, and picks the right one of the samples that an engine makes."""
    rows = [one for n in range(4) for one in (attempt(n), attempt(n, Status.WRONG, text="#### 77", sample=1))]
    file = write(tmp_path / "a.jsonl", rows)  # type: ignore[arg-type]
    train("verifier", tmp_path / "v", file, tiny_model, max_steps=12, lr=3e-3)
    script = tmp_path / "s.json"
    script.write_text(json.dumps({f"What is {n} + 1?": ["#### 77", "#### 77", f"#### {n + 1}"] for n in range(4)}))
    asked = write(tmp_path / "p.jsonl", [problem(n) for n in range(4)])
    right = {}
    for part in ("vote", "best_of", "weighted_vote"):
        values = {"input": [asked], "engine": "scripted", "script": str(script), "samples": 3, "temperature": 0.7}
        values |= {} if part == "vote" else {"scorer": str(tmp_path / "v" / "model")}
        manifest = pipeline.execute(pipeline.prepare("solve", part, values), tmp_path / part)
        right[part] = manifest.counts.get("correct", 0)
        assert ("scorer" in manifest.key.inputs) == (part != "vote")
    assert right == {"vote": 0, "best_of": 4, "weighted_vote": 4}


def test_worked_examples_go_before_the_question(tmp_path: Path) -> None:
    asked = write(tmp_path / "p.jsonl", [problem(0)])
    values = {"input": [asked], "engine": "scripted", "default": "#### 1", "samples": 2, "temperature": 0.7, "shots": 2}
    pipeline.execute(pipeline.prepare("solve", "vote", values), tmp_path / "x")
    assert len(lines(tmp_path / "x" / "records.jsonl")[0]["messages"]) == 5
