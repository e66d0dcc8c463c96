import json
import tracemalloc
from pathlib import Path

import pytest
from curation_kit import kept, run, write

from conftest import attempt, problem
from porism import pipeline, placed, store
from porism.curate import correct, decontaminate
from porism.errors import DataError, RecipeError
from porism.records import Record, Status, Verdict


def test_correct_keeps_what_was_judged_correct() -> None:
    records = [attempt(0), attempt(1, Status.WRONG), attempt(2, Status.TRUNCATED)]
    reasons = [reason for _, reason in correct.curate(records)]
    assert reasons == ["", "wrong: read '2'", "truncated: read '3'"]
    mixed = [reason for _, reason in correct.curate([problem(), attempt(0), attempt(1, verdict=None)])]
    assert mixed == ["not graded: it is no attempt with a verdict", "", "not graded: it is no attempt with a verdict"]
    with pytest.raises(DataError, match="no graded attempt in the input"):
        list(correct.curate([problem()]))


def test_a_stage_keeps_what_it_drops_and_why(tmp_path: Path) -> None:
    rows = write(tmp_path / "r.jsonl", [problem(n % 3) for n in range(2500)])
    manifest = run("dedup", tmp_path / "out", rows)
    assert manifest.counts == {"dropped": 2497, "dropped: duplicate": 2497, "records": 3}
    dropped = list(store.rows(tmp_path / "out" / "dropped.jsonl"))
    assert len(dropped) == 2497
    assert dropped[0][1]["reason"].startswith("duplicate: of ")


