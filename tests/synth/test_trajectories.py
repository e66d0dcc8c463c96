"""Trajectories with pass rates, and pairs for self-play made of them."""

from pathlib import Path
from typing import Any

import pytest
from concepts_kit import engine, said
from synth_kit import synth

from porism import pipeline, store
from porism.errors import DataError
from porism.files import to_line
from porism.records import Problem, to_row


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in store.rows(path)]


def problems(folder: Path, *answers: str) -> Path:
    file = folder / "problems.jsonl"
    made = [Problem(question=f"What is {at}?", answer=answer) for at, answer in enumerate(answers)]
    file.write_bytes(b"".join(to_line(to_row(one)) for one in made))
    return file


def trajectories(folder: Path, solutions: list[str], *answers: str, **options: Any) -> store.Manifest:
    given = {"input": [str(problems(folder, *answers))], "engine": engine(folder), "samples": len(solutions)}
    return synth("trajectories", folder / "tries", **given, said=said(solutions=solutions), **options)


def pair(folder: Path, **options: Any) -> list[dict[str, Any]]:
    settings = {"input": [str(folder / "tries")], "pairs": 0, "max_pass_rate": 0.5, "well_formed": True, **options}
    pipeline.execute(pipeline.prepare("curate", "pair", settings), folder / "pairs")
    return rows(folder / "pairs" / "records.jsonl")


def test_every_solution_is_graded_with_reasoning_apart_and_a_pass_rate(tmp_path: Path) -> None:
    solutions = ["<think>Five.</think>So \\boxed{5}.", "\\boxed{6}", "\\boxed{7}", "I do not know"]
    made = trajectories(tmp_path, solutions, "5", "8")
    found = rows(tmp_path / "tries" / "records.jsonl")
    assert len(found) == 8
    assert [row["verdict"]["status"] for row in found[:4]] == ["correct", "wrong", "wrong", "unparsed"]
    assert [(row["meta"]["passes"], row["meta"]["judged"]) for row in found[::4]] == [(1, 3), (0, 3)]
    start, end = found[0]["meta"]["reasoning"]
    assert found[0]["text"][start:end].strip() == "Five."
    assert made.figures["pass_rates"] == {
        "none": 1,
        "up to half": 1,
        "more than half": 0,
        "all": 0,
        "not judged": 0,
    }


def test_without_a_reference_the_majority_decides(tmp_path: Path) -> None:
    trajectories(tmp_path, ["\\boxed{5}", "\\boxed{5}", "\\boxed{6}"], "")
    found = rows(tmp_path / "tries" / "records.jsonl")
    assert found[0]["problem"]["answer"] == "5"
    assert [row["verdict"]["status"] for row in found] == ["correct", "correct", "wrong"]
    assert (found[0]["meta"]["passes"], found[0]["meta"]["judged"]) == (2, 3)


def test_there_are_as_many_pairs_as_the_rarer_side_allows(tmp_path: Path) -> None:
    solutions = [f"{at}: \\boxed{{{value}}}" for at, value in enumerate([5, 6, 7, 5, 8, 9])]
    trajectories(tmp_path, solutions, "5")
    found = pair(tmp_path)
    assert len(found) == 2
    assert [row["chosen"][0]["content"][-2:] for row in found] == ["5}", "5}"]
    assert len({row["rejected"][0]["content"] for row in found}) == 2
    before = (tmp_path / "pairs" / "records.jsonl").read_bytes()
    assert pair(tmp_path / ".", pairs=0) == found
    assert (tmp_path / "pairs" / "records.jsonl").read_bytes() == before
    assert len(pair(tmp_path, pairs=1)) == 1


def test_easy_problems_are_left_out_and_the_reason_told(tmp_path: Path) -> None:
    solutions = [f"{at}: \\boxed{{{value}}}" for at, value in enumerate([5, 5, 7])]
    trajectories(tmp_path, solutions, "5", "7")
    (found,) = pair(tmp_path)
    assert found["meta"]["chosen_answer"] == "7"
    reasons = {row["reason"] for row in rows(tmp_path / "pairs" / "dropped.jsonl")}
    assert "too easy: 2 of 3 are right" in reasons
    assert len(pair(tmp_path, max_pass_rate=1.0)) == 2


def test_ill_formed_reasoning_is_in_no_pair(tmp_path: Path) -> None:
    solutions = ["<think>never closed \\boxed{5}", "<think></think>\\boxed{5}", "b: \\boxed{6}", "c: \\boxed{7}"]
    trajectories(tmp_path, solutions, "5")
    with pytest.raises(DataError, match="dropped all"):
        pair(tmp_path)
    assert len(pair(tmp_path, well_formed=False)) >= 1
