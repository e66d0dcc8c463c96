"""Reinforcement learning on the tiny model: it learns, every option is heeded, what is stored can be used again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from rl_kit import attempts, learn, metrics, problems
from train_kit import train

from conftest import problem
from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.models.load import load
from porism.train._curriculum import Curriculum
from porism.train.rl import Settings


def rewards(target: Path) -> list[float]:
    return [line["reward"] for line in metrics(target) if "reward" in line]


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("grpo", {}),
        pytest.param("gspo", {"updates": 2}, marks=pytest.mark.slow),
        ("rloo", {"beta": 0.01}),
        pytest.param("reinforce-plus-plus", {"beta": 0.01, "minibatches": 2}, marks=pytest.mark.slow),
        ("ppo", {"updates": 2, "minibatches": 2, "critic_warmup": 1, "beta": 0.01}),
        pytest.param("expert", {"least_reward": 0.2}, marks=pytest.mark.slow),
    ],
)
def test_every_algorithm_learns(algorithm: str, more: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    steps = 14 * more.get("updates", 1) * more.get("minibatches", 1)
    learn(tmp_path, "x", tiny_model, algorithm=algorithm, max_steps=steps, samples=8, **more)
    found = rewards(tmp_path / "x")
    assert len(found) == 14
    assert sum(found[-3:]) > 1.5 * sum(found[:3])
    assert load(str(tmp_path / "x" / "model")).model.num_parameters() == load(str(tiny_model)).model.num_parameters()


def test_roll_outs_are_records(tiny_model: Path, tmp_path: Path) -> None:
    manifest = learn(tmp_path, "x", tiny_model, max_steps=3)
    found = attempts(tmp_path / "x")
    assert len(found) == 3 * 2 * 4
    assert [one.meta["iteration"] for one in found] == [0] * 8 + [1] * 8 + [2] * 8
    assert [one.meta["weights"] for one in found] == [0] * 8 + [1] * 8 + [2] * 8
    assert all(one.meta["reward"] == pytest.approx(sum(one.meta["rewards"].values())) for one in found)
    assert all(one.verdict is not None and one.verdict.grader == "number" for one in found)
    assert {one.problem.id for one in found} == {problem(number).id for number in range(6)}
    pipeline.execute(
        pipeline.prepare("grade", "", {"input": [str(tmp_path / "x")], "max_unjudged": 1.0}), tmp_path / "g"
    )
    assert manifest.figures["iterations"] == 3
    line = metrics(tmp_path / "x")[0]
    wanted = {"reward", "reward_reward", "length", "entropy", "unjudged", "truncated", "zero_variance", "clipped"}
    assert wanted <= set(line), line
    assert line["sampler_difference"] < 1e-5
    assert line["entropy"] == pytest.approx(torch.log(torch.tensor(259.0)).item(), rel=0.05)


def test_the_same_seed_is_the_same_run(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        learn(tmp_path, name, tiny_model, seed=seed, max_steps=2)
    texts = {name: [one.text for one in attempts(tmp_path / name)] for name in "abc"}
    assert texts["a"] == texts["b"] != texts["c"]
    a, b = (store.sha256(tmp_path / name / "model" / "model.safetensors") for name in "ab")
    assert a == b


CHANGES = [
    {"clip_low": 0.01, "updates": 2},
    {"clip_high": 0.01, "updates": 2},
    {"average": "constant"},
    {"average": "token"},
    {"scale": "none"},
    {"scale": "batch"},
    {"beta": 1.0, "updates": 2},
    {"beta": 1.0, "kl_place": "reward", "updates": 2},
    {"beta": 1.0, "kl_estimator": "k2", "updates": 2},
    {"beta": 1.0, "kl_weighted": False, "updates": 2},
    {"updates": 2},
    {"minibatches": 2},
    {"temperature": 0.5},
    {"samples": 6},
    {"max_tokens": 6},
    {"system": "Be brief."},
    {"instruction": "Think."},
    {"prompt": "qa"},
    {"choose": "difficulty"},
    {"algorithm": "rloo", "normalise": True},
    {"algorithm": "rloo"},
    {"algorithm": "reinforce_plus_plus"},
    {"algorithm": "reinforce_plus_plus", "baseline": False},
    {"algorithm": "expert", "least_reward": 0.1},
    {"algorithm": "ppo", "updates": 2},
    {"algorithm": "ppo", "updates": 2, "gamma": 0.5},
    {"algorithm": "ppo", "updates": 2, "gae_lambda": 0.5},
    {"algorithm": "ppo", "updates": 2, "whiten": False},
    {"algorithm": "ppo", "updates": 2, "value_clip": 0.001},
    {"algorithm": "ppo", "updates": 2, "value_weight": 1.0},
    {"algorithm": "ppo", "updates": 2, "critic_warmup": 1},
]


@pytest.mark.slow
def test_every_option_is_heeded(tiny_model: Path, tmp_path: Path) -> None:
    """Each set of options ends with weights of its own."""
    ends: dict[str, dict[str, Any]] = {}
    for number, changes in enumerate([{}, *CHANGES]):
        steps = 3 * changes.get("updates", 1) * changes.get("minibatches", 1)  # type: ignore[attr-defined]
        learn(tmp_path, f"{number}", tiny_model, **{"max_steps": steps, **changes})
        digest = store.sha256(tmp_path / f"{number}" / "model" / "model.safetensors")
        assert digest not in ends, f"{changes} made what {ends[digest]} did"
        ends[digest] = changes


@pytest.mark.slow
def test_memory_settings_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    def first(name: str, **settings: Any) -> tuple[float, float]:
        learn(tmp_path, name, tiny_model, max_steps=1, beta=0.1, **settings)
        line = metrics(tmp_path / name)[0]
        return line["grad_norm"], line["reward"]

    whole = first("a")
    assert first("b", micro_batch_size=1) == pytest.approx(whole, rel=1e-4)
    assert first("c", micro_batch_tokens=20) == pytest.approx(whole, rel=1e-4)


@pytest.mark.slow
def test_the_reference_is_the_adapter_switched_off_or_a_copy(tiny_model: Path, tmp_path: Path) -> None:
    values = {"method": "lora", "lora_r": 2, "beta": 0.5, "max_steps": 4, "algorithm": "grpo", "updates": 2}
    for name in ("adapter-off", "model"):
        learn(tmp_path, name, tiny_model, reference=name, **values)
    kept = [[line["kl"] for line in metrics(tmp_path / name)] for name in ("adapter-off", "model")]
    assert kept[0] == pytest.approx(kept[1], abs=1e-5)
    assert kept[0][0] == pytest.approx(0, abs=1e-6)
    assert kept[0][-1] > 1e-4
    learn(tmp_path, "again", tmp_path / "model" / "model", reference_model=str(tiny_model), **values)
    assert metrics(tmp_path / "again")[0]["kl"] > 1e-4


def test_named_rewards_and_their_weights(tiny_model: Path, tmp_path: Path) -> None:
    names = {"correct": 2.0, "format": 0.5, "length": 0.25, "language": 1.0, "number": 1.0}
    no_limits = {"max_unjudged": 1.0, "max_zero_variance": 1.0, "max_failed": 1.0}
    own = {"count_as_wrong": ["unparsed", "truncated"], "overlong_buffer": 4, "max_steps": 1}
    learn(tmp_path, "x", tiny_model, rewards=names, **own, **no_limits)
    found = attempts(tmp_path / "x")
    for one in found:
        parts = one.meta.get("rewards", {})
        if "reward" in one.meta:
            assert one.meta["reward"] == pytest.approx(sum(names[name] * value for name, value in parts.items()))
        else:
            assert "number" in one.meta["no_reward"]
            assert "number" not in parts
        assert parts["correct"] == 0
        assert -1 <= parts["length"] <= 0


def test_what_is_refused_before_anything_runs(tiny_model: Path, tmp_path: Path) -> None:
    for settings, told in (
        ({"algorithm": "grppo"}, "Did you mean 'grpo'"),
        ({"rewards": {"corect": 1.0}}, "Did you mean 'correct'"),
        ({"rewards": {}}, "expected names with weights"),
        ({"rewards": {"model": 1.0}}, "needs scorer"),
        ({"rewards": {"judge": 1.0}}, "Set judge_model"),
        ({"gamma": 0.9}, "gamma: the algorithm grpo has no such option"),
        ({"critic_warmup": 2}, "has no critic"),
        ({"kl_place": "reward"}, "belong to beta"),
        ({"reference": "adapter-off", "beta": 0.1}, "needs method lora"),
        ({"samples": 1}, "greater than or equal to 2"),
        ({"eval_input": ["x"]}, "Name eval_problems"),
        ({"staleness": 1, "dynamic_sampling": 1}, "exclude each other"),
        ({"staleness": 1, "temperature": 0.7}, "told at temperature 1"),
        ({"engine_options": {"python": "x"}}, "unknown setting 'python'"),
        ({"max_length": 10}, "no problems that fit"),
        ({"backend": "trl", "algorithm": "ppo"}, "TRL"),
    ):
        with pytest.raises((RecipeError, DataError), match=told):
            learn(tmp_path, "x", tiny_model, **settings)
        assert not (tmp_path / "x" / "model").exists()


def test_an_algorithm_of_ones_own(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from porism.losses.policy import grpo\n\n\nclass Mine:\n"
        "    advantages = staticmethod(grpo.advantages)\n    loss = staticmethod(grpo.loss)\n"
    )
    learn(tmp_path, "x", tiny_model, algorithm=f"{file}:Mine", max_steps=2)
    learn(tmp_path, "y", tiny_model, max_steps=2)
    assert rewards(tmp_path / "x") == rewards(tmp_path / "y")


@pytest.mark.slow
def test_dynamic_sampling_fills_up_with_groups_that_differ(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(
        "def reward(prompts, completions, answer, completion_ids, **columns):\n"
        "    return [float(ids[0] % 7) if int(one) % 2 else 1.0 for one, ids in zip(answer, completion_ids)]\n"
    )
    own = {"rewards": {f"{file}:reward": 1.0}, "max_steps": 2}
    learn(tmp_path, "x", tiny_model, dynamic_sampling=3, **own)
    learn(tmp_path, "y", tiny_model, **own)
    assert len(attempts(tmp_path / "x")) > len(attempts(tmp_path / "y")) == 16


def test_problems_are_chosen_by_difficulty_and_retired() -> None:
    plain = Curriculum(5, 0, by_difficulty=False, retire_after=2)
    assert sorted([*plain.choose(3, 0), *plain.choose(2, 1)]) == list(range(5))
    plain.tell([(0, 1.0), (1, 1.0), (2, None)])
    plain.tell([(0, 1.0), (1, 0.5)])
    assert plain.retired == 1
    assert 0 not in [*plain.choose(4, 2), *plain.choose(4, 3)]
    hard = Curriculum(40, 0, by_difficulty=True, retire_after=0)
    hard.tell([(at, 0.5 if at < 8 else 0.0) for at in range(40)])
    chosen = [at for number in range(50) for at in hard.choose(4, number)]
    assert sum(at < 8 for at in chosen) > 0.5 * len(chosen)
    assert set(chosen) - set(range(8)), "a problem that was never solved keeps a chance"
    assert hard.choose(4, 7) == hard.choose(4, 7)


def test_a_run_ends_when_all_is_solved(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "right.py"
    file.write_text(
        "from porism.records import Status, Verdict\n\n\ndef grade(problem, attempt, *, profile):\n"
        "    return Verdict(status=Status.CORRECT, answer='1')\n"
    )
    from train_kit import write

    rows = write(tmp_path / "own.jsonl", [problem(number, kind=f"{file}:grade") for number in range(4)])
    values = {"samples": 2, "batch_size": 2, "micro_batch_size": 2, "max_tokens": 4, "retire_after": 1, "max_steps": 9,
              "max_zero_variance": 1.0}  # fmt: skip
    manifest = train("rl", tmp_path / "x", rows, tiny_model, **values)
    assert manifest.figures["iterations"] == 2
    assert metrics(tmp_path / "x")[-1]["retired"] == 4


def test_sixteen_bits_are_sampled_from_a_copy(tiny_model: Path, tmp_path: Path) -> None:
    learn(tmp_path, "x", tiny_model, dtype="bfloat16", max_steps=2)
    assert 0 < metrics(tmp_path / "x")[0]["sampler_difference"] < 0.1


@pytest.mark.slow
def test_one_step_off(tiny_model: Path, tmp_path: Path) -> None:
    """Roll-outs on the weights before the last iteration, corrected, and the same every time."""
    for name in ("a", "b"):
        learn(tmp_path, name, tiny_model, staleness=1, max_steps=4)
    assert [one.meta["weights"] for one in attempts(tmp_path / "a")][::8] == [0, 0, 1, 2]
    assert [one.text for one in attempts(tmp_path / "a")] == [one.text for one in attempts(tmp_path / "b")]
    learn(tmp_path, "c", tiny_model, staleness=1, max_steps=4, importance_cap=0.0)
    a, b, c = (store.sha256(tmp_path / name / "model" / "model.safetensors") for name in "abc")
    assert a == b != c


def test_evaluations_ask_as_roll_outs_do(tiny_model: Path, tmp_path: Path) -> None:
    asked = Settings(input=["x"], system="Be brief.", instruction="Think.").asked(problem(3))
    assert [one["content"] for one in asked] == ["Be brief.", "What is 3 + 1?\n\nThink."]
    rows = problems(tmp_path, 2)
    own: dict[str, Any] = {"eval_problems": [rows], "eval_every": 1, "eval_max_tokens": 4, "system": "Be brief."}
    learn(tmp_path, "x", tiny_model, max_steps=2, **own)
    assert [line["eval_accuracy"] for line in metrics(tmp_path / "x") if "eval_accuracy" in line] == [0.0, 0.0]


def test_settings_say_their_algorithms_defaults() -> None:
    settings = Settings(input=["x"], algorithm="rloo", beta=0.1)
    assert settings.kl_in(settings.module) == "reward"
    assert Settings(input=["x"], beta=0.1).kl_in(Settings(input=["x"]).module) == "loss"
