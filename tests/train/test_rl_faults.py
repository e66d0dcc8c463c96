"""What goes wrong while it learns from roll-outs: counted, explained, gone on from, nothing lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rl_kit import CODE, attempts, learn, metrics, problems

from porism import store
from porism.errors import DataError, RecipeError
from porism.train import _sampler
from porism.train._journal import Journal, Place


def test_code_that_fails_on_some_answers_costs_these_answers(tiny_model: Path, tmp_path: Path) -> None:
    learn(tmp_path, "x", tiny_model, reward="some", max_unjudged=1.0, max_steps=2)
    found = attempts(tmp_path / "x")
    lost = [one for one in found if "reward" not in one.meta]
    assert 0 < len(lost) < len(found)
    assert all("ValueError: odd" in one.meta["no_reward"] for one in lost)
    told = sum(line["unjudged"] for line in metrics(tmp_path / "x")) / 2
    assert told == pytest.approx(len(lost) / len(found))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("crash", "none of 8 answers has a reward.*ZeroDivisionError: no such thing"),
        ("nan", "none of 8 answers has a reward.*it returned no number"),
        ("short", "returned 1, where 8 numbers were expected"),
        ("text", "returned 'good', where a number or None was expected"),
    ],
)
def test_a_broken_reward_stops_and_keeps_the_roll_outs(name: str, told: str, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises((DataError, RecipeError), match=told):
        learn(tmp_path, "x", tiny_model, reward=name)
    journal = Journal(tmp_path / "x" / "rollouts")
    assert Place(0, 0, "sampled") in journal
    assert Place(0, 0, "judged") not in journal


def test_a_service_that_was_down_costs_nothing(tiny_model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A reward that works again: the roll-outs of the failed run are judged, not made again."""
    (tmp_path / "own.py").write_text(
        f"import pathlib\n{CODE['letters']}\n\ndef asked(**columns):\n"
        f"    if not pathlib.Path({str(tmp_path / 'up')!r}).exists():\n        raise ConnectionError('down')\n"
        "    return reward(**columns)\n"
    )
    own = {"rewards": {f"{tmp_path / 'own.py'}:asked": 1.0}}
    with pytest.raises(DataError, match="ConnectionError: down"):
        learn(tmp_path, "x", tiny_model, **own)
    before = Journal(tmp_path / "x" / "rollouts").get(Place(0, 0, "sampled"))
    (tmp_path / "up").touch()
    made: list[int] = []
    plain = _sampler.Live.generate
    monkeypatch.setattr(_sampler.Live, "generate", lambda self, asked: made.append(len(asked)) or plain(self, asked))
    learn(tmp_path, "x", tiny_model, **own)
    assert len(made) == 3
    assert [one.text for one in attempts(tmp_path / "x")[:4]] == [row[0] for row in before["answers"][0]]


def test_equal_rewards_teach_nothing_and_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    learn(tmp_path, "x", tiny_model, reward="same", max_zero_variance=1.0, max_steps=2)
    assert [line["zero_variance"] for line in metrics(tmp_path / "x")] == [1.0, 1.0]
    assert [line["grad_norm"] for line in metrics(tmp_path / "x")] == [0.0, 0.0]
    with pytest.raises(DataError, match="groups have equal rewards, more than max_zero_variance=0.98"):
        learn(tmp_path, "y", tiny_model, reward="same", samples=16, max_steps=4)
    learn(tmp_path, "y", tiny_model, reward="same", samples=16, max_steps=4, max_zero_variance=1.0)
    assert len(attempts(tmp_path / "y")) == 4 * 32


@pytest.mark.slow
def test_limits(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="answers were cut off, more than max_truncated=0.1"):
        learn(tmp_path, "x", tiny_model, max_truncated=0.1, samples=16)
    with pytest.raises(DataError, match="answers have no reward, more than max_unjudged=0.05.*odd"):
        learn(tmp_path, "y", tiny_model, reward="some", samples=16, max_unjudged=0.05)
    with pytest.raises(DataError, match="differ from the trainer's by"):
        learn(tmp_path, "z", tiny_model, dtype="bfloat16", max_difference=1e-9)


