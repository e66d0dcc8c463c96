import json
from pathlib import Path

import pytest

from conftest import attempt, problem
from porism import pipeline, store
from porism.errors import DataError
from porism.evaluate import load, measure
from porism.evaluate.compare import compare
from porism.records import Attempt, Status, Verdict, to_row

C, W, U, T = Status.CORRECT, Status.WRONG, Status.UNPARSED, Status.TRUNCATED


def tried(number: int, status: Status, **changes: object) -> Attempt:
    return attempt(number, status, verdict=Verdict(status=status), **changes)


def test_the_gain_is_taken_apart_exactly() -> None:
    moves = [(C, C), (W, C), (W, C), (U, C), (T, C), (C, W), (C, U), (W, W), (U, W), (T, T)]
    result = compare([(tried(n, was), tried(n, now)) for n, (was, now) in enumerate(moves)])
    assert result["difference"]["value"] == pytest.approx(0.2)
    assert result["gain_by_format"] == pytest.approx((2 - 1) / 10)
    assert result["gain_by_reasoning"] == pytest.approx((2 - 1) / 10)
    assert result["gain_by_format"] + result["gain_by_reasoning"] == pytest.approx(result["difference"]["value"])
    assert (result["wrong_to_right"], result["right_to_wrong"]) == (4, 2)
    assert result["before"]["statuses"] == {"correct": 3, "wrong": 3, "unparsed": 2, "truncated": 2}
    assert len(result["examples"]["wrong_to_right"]) == 4
    assert compare([(tried(0, W), tried(0, C))], examples=0)["examples"]["wrong_to_right"] == []


def test_measures() -> None:
    figures = measure(
        [tried(0, C, completion_tokens=10, text="#### 1"), tried(1, W, completion_tokens=30, text="about 2")],
        ["strict", "flexible"],
    )
    assert figures["accuracy"]["value"] == 0.5
    assert figures["by_profile"] == {"strict": 0.5, "flexible": 1.0}
    assert figures["tokens"] == {"mean": 20, "median": 30, "total": 40, "per_correct": 40}
    assert set(figures["groups"]) == {"g0", "g1"}
    twice = measure([tried(0, C), tried(0, W, sample=1), tried(1, C), tried(1, C, sample=1)])
    assert (twice["problems"], twice["attempts"], twice["accuracy"]["value"]) == (2, 4, 0.75)


def write(path: Path, attempts: list[Attempt]) -> str:
    path.write_text("".join(json.dumps(to_row(item)) + "\n" for item in attempts))
    return str(path)


def test_only_like_is_compared_with_like(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", [attempt(0), attempt(1)])
    b = write(tmp_path / "b.jsonl", [attempt(0)])
    c = write(tmp_path / "c.jsonl", [attempt(0), attempt(0, sample=1)])
    for before, after, complaint in ((a, b, "1 stand in one only"), (c, c, "got several")):
        with pytest.raises(DataError, match=complaint):
            pipeline.execute(pipeline.prepare("compare", "", {"before": before, "after": after}), tmp_path / "out")
    with pytest.raises(DataError, match="not graded"):
        load([write(tmp_path / "d.jsonl", [attempt(0, verdict=None)])])


def test_a_models_text_cannot_become_markup(tmp_path: Path) -> None:
    from porism.evaluate import report

    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    before = [
        tried(n, W, problem=problem(n, question=evil + str(n), group=evil, set=evil), text=evil) for n in range(3)
    ]
    after = [
        tried(n, C, problem=problem(n, question=evil + str(n), group=f"{evil}{n}", set=evil), text=evil)
        for n in range(3)
    ]
    run = tmp_path / "run"
    (run / "3-compare").mkdir(parents=True)
    (run / "recipe.yaml").write_text(f"name: '{evil}'\n")
    stage = pipeline.prepare(
        "compare", "", {"before": write(tmp_path / "b.jsonl", before), "after": write(tmp_path / "a.jsonl", after)}
    )
    (run / "3-compare").rmdir()
    pipeline.execute(stage, run / "3-compare")
    (run / "stages.json").write_text('["3-compare"]')
    page = report.write(run).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "the page stands alone"


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    from porism.evaluate import report

    with pytest.raises(DataError, match="expected a run's folder"):
        report.write(tmp_path)
    for text, complaint in (
        ("[", "not valid JSON"),
        ("3", "expected a list of folders"),
        ('["1-compare"]', r"manifest\.json: no such file"),
    ):
        (tmp_path / "stages.json").write_text(text)
        with pytest.raises(DataError, match=complaint):
            report.write(tmp_path)
    (tmp_path / "stages.json").write_text("[]")
    assert "recipe.yaml is gone" in report.write(tmp_path).read_text()


def test_rare_statuses_have_a_column_where_they_occur(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from porism.evaluate import tables

    def shown(name: str, *statuses: Status) -> str:
        rows = [tried(n, status, problem=problem(n, set=f"s{n}")) for n, status in enumerate(statuses)]
        values = {"input": [write(tmp_path / f"{name}.jsonl", rows)]}
        pipeline.execute(pipeline.prepare("evaluate", "", values), tmp_path / name)
        tables.show(tmp_path / name)
        return capsys.readouterr().out

    assert "gold_unparsed" not in shown("plain", C, W)
    lines = shown("rare", C, Status.GOLD_UNPARSED, Status.TIMEOUT).splitlines()
    assert lines[0].split()[-3:] == ["truncated", "timeout", "gold_unparsed"]
    assert [line.split()[-2:] for line in lines[1:]] == [["0", "0"], ["0", "1"], ["1", "0"]]


def test_the_machine_is_said_once_and_what_differs_by_stage() -> None:
    from porism.evaluate import report

    usual = {"torch": "2.13", "threads": 2}
    made = [store.Manifest(store.Key("solve"), environment=usual) for _ in range(3)]
    made[1].environment = {**usual, "threads": 1, "dtype": "float32"}
    machine = report._machine(made)
    assert report._listed(machine) == "torch 2.13, threads 2"
    rows = [report._stage(Path("1-solve"), manifest, machine)["machine"] for manifest in made]
    assert rows == ["", "threads 1, dtype float32", ""]


def test_counts_and_steps_have_whole_ticks() -> None:
    import re

    from porism.evaluate import plots

    for plot in (plots.curve([1, 2], [0.5, 0.25], "loss"), plots.token_counts([1, 2, 2], [2, 1, 1])):
        ticks = re.findall(r'<g id="xtick_\d+">.*?<text[^>]*>([^<]+)</text>', plot, re.DOTALL)
        assert ticks
        assert all(re.fullmatch(r"[−\d]+", tick) for tick in ticks), ticks
