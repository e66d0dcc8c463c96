"""Records for other programs, read back by what these programs use."""

import json
from pathlib import Path
from typing import Any

import pytest
from curation_kit import run, write

from conftest import attempt, lines, problem
from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.problems import Unreadable, file, samples
from porism.records import Example, Message, Pair, Problem, Record, Status, Stepwise
from porism.train import _layouts

SYSTEM = Message(role="system", content="Be brief.")


def export(tmp_path: Path, *records: Record, **settings: Any) -> tuple[Path, store.Manifest]:
    tmp_path.mkdir(parents=True, exist_ok=True)
    return tmp_path / "out", run("export", tmp_path / "out", write(tmp_path / "in.jsonl", records), **settings)


def talk(*turns: str) -> Example:
    roles = ["user", "assistant"] * len(turns)
    said = [Message(role=role, content=text) for role, text in zip(roles, turns, strict=False)]
    return Example(prompt=[SYSTEM, *said[:-1]], completion=said[-1:])


def test_sharegpt(tmp_path: Path) -> None:
    out, manifest = export(tmp_path, attempt(1), talk("a?", "b", "c?", "d"), format="sharegpt", file="mine")
    first, second = lines(out / "mine.jsonl")
    assert first["conversations"] == [
        {"from": "human", "value": "What is 1 + 1?"},
        {"from": "gpt", "value": "#### 2"},
    ]
    assert [turn["from"] for turn in second["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert second["system"] == "Be brief."
    assert manifest.counts["records"] == 2
    assert "mine.jsonl" in manifest.outputs


def test_alpaca(tmp_path: Path) -> None:
    out, manifest = export(tmp_path, problem(1), talk("a?", "b", "c?", "d"), talk("a?", "b", "c"), format="alpaca")
    first, second = lines(out / "data.jsonl")
    assert (first["instruction"], first["input"]) == ("What is 1 + 1?", "")
    assert first["output"].endswith("#### 2")
    assert (second["instruction"], second["output"], second["history"]) == ("c?", "d", [["a?", "b"]])
    assert manifest.counts["dropped: turns"] == 1


@pytest.mark.parametrize("style", ["sharegpt", "alpaca"])
@pytest.mark.parametrize("which", ["chinese_math", "preferences"])
def test_llamafactory(tmp_path: Path, style: str, which: str) -> None:
    """Each column that the description names is there."""
    records = list(samples.load(which=which))[:5]  # type: ignore[arg-type]
    out, _ = export(tmp_path, *records, format="llamafactory", style=style, file="zh")
    about = json.loads((out / "dataset_info.json").read_text())["zh"]
    rows = lines(out / about["file_name"])
    assert len(rows) == 5
    assert set(about["columns"].values()) <= set(rows[0])
    assert about.get("ranking", False) == (which == "preferences")
    if style == "sharegpt":
        assert set(rows[0]["conversations"][0]) == {about["tags"]["role_tag"], about["tags"]["content_tag"]}
        assert rows[0]["conversations"][0]["from"] == about["tags"]["user_tag"]


def test_what_is_written_is_read_back_as_the_same_problems(tmp_path: Path) -> None:
    records = [record for record in samples.load() if record.solution]
    for number, settings in enumerate(
        ({"format": "sharegpt"}, {"format": "alpaca"}, {"format": "trl"}, {"format": "parquet"}, {"rows": "messages"})
    ):
        out, _ = export(tmp_path / str(number), *records, **settings)
        path = out / ("data.parquet" if settings.get("format") == "parquet" else "data.jsonl")
        found = list(file.load(path=str(path)))
        assert not [row for row in found if isinstance(row, Unreadable)]
        assert [(p.question, p.answer, p.solution) for p in found if isinstance(p, Problem)] == [
            (p.question, p.answer, p.solution) for p in records
        ]


def test_trls_layouts(tmp_path: Path) -> None:
    pair = Problem(question="?", answer="1", solution="#### 1", meta={"rejected": "#### 2", "system": "Be brief."})
    wrong = attempt(2, Status.WRONG)
    unjudged = attempt(3, Status.UNPARSED)
    cases: dict[str, tuple[list[Record], set[str], dict[str, int]]] = {
        "auto": ([problem(1), attempt(1)], {"id", "prompt", "completion", "answer"}, {}),
        "messages": ([problem(1)], {"id", "messages", "answer"}, {}),
        "preference": ([pair, problem(1)], {"id", "prompt", "chosen", "rejected"}, {"dropped: no rejected answer": 1}),
        "unpaired": ([attempt(1), wrong, unjudged], {"id", "prompt", "completion", "label", "answer"},
                     {"dropped: no label": 1}),
        "prompt": ([problem(1), talk("a?", "b")], {"id", "prompt", "answer"}, {"dropped: no answer": 1}),
    }  # fmt: skip
    for rows, (records, columns, dropped) in cases.items():
        out, manifest = export(tmp_path / rows, *records, rows=rows)
        found = lines(out / "data.jsonl")
        assert all(set(row) == columns for row in found), rows
        assert {name: count for name, count in manifest.counts.items() if name.startswith("dropped: ")} == dropped
    assert [row["label"] for row in lines(tmp_path / "unpaired" / "out" / "data.jsonl")] == [True, False]
    first = lines(tmp_path / "preference" / "out" / "data.jsonl")[0]
    assert [turn["role"] for turn in first["prompt"]] == ["system", "user"]
    assert first["chosen"] == [{"role": "assistant", "content": "#### 1"}]


ASKED = [Message(role="user", content="What is 2 + 2?")]
WANTED = Example(prompt=ASKED, completion=[Message(role="assistant", content="#### 4")], label=True)
UNWANTED = Example(prompt=ASKED, completion=[Message(role="assistant", content="#### 5")], label=False)
STEPS = Stepwise(prompt=[SYSTEM, *ASKED], completions=["2 + 2 = 4\n", "#### 4"], labels=[1.0, 0.75])
WRONG_STEP = Stepwise(prompt=ASKED, completions=["2 + 2 = 5\n", "#### 5"], labels=[0.25, 0.0])


@pytest.mark.parametrize("format", ["trl", "parquet"])
def test_labels_are_written(tmp_path: Path, format: str) -> None:  # noqa: A002
    """An example with a label is a row for KTO, steps with labels one for a process reward model."""

    def rows(name: str, *records: Record) -> list[dict[str, Any]]:
        out, _ = export(tmp_path / name, *records, format=format)
        if format == "trl":
            return lines(out / "data.jsonl")
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = pq.read_table(out / "data.parquet").to_pylist()
        return found

    told = rows("kto", WANTED, UNWANTED)
    assert [(row["prompt"], row["completion"][0]["content"], row["label"]) for row in told] == [
        (ASKED, "#### 4", True),
        (ASKED, "#### 5", False),
    ]
    assert [
        {name: row[name] for name in ("prompt", "completions", "labels")} for row in rows("prm", STEPS, WRONG_STEP)
    ] == [
        {"prompt": "Be brief.\n\nWhat is 2 + 2?", "completions": ["2 + 2 = 4\n", "#### 4"], "labels": [True, True]},
        {"prompt": "What is 2 + 2?", "completions": ["2 + 2 = 5\n", "#### 5"], "labels": [False, False]},
    ]


@pytest.mark.parametrize(
    "settings",
    [{"rows": "prompt_completion"}, {"rows": "messages"}, {"format": "sharegpt"}, {"format": "alpaca"}],
)
def test_what_is_labelled_false_is_not_taught(tmp_path: Path, settings: dict[str, str]) -> None:
    """Where a layout has no labels, a wrong answer would be learnt as a right one."""
    out, manifest = export(tmp_path, WANTED, UNWANTED, STEPS, WRONG_STEP, **settings)
    assert manifest.counts == {"records": 2, "dropped": 2, "dropped: labelled false": 2}
    assert len(lines(out / "data.jsonl")) == 2


def test_steps_that_cannot_be_rows_are_dropped(tmp_path: Path) -> None:
    uneven = Stepwise(prompt=ASKED, completions=["a", "b"], labels=[1.0])
    later = Stepwise(prompt=[*ASKED, Message(role="assistant", content="4"), *ASKED], completions=["a"], labels=[1.0])
    _, manifest = export(tmp_path, STEPS, uneven, later, rows="stepwise")
    assert manifest.counts == {"records": 1, "dropped": 2, "dropped: no steps": 1, "dropped: turns": 1}


def test_what_is_exported_is_trained_on(tmp_path: Path) -> None:
    """The answer beside a row, which TRL's rewards read, is in nobody's way."""
    for name, record in {"sft": problem(1), "dpo": PAIR, "kto": UNWANTED, "prm": WRONG_STEP}.items():
        out, _ = export(tmp_path / name, record)
        (found,) = _layouts.read(out / "data.jsonl", Example, Pair, Stepwise)
        assert type(found) is (Example if name == "sft" else type(record))


@pytest.mark.slow
def test_trl_itself_reads_them(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed")
    out, _ = export(tmp_path, attempt(1), format="trl")
    assert trl.is_conversational(lines(out / "data.jsonl")[0])


PAIR = Pair(
    prompt=[SYSTEM, Message(role="user", content="What is 2 + 2?")],
    chosen=[Message(role="assistant", content="2 + 2 = 4\n#### 4")],
    rejected=[Message(role="assistant", content="#### 5")],
)


@pytest.mark.parametrize("settings", [{"format": name} for name in ("sharegpt", "alpaca", "trl", "parquet")])
def test_pairs_are_read_back_too(tmp_path: Path, settings: dict[str, str]) -> None:
    out, _ = export(tmp_path, PAIR, **settings)
    path = out / ("data.parquet" if settings["format"] == "parquet" else "data.jsonl")
    (found,) = file.load(path=str(path))
    assert isinstance(found, Problem)
    assert (found.question, found.answer, found.solution) == ("What is 2 + 2?", "4", "2 + 2 = 4\n#### 4")
    assert found.meta == {"system": "Be brief.", "rejected": "#### 5"}


def test_prompts_for_rl_are_read_back_too(tmp_path: Path) -> None:
    out, _ = export(tmp_path, problem(1), rows="prompt")
    (found,) = file.load(path=str(out / "data.jsonl"))
    assert isinstance(found, Problem)
    assert (found.question, found.answer) == ("What is 1 + 1?", "2")


@pytest.mark.parametrize("format", ["parquet", "datasets", "llamafactory"])
def test_one_record_of_another_kind_stops_nothing(tmp_path: Path, format: str) -> None:  # noqa: A002
    """An answer that is not known is an empty text in a table; a pair among problems is dropped."""
    records = [problem(1), talk("a?", "b"), PAIR, problem(2)]
    out, manifest = export(tmp_path, *records, format=format)
    assert manifest.counts == {"records": 3, "dropped": 1, "dropped: other columns": 1}
    if format == "parquet":
        import pyarrow.parquet as pq

        assert [row["answer"] for row in pq.read_table(out / "data.parquet").to_pylist()] == ["2", "", "3"]


def test_turns_that_llamafactory_would_pass_over_are_dropped(tmp_path: Path) -> None:
    twice = Example(
        prompt=[Message(role="user", content="a?"), Message(role="user", content="b?")],
        completion=[Message(role="assistant", content="c")],
    )
    out, manifest = export(tmp_path, talk("a?", "b", "c?", "d"), twice, problem(1), format="llamafactory")
    assert manifest.counts == {"records": 2, "dropped": 1, "dropped: turns": 1}
    assert len(lines(out / "data.jsonl")) == 2
    both, _ = export(tmp_path / "sharegpt", twice, format="sharegpt")
    assert len(lines(both / "data.jsonl")[0]["conversations"]) == 3


def test_a_card_holds_whatever_a_record_says(tmp_path: Path) -> None:
    hostile = "evil | source\n# Heading \ud800"
    records = [problem(0, question="`" * 5 + "x" * 9000, source=hostile)]
    records += [problem(number, source=f"s{number}") for number in range(1, 61)]
    out, _ = export(tmp_path, *records, format="datasets")
    card = (out / "data" / "README.md").read_text(encoding="utf-8")
    assert "| evil \\| source # Heading \ufffd | 1 |" in card
    assert "| 11 others | 11 |" in card
    assert len(card) < 8_000
    assert "\n``````json\n" in card


@pytest.mark.parametrize("count", [3, 1100])
def test_a_folder_that_datasets_reads(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    records = [problem(number) for number in range(count)]
    settings = {"format": "datasets", "file": "sums", "split": "test", "license": "mit", "language": ["en"]}
    out, manifest = export(tmp_path, *records, **settings)
    found = datasets.load_dataset(str(out / "sums"), split="test", cache_dir=str(tmp_path / "cache"))
    assert len(found) == count
    assert found[0]["prompt"] == [{"role": "user", "content": "What is 0 + 1?"}]
    card = datasets.load_dataset_builder(str(out / "sums"), cache_dir=str(tmp_path / "cache"))
    assert list(card.config.data_files) == ["test"]
    text = (out / "sums" / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\nlanguage:\n- en\n")
    assert f"| test | {count:,} |" in text
    assert set(manifest.outputs) >= {"sums/README.md", "sums/data/test-00000-of-00001.parquet"}
    assert ("n<1K" if count == 3 else "1K<n<10K") in text


def test_rows_that_cannot_be_written_are_dropped(tmp_path: Path) -> None:
    records = [problem(1), problem(2, solution=""), problem(3, solution="half \ud800"), problem(4, question="NUL\0?")]
    _, manifest = export(tmp_path, *records, format="sharegpt")
    assert manifest.counts["records"] == 1
    assert manifest.counts["dropped: no solution"] == 1
    assert manifest.counts["dropped: unfit text"] == 2


def test_what_stops_it(tmp_path: Path) -> None:
    for name in ("records", "dropped"):
        with pytest.raises(RecipeError, match="is what every stage calls a file of its own"):
            export(tmp_path / name, problem(1), file=name)
    with pytest.raises(DataError, match="dropped all 1 records"):
        export(tmp_path / "b", problem(1, solution=""))
    with pytest.raises(RecipeError, match="file: string should match pattern"):
        export(tmp_path / "c", problem(1), file="../x")
    assert not list(tmp_path.rglob("*.tmp"))


def test_files_are_told_of_though_the_stage_was_cut_off_after_its_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: store.Output) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.Output, "_assemble", cut)
        with pytest.raises(KeyboardInterrupt):
            export(tmp_path, *map(problem, range(3)), format="llamafactory")
    out, manifest = export(tmp_path, *map(problem, range(3)), format="llamafactory")
    assert {"data.jsonl", "dataset_info.json", "records.jsonl"} <= set(manifest.outputs)
    assert len(lines(out / "data.jsonl")) == 3


def test_it_is_done_once(tmp_path: Path) -> None:
    out, _ = export(tmp_path, *map(problem, range(5)), format="trl")
    before = (out / "data.jsonl").stat().st_mtime_ns
    stage = pipeline.prepare("curate", "export", {"input": [str(tmp_path / "in.jsonl")], "format": "trl"})
    pipeline.execute(stage, out)
    assert (out / "data.jsonl").stat().st_mtime_ns == before
    (out / "data.jsonl").write_text("changed")
    pipeline.execute(stage, out)
    assert len(lines(out / "data.jsonl")) == 5, "a file that was changed is written again"
