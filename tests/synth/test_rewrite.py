"""Problems made of others, by a model that says what a test lets it say."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import lines
from porism import pipeline, store
from porism.engines import Request
from porism.engines.scripted import Scripted
from porism.errors import DataError, RecipeError
from porism.records import Problem
from porism.synth import _ways, rewrite
from porism.synth._fusion import fused
from porism.synth._ways import by_rule, written

EGGS = Problem(
    question="A box holds 6 eggs. How many eggs are in 4 boxes?", answer="24", solution="6 * 4 = 24\n#### 24",
    source="t", set="t", meta={"annotated": "6 * 4 = <<6*4=24>>24\n#### 24"},
)  # fmt: skip


def stored(folder: Path, *problems: Problem) -> Path:
    out = store.Output(folder)
    out.begin(store.Key("problems test"), store.State("fresh", ""))
    out.write(store.Placed(at, problem) for at, problem in enumerate(problems))
    out.finish()
    return folder


def asked(way: str, problem: Problem = EGGS) -> str:
    return _ways.asked(problem, way)[0]["content"]  # type: ignore[arg-type]


def run(
    tmp_path: Path, script: dict[str, Any], *problems: Problem, name: str = "out", **settings: Any
) -> tuple[list[Any], list[Any]]:
    """The records and what was dropped."""
    place = stored(tmp_path / f"in-{name}", *(problems or (EGGS,)))
    (tmp_path / "script.json").write_text(json.dumps(script))
    values = {"input": [str(place)], "engine": "scripted", "script": str(tmp_path / "script.json"), **settings}
    out = tmp_path / name
    pipeline.execute(pipeline.prepare("synth", "rewrite", values), out)
    return lines(out / "records.jsonl"), lines(out / "dropped.jsonl") if (out / "dropped.jsonl").is_file() else []


SAME = "There are 4 boxes with 6 eggs in each. How many eggs is that?"


def test_a_rephrased_problem_is_kept_if_its_solutions_agree_with_the_answer(tmp_path: Path) -> None:
    script = {asked("rephrase"): f"Rewritten problem: {SAME}", SAME: ["#### 24", "#### 10", "#### 24.0", "24"]}
    ((made,), dropped) = run(tmp_path, script)
    assert made["question"] == SAME
    assert made["answer"] == "24"
    assert made["solution"] == EGGS.solution
    assert made["set"] == "t/rephrase"
    assert made["meta"]["votes"] == [3, 4]
    assert made["meta"]["of"] == EGGS.id
    assert not dropped
    script[SAME] = ["#### 24", "#### 10"]
    with pytest.raises(DataError, match="kept none of 1 .1 not verified"):
        run(tmp_path, script, name="no")
    (row,) = lines(tmp_path / "no" / "dropped.jsonl")
    assert row["reason"] == "not verified: 2 of 4 solutions gave '24'"
    assert row["question"] == SAME, "what was dropped can be looked at"
    made, _ = run(tmp_path, script, name="lower", agreement=0.4)
    assert len(made) == 1
    made, _ = run(tmp_path, script, name="none", votes=0)
    assert "votes" not in made[0]["meta"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("A box holds 6 eggs.  how many eggs are in 4 boxes?", "the same"),
        ("A box holds 7 eggs. How many are in 4?", "other numbers"),
        (f"{SAME} The answer is 24.", "tells the answer"),
        ("", "no problem"),
        ("x" * 5000, "no problem"),
        (" ".join(["word"] * 600), "cut off"),
    ],
)
def test_a_reply_that_is_no_rephrasing(tmp_path: Path, reply: str, reason: str) -> None:
    with pytest.raises(DataError, match="kept none"):
        run(tmp_path, {asked("rephrase"): reply})
    assert lines(tmp_path / "out" / "dropped.jsonl")[0]["reason"].startswith(reason)


def test_numbers_and_names_change_by_rule_where_that_is_sure(tmp_path: Path) -> None:
    tom = Problem(question="Tom has 6 eggs.", answer="6", solution="#### 6", source="t")
    made, dropped = run(tmp_path, {}, EGGS, tom, ways=["numbers", "names"], max_failed=1.0)
    assert [row["meta"]["way"] for row in made] == ["numbers", "names"]
    assert all(row["meta"]["by_rule"] for row in made)
    assert made[0]["answer"] != "24"
    assert "Tom" not in made[1]["question"]
    assert sorted(row["reason"].partition(":")[0] for row in dropped) == ["names, no name", "no problem"]


def test_other_numbers_by_the_model_are_labelled_by_agreement(tmp_path: Path) -> None:
    bare = Problem(question=EGGS.question, answer="24", solution=EGGS.solution, source="t")
    new = "A box holds 5 eggs. How many eggs are in 7 boxes?"
    script = {asked("numbers", bare): new, new: ["5 * 7 = 35\n#### 35", "#### 12", "#### 35", "It is 35."]}
    ((made,), _) = run(tmp_path, script, bare, ways=["numbers"])
    assert (made["question"], made["answer"], made["solution"]) == (new, "35", "5 * 7 = 35\n#### 35")
    assert made["meta"]["votes"] == [3, 4]
    assert not made["meta"]["by_rule"]


@pytest.mark.parametrize("way", ["harder", "easier"])
def test_harder_and_easier(tmp_path: Path, way: str) -> None:
    new = "A box holds 6 eggs, of which 1 is broken. How many whole eggs are in 4 boxes?"
    script = {asked(way): new, new: ["4 * 5 = 20\n#### 20"] * 4}
    ((made,), _) = run(tmp_path, script, ways=[way])
    assert (made["question"], made["answer"], made["set"]) == (new, "20", f"t/{way}")
    assert "annotated" not in made["meta"]
    with pytest.raises(RecipeError, match=f"{way} has no answer but what solutions agree on"):
        run(tmp_path, script, name="x", ways=[way], votes=0)


def test_labels_by_self_consistency(tmp_path: Path) -> None:
    bare = Problem(question="What is 3 * 8?", answer="", source="t")
    made, _ = run(
        tmp_path, {bare.question: ["#### 24", "3 * 8 = 24\n#### 24", "#### 11", "#### 24"]}, bare, ways=["label"]
    )
    assert [(row["answer"], row["solution"], row["meta"]["votes"]) for row in made] == [("24", "#### 24", [3, 4])]
    known, dropped = run(
        tmp_path, {bare.question: "#### 11", EGGS.question: "6 * 4 = 24\n#### 24"}, EGGS,
        Problem(question=bare.question, answer="24", source="t"), name="known", ways=["label"],
    )  # fmt: skip
    assert [row["answer"] for row in known] == ["24"]
    assert dropped[0]["reason"] == "not verified: 0 of 4 solutions gave '24'", "a known answer is not outvoted"


def test_backward_asks_for_a_number_of_the_question(tmp_path: Path) -> None:
    draft = by_rule(EGGS, "backward", "0")
    assert draft is not None
    question = draft.problem.question
    assert question.endswith("If the answer to the question above is 24, what is the value of the unknown x?")
    assert draft.problem.answer in ("6", "4")
    assert f" {draft.problem.answer} " not in question.partition("\n")[0]
    made, _ = run(tmp_path, {question: f"#### {draft.problem.answer}"}, ways=["backward"])
    assert made[0]["answer"] == draft.problem.answer
    assert made[0]["solution"] == f"#### {draft.problem.answer}"
    for problem in (
        Problem(question="No number here?", answer="1"),
        Problem(question="2 and 2 eggs?", answer="4"),
        Problem(question="6 eggs in red?", answer="red", kind="math"),
    ):
        found = by_rule(problem, "backward", "0")
        assert found is not None
        assert found.reason.startswith("no number")


def test_self_verification_hides_a_number_of_the_statement() -> None:
    draft = written(EGGS, "self_verification", "A box holds 6 eggs. There are 24 eggs in 4 boxes.", "0")
    assert not draft.reason
    assert draft.problem.question.endswith("\nWhat is the value of the unknown x?")
    assert "24" in draft.problem.question
    assert draft.problem.answer in ("6", "4")
    assert " x " in draft.problem.question
    for reply in ("A box holds 6 eggs, and 4 hold many.", "How many are 24 of 6?"):
        assert written(EGGS, "self_verification", reply, "0").reason.startswith("no statement")


def test_sets_are_mixed_by_quota_and_by_temperature(tmp_path: Path) -> None:
    problems = [Problem(question=f"{n}?", answer="1", source="big" if n < 90 else "small") for n in range(100)]

    def counts(**settings: Any) -> dict[str, int]:
        found = fused(problems, settings.get("total"), settings.get("quotas", {}), settings.get("temperature", 1.0), 0)
        assert len({problem.id for problem in found}) == len(found)
        return {name: sum(problem.source == name for problem in found) for name in ("big", "small")}

    assert counts(total=20) == {"big": 18, "small": 2}
    assert counts(total=16, temperature=2.0) == {"big": 12, "small": 4}
    assert counts(total=20, quotas={"big": 1, "small": 1}) == {"big": 10, "small": 10}
    assert counts(quotas={"small": 1}) == {"big": 0, "small": 10}
    assert counts(total=20, temperature=0.001) == {"big": 20, "small": 0}
    for quotas, message in (
        ({"smal": 1}, "no set 'smal' in the input. Did you mean 'small'"),
        ({"small": -1.0}, "expected a weight of at least 0 for 'small'"),
        ({"small": float("nan")}, "expected a weight of at least 0"),
        ({"small": 0.0}, "expected a weight above 0 for at least one set"),
    ):
        with pytest.raises(RecipeError, match=message):
            counts(quotas=quotas)
    made, _ = run(tmp_path, {}, *problems, ways=["keep"], total=20, quotas={"big": 1, "small": 1})
    assert sorted({row["source"] for row in made}) == ["big", "small"]
    assert len(made) == 20
    made, _ = run(tmp_path, {}, *problems, name="warm", ways=["keep"], total=16, mix_temperature=2.0, seed=4)
    assert sum(row["source"] == "small" for row in made) == 4


def test_what_the_model_is_told(tmp_path: Path) -> None:
    """Sampling settings reach the engine, and a stage that needs no model asks none."""
    engine = Scripted(lambda request, number: SAME if "Rewrite" in request.messages[-1]["content"] else "#### 24")
    settings = rewrite.Settings(
        input=["x"], temperature=0.3, max_tokens=99, votes=3, vote_temperature=0.9, vote_max_tokens=77, seed=5
    )
    work = rewrite._Work(settings, engine)
    (draft,) = work.made([rewrite._Job(EGGS, "rephrase")])
    assert not draft.reason
    first, second = engine.requests

    def told(request: Request) -> tuple[float, int, int]:
        return request.sampling.temperature, request.sampling.max_tokens, request.n

    assert (told(first), told(second)) == ((0.3, 99, 1), (0.9, 77, 3))
    engine.requests.clear()
    work.made([rewrite._Job(EGGS, "keep"), rewrite._Job(EGGS, "numbers")])
    assert not engine.requests
    with pytest.raises(RecipeError, match="at 0 all solutions would be the same"):
        pipeline.prepare("synth", "rewrite", {"input": ["x"], "engine": "scripted", "vote_temperature": 0})


LOGGING = """
from pathlib import Path

