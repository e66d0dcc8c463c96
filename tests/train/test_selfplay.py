"""Self-play, SPIN and online DPO on a model that guesses; and that TRL takes the same rewards."""

from pathlib import Path
from typing import Any

import pytest
from rl_kit import attempts, guesser, learn, metrics
from train_kit import train

from conftest import attempt
from porism import store
from porism.errors import DataError
from porism.records import Pair
from porism.train import _trl_rl, rl
from porism.train._groups import Group, Rollout
from porism.train._pairing import Pairing
from porism.train.selfplay import Settings


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guesser(tmp_path_factory.mktemp("guesser"), tiny_model)


def pairs(target: Path) -> list[Pair]:
    return [one for one in store.read(target / "pairs.jsonl", Pair) if isinstance(one, Pair)]


ROUNDS: dict[str, Any] = {
    "answer": "3",  # to all problems: something that a model of this size learns in a few steps
    "batch_size": 6,
    "micro_batch_size": 6,
    "minibatches": 2,
    "samples": 8,
    "beta": 0.5,
    "rewards": {"correct": 1.0},
    "count_as_wrong": ["unparsed", "truncated"],
    "max_unjudged": 1.0,
    "lr": 3e-3,
}


def test_right_answers_are_preferred_round_after_round(model: Path, tmp_path: Path) -> None:
    """The grader decides; each round's reference is the model that it began with; more answers are right in the end."""
    values = {**ROUNDS, "epochs": 7, "max_steps": 0, "sft_weight": 1.0}
    manifest = learn(tmp_path, "x", model, part="selfplay", **values)
    lines = metrics(tmp_path / "x")
    earned = [line["reward"] for line in lines if "reward" in line]
    assert manifest.figures["iterations"] == 7
    assert len(lines) == 14
    assert sum(earned[-3:]) > sum(earned[:3]) + 0.3, earned
    assert all(abs(line["reward_chosen"]) < 1e-3 for line in lines[::2])  # a round begins at its reference
    for one in pairs(tmp_path / "x"):
        assert one.meta["by"] == "correctness"
        assert "3" in one.chosen[0]["content"]


def test_answers_that_are_right_are_learnt(model: Path, tmp_path: Path) -> None:
    """GRPO with the real grader on a task that is solved one time in four at first."""
    names = ("answer", "batch_size", "micro_batch_size", "rewards", "count_as_wrong", "lr")
    learn(tmp_path, "x", model, max_steps=14, samples=8, **{name: ROUNDS[name] for name in names})
    earned = [line["reward"] for line in metrics(tmp_path / "x")]
    assert earned[0] < 0.4
    assert sum(earned[-3:]) / 3 > earned[0] + 0.2, earned


@pytest.mark.slow
def test_spin_prefers_solutions(model: Path, tmp_path: Path) -> None:
    learn(
        tmp_path,
        "x",
        model,
        part="selfplay",
        **{**ROUNDS, "pairs_from": "spin", "epochs": 4, "max_steps": 0, "pairs": 2},
    )
    found = pairs(tmp_path / "x")
    assert len(found) == 4 * 6 * 2
    assert all("+" in one.chosen[0]["content"] for one in found)
    assert metrics(tmp_path / "x")[-1]["accuracy"] > 0.9
    again = train("dpo", tmp_path / "y", str(tmp_path / "x" / "pairs.jsonl"), model, max_steps=1)
    assert again.counts["records"] > 40  # but for what is the solution itself, once it is tokenised


CHANGES = [
    {"reference_at": "start"},
    {"loss": "ipo"},
    {"loss": "simpo"},
    {"loss": "simpo", "simpo_gamma": 3.0},
    {"loss": "robust", "label_smoothing": 0.3},
    {"beta": 0.05},
    {"sft_weight": 1.0},
    {"pairs_from": "spin", "pairs": 2},
    {"balance": False, "rewards": {"correct": 1.0, "length": 1.0}},
    {"max_pass_rate": 0.2},
    {"pairs_from": "spin"},
    {"minibatches": 3, "max_steps": 6},
]


