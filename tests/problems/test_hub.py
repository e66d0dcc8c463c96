"""Data sets of hubs by name: servers on loopback speak their protocols."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Cdn, Hub, ModelScope, Server

from porism import pipeline, store
from porism.errors import DataError, ModelError, UserError
from porism.models import _site, names
from porism.problems import gsm8k, hub
from porism.problems._splits import choose
from porism.records import Problem

OTHER = "d00d" + "1" * 36
KEY = "hf_test0123456789secret"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MODELSCOPE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(_site, "PAUSES", [0.0, 0.0])


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def rows(start: int, count: int = 2) -> list[dict[str, Any]]:
    return [
        {"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"}
        for n in range(start, start + count)
    ]


CARD = b"""---
license: mit
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
---
# Questions
"""
FILES = {
    "README.md": CARD,
    "main/train-00000-of-00002.parquet": parquet(rows(0)),
    "main/train-00001-of-00002.parquet": parquet(rows(2)),
    "main/test-00000-of-00001.parquet": parquet(rows(10)),
    "socratic/train-00000-of-00001.parquet": parquet(rows(20)),
    "evil.py": b"raise SystemExit",
}


def asked(found: Any) -> list[str]:
    return [problem.question for problem in found if isinstance(problem, Problem)]


def served(**options: Any) -> Hub:
    return Hub(options.pop("files", FILES), kind="datasets", repo="org/set", **options)


def load(split: str = "train", dataset: str = "org/set", **settings: Any) -> list[str]:
    return asked(hub.load(split, dataset=dataset, **settings))


def test_a_set_is_fetched_by_name_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as server:
        assert load("test", endpoint=server.url) == ["What is 10 + 1?", "What is 11 + 1?"]
        assert len(server.gets("resolve")) == 2, "the card and one file"
        assert load("train", endpoint=server.url) == [f"What is {n} + 1?" for n in range(4)]
        assert load("train", config="socratic", endpoint=server.url)[0] == "What is 20 + 1?"
        seen = len(server.seen)
        assert load("test", endpoint=server.url) == ["What is 10 + 1?", "What is 11 + 1?"]
        assert len(server.seen) == seen, "what is here needs no server"
        assert not server.gets("evil"), "code is not fetched"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert len(load("train")) == 4
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        load("train", dataset="org/other")
    place = tmp_path / "cache" / "datasets" / "hf" / "org--set" / COMMIT
    assert json.loads((place / "porism.json").read_text())["commit"] == COMMIT


def test_hf_endpoint_names_the_mirror_and_the_token_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    with served(tokens=(KEY,), gated=(KEY,)) as server, Server("127.0.0.2") as elsewhere:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert len(load("test")) == 2
        assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)
        server.cdn = elsewhere.url
        with pytest.raises(ModelError, match=r"redirects to 127\.0\.0\.2.*--data-host"):
            load("train")
        assert not elsewhere.seen


def test_a_host_that_the_user_names_may_serve_the_files() -> None:
    with Cdn(FILES, "127.0.0.2") as cdn, served(cdn=cdn.url) as server:
        assert len(load("test", endpoint=server.url, data_host=["127.0.0.2"])) == 2
        assert {seen.path for seen in cdn.seen} == {"/blobs/main/test-00000-of-00001.parquet"}


def test_a_file_is_fetched_when_its_rows_are_wanted(tmp_path: Path) -> None:
    """A stream that has a limit ends with the file in which it is reached."""
    with served() as server:
        values = {"dataset": "org/set", "endpoint": server.url, "limit": 2}
        pipeline.execute(pipeline.prepare("problems", "hub", values), tmp_path / "two")
        assert len(server.gets("train-00000")) == 1
        assert not server.gets("train-00001")
        manifest = pipeline.execute(pipeline.prepare("problems", "hub", values), tmp_path / "two")
        assert manifest.counts["records"] == 2
        through = pipeline.prepare("problems", "hub", {"dataset": "org/set", "limit": 3, "endpoint": server.url})
        assert pipeline.execute(through, tmp_path / "two").counts["records"] == 3


def test_the_stage_is_done_again_when_the_set_has_changed(tmp_path: Path) -> None:
    with served() as server:
        values = {"dataset": "org/set", "split": "test", "endpoint": server.url}

        def run(**more: object) -> list[str]:
            pipeline.execute(pipeline.prepare("problems", "hub", {**values, **more}), tmp_path / "out")
            return [row["question"] for _, row in store.rows(tmp_path / "out" / "records.jsonl")]

        assert run()[0] == "What is 10 + 1?"
        server.files["main/test-00000-of-00001.parquet"] = parquet(rows(30))
        server.commits |= {"main": OTHER, OTHER: OTHER}
        assert run()[0] == "What is 10 + 1?", "a branch is asked for once"
        assert run(update=True)[0] == "What is 30 + 1?"
        assert run(dataset=f"org/set@{COMMIT}")[0] == "What is 10 + 1?"


def test_a_damaged_file_is_refused() -> None:
    with served() as server:
        server.faults.flip = True
        with pytest.raises(ModelError, match=r"expected SHA-256 \w+, got \w+.* damaged"):
            load("test", endpoint=server.url)
        server.faults.flip = False
        server.faults.cut_after = 500
        assert len(load("test", endpoint=server.url)) == 2, "a cut connection is gone on with"


@pytest.mark.parametrize("path", ["../x.parquet", "/etc/x.json", "a\\..\\x.csv", "a/../../x.jsonl"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    with served(files={path: b"{}"}) as server, pytest.raises(ModelError, match="may lie outside"):
        load(endpoint=server.url)
    assert not list(tmp_path.rglob("x.*"))


def test_a_set_that_is_only_a_script_is_read_as_the_hub_converted_it() -> None:
    converted = {"default/train/0000.parquet": parquet(rows(5)), "default/test/0000.parquet": parquet(rows(7))}
    with served(files={"set.py": b"import os", "README.md": b"# no front matter"}) as server:
        server.commits |= {"refs/convert/parquet": OTHER, OTHER: OTHER}
        both = {**server.files}
        listing = server._listing

        def answer(request: Any, repo: str, revision: str) -> None:
            server.files = converted if revision.startswith("refs") else both
            listing(request, repo, revision)

        server._listing = answer  # type: ignore[method-assign]
        assert load("test", endpoint=server.url) == ["What is 7 + 1?", "What is 8 + 1?"]
        assert not server.gets(".py")


def test_modelscope() -> None:
    many = {f"notes/{n}.txt": b"x" for n in range(450)}
    with ModelScope({**many, **FILES}, repo="org/set") as server:
        server.kind = "datasets"
        found = load("train", dataset="modelscope:org/set", endpoint=server.url, config="main")
        assert found == [f"What is {n} + 1?" for n in range(4)]
        pages = [seen.query["PageNumber"] for seen in server.gets("/repo/tree")]
        assert pages == ["1", "2", "3"]
        with pytest.raises(ModelError, match="no data set 'org/none' with the revision 'master'"):
            load(dataset="modelscope:org/none", endpoint=server.url)


def test_a_published_set_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORISM_DATA", str(tmp_path))
    with served() as server:
        server.repo = "openai/gsm8k"
        assert asked(gsm8k.load("test", fetch="hf", endpoint=server.url)) == ["What is 10 + 1?", "What is 11 + 1?"]
        assert gsm8k.files("test", fetch="hf", endpoint=server.url)[0].name == "files.json"
        (tmp_path / "gsm8k_test.jsonl").write_text('{"question": "here?", "answer": "#### 1"}')
        assert asked(gsm8k.load("test", fetch="hf", endpoint=server.url)) == ["here?"], "what is here goes first"
    with pytest.raises(UserError, match="no copy on modelscope is known. Name one: fetch=modelscope:org/name"):
        pipeline.execute(pipeline.prepare("problems", "aqua", {"fetch": "modelscope"}), tmp_path / "x")


def test_a_folder_and_a_file_are_data_sets_too(tmp_path: Path) -> None:
    for name, data in FILES.items():
        place = tmp_path / "set" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    assert load("test", dataset=str(tmp_path / "set")) == ["What is 10 + 1?", "What is 11 + 1?"]
    assert len(hub.files("train", dataset=str(tmp_path / "set"))) == 2
    one = tmp_path / "set" / "main" / "test-00000-of-00001.parquet"
    assert len(load("train", dataset=str(one))) == 2
    datasets = pytest.importorskip("datasets")
    saved = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows(0)), "test": datasets.Dataset.from_list(rows(4))}
    )
    saved.save_to_disk(tmp_path / "saved")
    assert load("test", dataset=str(tmp_path / "saved")) == ["What is 4 + 1?", "What is 5 + 1?"]


def test_magpies_sets_load_by_their_short_names() -> None:
    turns = [{"from": "human", "value": "What is 2 + 3?"}, {"from": "gpt", "value": r"2 + 3 = \boxed{5}"}]
    row = {"conversation_id": "x", "instruction": "i", "response": "r", "conversations": turns, "task_category": "Math"}
    with Hub({"data/train-00000-of-00001.parquet": parquet([row])}, kind="datasets") as server:
        for short, name in hub.KNOWN.items():
            server.repo = name
            (found,) = hub.load(dataset=short, endpoint=server.url, group="task_category")
            assert isinstance(found, Problem)
            assert (found.question, found.answer, found.group) == ("What is 2 + 3?", "5", "Math")
            assert found.source == name
            assert names.read(name, "datasets") is not None


@pytest.mark.parametrize(
    ("dataset", "complaint"),
    [
        ("nothing-like-it", "no data set 'nothing-like-it': expected org/name"),
        ("modelscope:x", "expected HUB:org/name"),
        ("org/none", "no data set 'org/none' on 127"),
        ("org/set@v9", "has no revision 'v9'"),
    ],
)
def test_names_that_are_not_there(dataset: str, complaint: str) -> None:
    with served() as server, pytest.raises(UserError, match=complaint):
        load(dataset=dataset, endpoint=server.url)


# --- which files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "config", "split", "expected"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"],
         "", "train", ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]),
        (["gsm8k_train.jsonl", "gsm8k_test.jsonl"], "", "test", ["gsm8k_test.jsonl"]),
        (["train.json", "dev.json"], "", "validation", ["dev.json"]),
        (["a/val.csv", "a/train.csv"], "", "dev", ["a/val.csv"]),
        (["x/train.csv", "y/train.csv"], "y", "train", ["y/train.csv"]),
        (["default/train/0000.parquet", "default/train/0001.parquet"], "", "train",
         ["default/train/0000.parquet", "default/train/0001.parquet"]),
        (["train/a.json", "test/a.json"], "", "test", ["test/a.json"]),
        (["train.parquet", "train.jsonl"], "", "train", ["train.parquet"]),
        (["rows.jsonl", "README.md", "dataset_info.json", ".hidden.json"], "", "train", ["rows.jsonl"]),
    ],
)  # fmt: skip
def test_files_are_told_by_their_names(paths: list[str], config: str, split: str, expected: list[str]) -> None:
    assert choose(paths, "", config, split, "x") == expected


@pytest.mark.parametrize(
    ("paths", "config", "split", "complaint"),
    [
        (["train.csv"], "", "test", r"has no split 'test'.* It has train. Name one with --split"),
        (["x/train.csv", "y/train.csv"], "", "train", "has several configurations: x, y. Name one with --config"),
        (["x/train.csv", "y/train.csv"], "z", "train", "has no configuration 'z'"),
        (["a.py"], "", "train", "expected files of rows"),
    ],
)
def test_files_that_are_not_there(paths: list[str], config: str, split: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        choose(paths, "", config, split, "x")


def by_card(configs: str, paths: Sequence[str], config: str = "", split: str = "train") -> list[str]:
    return choose(paths, f"---\nconfigs:\n{configs}\n---\n", config, split, "x")


def test_files_are_told_by_the_card() -> None:
    one = "- config_name: a\n  data_files: 'a/**/*.csv'\n- config_name: b\n  default: true\n  data_files: b.csv"
    paths = ["a/x.csv", "a/y/z.csv", "b.csv", "train.csv"]
    assert by_card(one, paths) == ["b.csv"]
    assert by_card(one, paths, "a") == ["a/x.csv", "a/y/z.csv"]
    listed = "- config_name: default\n  data_dir: d\n  data_files:\n  - split: dev\n    path: [x.csv, 'y?.csv']"
    assert by_card(listed, ["d/x.csv", "d/y1.csv", "x.csv"], split="validation") == ["d/x.csv", "d/y1.csv"]
    with pytest.raises(DataError, match=r"its card names gone\.csv, which is not there"):
        by_card("- config_name: a\n  data_files: gone.csv", ["b.csv"])
    for card in (
        "---\n{[\n---\n",
        "---\n- a\n---\n",
        "---\nconfigs: 3\n---\n",
        "---\nconfigs: [3, {data_files: []}]\n---\n",
    ):
        assert choose(["train.csv"], card, "", "train", "x") == ["train.csv"], card
    slow = "- config_name: a\n  data_files: '" + "*a" * 50 + "'"
    with pytest.raises(DataError, match="not there"):
        by_card(slow, ["a" * 150 + ".csv"])