from porism.engines.scripted import Scripted


class Logging(Scripted):
    def __init__(self, log, new):
        super().__init__(lambda request, number: new if "Rewrite" in request.messages[-1]["content"] else "#### 24")
        self.log = Path(log)

    def generate(self, requests, **more):
        with self.log.open("a") as file:
            file.write(f"{len(requests)} {requests[0].seed}\\n")
        return super().generate(requests, **more)


def start(model, *, log: str, new: str):
    return Logging(log, new)
"""


def test_units_of_work_seeds_and_kept_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PORISM_REPLIES_MB", "16")
    (tmp_path / "counting.py").write_text(LOGGING)
    eggs = [dataclasses.replace(EGGS, question=f"{EGGS.question}{' ' * n}") for n in range(4)]
    place = stored(tmp_path / "in", *eggs)

    def asked_for(name: str, **settings: Any) -> list[list[str]]:
        """Of each call of the engine how many requests, and the seed of the first."""
        log = tmp_path / f"{name}.log"
        log.touch()
        own = {"engine": f"{tmp_path / 'counting.py'}:start", "log": str(log), "new": SAME}
        values = {"input": [str(place)], "model": "any", "votes": 2, **own, **settings}
        pipeline.execute(pipeline.prepare("synth", "rewrite", values), tmp_path / name)
        return [line.split() for line in log.read_text().splitlines()]

    whole, parts = asked_for("whole"), asked_for("parts", at_once=1)
    assert [count for count, _ in whole] == ["4", "4"], "all are written, then all are verified"
    assert [count for count, _ in parts] == ["1"] * 8
    assert (tmp_path / "whole" / "records.jsonl").read_bytes() == (tmp_path / "parts" / "records.jsonl").read_bytes()
    assert asked_for("other", seed=1)[0][1] != whole[0][1]
    same = {"log": str(tmp_path / "kept.log"), "cache": True}
    asked_for("first", **same)
    before = (tmp_path / "kept.log").read_text()
    asked_for("second", **same)
    assert (tmp_path / "kept.log").read_text() == before, "what was said before is not asked again"
    asked_for("third", **{**same, "cache": False})
    assert (tmp_path / "kept.log").read_text() != before


BROKEN = """
from porism.engines import Reply, Sample