@pytest.mark.parametrize("fails_at", [1500, 2600])
def test_an_interrupted_step_remembers_what_it_had_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    rows = write(tmp_path / "r.jsonl", [problem(n % 1200) for n in range(2500)])
    with Path(rows).open("a") as file:
        file.writelines(f"not JSON {number}\n" for number in range(1200))
    run("dedup", tmp_path / "calm", rows)
    true_write, written = placed.to_line, []

    def mortal(value: object) -> bytes:
        written.append(1)
        if len(written) == fails_at:
            raise KeyboardInterrupt
        return true_write(value)

    monkeypatch.setattr(placed, "to_line", mortal)
    with pytest.raises(KeyboardInterrupt):
        run("dedup", tmp_path / "cut", rows)
    monkeypatch.setattr(placed, "to_line", true_write)
    run("dedup", tmp_path / "cut", rows)
    for name in ("records.jsonl", "dropped.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


def test_nothing_in_and_nothing_left_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records in the input"):
        run("dedup", tmp_path / "a", write(tmp_path / "empty.jsonl", []))
    with pytest.raises(DataError, match=r"dropped all 1 records \(1 wrong\)"):
        run("correct", tmp_path / "b", write(tmp_path / "w.jsonl", [attempt(0, Status.WRONG)]))


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


def test_a_step_of_ones_own_may_make_records_and_files_of_them(tmp_path: Path) -> None:
    step = tmp_path / "mine.py"
    step.write_text(
        "from porism.curate import Made\n"
        "def make(records, *, least: int = 2):\n"
        "    for at, record in enumerate(records):\n"
        "        yield Made(record, part='late' if at >= least else '')\n"
    )
    given = write(tmp_path / "p.jsonl", [problem(n) for n in range(5)])
    manifest = run(f"{step}:make", tmp_path / "out", given, least=3)
    assert manifest.counts == {"dropped": 0, "late": 2, "records": 3}
    assert kept(tmp_path / "out") == [problem(0), problem(1), problem(2)]
    assert kept(tmp_path / "out" / "late.jsonl") == [problem(3), problem(4)]
    assert "late.jsonl" in manifest.outputs
    again = run(f"{step}:make", tmp_path / "out", given, least=4)
    assert again.counts["late"] == 1
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def make(records):\n    yield from ((record, '') for record in records)\n")
    with pytest.raises(RecipeError, match=r"expected make\(records, …\) to yield Made"):
        run(f"{wrong}:make", tmp_path / "x", given)


def test_malformed_and_hostile_rows_stop_nothing_and_are_kept(tmp_path: Path) -> None:
    good = json.dumps({"question": "What is 1 + 1?", "answer": "2"})
    rows = [
        b"{",
        b"[1, 2]",
        b'"text"',
        b'{"question": 5, "answer": {}}',
        b'{"answer": "2"}',
        b"\xff\xfe\x00",
        b"[" * 5000,
        b'{"question": "' + b"a" * 100_000 + b'", "answer": "\\ud800"}',
        b'{"question": "\\u0000 ../../x <script>", "answer": "", "meta": {"difficulty": [[[]]], "tokens": 1e999}}',
        b'{"prompt": [], "completion": []}',
    ]
    file = tmp_path / "r.jsonl"
    file.write_bytes(b"\n".join([good.encode(), *rows, good.replace("1 + 1", "2 + 2").encode()]) + b"\n")
    for number, (step, settings) in enumerate(
        [
            ("tag", {}),
            ("filter", {"where": "difficulty != 3 or length(question) > 0 and not contains(answer, 'x')"}),
            ("dedup", {"method": "near", "by": "all"}),
            ("sample", {"count": 3}),
            ("mix", {}),
            ("split", {"sizes": {"a": 0.5, "b": 0.5}}),
            ("decontaminate", {"against": [write(tmp_path / "t.jsonl", [problem(7)])], "action": "drop"}),
        ]
    ):
        manifest = run(step, tmp_path / str(number), str(file), **settings)
        assert manifest.counts["dropped: malformed"] == 7
        complaints = [row for _, row in store.rows(tmp_path / str(number) / "dropped.jsonl") if "line" in row]
        assert complaints[0]["line"] == "{"
        assert "r.jsonl, line 2: not valid JSON" in complaints[0]["reason"]


STRANGE = [
    "half \ud800 of a pair",
    "NUL \0 and \x1b[31m",
    "<script>alert(1)</script>",
    "\u202e" * 20,
    "x" * 200_000,
    "\\" * 99,
]
"""Texts that a record may hold, though nobody should write them."""


def strange() -> list[Record]:
    """Records that are such in every field that may be anything."""
    deep: object = "end"
    for _ in range(80):
        deep = [deep]
    metas = [
        {"reward": 10**400},
        {"reward": float("nan")},
        {"reward": float("inf")},
        {"reward": True},
        {"reward": deep},
    ]
    made: list[Record] = []
    for at, text in enumerate(STRANGE):
        made.append(
            problem(question=text, answer=text[:50], solution=text, source=text[:300], group=text[:300], kind="math")
        )
        for right in (True, False):
            verdict = Verdict(
                status=Status.CORRECT if right else Status.WRONG, answer=f"{right} {text[:50]}", grader="number"
            )
            meta = metas[at % len(metas)]
            made.append(attempt(at, text=f"{text} {right}", verdict=verdict, sample=int(right), meta=meta))
    return made


FORMATS = ("trl", "sharegpt", "alpaca", "llamafactory", "parquet", "datasets")


def test_strange_records_stop_no_step(tmp_path: Path, tiny_model: Path) -> None:
    given = write(tmp_path / "r.jsonl", strange())
    encoder = tmp_path / "encoder.py"
    encoder.write_text(
        "import numpy as np\n"
        "def load(model='', *, threads=0):\n    return E()\n"
        "class E:\n    def encode(self, texts):\n"
        "        return np.array([[len(text.encode()), 1.0] for text in texts])\n"
    )
    semantic = {"encoder": f"{encoder}:load"}
    for number, (step, settings) in enumerate(
        [
            ("correct", {}),
            ("tag", {"tags": ["language", "subject", "difficulty", "safety", "words", "tokens", "pass_rate"],
                     "tokenizer": str(tiny_model)}),
            ("tag", {"tags": [], "judge": ["quality"], "judge_engine": "scripted",
                     "judge_options": {"default": '{"explanation": "", "quality": "good"}'}}),
            ("dedup", {"method": "near", "grams": "words"}),
            ("dedup", {"method": "semantic", "threshold": 0.1, **semantic}),
            ("filter", {"where": "reward < 5 or reward * reward > 1 or not contains(question, 'a') or source in text"}),
            ("pair", {}),
            ("pair", {"pairs": 0, "balance": True}),
            ("mix", {"count": 5}),
            ("sample", {"count": 5, "by": ["question", "reward"]}),
            ("sample", {"count": 5, "diversity": "semantic", **semantic}),
            ("split", {"together": "reward"}),
            ("decontaminate", {"against": [write(tmp_path / "t.jsonl", strange()[:4])], "action": "mark"}),
            *[("export", {"format": name}) for name in FORMATS],
        ]
    ):  # fmt: skip
        assert run(step, tmp_path / str(number), given, **settings).status == "complete", step
    places = [str(tmp_path / str(at)) for at in range(number + 1)]
    run("report", tmp_path / "page", given, *places, tags=["source", "reward"])
    page = (tmp_path / "page" / "report.html").read_bytes().decode("utf-8")
    assert "<script>" not in page
    assert not {"\0", "\x1b", "\u202e"} & set(page)
    assert len(page) < 1_000_000


def test_a_file_of_nothing_but_malformed_rows_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("question,answer\n1,2\n")
    with pytest.raises(
        DataError, match=r"no records in the input.*line 1: not valid JSON.*is read by .porism problems file. first"
    ):
        run("dedup", tmp_path / "out", str(tmp_path / "r.jsonl"))


def peak(folder: Path, step: str, count: int, **settings: object) -> int:
    """Bytes that a step holds at most, beside what is held before."""
    rows = write(folder / f"{step}{count}.jsonl", (problem(n) for n in range(count)))
    tracemalloc.start()
    run(step, folder / f"{step}-{count}", rows, **settings)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        ("filter", {"where": "length(question) > 0"}),
        ("tag", {"tags": ["words", "safety"]}),
        ("decontaminate", {"action": "drop"}),
    ],
)
def test_memory_stays_flat_in_streaming_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, settings: dict[str, object]
) -> None:
    """Twice the records take no more memory: 100 bytes for each would be 40 kB more."""
    monkeypatch.setattr(decontaminate, "_AT_ONCE", 100)
    if step == "decontaminate":
        settings = {**settings, "against": [write(tmp_path / "t.jsonl", [problem(question="What else?")])]}
    peak(tmp_path, step, 50, **settings)  # what is loaded once
    small, large = (peak(tmp_path, step, count, **settings) for count in (400, 800))
    assert large - small < 40_000, (small, large)


