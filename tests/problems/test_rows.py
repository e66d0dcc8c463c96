"""Rows of files: every format, and rows that nobody should write."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from porism import pipeline, store
from porism.errors import DataError
from porism.problems import Unreadable, _rows, file

GOOD = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(3)]


def read(path: Path) -> list[_rows.Row | Unreadable]:
    return list(_rows.read(path))


def values(path: Path) -> list[dict[str, Any]]:
    return [row.value for row in read(path) if isinstance(row, _rows.Row)]


def bad(path: Path) -> list[tuple[str, str]]:
    """Place and kind of each row that could not be read."""
    found = [row for row in read(path) if isinstance(row, Unreadable)]
    return [(row.place.removeprefix(str(path)).strip(", "), row.reason.partition(":")[0]) for row in found]


def written(folder: Path) -> dict[str, Path]:
    """The same rows in every format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    lines = "\n".join(map(json.dumps, GOOD)) + "\n"
    (folder / "a.jsonl").write_text(lines)
    (folder / "b.json").write_text(json.dumps(GOOD, indent=2))
    (folder / "c.json").write_text(lines)
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "e.json.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    for name, sign in (("f.csv", ","), ("g.tsv", "\t")):
        with (folder / name).open("w", newline="") as table:
            csv.writer(table, delimiter=sign).writerows(
                [["question", "answer"], *([row["question"], row["answer"]] for row in GOOD)]
            )
    table = pa.Table.from_pylist(GOOD)
    pq.write_table(table, folder / "h.parquet", row_group_size=2)
    with pa.ipc.new_stream(folder / "i.arrow", table.schema) as stream:
        stream.write_table(table)
    with pa.ipc.new_file(folder / "j.arrow", table.schema) as whole:
        whole.write_table(table)
    return {path.name: path for path in folder.iterdir()}


def test_every_format_says_the_same(tmp_path: Path) -> None:
    made = {name: list(file.load(path=str(path))) for name, path in written(tmp_path / "all").items()}
    assert len(made) == 10
    ids = {name: [problem.id for problem in problems] for name, problems in made.items()}
    assert all(found == ids["a.jsonl"] and len(found) == 3 for found in ids.values()), ids


def test_one_object_over_several_lines(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps({"problem": "?", "solution": "s"}, indent=4))
    assert values(tmp_path / "1.json") == [{"problem": "?", "solution": "s"}]


HOSTILE = {
    "broken JSON": ('{"question": "?"', "not JSON"),
    "an unknown escape": ('{"question": "\\x"}', "not JSON"),
    "a NUL in the JSON": ('{"question": "\0"}', "not JSON"),
    "a list": ("[1, 2]", "no object"),
    "a text": ('"question"', "no object"),
    "deep nesting": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "some nesting": ('{"a": ' * 150 + "1" + "}" * 150, "nested too deeply"),
    "a number of 5,000 digits": ('{"answer": ' + "1" * 5_000 + "}", "not JSON"),
    "a huge row": ('{"question": "' + "x" * (17 << 20) + '"}', "too long"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_line_is_left_out(tmp_path: Path, what: str) -> None:
    line, reason = HOSTILE[what]
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(GOOD[0])}\n{line}\n{json.dumps(GOOD[1])}\n")
    assert values(tmp_path / "a.jsonl") == GOOD[:2]
    assert bad(tmp_path / "a.jsonl") == [("line 2", reason)]


@pytest.mark.parametrize("what", [what for what in HOSTILE if what not in ("a huge row", "broken JSON")])
def test_a_hostile_element_is_left_out(tmp_path: Path, what: str) -> None:
    element, reason = HOSTILE[what]
    (tmp_path / "a.json").write_text(
        f"[{json.dumps(GOOD[0])}, {element}, {json.dumps(GOOD[1])}, {json.dumps(GOOD[2])}]"
    )
    assert values(tmp_path / "a.json")[0] == GOOD[0]
    assert values(tmp_path / "a.json")[-1] == GOOD[2], "what follows is read"
    assert reason in [kind for _, kind in bad(tmp_path / "a.json")]


def test_an_array_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(GOOD)[:-1])
    assert values(tmp_path / "a.json") == GOOD
    assert bad(tmp_path / "a.json") == [("end", "cut off")]
    (tmp_path / "b.json").write_text(json.dumps(GOOD)[:-10])
    assert values(tmp_path / "b.json") == GOOD[:2]


def test_an_array_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "_BLOCK", 7)
    rows = [{"question": "ä" * n, "list": [n, {"x": "}, {"}], "answer": 12345678} for n in range(20)]
    for text in (json.dumps(rows, ensure_ascii=False), json.dumps(rows, indent=3), "[ ]"):
        (tmp_path / "a.json").write_text(text)
        assert values(tmp_path / "a.json") == json.loads(text)
    (tmp_path / "a.json").write_text('[1234567, {"a": 1}, nul, {"b": 2}, {"c": 3}]')
    assert values(tmp_path / "a.json")[0] == {"a": 1}
    assert values(tmp_path / "a.json")[-1] == {"c": 3}


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    row = json.dumps(GOOD[0]).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + row + b'\n{"question": "\xff"}\n' + row)
    assert values(tmp_path / "a.jsonl") == [GOOD[0], GOOD[0]]
    assert bad(tmp_path / "a.jsonl") == [("line 2", "not UTF-8")]
    (tmp_path / "b.json").write_bytes(b'[{"question": "\xff", "answer": 1}, {"question": "a?", "answer": 1}]')
    out = tmp_path / "out"
    pipeline.execute(pipeline.prepare("problems", "file", {"path": str(tmp_path / "b.json")}), out)
    ((_, dropped),) = store.rows(out / "dropped.jsonl")
    assert dropped["reason"].startswith("half of a surrogate pair: in the question")


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('question,answer\n"a, ""b""\nc?",1\nonly one\nx,y,z\n\n"d?",2\n')
    assert values(tmp_path / "a.csv") == [{"question": 'a, "b"\nc?', "answer": "1"}, {"question": "d?", "answer": "2"}]
    assert bad(tmp_path / "a.csv") == [("line 4", "not CSV"), ("line 5", "not CSV")]
    (tmp_path / "b.csv").write_text("question,answer\n" + "x" * 300_000 + ",1\n")
    assert len(values(tmp_path / "b.csv")[0]["question"]) == 300_000


