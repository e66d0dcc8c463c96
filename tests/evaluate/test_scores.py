"""Ways of scoring side by side, and the settings of evaluate and compare that change what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import attempt, problem
from porism import evaluate, pipeline
from porism.errors import RecipeError
from porism.evaluate import scores
from porism.evaluate.compare import compare
from porism.records import Attempt, Status, Verdict, to_row

TEXTS = {
    "#### 1": ("correct", "correct", "correct"),
    "It is 1.": ("unparsed", "correct", "correct"),
    "#### 2": ("wrong", "wrong", "wrong"),
    r"So \boxed{\frac{2}{2}}": ("unparsed", "wrong", "correct"),
    "no number": ("unparsed", "unparsed", "unparsed"),
    "#### 1.00": ("wrong", "wrong", "correct"),
}


def attempts() -> list[Attempt]:
    wrong = Verdict(status=Status.WRONG, grader="number", profile="strict@3")
    return [attempt(0, text=text, sample=at, verdict=wrong) for at, text in enumerate(TEXTS)]


def test_side_by_side() -> None:
    ways = {name: scores.verdicts(attempts(), name) for name in ("strict", "flexible", "symbolic")}
    found = [tuple(str(one.status) if one else "" for one in said) for said in zip(*ways.values(), strict=True)]
    assert dict(zip(TEXTS, found, strict=True)) == TEXTS
    told = scores.disagreements(attempts(), ways, examples=1)
    assert (told["agree"], told["disagree"]) == (3, 3)
    assert sum(one["count"] for one in told["patterns"]) == 3
    first = next(one for one in told["patterns"] if one["verdicts"]["flexible"] == "correct")
    assert first["verdicts"] == {"strict": "unparsed", "flexible": "correct", "symbolic": "correct"}
    assert first["examples"][0]["text"] == "It is 1."
    assert first["examples"][0]["read"] == {"strict": None, "flexible": "1.", "symbolic": "1"}


def test_programs_have_one_way() -> None:
    program = attempt(0, problem=problem(0, kind="code"), verdict=Verdict(status=Status.CORRECT, grader="code"))
    assert scores.verdicts([program], "strict") == scores.verdicts([program], "symbolic") == [None]
    told = scores.disagreements([program], {"strict": [None], "symbolic": [None]})
    assert told == {"agree": 0, "disagree": 0, "patterns": []}


def test_the_profile_of_another_harness_has_its_scores() -> None:
    assert scores.named(["lm-eval/gsm8k@3", "auto"]) == {
        "lm-eval/gsm8k@3 strict-match": "strict", "lm-eval/gsm8k@3 flexible-extract": "flexible", "auto": "auto",
    }  # fmt: skip
    found = evaluate.measure(attempts(), ["lm-eval/gsm8k"])["by_profile"]
    assert found["lm-eval/gsm8k@3 strict-match"] == pytest.approx(1 / 6)
    assert found["lm-eval/gsm8k@3 flexible-extract"] == pytest.approx(2 / 6)
    for wrong in ("strikt", "lm-eval/gsm8k@2", "lm-eval/gsm9k"):
        with pytest.raises(RecipeError):
            pipeline.prepare("evaluate", "", {"input": ["x"], "profiles": [wrong]})


def stage(folder: Path, some: list[Attempt], **settings: Any) -> dict[str, Any]:
    (folder / "a.jsonl").write_text("".join(json.dumps(to_row(one)) + "\n" for one in some))
    values = {"input": [str(folder / "a.jsonl")], **settings}
    name = "-".join(map(str, settings.values())) or "plain"
    pipeline.execute(pipeline.prepare("evaluate", "", values), folder / name)
    found: dict[str, Any] = json.loads((folder / name / "metrics.json").read_text())
    return found["test"]


def test_every_setting_counts(tmp_path: Path) -> None:
    some = [attempt(n, Status.CORRECT if n % 4 < 2 else Status.WRONG, completion_tokens=n) for n in range(16)]
    plain = stage(tmp_path, some)
    assert stage(tmp_path, some, interval="mid_p")["accuracy"] != plain["accuracy"]
    drawn = stage(tmp_path, some, interval="randomised")["accuracy"]
    assert drawn["low"] < 0.5 < drawn["high"]
    groups = stage(tmp_path, some, clusters="group")["accuracy"]
    assert groups["value"] == plain["accuracy"]["value"]
    assert groups != plain["accuracy"]
    assert stage(tmp_path, some, budgets=[3])["efficiency"]["accuracy_within"]["3"]["value"] == pytest.approx(2 / 16)
    assert plain["pass_all"] == plain["maj_at"] == plain["consistency"] == {}


def test_several_samples(tmp_path: Path) -> None:
    some = [attempt(n, Status.CORRECT if at < 2 else Status.WRONG, sample=at) for n in range(4) for at in range(4)]
    found = stage(tmp_path, some, pass_at=[1, 2, 4, 8])
    assert set(found["maj_at"]) == set(found["pass_all"]) == set(found["g_pass_at"]) == {"2", "4"}
    assert found["pass_all"]["2"]["value"] == pytest.approx(1 / 6)
    assert set(found["g_pass_at"]["4"]) == {"0.25", "0.5", "0.75", "1.0", "mean"}
    assert found["consistency"]["agreement"]["value"] is not None


def test_examples_of_disagreements(tmp_path: Path) -> None:
    stage(tmp_path, attempts(), examples=0)
    told = json.loads((tmp_path / "0" / "disagreements.json").read_text())["test"]
    assert told["disagree"] == 3
    assert all(one["examples"] == [] for one in told["patterns"])


def pairs(before: str, after: str) -> list[tuple[Attempt, Attempt]]:
    status = {"r": Status.CORRECT, "w": Status.WRONG}
    return [(attempt(n, status[a]), attempt(n, status[b])) for n, (a, b) in enumerate(zip(before, after, strict=True))]


def test_clusters_of_a_comparison() -> None:
    some = pairs("wwwwrrrr", "rwrwrrrr")
    alone, grouped = compare(some), compare(some, clusters="group")
    assert alone["difference"]["value"] == grouped["difference"]["value"] == 0.25
    assert alone["difference"] != grouped["difference"]
    assert alone["bootstrap"]["value"] == 0.25
    assert alone["mcnemar_p"] == 0.5
    assert grouped["mcnemar_p"] is None, "it would take each problem for independent"


def test_too_small_a_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, side in (("a", 0), ("b", 1)):
        rows = [to_row(pair[side]) for pair in pairs("wwwwwwrr", "rwwwwwrr")]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"before": str(tmp_path / "a.jsonl"), "after": str(tmp_path / "b.jsonl")}
    pipeline.execute(pipeline.prepare("compare", "", values), tmp_path / "out")
    assert "8 problems are too few to claim a difference of +12.5 points" in capsys.readouterr().err
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())["test"]
    assert found["detectable"] > 0.125
    assert found["p_holm"] == found["p_benjamini_hochberg"] == found["mcnemar_p"]


def test_several_sets_adjust_their_p(tmp_path: Path) -> None:
    for name, side in (("a", 0), ("b", 1)):
        rows = []
        for part, (before, after) in enumerate((("w" * 10, "r" * 10), ("w" * 8 + "rr", "r" * 8 + "rr"))):
            for pair in pairs(before, after):
                one = pair[side]
                moved = problem(100 * part + int(one.problem.answer), set=f"s{part}")
                rows.append(to_row(attempt(0, one.verdict.status, problem=moved)))  # type: ignore[union-attr]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"before": str(tmp_path / "a.jsonl"), "after": str(tmp_path / "b.jsonl")}
    pipeline.execute(pipeline.prepare("compare", "", values), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["s0"]["mcnemar_p"] == pytest.approx(2 / 1024)
    assert found["s0"]["p_holm"] == pytest.approx(4 / 1024)
    assert found["s1"]["p_benjamini_hochberg"] == found["s1"]["mcnemar_p"] == pytest.approx(2 / 256)