def test_results_are_put_in_order_in_one_pass(tmp_path: Path) -> None:
    """The places of results that rise are not remembered: what is put in order is one line at a time."""
    made = placed.as_line(placed.Placed(5, problem(1), "why: so", "x"))
    assert made.startswith(b'{"at": 5, "reason": "why: so"')
    partial = tmp_path / "partial"
    partial.write_bytes(b"".join(placed.as_line(placed.Placed(at, problem(at))) for at in (0, 2, 1, 2)))
    counts = placed.assemble(partial, lambda name: tmp_path / f"{name}.jsonl")
    assert counts == {"records": 3, "dropped": 0}
    assert kept(tmp_path / "records.jsonl") == [problem(0), problem(1), problem(2)]


def test_a_recipe_can_name_a_part_of_a_split(tmp_path: Path) -> None:
    write(
        tmp_path / "p.jsonl",
        [
            problem(n, question=f"{word} is what?")
            for n, word in enumerate(
                ["river", "stone", "lamp", "cloud", "paper", "garden", "winter", "bread", "copper", "violin"]
            )
        ],
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: parts\nstages:\n"
        f"  - curate: split\n    name: parted\n    input: {tmp_path}/p.jsonl\n    sizes: {{train: 0.5, test: 0.5}}\n"
        "  - curate: dedup\n    name: held-out\n    input: parted/test\n"
        "  - curate: decontaminate\n    input: parted\n    against: [parted/test]\n    methods: [exact]\n"
    )
    folder = pipeline.run(recipe, runs=tmp_path / "runs")
    train, test = kept(folder / "1-curate-parted"), kept(folder / "2-curate-held-out")
    assert len(train) == len(test) == 5
    assert not {record.id for record in train} & {record.id for record in test}
    assert len(kept(folder / "3-curate-decontaminate")) == 5
