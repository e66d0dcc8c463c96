"""What goes wrong while it learns from roll-outs: counted, explained, gone on from, nothing lost."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rl_kit import CODE, VALUES, attempts, learn, metrics, problems
from train_kit import begun, command, train, write

from conftest import problem
from porism import store
from porism.errors import DataError, RecipeError
from porism.records import Status
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


def test_a_grader_that_crashes_costs_the_answers_that_it_fails_on(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from porism.records import Status, Verdict\n\n\ndef grade(problem, attempt, *, profile):\n"
        "    if attempt.sample % 2:\n        raise ZeroDivisionError('no such thing')\n"
        "    right = attempt.sample == 0\n"
        "    return Verdict(status=Status.CORRECT if right else Status.WRONG, answer='1')\n"
    )
    rows = write(tmp_path / "own.jsonl", [problem(number, kind=f"{file}:grade") for number in range(4)])
    values = {**VALUES, "samples": 8, "max_steps": 2, "max_failed": 1.0}
    train("rl", tmp_path / "x", rows, tiny_model, **values)
    found = attempts(tmp_path / "x")
    lost = [one for one in found if "reward" not in one.meta]
    assert [one.sample % 2 for one in lost] == [1] * 16
    assert all("ZeroDivisionError" in one.meta["no_reward"] for one in lost)
    assert {one.meta["reward"] for one in found if one.sample % 2 == 0} == {0.0, 1.0}
    assert [line["failed"] for line in metrics(tmp_path / "x")] == [0.5, 0.5]
    with pytest.raises(DataError, match="could not be run or graded, more than max_failed=0.2.*ZeroDivisionError"):
        train("rl", tmp_path / "y", rows, tiny_model, **{**values, "samples": 16, "max_failed": 0.2})


def test_a_reward_of_ones_own_needs_no_answer_to_compare_with(tiny_model: Path, tmp_path: Path) -> None:
    """Graders that cannot read the reference are no failure where no reward asks them."""
    learn(tmp_path, "x", tiny_model, answer="a long walk", samples=16, max_steps=2)
    assert {one.verdict.status for one in attempts(tmp_path / "x") if one.verdict} == {Status.GOLD_UNPARSED}
    assert [line["failed"] for line in metrics(tmp_path / "x")] == [0.0, 0.0]


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
    asked = {"rewards": f"{{{tmp_path / 'slow.py'}:reward: 1.0}}", **VALUES, **more}
    words = command("rl", tmp_path / "cut", problems(tmp_path), tiny_model, **asked)
    journal = tmp_path / "cut" / "rollouts" / "journal.jsonl"

    def lines() -> int:
        return journal.read_bytes().count(b"\n") if journal.is_file() else 0

    for least in (1, 4, 9):  # a roll-out that is not judged; in between; some iterations later
        child = begun(words, lambda least=least: lines() >= least)  # type: ignore[misc]
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert lines() >= least
    done = subprocess.run([sys.executable, "-m", "porism", *words], capture_output=True, text=True, check=False)
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
