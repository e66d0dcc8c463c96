"""A conversation over a real pseudo-terminal, as a person has it."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from porism.models import facts

ANSWERED = r"tokens/s[^\n]*\]"
PROMPT = r"> $"
ATTACHED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
os.execv(sys.executable, [sys.executable, "-m", "porism", "chat", *sys.argv[1:]])
"""


class Person:
    """Types into ``porism chat`` and reads what it shows."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._mine, theirs = pty.openpty()
        environment = {**os.environ, "PORISM_HOME": str(home), "TERM": "xterm", "NO_COLOR": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ATTACHED, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._mine, text.encode())

    def read(self, until: str, seconds: float = 120.0) -> str:
        """What is shown, up to where it matches."""
        shown, last = "", time.monotonic() + seconds
        while not re.search(until, shown):
            left = last - time.monotonic()
            assert left > 0, f"no {until!r} in {shown!r}"
            if select.select([self._mine], [], [], left)[0]:
                try:
                    shown += os.read(self._mine, 4096).decode(errors="replace").replace("\r\n", "\n")
                except OSError:
                    raise AssertionError(f"ended, no {until!r} in {shown!r}") from None
        return shown

    def end_by(self, ask: Callable[[], None]) -> int:
        """Ask it to end until it does: a signal that comes just before Python waits for a key is seen at the next."""
        for _ in range(4):
            ask()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(30)  # long enough that none is asked while it ends
        raise AssertionError("it does not end")

    def say(self, text: str, until: str = ANSWERED) -> str:
        """Type a line, and read up to the next prompt."""
        self.type(f"{text}\n")
        return self.read(f"(?s){until}.*{PROMPT}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)


@pytest.fixture
def person(tiny_model: Path, tmp_path: Path) -> Iterator[Person]:
    with Person(tmp_path, str(tiny_model), "--max-tokens", "8", "--dtype", "float32") as one:
        one.read(PROMPT)
        yield one


def test_a_whole_conversation(person: Person, tmp_path: Path) -> None:
    assert "8 tokens, " in (first := person.say("Hi")) or "tokens, " in first
    assert "System message: Be brief." in person.say("/system Be brief.", "brief.\x1b")
    assert "temperature 0.0" in person.say("/set temperature 0", "temperature 0.0")
    greedy = person.say("Hello")
    assert "cut off at max_tokens 8" in greedy
    again = person.say("/regenerate")
    body = re.compile(r"/?\w+\n(.*?)\x1b\[2m\[", re.DOTALL)
    assert body.findall(greedy)[-1] == body.findall(again)[-1], "greedy answers are the same"
    assert "the model reads 256 at most" in person.say("x" * 250, "at most")
    assert "Known: /help" in person.say("/nope", "Known")
    assert "A new conversation." in person.say("/reset", "new conversation")
    person.type("\x1b[A\x1b[A\x1b[A\x1b[A\n")  # four lines back in the history
    assert "/regenerate" in person.read("no answer yet")
    person.type("\x04")
    assert person.process.wait(60) == 0
    kept = tmp_path / "chat_history"
    assert "Hello" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_ctrl_c_at_the_prompt_leaves(person: Person) -> None:
    person.type("half a que")
    person.read("que")
    assert person.end_by(lambda: person.type("\x03")) == 0


def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    long = shutil.copytree(tiny_model, tmp_path / "long")
    config = long / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 10**6}))
    options = ("--max-tokens", "100000", "--temperature", "0", "--dtype", "float32", "--history", "false")
    with Person(tmp_path, str(long), *options) as one:
        one.read(PROMPT)
        one.type("Hi\n")
        one.read(r"Hi\n(?s:.{20})")
        one.type("\x03")
        assert "stopped]" in one.read(rf"(?s){ANSWERED}.*{PROMPT}")
        assert "System message" in one.say("/system go on", "go on\x1b"), "it is still there"
        assert one.end_by(lambda: one.type("\x03")) == 0
    assert not (tmp_path / "chat_history").exists()


def test_a_terminated_conversation_says_so(person: Person) -> None:
    assert person.end_by(lambda: person.process.send_signal(signal.SIGTERM)) in (0, 130)


def test_a_model_without_a_template_is_refused_before_it_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    (folder / "model.safetensors").write_bytes(b"never read")
    done = subprocess.run(
        [sys.executable, "-m", "porism", "chat", str(folder)], input="hi\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no chat template" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    lines = "hi\n" * 20_000
    command = f"{sys.executable} -m porism chat m --engine scripted --default {'word' * 9} | head -n 1"
    done = subprocess.run(["bash", "-c", command], input=lines, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("word" * 9 + "\n", "")


@pytest.mark.slow
def test_the_real_model_talks(tmp_path: Path) -> None:
    assert facts.place_of("smollm2-135m").folder.is_dir()  # in the cache before its home is moved
    home = Path(os.environ.get("PORISM_HOME") or Path.home() / ".cache" / "porism")
    with Person(home, "smollm2-135m", "--temperature", "0", "--max-tokens", "24", "--history", "false") as one:
        one.read(PROMPT)
        assert "Paris" in one.say("What is the capital of France?")
        one.type("\x04")
        assert one.process.wait(60) == 0
