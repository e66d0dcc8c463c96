"""The shelf of replies: several processes, kills, damage, a full disk, a limit to its size."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from porism.engines._shelf import Shelf, replies
from porism.errors import RecipeError

MB = 1 << 20


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "replies" / "replies.sqlite", MB)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_what_is_put_is_found_again(shelf: Shelf) -> None:
    assert shelf.get([key(1)]) == {}
    assert not shelf.file.exists()  # looking makes nothing
    values = {key(n): [n, {"text": "½ \ud800", "logprobs": [-0.1, float("-inf")]}] for n in range(1200)}
    shelf.put(values)
    assert shelf.get(values) == values
    assert shelf.get([key(3), key(3), key(5000)]) == {key(3): values[key(3)]}
    assert Shelf(shelf.file, MB).get([key(7)]) == {key(7): values[key(7)]}
    assert shelf.size().entries == 1200
    assert shelf.file.parent.stat().st_mode & 0o077 == 0  # prompts are nobody else's business
    shelf.put({key(3): "other"})
    assert shelf.get([key(3)]) == {key(3): "other"}
    shelf.clear()
    assert shelf.get(values) == {}
    assert shelf.size() == (0, 0)


def test_the_oldest_make_room(shelf: Shelf) -> None:
    for start in range(0, 100, 10):
        shelf.put({key(n): "x" * 20_000 for n in range(start, start + 10)})
    assert shelf.size().bytes <= MB
    assert shelf.file.stat().st_size <= 1.5 * MB
    found = sorted(int.from_bytes(one, "big") for one in shelf.get(map(key, range(100))))
    assert found
    assert found == list(range(found[0], 100))
    shelf.put({key(200): "x" * 3 * MB})  # what is larger than everything is not kept, and nothing breaks
    assert shelf.get([key(200)]) == {}


def test_nothing_is_kept_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path))
    monkeypatch.setenv("PORISM_REPLIES_MB", "0")
    replies().put({key(1): "a"})
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("PORISM_REPLIES_MB", "3")
    replies().put({key(1): "a"})
    assert replies().get([key(1)]) == {key(1): "a"}
    for wrong in ("-1", "many", "1.5"):
        monkeypatch.setenv("PORISM_REPLIES_MB", wrong)
        with pytest.raises(RecipeError, match=f"PORISM_REPLIES_MB: expected whole megabytes, got '{wrong}'"):
            replies()


@pytest.mark.parametrize("content", [b"no database at all" * 100, None, b"half"])
def test_a_damaged_file_is_begun_anew(shelf: Shelf, content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.put({key(n): "x" * 1000 for n in range(200)})
    whole = shelf.file.read_bytes()
    middle = len(whole) // 2
    if content == b"half":
        shelf.file.write_bytes(whole[:middle])
    else:  # the file's head, or pages in its middle
        at = 0 if content else 4096
        noise = content or b"\xa5" * middle
        shelf.file.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    assert shelf.get([key(1)]) in ({}, {key(1): "x" * 1000})
    shelf.put({key(1): "new"})
    shelf.put({key(1): "new"})
    assert shelf.get([key(1)]) == {key(1): "new"}
    assert "is damaged" in capsys.readouterr().err


def test_a_changed_value_is_not_believed(shelf: Shelf) -> None:
    shelf.put({key(1): "right", key(2): "also right"})
    with sqlite3.connect(shelf.file) as database:
        database.execute("UPDATE entries SET value = ? WHERE key = ?", [b'"wrong"', key(1)])
    database.close()
    assert shelf.get([key(1), key(2)]) == {key(2): "also right"}


def test_a_file_of_another_layout_is_begun_anew(shelf: Shelf) -> None:
    shelf.file.parent.mkdir()
    with sqlite3.connect(shelf.file) as database:
        database.execute("CREATE TABLE entries (something TEXT)")
    database.close()
    assert shelf.get([key(1)]) == {}
    shelf.put({key(1): "a"})
    assert shelf.get([key(1)]) == {key(1): "a"}


def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    shelf = Shelf(tmp_path / "file" / "replies.sqlite", MB)
    for _ in range(3):
        shelf.put({key(1): "a"})
        assert shelf.get([key(1)]) == {}
    assert capsys.readouterr().err.count("cannot be used") == 1


WRITER = """
import sys
from pathlib import Path
from porism.engines._shelf import Shelf
shelf = Shelf(Path(sys.argv[1]), 1 << 30)
first, count = int(sys.argv[2]), int(sys.argv[3])
print("go", flush=True)
for n in range(first, first + count):
    shelf.put({(n * 10 + i).to_bytes(32, "big"): [n, "x" * 500] for i in range(10)})
"""


def writer(shelf: Shelf, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(shelf.file), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_processes_write_at_once(shelf: Shelf) -> None:
    both = [writer(shelf, 0, 100), writer(shelf, 50, 100)]
    for one in both:
        assert one.communicate(timeout=60)[1] == b""
        assert one.returncode == 0
    found = shelf.get(key(n) for n in range(1500))
    assert len(found) == 1500
    assert all(value[0] == int.from_bytes(one, "big") // 10 for one, value in found.items())


def test_a_writer_that_is_killed_leaves_whole_transactions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf(tmp_path / "replies.sqlite", 256 * MB)  # nothing has to make room
    for turn in range(4):
        one = writer(shelf, 1000 * turn, 1000)
        if one.stdout:
            assert one.stdout.readline() == b"go\n"
        time.sleep(0.05 + 0.06 * turn)
        one.send_signal(signal.SIGKILL)
        one.communicate()
        shelf.put({key(10**6 + turn): "after"})
    found = shelf.get(key(n) for n in range(50_000))
    assert found
    for tens in {int.from_bytes(one, "big") // 10 for one in found}:
        assert all(key(tens * 10 + i) in found for i in range(10))
    assert len(shelf.get(key(10**6 + turn) for turn in range(4))) == 4
    assert capsys.readouterr().err == ""
