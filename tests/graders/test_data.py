"""Real data sets: every gold answer is accepted however it is stated, and no mutated one is."""

from pathlib import Path

import pytest

from _rewriting import FORMATS, mutants, plain_value
from conftest import lines
from porism.graders import check


def gsm8k(data: Path, split: str) -> list[str]:
    return [row["answer"] for row in lines(data / f"gsm8k_{split}.jsonl")]


@pytest.mark.parametrize("kind", ["number", "math"])
def test_every_gold_answer_of_gsm8k(data: Path, kind: str) -> None:
    for solution in gsm8k(data, "test") + gsm8k(data, "train")[::10]:
        answer = solution.rpartition("#### ")[2]
        for style, said in FORMATS.items():
            verdict = check(gold=solution, text=said(answer), kind=kind)
            assert verdict.correct, (style, answer, verdict)


@pytest.mark.slow
def test_every_gold_answer_of_gsm8ks_training_split(data: Path) -> None:
    for solution in gsm8k(data, "train"):
        answer = solution.rpartition("#### ")[2]
        for style, said in FORMATS.items():
            assert check(gold=answer.replace(",", ""), text=said(answer)).correct, (style, answer)
        assert check(gold=answer, text=solution).correct


@pytest.mark.parametrize(("kind", "profile"), [("number", "auto"), ("number", "last"), ("math", "auto")])
def test_agrees_with_the_labels_of_gsm8ks_outputs(data: Path, kind: str, profile: str) -> None:
    cases = [
        (row["ground_truth"].rpartition("A: ")[2], value["solution"], value["is_correct"])
        for row in lines(data / "grading" / "gsm8k_labelled_outputs.jsonl")
        for value in row.values()
        if isinstance(value, dict)
    ]
    assert len(cases) == 5276
    assert not [
        case for case in cases if check(gold=case[0], text=case[1], kind=kind, profile=profile).correct != case[2]
    ]


def test_mutated_answers_of_gsm8k(data: Path) -> None:
    """With MATH-500's and AQuA's (their own tests) more than 7,000 negatives; at most one in a thousand is taken."""
    taken: list[tuple[str, str, str]] = []
    made = 0
    for solution in gsm8k(data, "test"):
        gold = solution.rpartition("#### ")[2].replace(",", "")
        for _, mutant in mutants(gold):
            if plain_value(mutant) == plain_value(gold):
                continue
            made += 1
            text = f"So it is\n#### {mutant}"
            taken += [
                (kind, gold, mutant) for kind in ("number", "math") if check(gold=gold, text=text, kind=kind).correct
            ]
    assert made > 4_000
    assert len(taken) <= made // 1_000, taken
