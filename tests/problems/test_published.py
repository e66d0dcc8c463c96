"""The published sets as hubs have them, and the keys of any set of a hub: servers on loopback speak their protocol."""

import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hub_server import Cdn, Hub

from porism import pipeline
from porism.models import _site
from porism.problems import Unreadable, file, gsm8k, hub, humaneval, svamp
from porism.records import Problem


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORISM_DATA", str(tmp_path))
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(_site, "PAUSES", [0.0, 0.0])


def parquet(*rows: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def card(**patterns: str) -> bytes:
    """A card that names one configuration of each name, with the split ``test``."""
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {path}\n" for name, path in patterns.items()
    )
    return f"---\nconfigs:\n{configs}---\n".encode()


MATH = {"problem": "What is $1 + 2$?", "level": "Level 2", "solution": r"It is $\boxed{3}$.", "type": "Algebra"}
AQUA = {"question": "1 + 2?", "options": ["A)2", "B)3"], "rationale": "1 + 2 = 3", "correct": "B"}
STRATEGY = {"qid": "1", "term": "Ice", "question": "Is ice cold?", "answer": True, "facts": "Ice is frozen water."}
SVAMP = {
    "ID": "chal-1", "Body": "There are 87 oranges in 3 groups.", "Question": "How big is each group?",
    "Equation": "( 87.0 / 3.0 )", "Answer": "29", "Type": "Common-Division", "question_concat": "…",
}  # fmt: skip
OLD_AIME = b"ID,Year,Problem Number,Question,Answer,Part\n1983-1,1983,1,One?,60,\n1984-2,1984,2,Two?,007,I\n"
AIME = {"problem": "Three?", "solution": "s", "answer": "204", "year": "2024", "url": "https://x", "id": 60}
OTHER = parquet({"question": "not this one"})

