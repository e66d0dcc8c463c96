import re
from pathlib import Path

import pytest
from curation_kit import run, write

from conftest import attempt, problem
from porism.errors import DataError
from porism.records import Status

HOSTILE = "<script>alert(1)</script> & \"quotes\" {{ 7 * 7 }} 'x' \u202e"


def test_one_page_tells_of_every_step(tmp_path: Path) -> None:
    given = [problem(n % 40, meta={"difficulty": n % 3}) for n in range(120)]
    given += [*[problem(question=HOSTILE)] * 5, problem(50)]
    test = write(tmp_path / "test.jsonl", [problem(50)])
    run("dedup", tmp_path / "unique", write(tmp_path / "p.jsonl", given))
    run("decontaminate", tmp_path / "clean", str(tmp_path / "unique"), against=[test], action="drop")
    run(
        "filter",
        tmp_path / "hard.jsonl",
        str(tmp_path / "clean"),
        where="difficulty >= 1 or contains(question, 'script')",
    )
    manifest = run(
        "report", tmp_path / "page", *(str(tmp_path / name) for name in ("p.jsonl", "unique", "clean", "hard.jsonl"))
    )
    assert manifest.counts == {"steps": 4}
    page = (tmp_path / "page" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    plain = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "unique curate dedup 126 42 33.3 %" in plain
    assert "84 duplicate" in plain
    assert "(repeat_count 4)" in plain
    assert "overlap: What is 50 + 1? question What is 50 + 1?" in plain
    assert "difficulty is 0" in plain
    assert not re.search(r"https?://|<link|src=", page)
    assert re.search(r"td\.count \{[^}]*white-space: nowrap", page), "figures are not broken into lines"
    assert '<td class="count">' in page


def test_hits_that_are_kept_are_shown_too_and_no_more_than_asked_for(tmp_path: Path) -> None:
    given = [*map(problem, range(12)), problem(question="another one?", meta={"contaminated": 7})]
    test = write(tmp_path / "test.jsonl", map(problem, range(10)))
    file = write(tmp_path / "p.jsonl", given)
    for action in ("mark", "drop"):
        run("decontaminate", tmp_path / action, file, against=[test], methods=["exact"], action=action)
    for action, label in (("mark", "exact, kept"), ("drop", "overlap")):
        run("report", tmp_path / f"page-{action}", str(tmp_path / action), examples=1)
        page = (tmp_path / f"page-{action}" / "report.html").read_text()
        plain = " ".join(re.sub(r"<[^>]+>", " ", page).split())
        assert f"{label}: What is 0 + 1?" in plain
        assert plain.count("matched") == 4, "four for each example"
        assert "Dropped: overlap" not in plain
        assert "What is 3 + 1?" in plain
        assert "What is 4 + 1?" not in plain


def test_files_that_are_written_for_others_are_no_parts(tmp_path: Path) -> None:
    given = write(tmp_path / "p.jsonl", [problem(n, question=f"{chr(97 + n) * 9}?") for n in range(8)])
    run("split", tmp_path / "parts", given, sizes={"train": 0.5, "test": 0.5})
    run("split", tmp_path / "one.jsonl", given, sizes={"train": 0.5, "test": 0.5})
    run("export", tmp_path / "for-trl", given, file="mine")
    run("report", tmp_path / "page", *(str(tmp_path / name) for name in ("parts", "one.jsonl", "for-trl")))
    plain = " ".join(re.sub(r"<[^>]+>", " ", (tmp_path / "page" / "report.html").read_text()).split())
    assert plain.count("4 in test") == 2
    assert "in mine" not in plain


def test_one_of_many_that_is_dropped_is_not_rounded_away(tmp_path: Path) -> None:
    given = write(tmp_path / "a.jsonl", [attempt(n, Status.CORRECT if n else Status.WRONG) for n in range(3_000)])
    run("correct", tmp_path / "right", given)
    run("report", tmp_path / "page", given, str(tmp_path / "right"))
    page = (tmp_path / "page" / "report.html").read_text()
    assert "<td>99.9 %</td>" in page
    assert "<td>100.0 %</td>" in page, "of the file all is kept"


def test_rejected_attempts_and_plain_files(tmp_path: Path) -> None:
    given = write(tmp_path / "a.jsonl", [attempt(0), attempt(1, Status.WRONG)])
    run("correct", tmp_path / "right", given)
    run("report", tmp_path / "page", given, str(tmp_path / "right"), examples=0, tags=["status"])
    page = (tmp_path / "page" / "report.html").read_text()
    assert "1 wrong" in page
    assert "<pre>" not in page
    with pytest.raises(DataError, match="nothing"):
        run("report", tmp_path / "other", str(tmp_path / "nothing"))