@pytest.mark.slow
def test_every_option_is_heeded(model: Path, tmp_path: Path) -> None:
    ends: dict[str, Any] = {}
    for number, changes in enumerate([{}, *CHANGES]):
        values = {**ROUNDS, "max_steps": 4, "overlong_buffer": 7, **changes}  # type: ignore[dict-item]
        learn(tmp_path, f"{number}", model, part="selfplay", **values)
        digest = store.sha256(tmp_path / f"{number}" / "model" / "model.safetensors")
        assert digest not in ends, f"{changes} made what {ends[digest]} did"
        ends[digest] = changes


def test_where_rewards_decide_they_must_be_far_enough_apart() -> None:
    """Answers that nobody could judge: the better rewarded one is chosen, if by more than the margin."""
    tries = [attempt(1, verdict=None, text=text, sample=at) for at, text in enumerate(("one", "two", "three"))]
    rollouts = [Rollout(one.text, [5 + at, 2], [], "stop") for at, one in enumerate(tries)]
    group = Group(0, [1, 2, 3], rollouts, tries, [0.5, 1.0, 0.75])

    def made(margin: float) -> list[tuple[str, str, str]]:
        own = Pairing(Settings(input=["x"], margin=margin), None, None, None, needs=False)  # type: ignore[arg-type]
        return [(pair.chosen[0]["content"], pair.rejected[0]["content"], reason) for pair, reason in own.pairs([group])]

    assert made(0.2) == [("two", "one", "")]
    assert made(0.6)[0][2].startswith("tie")


@pytest.mark.slow
def test_online_dpo(model: Path, tmp_path: Path) -> None:
    values = {**ROUNDS, "minibatches": 1, "max_steps": 6, "pairs_from": "spin"}
    manifest = learn(tmp_path, "x", model, part="online_dpo", **values)
    lines = metrics(tmp_path / "x")
    assert manifest.figures["iterations"] == 6
    assert abs(lines[0]["reward_chosen"]) < 1e-3
    margins = [line["reward_chosen"] - line["reward_rejected"] for line in lines]
    assert margins[-1] > 0.01  # the reference is where training began


@pytest.mark.filterwarnings("ignore")
def test_trl_is_told_every_setting(tmp_path: Path) -> None:
    """Each under its name there; bounds that are not set are ours."""
    trl = pytest.importorskip("trl")
    common = {"samples": 6, "batch_size": 8, "micro_batch_size": 2, "max_tokens": 9, "temperature": 0.7, "beta": 0.2}
    wanted = {
        "num_generations": 6,
        "per_device_train_batch_size": 12,
        "gradient_accumulation_steps": 4,
        "beta": 0.2,
        "max_completion_length": 9,
        "temperature": 0.7,
        "num_iterations": 3,
        "gradient_checkpointing": True,
    }
    for own, theirs, kind in (
        ({"average": "token", "scale": "batch", "clip_low": 0.1},
         {"loss_type": "dapo", "scale_rewards": "batch", "epsilon": 0.1, "epsilon_high": 0.2}, trl.GRPOConfig),
        ({"average": "constant", "scale": "none", "clip_high": 0.3},
         {"loss_type": "dr_grpo", "scale_rewards": "none", "epsilon": 0.2, "epsilon_high": 0.3}, trl.GRPOConfig),
        ({"algorithm": "rloo", "normalise": True}, {"normalize_advantages": True, "epsilon": 0.2}, trl.RLOOConfig),
    ):  # fmt: skip
        given: dict[str, Any] = {"input": ["x"], "updates": 3, "gradient_checkpointing": True, **common, **own}
        found = _trl_rl.told(rl.Settings(**given))
        config = kind(**found, output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none")
        assert {name: getattr(config, name) for name in wanted | theirs} == wanted | theirs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_trl_takes_the_same_rewards(algorithm: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    learn(tmp_path, "x", tiny_model, algorithm=algorithm, backend="trl", max_steps=18, samples=8)
    found = attempts(tmp_path / "x")
    assert len(found) == 18 * 16
    earned = [one.meta["reward"] for one in found]
    assert sum(earned[-48:]) > 1.3 * sum(earned[:48])
    assert (tmp_path / "x" / "model" / "model.safetensors").is_file()
    line = metrics(tmp_path / "x")[0]
    assert {"unjudged", "truncated", "failed", "zero_variance"} <= set(line)
    with pytest.raises(DataError, match="answers were cut off, more than max_truncated=0.1.*TRL keeps no roll-outs"):
        learn(tmp_path, "y", tiny_model, algorithm=algorithm, backend="trl", samples=16, max_truncated=0.1)
