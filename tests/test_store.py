import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import problem
from porism import store
from porism.errors import DataError, StorageError

KEY = store.Key("test", {"lr": 1}, {}, {"in": "aa"}, "1")
UNITS = [[3, 1], [0], [4, 2, 5]]


class Killed(Exception):
    """Stands for the end of the process."""


def work(unit: list[int]) -> Iterator[store.Placed]:
    for at in unit:
        yield store.Placed(at, problem(at), "odd: dropped" if at % 2 else "")


def produce(target: Path, die_after: int = 99, key: store.Key = KEY) -> store.State:
    """Run a stage; after ``die_after`` records the process 'dies'."""
    out = store.Output(target)
    state = out.state(key)
    if state.name == "done":
        return state
    out.begin(key, state)
    made = 0

    def mortal(unit: list[int]) -> Iterator[store.Placed]:
        nonlocal made
        for placed in work(unit):
            if made == die_after:
                raise Killed
            made += 1
            yield placed

    out.process(UNITS, mortal, title="test")
    out.finish()
    return state


@pytest.mark.parametrize("name", ["folder", "file.jsonl"])
@pytest.mark.parametrize("die_after", range(6))
def test_an_interrupted_stage_ends_with_the_same_bytes(tmp_path: Path, name: str, die_after: int) -> None:
    whole, cut = tmp_path / "whole" / name, tmp_path / "cut" / name
    produce(whole)
    with pytest.raises(Killed):
        produce(cut, die_after)
    assert produce(cut).name == "resume"
    a, b = store.Output(whole), store.Output(cut)
    assert a.records.read_bytes() == b.records.read_bytes()
    assert a.dropped.read_bytes() == b.dropped.read_bytes()
    assert [row["question"] for _, row in store.rows(b.records)] == [problem(n).question for n in (0, 2, 4)]
    assert [row["reason"] for _, row in store.rows(b.dropped)] == ["odd: dropped"] * 3
    assert not [path for path in cut.parent.rglob(".*") if "partial" in path.name or "progress" in path.name]


def test_work_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        produce(tmp_path / "x", die_after=4)  # the first two units are stored
    out = store.Output(tmp_path / "x")
    out.begin(KEY, out.state(KEY))
    asked = []
    out.process(UNITS, lambda unit: asked.append(unit) or work(unit), title="test")
    assert asked == UNITS[2:]


def test_what_is_done_again_takes_the_place_of_what_stood_there(tmp_path: Path) -> None:
    """Started three times: three units fail, one of them is mended before the second start dies, then the other two."""
    mended: set[int] = set()

    def once(die_after: int = 99) -> list[int]:
        out = store.Output(tmp_path / "x")
        out.begin(KEY, out.state(KEY))
        failed = out.places(lambda row: row["answer"] == "failed")

        def mortal(unit: list[int]) -> Iterator[store.Placed]:
            nonlocal die_after
            for at in unit:
                if die_after == 0:
                    raise Killed
                die_after -= 1
                bad = at in (1, 4, 5) and at not in mended
                yield store.Placed(at, problem(at, answer="failed" if bad else "fine"))

        out.process(UNITS, mortal, title="test", again=[[at] for at in failed])
        return failed

    assert once() == []
    mended |= {1, 4, 5}
    with pytest.raises(Killed):
        once(die_after=1)
    assert once() == [4, 5]
    assert once() == []
    rows = [row for _, row in store.rows(tmp_path / "x" / "records.jsonl")]
    assert [(row["question"], row["answer"]) for row in rows] == [(problem(n).question, "fine") for n in range(6)]


