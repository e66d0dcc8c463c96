"""The published sets: the real files where they are here, and small files in the originals' layouts."""

import json
from pathlib import Path
from typing import Any

import pytest

from porism import pipeline, store
from porism.errors import DataError
from porism.graders import check, grade_all
from porism.problems import MissingData, Unreadable, aime, aqua, gsm8k, math, strategyqa, svamp
from porism.records import Attempt, Problem


def only(found: object) -> list[Problem]:
    """The problems of a source, all of whose rows are good."""
    problems = list(found)  # type: ignore[call-overload]
    assert not [row for row in problems if isinstance(row, Unreadable)]
    return problems


def right(problems: list[Problem]) -> int:
    """How many worked solutions the problem's own grader accepts."""
    attempts = [Attempt(problem=problem, strategy="", messages=[], text=problem.solution) for problem in problems]
    return sum(verdict.correct for verdict in grade_all(attempts))


# --- as published ------------------------------------------------------------------------------------


def test_gsm8k(data: Path) -> None:
    for split, count in (("train", 7473), ("test", 1319)):
        found = only(gsm8k.load(split, path=str(data)))
        assert len(found) == count
        assert all("<<" not in problem.solution and "####" in problem.solution for problem in found)
        assert sum("annotated" in problem.meta for problem in found) > 0.98 * count
    assert right(found) == 1319


def test_math500(data: Path) -> None:
    found = only(math.load("test", subset="math500", path=str(data)))
    assert len(found) == 500
    assert {problem.kind for problem in found} == {"math"}
    assert len({problem.group for problem in found}) == 7
    assert {problem.meta["level"] for problem in found} == {1, 2, 3, 4, 5}
    hard = only(math.load("test", subset="math500", path=str(data), levels=[5], subjects=["counting and probability"]))
    assert {(problem.group, problem.meta["level"]) for problem in hard} == {("Counting & Probability", 5)}
    assert right(found[:100]) >= 99


def test_aqua(data: Path) -> None:
    for split, name in (("test", "aqua_test.jsonl"), ("validation", "aqua_dev.jsonl"), ("dev", "aqua_dev.jsonl")):
        found = only(aqua.load(split, path=str(data)))
        assert len(found) == 254
        assert aqua.files(split, path=str(data)) == [data / name]
        assert right(found) == 254
        for problem in found:
            chosen = problem.meta["options"][ord(problem.answer) - ord("A")]
            assert f"\n{problem.answer}) {' '.join(chosen.split())}" in problem.question


def test_strategyqa(data: Path) -> None:
    for split, count in (("train", 2061), ("dev", 229), ("validation", 229)):
        found = only(strategyqa.load(split, path=str(data)))
        assert len(found) == count
        assert {problem.answer for problem in found} == {"yes", "no"}
        assert right([problem for problem in found if problem.solution]) == sum(bool(p.solution) for p in found) > 200
        assert found[0].meta["decomposition"]


def test_a_whole_stage_on_the_real_files(data: Path, tmp_path: Path) -> None:
    values = {"path": str(data), "subset": "math500", "split": "test", "shuffle": 1, "limit": 5}
    pipeline.execute(pipeline.prepare("problems", "math", values), tmp_path / "m")
    rows = [row for _, row in store.rows(tmp_path / "m" / "records.jsonl")]
    assert len(rows) == 5
    assert {row["set"] for row in rows} == {"math500"}


# --- in the originals' layouts -----------------------------------------------------------------------


def put(place: Path, value: object) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = isinstance(value, list) and place.suffix == ".jsonl"
    text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value, indent=4)  # type: ignore[call-overload]
    place.write_text(text)
    return place


def test_the_original_folder_of_math(tmp_path: Path) -> None:
    for subject, number, level in (("algebra", 2, 1), ("algebra", 10, 5), ("number_theory", 3, "?")):
        row = {
            "problem": f"What is $1 + {number}$?",
            "level": f"Level {level}",
            "type": subject.replace("_", " ").title(),
            "solution": rf"It is \boxed{{7}}, no: $1 + {number} = \boxed{{{number + 1}}}$.",
        }
        put(tmp_path / "MATH" / "train" / subject / f"{number}.json", row)
    for path in (tmp_path, tmp_path / "MATH"):
        found = only(math.load("train", path=str(path)))
        assert [(p.answer, p.group, p.meta.get("level")) for p in found] == [
            ("11", "Algebra", 5),
            ("3", "Algebra", 1),
            ("4", "Number Theory", None),
        ]
        assert {p.source for p in found} == {"math"}
    assert len(math.files("train", path=str(tmp_path))) == 3
    assert [p.group for p in only(math.load("train", path=str(tmp_path), subjects=["number_theory"]))] == [
        "Number Theory"
    ]
    put(tmp_path / "MATH" / "train" / "algebra" / "4.json", {"problem": "?", "solution": "no box"})
    assert [row.reason for row in math.load("train", path=str(tmp_path)) if isinstance(row, Unreadable)] == [
        "no answer: the solution has no box"
    ]


def test_aquas_own_names_and_bad_rows(tmp_path: Path) -> None:
    good = {"question": "1 + 1?", "options": ["A)1", "B)2"], "rationale": "1 + 1 = 2", "correct": "B"}
    rows = [good, {**good, "correct": "E"}, {**good, "options": []}, {**good, "rationale": None}]
    rows.append({**good, "options": ["A)2", "B)None"], "correct": None})
    (tmp_path / "dev.json").write_text("\n".join(map(json.dumps, rows)))
    found = list(aqua.load("dev", path=str(tmp_path)))
    assert found[0] == Problem(
        question="1 + 1?\nA) 1\nB) 2",
        answer="B",
        solution="1 + 1 = 2\n#### B",
        kind="choice",
        source="aqua",
        meta={"options": ["1", "2"]},
    )
    assert [row.reason.partition(":")[0] for row in found[1:] if isinstance(row, Unreadable)] == [
        "no answer",
        "no options",
        "no AQuA row",
        "no answer",
    ]


