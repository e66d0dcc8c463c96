import json
from pathlib import Path

import pytest

from conftest import attempt, problem
from porism import pipeline, store
from porism.curate import correct, dedup, overlap
from porism.errors import DataError, RecipeError
from porism.records import Example, Message, Record, Status, to_row


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records))
    return str(path)


def run(step: str, target: Path, records: str, **settings: object) -> store.Manifest:
    return pipeline.execute(pipeline.prepare("curate", step, {"input": [records], **settings}), target)


def test_correct_keeps_what_was_judged_correct() -> None:
    records = [attempt(0), attempt(1, Status.WRONG), attempt(2, Status.TRUNCATED)]
    reasons = [reason for _, reason in correct.curate(records)]
    assert reasons == ["", "wrong: read '2'", "truncated: read '3'"]
    with pytest.raises(DataError, match="not a graded attempt"):
        list(correct.curate([problem()]))


def test_dedup_sets_case_width_and_space_aside() -> None:
    same = [problem(1), problem(1, question="what IS  1 + 1?"), problem(1, question="What is １ + 1?"), problem(2)]
    assert [bool(reason) for _, reason in dedup.curate(same)] == [False, True, True, False]
    texts = [attempt(1), attempt(1, text="else"), attempt(1)]
    assert [bool(reason) for _, reason in dedup.curate(texts)] == [False, False, True]
    assert [bool(reason) for _, reason in dedup.curate(texts, by="question")] == [False, True, True]
    assert problem(1).id in [reason for _, reason in dedup.curate(same)][1]


def test_overlap_refuses_or_drops(tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", [problem(3)])
    row = Example(
        prompt=[Message(role="system", content=""), Message(role="user", content="What is  3 + 1 ??")],
        completion=[Message(role="assistant", content="4")],
    )
    assert [bool(reason) for _, reason in overlap.curate([problem(2), row], against=[test], action="drop")] == [
        False,
        True,
    ]
    with pytest.raises(DataError, match=r"asks what the test record .*test\.jsonl"):
        list(overlap.curate([row], against=[test]))


def test_a_stage_keeps_what_it_drops_and_why(tmp_path: Path) -> None:
    rows = write(tmp_path / "r.jsonl", [problem(n % 3) for n in range(2500)])
    manifest = run("dedup", tmp_path / "out", rows)
    assert manifest.counts == {"dropped": 2497, "dropped: duplicate": 2497, "records": 3}
    dropped = list(store.rows(tmp_path / "out" / "dropped.jsonl"))
    assert len(dropped) == 2497
    assert dropped[0][1]["reason"].startswith("duplicate: of ")


def test_an_interrupted_step_remembers_what_it_had_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write(tmp_path / "r.jsonl", [problem(n % 1200) for n in range(2500)])
    run("dedup", tmp_path / "calm", rows)
    true_write, written = store.to_line, []

    def mortal(value: object) -> bytes:
        written.append(1)
        if len(written) == 1500:
            raise KeyboardInterrupt
        return true_write(value)

    monkeypatch.setattr(store, "to_line", mortal)
    with pytest.raises(KeyboardInterrupt):
        run("dedup", tmp_path / "cut", rows)
    monkeypatch.setattr(store, "to_line", true_write)
    run("dedup", tmp_path / "cut", rows)
    for name in ("records.jsonl", "dropped.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


def test_nothing_in_and_nothing_left_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records in the input"):
        run("dedup", tmp_path / "a", write(tmp_path / "empty.jsonl", []))
    with pytest.raises(DataError, match="dropped all 1 records"):
        run("correct", tmp_path / "b", write(tmp_path / "w.jsonl", [attempt(0, Status.WRONG)]))


def test_a_changed_test_set_makes_the_check_run_again(tmp_path: Path) -> None:
    rows, test = write(tmp_path / "r.jsonl", [problem(1)]), write(tmp_path / "t.jsonl", [problem(2)])
    run("overlap", tmp_path / "out", rows, against=[test])
    write(tmp_path / "t.jsonl", [problem(1)])
    with pytest.raises(DataError, match="asks what the test record"):
        run("overlap", tmp_path / "out", rows, against=[test])


def test_what_was_dropped_is_counted_once(tmp_path: Path) -> None:
    given = write(tmp_path / "a.jsonl", [attempt(0), attempt(1, Status.WRONG)])
    manifest = run("correct", tmp_path / "out", given)
    assert manifest.counts == {"dropped": 1, "dropped: wrong": 1, "records": 1}
    assert manifest.counted == "1 dropped: wrong, 1 records"


@pytest.mark.parametrize(
    ("body", "count"),
    [("yield from [(r, '') for r in list(records)[1:]]", 3), ("for r in records: yield r, ''; yield r, 'again'", 8)],
)
def test_a_step_that_loses_or_adds_records_is_named(tmp_path: Path, body: str, count: int) -> None:
    step = tmp_path / "mine.py"
    step.write_text(f"def few(records):\n    {body}\n")
    given = write(tmp_path / "p.jsonl", [problem(n) for n in range(4)])
    with pytest.raises(
        RecipeError, match=f"mine.py:few: expected one decision on each of 4 records, in order, got {count}"
    ):
        run(f"{step}:few", tmp_path / "out", given)