HUBS: dict[str, tuple[dict[str, Any], str, dict[str, bytes], list[tuple[str, str]]]] = {
    "math": (
        {"split": "test"}, "DigitalLearningGmbH/MATH-lighteval",
        {"README.md": card(default="data/test-*", algebra="algebra/test-*"), "algebra/test-0.parquet": OTHER,
         "data/test-00000-of-00001.parquet": parquet(MATH)},
        [("3", "Algebra")],
    ),
    "math, subset": (
        {"split": "test", "subset": "math500"}, "HuggingFaceH4/MATH-500",
        {"test.jsonl": json.dumps({**MATH, "subject": "Algebra", "level": 2, "answer": "3"}).encode()},
        [("3", "Algebra")],
    ),
    "aqua": (
        {"split": "validation"}, "deepmind/aqua_rat",
        {"raw/validation-00000-of-00001.parquet": parquet(AQUA), "tokenized/validation-00000-of-00001.parquet": OTHER},
        [("B", "")],
    ),
    "strategyqa": ({}, "ChilleD/StrategyQA", {"strategyqa_train.json": json.dumps([STRATEGY]).encode()}, [("yes", "")]),
    "svamp": (
        {"split": "test"}, "ChilleD/SVAMP", {"data/test-00000-of-00001.parquet": parquet(SVAMP)},
        [("29", "Common-Division")],
    ),
    "aime": (
        {}, "di-zhang-fdu/AIME_1983_2024", {"AIME_Dataset_1983_2024.csv": OLD_AIME}, [("60", "1983"), ("7", "1984")],
    ),
    "aime, one of the old": (
        {"year": 1984}, "di-zhang-fdu/AIME_1983_2024", {"AIME_Dataset_1983_2024.csv": OLD_AIME}, [("7", "1984")],
    ),
    "aime, 2024": (
        {"year": 2024}, "HuggingFaceH4/aime_2024", {"data/train-00000-of-00001.parquet": parquet(AIME)},
        [("204", "2024")],
    ),
    "aime, 2025": (
        {"year": 2025}, "MathArena/aime_2025",
        {"data/train-00000-of-00001.parquet": parquet({"problem_idx": 1, "problem": "Four?", "answer": 70})},
        [("70", "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HUBS)
def test_a_published_set_as_the_hub_has_it(tmp_path: Path, what: str) -> None:
    settings, repo, held, expected = HUBS[what]
    source = import_module(f"porism.problems.{what.partition(',')[0]}")
    with Hub(held, kind="datasets", repo=repo) as server:
        found = list(source.load(fetch="hf", endpoint=server.url, **settings))
        assert [(problem.answer, problem.group) for problem in found] == expected
        values = {**settings, "fetch": "hf", "endpoint": server.url}
        stage = pipeline.prepare("problems", what.partition(",")[0], values)
        assert pipeline.execute(stage, tmp_path / "out").counts["records"] == len(expected)


def test_where_a_published_set_comes_from() -> None:
    """Another name, another host of the files, and what a branch is now."""
    worked = {"question": "1 + 2?", "answer": "1 + 2 = 3\n#### 3"}
    held = {"main/train-00000-of-00001.parquet": parquet(worked)}
    with Cdn(held, "127.0.0.2") as cdn, Hub(held, kind="datasets", repo="my/copy", cdn=cdn.url) as server:
        at = {"fetch": "my/copy", "endpoint": server.url, "data_host": ["127.0.0.2"]}

        def answers(**more: Any) -> list[str]:
            return [problem.answer for problem in gsm8k.load(**at, **more) if isinstance(problem, Problem)]

        assert answers() == ["3"]
        assert cdn.seen
        changed = {"main/train-00000-of-00001.parquet": parquet({**worked, "answer": "#### 4"})}
        server.files, cdn.files = dict(changed), dict(changed)
        server.commits |= {"main": "d00d" + "1" * 36, "d00d" + "1" * 36: "d00d" + "1" * 36}
        assert answers() == ["3"], "a branch is asked for once"
        assert answers(update=True) == ["4"]


def test_keys_of_a_set_of_a_hub() -> None:
    row = {"q": "Which is it?", "a": 1, "o": ["3", "12"], "w": "It is twelve.", "g": "sums", "s": 0.5}
    both = {"question": "By columns?", "answer": "1", "problem": "As MATH has it?", "solution": r"\boxed{2}"}
    held = {"x/train.parquet": parquet(row), "y/train.parquet": parquet(both)}
    keys = {"question": "q", "answer": "a", "options": "o", "solution": "w", "group": "g"}
    with Hub(held, kind="datasets", repo="org/set") as server:
        at: dict[str, Any] = {"dataset": "org/set", "endpoint": server.url}
        (found,) = hub.load(**at, config="x", keep=["s"], **keys)
        assert found == Problem(
            question="Which is it?\nA) 3\nB) 12", answer="B", solution="It is twelve.", kind="choice",
            source="org/set", group="sums", meta={"options": ["3", "12"], "s": 0.5},
        )  # fmt: skip
        (judged,) = hub.load(**at, config="x", kind="judge", **keys)
        assert isinstance(judged, Problem)
        assert judged.kind == "judge"
        for layout, question in (("auto", "By columns?"), ("problem", "As MATH has it?")):
            (found,) = hub.load(**at, config="y", layout=layout)
            assert isinstance(found, Problem)
            assert found.question == question


def test_rows_that_nest_too_deeply_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "SVAMP.json").write_text(json.dumps([{**SVAMP, "Equation": "( " * 5_000}, SVAMP]))
    assert [bool(problem.solution) for problem in svamp.load("test", path=str(tmp_path))] == [False, True]  # type: ignore[union-attr]
    row = {"task_id": "x", "prompt": "def f(n):\n", "entry_point": "f", "canonical_solution": "    return n"}
    rows = [{**row, "test": f"def check(it):\n    assert it(1) == {many}"} for many in ("+".join("1" * 2_000), "1")]
    (tmp_path / "HumanEval.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bad, good = humaneval.load("test", path=str(tmp_path))
    assert isinstance(bad, Unreadable)
    assert isinstance(good, Problem)


@pytest.mark.parametrize(
    "tests", [[f"assert f() == {'+'.join('1' * 2_000)}"], {"tests": ["assert f()"], "tolerance": 10**400}]
)
def test_tests_that_nobody_should_write_stop_nothing(tmp_path: Path, tests: object) -> None:
    fine = {"question": "Add up.", "answer": ["assert f() == 1"]}
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, [{**fine, "answer": tests}, fine])))
    found = list(file.load(path=str(tmp_path / "mine.jsonl"), kind="code"))
    assert len(found) == 2
    assert isinstance(found[1], Problem)