class Broken:
    model = "broken"

    def generate(self, requests):
        return [Reply(samples=(Sample(text="", finish="error", error="down"),) * r.n) for r in requests]

    def close(self):
        pass


def start(model: str) -> Broken:
    return Broken()
"""


def test_an_engine_that_fails_too_often_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    values = {"input": [str(stored(tmp_path / "in", EGGS))], "engine": f"{tmp_path / 'broken.py'}:start"}
    stage = pipeline.prepare("synth", "rewrite", {**values, "ways": ["rephrase", "keep"], "at_once": 1})
    with pytest.raises(DataError, match=r"the engine failed on 1 of 2, more than max_failed=0\.05 allows"):
        pipeline.execute(stage, tmp_path / "out")
    stage = pipeline.prepare("synth", "rewrite", {**values, "ways": ["rephrase", "keep"], "max_failed": 0.5})
    assert pipeline.execute(stage, tmp_path / "half").counts["dropped: engine"] == 1


def test_lines_that_are_no_problems_stop_nothing(tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    rows = [json.dumps({"question": f"{n}?", "answer": "1"}) for n in range(3)]
    given.write_text("\n".join([rows[0], "{", json.dumps({"prompt": [], "completion": []}), *rows[1:]]) + "\n")
    values = {"input": [str(given)], "engine": "scripted", "ways": ["keep"], "at_once": 2}
    manifest = pipeline.execute(pipeline.prepare("synth", "rewrite", values), tmp_path / "out")
    assert manifest.counts["records"] == 3
    reasons = [row["reason"] for row in lines(tmp_path / "out" / "dropped.jsonl")]
    assert [reason.partition(":")[0] for reason in reasons] == ["malformed"] * 2
    assert "line 2: not valid JSON" in reasons[0]
    assert "expected problem records, got example" in reasons[1]
    (tmp_path / "none.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=r"no problems in the input.*line 1: not valid JSON"):
        pipeline.execute(
            pipeline.prepare("synth", "rewrite", {**values, "input": [str(tmp_path / "none.jsonl")]}), tmp_path / "x"
        )


@pytest.mark.slow
def test_the_real_model(tmp_path: Path) -> None:
    """It runs from end to end; a model of 135M parameters verifies few problems, so nothing is said of how many."""
    problems = [EGGS, Problem(question="What is 2 + 3?", answer="5", solution="#### 5", source="t")]
    place = stored(tmp_path / "in", *problems)
    ways = ["keep", "rephrase", "backward", "numbers"]
    values = {"input": [str(place)], "ways": ways, "votes": 2, "max_tokens": 48, "vote_max_tokens": 48}
    manifest = pipeline.execute(pipeline.prepare("synth", "rewrite", values), tmp_path / "out")
    assert manifest.counts["records"] + manifest.counts.get("dropped", 0) == 8
    rows = lines(tmp_path / "out" / "records.jsonl")
    assert {row.get("meta", {}).get("way", "keep") for row in rows} >= {"keep", "numbers"}
