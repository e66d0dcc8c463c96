"""Strategies of several turns on the real model: a small one calls a calculator, and grows trees."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import lines, problem
from porism import pipeline
from porism.records import to_row

pytestmark = pytest.mark.slow

SUMS = [(47, 86), (123, 45)]


def solve(part: str, tmp_path: Path, **settings: Any) -> list[dict[str, Any]]:
    asked = tmp_path / "problems.jsonl"
    records = [problem(n, question=f"What is {a} * {b}?", answer=str(a * b)) for n, (a, b) in enumerate(SUMS)]
    asked.write_text("".join(json.dumps(to_row(one)) + "\n" for one in records))
    values = {"input": [str(asked)], "threads": 1, "max_unjudged": 1.0, **settings}
    manifest = pipeline.execute(pipeline.prepare("solve", part, values), tmp_path / part)
    assert manifest.counts.get("error", 0) == 0
    return lines(tmp_path / part / "records.jsonl")


def test_a_small_model_calls_the_calculator(tmp_path: Path) -> None:
    rows = solve("react", tmp_path, max_tokens=80, turns=3, thought=60, require=1)
    turns = [turn for row in rows for turn in row["meta"]["trace"]["turns"]]
    acts = [turn["text"] for turn in turns if turn["does"] in ("act", "answer")]
    assert all(isinstance(json.loads(text), dict) for text in acts), "each turn follows the schema"
    calls = [turn for turn in turns if turn["does"] == "tool"]
    assert any("error" not in turn for turn in calls), "and some of its calls can be computed"
    assert all(turn["call"]["function"]["name"] == "calculator" for turn in calls)


def test_a_small_model_grows_trees(tmp_path: Path) -> None:
    rows = solve("tree", tmp_path, max_tokens=48, temperature=0.8, branches=2, depth=2, judgements=2)
    for row in rows:
        trace = row["meta"]["trace"]
        assert trace["candidates"]
        said = [turn["text"] for turn in trace["turns"] if turn["does"] == "value"]
        assert said
        assert set(said) <= {"sure", "likely", "impossible"}
        assert row["completion_tokens"] == sum(turn["tokens"] for turn in trace["turns"]) == trace["tokens"]