def test_a_half_written_line_is_dropped(tmp_path: Path) -> None:
    produce(tmp_path / "whole")
    with pytest.raises(Killed):
        produce(tmp_path / "cut", die_after=4)
    with (tmp_path / "cut" / ".partial.jsonl").open("ab") as file:
        file.write(b'{"at": 4, "row": {"id": "12')
    with (tmp_path / "cut" / ".progress.jsonl").open("ab") as file:
        file.write(b'{"units": 3, "by')
    produce(tmp_path / "cut")
    assert (tmp_path / "cut" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


def test_a_damaged_journal_costs_only_what_it_no_longer_vouches_for(tmp_path: Path) -> None:
    produce(tmp_path / "whole")
    with pytest.raises(Killed):
        produce(tmp_path / "cut", die_after=4)
    journal = tmp_path / "cut" / ".progress.jsonl"
    first = journal.read_bytes().split(b"\n")[0]
    journal.write_bytes(first + b"\n" + b"\x00" * 60 + b"\n")  # as a power cut may leave it
    produce(tmp_path / "cut")
    assert (tmp_path / "cut" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["folder", "file.jsonl"])
@pytest.mark.parametrize("moment", range(8))
def test_killed_while_making_room_or_writing_the_manifest(
    tmp_path: Path, name: str, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies at one of the first renames and removals of a stage that is done again; it goes on later."""
    target = tmp_path / name
    produce(target)
    changed = store.Key("test", {"lr": 2}, {}, {"in": "aa"}, "1")
    steps = 0

    def mortal(true: object) -> object:
        def step(self: Path, *args: object, **kwargs: object) -> object:
            nonlocal steps
            steps += 1
            if steps > moment:
                raise Killed
            return true(self, *args, **kwargs)  # type: ignore[operator]

        return step

    with monkeypatch.context() as patch:
        for method in ("rename", "replace", "unlink"):
            patch.setattr(Path, method, mortal(getattr(Path, method)))
        with contextlib.suppress(Killed):
            produce(target, key=changed)
    produce(target, key=changed)
    assert produce(target, key=changed).name == "done"
    produce(tmp_path / "calm" / name)
    assert store.Output(target).records.read_bytes() == store.Output(tmp_path / "calm" / name).records.read_bytes()
    assert not list(tmp_path.rglob(".*old"))


def test_done_again_only_for_a_reason(tmp_path: Path) -> None:
    target = tmp_path / "x"
    produce(target)
    assert produce(target).name == "done"
    (target / "records.jsonl").unlink()
    assert produce(target) == ("fresh", "records.jsonl is missing")
    with (target / "records.jsonl").open("a") as file:
        file.write("{}\n")
    assert produce(target) == ("fresh", "records.jsonl was changed after it was written")
    changed = store.Key("test", {"lr": 2}, {}, {"in": "aa"}, "1")
    assert produce(target, key=changed) == ("fresh", "setting lr was 1, is now 2")
    assert produce(target, key=store.Key("test", {"lr": 2}, {}, {"in": "bb"}, "1")).why == "input in changed"
    assert produce(target, key=store.Key("test", {"lr": 2}, {}, {"in": "bb"}, "2")).why == "porism 1 became 2"


def test_which_file_stands_where_counts(tmp_path: Path) -> None:
    first = store.Key("compare", {}, {"before": ["aa"], "after": ["bb"]}, {"x": "aa", "y": "bb"}, "1")
    swapped = store.Key("compare", {}, {"before": ["bb"], "after": ["aa"]}, {"x": "aa", "y": "bb"}, "1")
    produce(tmp_path / "x", key=first)
    assert produce(tmp_path / "x", key=swapped).why.startswith("setting after names other files")
    for name in ("r1", "r2"):
        (tmp_path / name / "s").mkdir(parents=True)
        (tmp_path / name / "s" / "records.jsonl").write_text(name)
    assert len(store.hashes(tmp_path / name / "s" / "records.jsonl" for name in ("r1", "r2"))) == 2


def test_another_stages_output_is_not_overwritten(tmp_path: Path) -> None:
    produce(tmp_path / "x")
    with pytest.raises(StorageError, match="holds the output of 'test'"):
        produce(tmp_path / "x", key=store.Key("other", {}, {}, {}, "1"))


def test_what_others_wrote_is_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text("precious")
    with pytest.raises(StorageError, match="not written by"):
        produce(mine)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("precious")
    with pytest.raises(StorageError, match="not written by"):
        produce(tmp_path / "folder")
    assert mine.read_text() == (tmp_path / "folder" / "thesis.txt").read_text() == "precious"


def test_a_foreign_manifest_is_an_error_not_a_reason_to_clear(tmp_path: Path) -> None:
    for text in ('{"name": "an app"}', "{}", "[]", '{"key": {}}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match="not a stage's manifest.*Delete it to run the stage anew"):
            produce(tmp_path)


def test_a_manifest_of_another_version_is_a_reason_to_make_it_anew(tmp_path: Path) -> None:
    produce(tmp_path / "x")
    file = tmp_path / "x" / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["key"]["inputs"], manifest["environment"]
    manifest["key"].update(code="0.0.1", weather="fine")
    file.write_text(json.dumps({**manifest, "mood": "good"}))
    assert store.Output(tmp_path / "x").state(store.Key("test", code="1")).why == "porism 0.0.1 became 1"


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with store.lock(tmp_path / "l"), pytest.raises(StorageError, match="in use"), store.lock(tmp_path / "l"):
        pass
    with store.lock(tmp_path / "l"):
        pass


@pytest.mark.parametrize("bad", ["{", "[1]", "3", '{"a": 1', "\x00"])
def test_a_malformed_row_is_named(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": 1}\n' + bad + "\n")
    with pytest.raises(DataError, match=r"x\.jsonl, line 2"):
        list(store.rows(file))


def test_strange_text_survives(tmp_path: Path) -> None:
    odd = problem(question="\u2028 \x85 \ud800 \U0001f600 \x00 end", answer="1")
    out = store.Output(tmp_path / "x")
    out.begin(KEY, out.state(KEY))
    out.process([[0]], lambda unit: [store.Placed(0, odd)], title="test")
    assert list(store.read(tmp_path / "x")) == [odd]


def test_missing_inputs_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a file of records or a stage's folder"):
        store.locate(tmp_path / "nope.jsonl")
    with pytest.raises(DataError, match=r"records\.jsonl"):
        store.locate(tmp_path)


OTHER = store.Key("test", {"lr": 2}, {}, {"in": "aa"}, "1")


@pytest.mark.parametrize("name", ["folder", "file.jsonl"])
def test_other_peoples_files_stay_when_a_stage_is_done_again(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    produce(target)
    mine = [store.Output(target).folder / name for name in ("notes.txt", "old/notes.txt")]
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    with pytest.raises(Killed):
        produce(target, 4, key=OTHER)
    produce(target, key=store.Key("test", {"lr": 3}, {}, {"in": "aa"}, "1"))
    assert [file.read_text() for file in mine] == ["mine", "mine"]


def test_what_a_stage_writes_beside_its_records_is_its_own(tmp_path: Path) -> None:
    out = store.Output(tmp_path)
    (tmp_path / "taken.txt").touch()

    def begin(key: store.Key) -> None:
        out.begin(key, store.State("fresh", ""))

    begin(KEY)
    (out.beside("model") / "deep").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"taken\.txt was not written by this stage"):
        out.beside("taken.txt")
    begin(OTHER)
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "taken.txt").exists()


@pytest.mark.parametrize("name", ["folder", "file.jsonl"])
@pytest.mark.parametrize("moment", range(10))
def test_what_was_set_aside_is_put_back_when_it_is_wanted_again(
    tmp_path: Path, name: str, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished under one setting, cut off under another, asked for again: nothing is computed, whenever it was cut."""
    target = tmp_path / name
    produce(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(Killed):
        produce(target, 4, key=OTHER)
    left = moment

    def mortal(true: object) -> object:
        def step(self: Path, *args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return true(self, *args, **kwargs)  # type: ignore[operator]

        return step

    with monkeypatch.context() as patch:
        for method in ("rename", "unlink"):
            patch.setattr(Path, method, mortal(getattr(Path, method)))
        with contextlib.suppress(Killed):
            store.Output(target).restore(KEY)
    store.Output(target).restore(KEY)
    assert produce(target).name == "done"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_was_set_aside_and_then_damaged_is_not_put_back(tmp_path: Path) -> None:
    produce(tmp_path / "x")
    with pytest.raises(Killed):
        produce(tmp_path / "x", 4, key=OTHER)
    (tmp_path / "x" / ".old" / "records.jsonl").write_text("")
    assert not store.Output(tmp_path / "x").restore(KEY)
    assert produce(tmp_path / "x").name == "fresh"


@pytest.mark.parametrize("at", [30, 400])
def test_a_damaged_partial_file_is_noticed_and_made_again(
    tmp_path: Path, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    produce(tmp_path / "whole")
    with pytest.raises(Killed):
        produce(tmp_path / "cut", die_after=4)
    partial = tmp_path / "cut" / ".partial.jsonl"
    data = bytearray(partial.read_bytes())
    data[at : at + 3] = b"\x00{x"
    partial.write_bytes(data)
    produce(tmp_path / "cut")
    assert "is damaged" in capsys.readouterr().err
    assert (tmp_path / "cut" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
