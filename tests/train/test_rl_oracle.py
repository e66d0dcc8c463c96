"""GRPO and RLOO against TRL's trainers on the roll-outs that TRL made; PPO against a plain reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle_kit import QUIET, TOLERANCE, gradients, network_of, of_porism, options, same

from porism.losses.kl import kl
from porism.losses.policy import Rollouts
from porism.models.load import load
from porism.models.packing import Answer, Item
from porism.train._critic import Critic
from porism.train._model import LanguageModel
from porism.train._policy import measure, objective
from porism.train.rl import Settings

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

pytestmark = QUIET

PROMPTS = ["What is 2 + 3?", "Seven."]
GROUP = 4


def worth(completions: Sequence[str], **_: Any) -> list[float]:
    return [float(len(text) % 5) + 0.25 * text.count("e") for text in completions]


def rolled(trainer: Any) -> dict[str, Any]:
    """What TRL rolls out and scores, as the inputs of its loss."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    batch = next(iter(trainer.get_train_dataloader()))
    inputs = trainer._prepare_inputs(batch)
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


def arguments(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """Arguments of TRL's: both problems and all of their answers in one step."""
    sizes = {"per_device_train_batch_size": 2 * GROUP, "num_generations": GROUP, "max_completion_length": 12}
    return options(tmp_path, **sizes, **more)


def trainer_of(kind: str, model: Path, tmp_path: Path, **more: Any) -> Any:
    """A trainer of TRL's: GRPO or RLOO."""
    loaded = load(str(model))
    return getattr(trl, f"{kind}Trainer")(
        model=loaded.model,
        reward_funcs=worth,
        args=getattr(trl, f"{kind}Config")(**arguments(tmp_path, **more)),
        train_dataset=datasets.Dataset.from_dict({"prompt": PROMPTS}),
        processing_class=loaded.tokenizer,
    )


def groups_of(inputs: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """The rows of each problem, together: TRL shuffles them."""
    found: dict[tuple[int, ...], list[int]] = {}
    for at, (ids, mask) in enumerate(zip(inputs["prompt_ids"], inputs["prompt_mask"].bool(), strict=True)):
        found.setdefault(tuple(ids[mask].tolist()), []).append(at)
    return [(list(prompt), rows) for prompt, rows in found.items()]


def items_of(inputs: dict[str, Any], advantages: torch.Tensor, **columns: torch.Tensor) -> list[Item]:
    """The same roll-outs as packed rows, the prompt of each group once."""
    mask = inputs["completion_mask"].bool()
    items = []
    for prompt, rows in groups_of(inputs):
        values: dict[str, list[float]] = {"advantages": [], **{name: [] for name in columns}}
        for at in rows:
            values["advantages"] += [float(advantages[at])] * int(mask[at].sum())
            for name, column in columns.items():
                values[name] += column[at][mask[at]].tolist()
        values["sampled"] = [0.0] * len(values["advantages"])
        items.append(Item(prompt, [Answer(inputs["completion_ids"][at][mask[at]].tolist()) for at in rows], values))
    return items


def rewards_of(inputs: dict[str, Any], tokenizer: Any) -> torch.Tensor:
    texts = [
        tokenizer.decode(ids[mask], skip_special_tokens=True)
        for ids, mask in zip(inputs["completion_ids"], inputs["completion_mask"].bool(), strict=True)
    ]
    return torch.tensor(worth(texts))


def estimated(settings: Settings, inputs: dict[str, Any], rewards: torch.Tensor) -> torch.Tensor:
    """Our advantages of TRL's answers, in TRL's order."""
    lengths = inputs["completion_mask"].sum(1)
    group = torch.zeros(len(rewards), dtype=torch.long)
    for number, (_, rows) in enumerate(groups_of(inputs)):
        group[rows] = number
    answer = torch.arange(len(rewards)).repeat_interleave(lengths)
    given = Rollouts(rewards, group, answer, torch.zeros(len(answer)))
    names = {"scale": settings.scale} if settings.algorithm != "rloo" else {"normalise": settings.normalise}
    found = settings.module.advantages(given, **names).advantages
    return torch.stack([part[0] for part in found.split(lengths.tolist())])


CASES = {
    "grpo": ({"loss_type": "grpo"}, {}),
    "dr_grpo": ({"loss_type": "dr_grpo", "scale_rewards": "none"}, {"average": "constant", "scale": "none"}),
    "dapo": (
        {"loss_type": "dapo", "epsilon_high": 0.28, "scale_rewards": "batch"},
        {"average": "token", "clip_high": 0.28, "scale": "batch"},
    ),
    "gspo": (
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.05, "epsilon_high": 0.06},
        {"algorithm": "gspo", "clip_low": 0.05, "clip_high": 0.06},
    ),
    "with the divergence": ({"loss_type": "grpo", "beta": 0.2}, {"beta": 0.2}),
    "with the plain divergence": (
        {"loss_type": "grpo", "beta": 0.2, "use_bias_correction_kl": False},
        {"beta": 0.2, "kl_weighted": False},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_grpo(name: str, tiny_model: Path, tmp_path: Path) -> None:
    theirs, ours = CASES[name]
    trainer = trainer_of("GRPO", tiny_model, tmp_path, **{"loss_type": "grpo", "beta": 0.0, **theirs})
    inputs = rolled(trainer)
    settings = Settings(input=["x"], max_tokens=12, **ours)
    advantages = estimated(settings, inputs, rewards_of(inputs, trainer.processing_class))
    torch.testing.assert_close(advantages, inputs["advantages"], rtol=TOLERANCE, atol=1e-6)
    assert advantages.abs().max() > 0.1
    noise = torch.randn(inputs["completion_ids"].shape, generator=torch.Generator().manual_seed(2)) * 0.3
    network = network_of(tiny_model)
    current = -torch.full(inputs["completion_ids"].shape, 5.7)
    inputs["old_per_token_logps"] = current + noise
    columns = {"old": inputs["old_per_token_logps"]}
    if settings.beta:
        inputs["ref_per_token_logps"] = current - noise
        columns["reference"] = inputs["ref_per_token_logps"]
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    expected = float(loss.detach()), gradients(trainer.model)
    own = objective(LanguageModel(network), settings.module, settings, None)
    same(of_porism(own, network, items_of(inputs, advantages, **columns)), expected)


@pytest.mark.parametrize("normalise", [False, True])
def test_rloo(normalise: bool, tiny_model: Path, tmp_path: Path) -> None:
    trainer = trainer_of("RLOO", tiny_model, tmp_path, beta=0.0, normalize_advantages=normalise)
    inputs = rolled(trainer)
    settings = Settings(input=["x"], algorithm="rloo", normalise=normalise)
    advantages = estimated(settings, inputs, rewards_of(inputs, trainer.processing_class))
    torch.testing.assert_close(advantages, inputs["advantages"], rtol=TOLERANCE, atol=1e-6)
    noise = torch.randn(inputs["completion_ids"].shape, generator=torch.Generator().manual_seed(2)) * 0.05
    old = -torch.full(inputs["completion_ids"].shape, 5.7) + noise
    inputs["old_logps"] = (old * inputs["completion_mask"]).sum(1)
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    expected = float(loss.detach()), gradients(trainer.model)
    network = network_of(tiny_model)
    own = objective(LanguageModel(network), settings.module, settings, None)
    same(of_porism(own, network, items_of(inputs, advantages, old=old)), expected)


def test_rloo_takes_the_divergence_off_the_reward(tiny_model: Path, tmp_path: Path) -> None:
    trainer = trainer_of("RLOO", tiny_model, tmp_path, beta=0.3)
    torch.manual_seed(6)
    with torch.no_grad():
        for parameter in trainer.ref_model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    inputs = rolled(trainer)
    network, reference = network_of(tiny_model), network_of(tiny_model)
    reference.load_state_dict(trainer.ref_model.state_dict())
    items = items_of(inputs, torch.zeros(2 * GROUP))
    own, referred = (measure(LanguageModel(one), items, 2).logps for one in (network, reference))
    settings = Settings(input=["x"], algorithm="rloo", beta=0.3)
    order = [row for _, rows in groups_of(inputs) for row in rows]
    lengths = inputs["completion_mask"].sum(1)[order]
    given = Rollouts(
        rewards=rewards_of(inputs, trainer.processing_class)[order],
        group=torch.arange(2).repeat_interleave(GROUP),
        answer=torch.arange(2 * GROUP).repeat_interleave(lengths),
        penalty=settings.beta * kl(own, referred, "k1"),
    )
    found = torch.stack([part[0] for part in settings.module.advantages(given).advantages.split(lengths.tolist())])
    torch.testing.assert_close(found, inputs["advantages"][order], rtol=TOLERANCE, atol=TOLERANCE)
    plain = settings.module.advantages(given._replace(penalty=torch.zeros_like(given.penalty))).advantages
    assert (settings.module.advantages(given).advantages - plain).abs().max() > 0.01


def test_ppo_against_its_equations(tiny_model: Path) -> None:
    """Token after token, by plain forward passes: equations 7 and 9 of arXiv:1707.06347, with clipped values."""
    settings = Settings(input=["x"], algorithm="ppo", value_weight=0.3, value_clip=0.1)
    prompt, answers = [5, 9, 7], [[11, 12, 2], [40, 41, 42, 43, 2]]
    generator = torch.Generator().manual_seed(4)
    total = sum(map(len, answers))
    columns = {
        name: torch.randn(total, generator=generator) for name in ("advantages", "returns", "old_values", "noise")
    }
    network = network_of(tiny_model)
    model = LanguageModel(network)
    critic = Critic(network, fused=model.fused)
    weights = torch.randn(critic.layer.weight.shape, generator=generator)
    with torch.no_grad():
        critic.layer.weight.copy_(weights)
    old = -5.7 + 0.2 * columns["noise"]
    values = {name: columns[name].tolist() for name in ("advantages", "returns", "old_values")}
    item = Item(prompt, [Answer(one) for one in answers], {**values, "old": old.tolist(), "sampled": old.tolist()})
    ours = of_porism(objective(model, settings.module, settings, critic), network, [item])

    plain = load(str(tiny_model)).model.train()
    head = torch.nn.Linear(weights.shape[1], 1)
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.zero_()
    loss, at = torch.zeros(()), 0
    for answer in answers:
        out = plain(torch.tensor([[*prompt, *answer]]), output_hidden_states=True)
        for number, token in enumerate(answer):
            place = len(prompt) + number - 1
            logp = torch.log_softmax(out.logits[0, place], -1)[token]
            value = head(out.hidden_states[-1][0, place])[0]
            ratio, advantage = torch.exp(logp - old[at]), columns["advantages"][at]
            loss = loss - torch.min(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage) / total
            before, wanted = columns["old_values"][at], columns["returns"][at]
            near = before + torch.clamp(value - before, -0.1, 0.1)
            loss = loss + 0.3 * 0.5 * torch.max((value - wanted) ** 2, (near - wanted) ** 2) / total
            at += 1
    loss.backward()
    theirs = gradients(plain)
    theirs["value_head.weight"], theirs["value_head.bias"] = head.weight.grad, head.bias.grad
    same(ours, (float(loss.detach()), theirs))