def test_parquet_with_text_that_is_none(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = pa.array([b"a?", b"\xff", b"b?"]).cast(pa.binary())
    text = pa.StringArray.from_buffers(3, *data.buffers()[1:])
    pq.write_table(pa.table({"question": text, "answer": pa.array([1, 2, 3])}), tmp_path / "a.parquet")
    assert [row["answer"] for row in values(tmp_path / "a.parquet")] == [1, 3]
    assert bad(tmp_path / "a.parquet") == [("row 2", "not readable")]


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("a.parquet", b"PAR1 no", "not a Parquet file"),
        ("a.arrow", b"no", "not an Arrow file"),
        ("a.jsonl.gz", gzip.compress(b'{"question": "?"}\n' * 100, mtime=0)[:-20], "damaged"),
        ("a.json", '[{"question"'.encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, data: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=complaint):
        read(tmp_path / name)


def run(path: Path, out: Path, **settings: object) -> store.Manifest:
    return pipeline.execute(pipeline.prepare("problems", "file", {"path": str(path), **settings}), out)


def test_the_stage_keeps_what_is_good_and_says_what_was_not(tmp_path: Path) -> None:
    rows = [
        json.dumps(GOOD[0]),
        '{"question"',
        json.dumps({"question": "a?"}),
        json.dumps({"question": "NUL\0?", "answer": 1}),
        '{"question": "\\ud800?", "answer": 1}',
        json.dumps({"question": "x" * 1_000_001, "answer": 1}),
        *map(json.dumps, GOOD * 3),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    manifest = run(tmp_path / "a.jsonl", tmp_path / "out")
    assert manifest.counts["records"] == 10
    reasons = {name: count for name, count in manifest.counts.items() if name.startswith("dropped: ")}
    assert reasons == {
        "dropped: not JSON": 1,
        "dropped: no answer": 1,
        "dropped: NUL": 1,
        "dropped: half of a surrogate pair": 1,
        "dropped: too long": 1,
    }
    dropped = [row for _, row in store.rows(tmp_path / "out" / "dropped.jsonl")]
    assert [row["place"][-6:] for row in dropped[:2]] == ["line 2", "line 3"]
    assert dropped[0]["row"] == '{"question"'


def test_a_file_of_which_most_is_unreadable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(["{", "{", "{", *map(json.dumps, GOOD)]))
    assert run(tmp_path / "a.jsonl", tmp_path / "half").counts["records"] == 3, "half is not most"
    (tmp_path / "a.jsonl").write_text("\n".join(["{"] * 4 + [json.dumps(row) for row in GOOD]))
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: not JSON: .* Of 7 rows 4 make no problem \(4 not JSON\)"):
        run(tmp_path / "a.jsonl", tmp_path / "most")
    (tmp_path / "b.jsonl").write_text("{\n" * 50_000)
    with pytest.raises(DataError, match="Of 1001 rows 1001"):
        run(tmp_path / "b.jsonl", tmp_path / "early")


# --- order -------------------------------------------------------------------------------------------


def questions(out: Path) -> list[str]:
    return [row["question"] for _, row in store.rows(out / "records.jsonl")]


def test_a_shuffle_is_exact_and_a_buffer_reads_no_more_than_it_must(tmp_path: Path) -> None:
    import random

    rows = [f'{{"question": "q{n}", "answer": {n}, "group": "g"}}' for n in range(500)]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, "{", "{"]))
    run(tmp_path / "a.jsonl", tmp_path / "all", shuffle=3)
    expected = [f"q{n}" for n in range(500)]
    random.Random(3).shuffle(expected)
    assert questions(tmp_path / "all") == expected, "as a list in memory would be shuffled"
    run(tmp_path / "a.jsonl", tmp_path / "some", shuffle=3, limit=20)
    assert questions(tmp_path / "some") == expected[:20]
    run(tmp_path / "a.jsonl", tmp_path / "near", shuffle=3, buffer=10, limit=20)
    near = questions(tmp_path / "near")
    assert len(set(near)) == 20
    assert max(int(question[1:]) for question in near) < 30, "only the first rows were read"
    assert near != [f"q{n}" for n in range(20)]
    manifest = run(tmp_path / "a.jsonl", tmp_path / "whole", shuffle=3, buffer=10)
    assert sorted(questions(tmp_path / "whole")) == sorted(expected)
    assert manifest.counts["dropped: not JSON"] == 2
    with pytest.raises(Exception, match="'buffer' is for shuffling"):
        run(tmp_path / "a.jsonl", tmp_path / "x", buffer=10)