def test_an_engine_that_dies(tiny_model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """It is told, and the same command goes on: earlier roll-outs come from the disk, later weights are the same."""
    from porism.errors import ModelError

    learn(tmp_path, "whole", tiny_model, checkpoint_every=1)
    plain, calls = _sampler.Live.generate, []

    def dies(self: Any, asked: Any) -> Any:
        calls.append(len(asked))
        if len(calls) == 3:
            raise ModelError("the server has died: out of memory")
        return plain(self, asked)

    monkeypatch.setattr(_sampler.Live, "generate", dies)
    with pytest.raises(ModelError, match="out of memory"):
        learn(tmp_path, "cut", tiny_model, checkpoint_every=1)
    learn(tmp_path, "cut", tiny_model, checkpoint_every=1)
    assert len(calls) == 5  # two, one that failed, and two more
    assert _end(tmp_path / "cut") == _end(tmp_path / "whole")


def _end(target: Path) -> tuple[str, str]:
    return store.sha256(target / "model" / "model.safetensors"), store.sha256(target / "records.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "staleness"), [("grpo", 0), ("ppo", 1)])
def test_killed_at_any_moment(algorithm: str, staleness: int, tiny_model: Path, tmp_path: Path) -> None:
    """SIGKILL in a roll-out, in grading and while it learns, one after the other: the bytes of a run never stopped."""
    slow = CODE["letters"].replace("    assert", "    import time\n    time.sleep(0.3)\n    assert", 1)
    (tmp_path / "slow.py").write_text(slow)
    more = {
        "algorithm": algorithm,
        "staleness": staleness,
        "max_steps": 12,
        "checkpoint_every": 1,
        "max_zero_variance": 1.0,
    }
    own = {"rewards": {f"{tmp_path / 'slow.py'}:reward": 1.0}}
    learn(tmp_path, "whole", tiny_model, **own, **more)
    settings = {"batch_size": 2, "micro_batch_size": 2, "samples": 4, "max_tokens": 8, "max_truncated": 1.0, "lr": 1e-2,
                "threads": 1, "dtype": "float32", **more}  # fmt: skip
    command = [sys.executable, "-m", "porism", "train", "rl", "--input", problems(tmp_path), "--model", str(tiny_model)]
    command += ["--rewards", f"{{{tmp_path / 'slow.py'}:reward: 1.0}}", "--output", str(tmp_path / "cut")]
    command += [f"{name}={value}" for name, value in settings.items()]
    journal = tmp_path / "cut" / "rollouts" / "journal.jsonl"

    def lines() -> int:
        return journal.read_bytes().count(b"\n") if journal.is_file() else 0

    for least in (1, 4, 9):  # a roll-out that is not judged; in between; some iterations later
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 400
        while lines() < least and time.monotonic() < end and child.poll() is None:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert lines() >= least
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _end(tmp_path / "cut") == _end(tmp_path / "whole")


def test_a_torn_line_is_made_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.put(Place(0, 0, "sampled"), {"text": "x\ud800", "crc": 3})
    journal.put(Place(0, 0, "judged"), [1, None])
    file = tmp_path / "j" / "journal.jsonl"
    whole = file.read_bytes()
    again = Journal(tmp_path / "j")
    assert again.get(Place(0, 0, "sampled")) == {"text": "x\ud800", "crc": 3}
    assert again.get(Place(0, 0, "judged")) == [1, None]
    file.write_bytes(whole[:-3])
    assert Place(0, 0, "judged") not in Journal(tmp_path / "j")
    file.write_bytes(whole.replace(b"null", b"true"))
    cut = Journal(tmp_path / "j")
    assert Place(0, 0, "judged") not in cut
    assert Place(0, 0, "sampled") in cut