def test_strategyqa_from_the_hub_has_its_facts_in_one_text(tmp_path: Path) -> None:
    rows = [
        {"qid": "1", "question": "Is ice cold?", "answer": True, "facts": "Ice is frozen water."},
        {"qid": "2", "question": "Is it?", "answer": "maybe", "facts": []},
        {"qid": "3", "question": "Is fire cold?", "answer": False, "facts": []},
    ]
    found = list(strategyqa.load("train", path=str(put(tmp_path / "train.json", rows))))
    assert isinstance(found[0], Problem)
    assert found[0].solution == "Ice is frozen water.\n#### yes"
    assert isinstance(found[1], Unreadable)
    assert isinstance(found[2], Problem)
    assert (found[2].answer, found[2].solution) == ("no", "")


SVAMP: list[dict[str, Any]] = [
    {"ID": "chal-1", "Body": "A pack of pens costs 76 coins. If there is a discount of 25 coins on each pack",
     "Question": "How much do you pay for a pack?", "Equation": "( 76.0 - 25.0 )", "Answer": 51.0,
     "Type": "Subtraction"},
    {"ID": "chal-2", "Body": "Ida had 7 pears and 4 figs. She ate 9 of them", "Question": "How many are left?",
     "Equation": "( ( 7.0 + 4.0 ) - 9.0 )", "Answer": 2.0, "Type": "Subtraction"},
    {"ID": "chal-3", "Body": "There are 9 rows.", "Question": "How many?", "Equation": "( 9.0 * 9.0 )", "Answer": 18.0,
     "Type": "Multiplication"},
    {"ID": "chal-4", "Body": "Broken", "Question": "?", "Equation": "", "Answer": "many", "Type": ""},
]  # fmt: skip


def test_svamp(tmp_path: Path) -> None:
    put(tmp_path / "SVAMP.json", SVAMP)
    first, second, third, fourth = svamp.load("test", path=str(tmp_path))
    assert isinstance(first, Problem)
    assert first.question.endswith("25 coins on each pack, how much do you pay for a pack?")
    assert (first.answer, first.solution, first.group) == ("51", "76 - 25 = 51\n#### 51", "Subtraction")
    assert isinstance(second, Problem)
    assert second.question == "Ida had 7 pears and 4 figs. She ate 9 of them. How many are left?"
    assert second.solution == "7 + 4 = 11\n11 - 9 = 2\n#### 2"
    assert second.meta["annotated"] == "7 + 4 = <<7+4=11>>11\n11 - 9 = <<11-9=2>>2\n#### 2"
    assert isinstance(third, Problem)
    assert third.solution == "", "an equation that does not give the answer is no solution"
    assert isinstance(fourth, Unreadable)
    with pytest.raises(MissingData, match="SVAMP, train split: expected svamp_train"):
        list(svamp.load("train", path=str(tmp_path)))


def test_aime(tmp_path: Path) -> None:
    rows = [
        {"id": 60, "problem": "One?", "solution": "s", "answer": "073", "url": "https://x/2024_AIME_I", "year": "2024"},
        {"ID": "1983-2", "Year": 1983, "Problem Number": 2, "Question": "Two?", "Answer": 60},
        {"problem_idx": 3, "problem": "Three?", "answer": 588},
        {"problem": "Four?", "answer": "1000"},
        {"problem": "Five?", "answer": r"\frac12"},
    ]
    put(tmp_path / "aime.jsonl", rows)
    found = list(aime.load(path=str(tmp_path)))
    assert [(p.question, p.answer, p.group) for p in found if isinstance(p, Problem)] == [
        ("One?", "73", "2024"),
        ("Two?", "60", "1983"),
        ("Three?", "588", ""),
    ]
    assert [row.reason.partition(":")[0] for row in found if isinstance(row, Unreadable)] == ["no answer"] * 2
    chosen = [p.question for p in aime.load(path=str(tmp_path), year=2024) if isinstance(p, Problem)]
    assert chosen == ["One?", "Three?"], "a row that names no year is taken"
    assert check(gold="73", text=r"\boxed{073}").correct


def test_gsm8k_rows_that_are_none(tmp_path: Path) -> None:
    rows = [{"question": "?", "answer": answer} for answer in ("no mark", "no number ####", None, "1 + 1 = 2\n#### 2")]
    put(tmp_path / "train.jsonl", rows)
    found = list(gsm8k.load("train", path=str(tmp_path)))
    assert [isinstance(row, Unreadable) for row in found] == [True, True, True, False]
    assert found[3].meta == {}  # type: ignore[union-attr]


@pytest.mark.parametrize("source", [gsm8k, math, aqua, strategyqa, svamp, aime])
def test_a_set_that_is_not_here(tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORISM_DATA", str(tmp_path))
    with pytest.raises(MissingData, match=r"train split: expected .*\.jso?nl? .*fetch=hf"):
        list(source.load("train"))
    assert source.files("train") == []


def test_a_folder_as_the_hub_has_it(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "main").mkdir()
    for number in range(2):
        rows = [{"question": f"{number}?", "answer": f"a\n#### {number}"}]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "main" / f"test-{number:05d}-of-00002.parquet")
    assert [problem.answer for problem in only(gsm8k.load("test", path=str(tmp_path)))] == ["0", "1"]
    with pytest.raises(DataError):
        list(gsm8k.load("train", path=str(tmp_path)))
