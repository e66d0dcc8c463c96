"""Losses and gradients against TRL's trainers, on the same weights and the same tokens, in float32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle_kit import QUIET, TOLERANCE, gradients, network_of, of_porism, options, same

from porism.find import find
from porism.models.load import load
from porism.models.packing import Answer, Item
from porism.models.scores import ScoreModel
from porism.train import distill, dpo, kto, reward, sft
from porism.train._model import LanguageModel
from porism.train._reference import _summed

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

pytestmark = QUIET

PROMPTS = ["What is 2 + 3?", "Tell me the sum of ten and eleven.", "7 - 4 ="]
CHOSEN = ["2 + 3 = 5, so 5.", "21", "The answer is three."]
REJECTED = ["6", "I do not know what that could be.", "4 it is"]


def rows_at_once(tmp_path: Path) -> dict[str, Any]:
    return options(tmp_path, per_device_train_batch_size=3, max_length=None)


def of_trl(trainer: Any) -> tuple[Any, float, dict[str, torch.Tensor]]:
    """A batch, its loss and its gradients."""
    batch = next(iter(trainer.get_train_dataloader()))
    kept = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return kept, float(loss), gradients(trainer.model)


def rows_of(ids: torch.Tensor, mask: torch.Tensor, completion: torch.Tensor) -> list[tuple[list[int], list[int]]]:
    """Prompt and completion of each padded row."""
    found = []
    for tokens, there, learnt in zip(ids, mask.bool(), completion.bool(), strict=True):
        found.append((tokens[there & ~learnt].tolist(), tokens[there & learnt].tolist()))
    return found


def text_rows(**columns: Sequence[Any]) -> Any:
    return datasets.Dataset.from_dict({"prompt": PROMPTS, **columns})


def test_sft(tiny_model: Path, tmp_path: Path) -> None:
    trainer = trl.SFTTrainer(
        model=str(tiny_model),
        args=trl.SFTConfig(**rows_at_once(tmp_path), model_init_kwargs={"dtype": "float32"}),
        train_dataset=text_rows(completion=CHOSEN),
    )
    batch, *theirs = of_trl(trainer)
    items = [
        Item(prompt, [Answer(completion)])
        for prompt, completion in rows_of(batch["input_ids"], batch["attention_mask"], batch["labels"] != -100)
    ]
    network = network_of(tiny_model)
    same(of_porism(sft.objective(LanguageModel(network)), network, items), tuple(theirs))


def test_reward(tiny_model: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    loaded = load(str(tiny_model), scores=True)
    loaded.model.save_pretrained(start)
    loaded.tokenizer.save_pretrained(start)
    for margins, centre in (([0.0, 0.0, 0.0], 0.0), ([0.5, -0.2, 1.0], 0.1)):
        trainer = trl.RewardTrainer(
            model=str(start),
            args=trl.RewardConfig(
                **rows_at_once(tmp_path),
                center_rewards_coefficient=centre or None,
                model_init_kwargs={"dtype": "float32"},
            ),
            train_dataset=datasets.Dataset.from_dict(
                {"prompt": PROMPTS, "chosen": CHOSEN, "rejected": REJECTED, "margin": margins}
            ),
        )
        batch, *theirs = of_trl(trainer)
        lengths = batch["attention_mask"].sum(1).tolist()
        ids = [row[:length].tolist() for row, length in zip(batch["input_ids"], lengths, strict=True)]
        items = []
        for chosen, rejected, margin in zip(ids[:3], ids[3:], batch["margin"].tolist(), strict=True):
            common = next(at for at in range(len(chosen)) if chosen[at] != rejected[at])
            answers = [Answer(chosen[common:]), Answer(rejected[common:])]
            items.append(Item(chosen[:common], answers, {"margin": [margin]}))
        network = network_of(start, scores=True)
        objective = reward.objective(ScoreModel(network), use_margin=True, centre=centre)
        same(of_porism(objective, network, items), tuple(theirs))


DPO = {
    "sigmoid": ("sigmoid", {}),
    "ipo": ("ipo", {}),
    "hinge": ("hinge", {}),
    "robust": ("robust", {"label_smoothing": 0.2}),
    "sigmoid_norm": ("sigmoid_norm", {}),
    "apo_zero": ("apo_zero", {}),
    "apo_down": ("apo_down", {}),
}


def test_dpo_and_its_relatives(tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    trainer = trl.DPOTrainer(
        model=str(tiny_model),
        ref_model=load(str(other_model)).model,
        args=trl.DPOConfig(**rows_at_once(tmp_path), beta=0.3, model_init_kwargs={"dtype": "float32"}),
        train_dataset=text_rows(chosen=CHOSEN, rejected=REJECTED),
    )
    network, frozen = network_of(tiny_model), LanguageModel(network_of(other_model))
    model = LanguageModel(network)
    for name, (theirs_name, settings) in DPO.items():
        for sft_weight in (0.0, 0.7):
            trainer.loss_types = [theirs_name] + (["sft"] if sft_weight else [])
            trainer.loss_weights = [1.0] + ([sft_weight] if sft_weight else [])
            trainer.label_smoothing = settings.get("label_smoothing", 0.0)
            batch, *theirs = of_trl(trainer)
            rows = rows_of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
            items = [
                Item(prompt, [Answer(chosen), Answer(rejected)])
                for (prompt, chosen), (_, rejected) in zip(rows[:3], rows[3:], strict=True)
            ]
            loss = find(dpo.LOSSES, name, "loss")
            objective = dpo.objective(
                model,
                lambda pairs, loss=loss, settings=settings: loss(pairs, beta=0.3, **settings),
                lambda batch: _summed(frozen, batch),
                sft_weight=sft_weight,
            )
            same(of_porism(objective, network, items), tuple(theirs))


def test_losses_without_a_reference(tiny_model: Path) -> None:
    """SimPO and ORPO, against the formulas of TRL's experimental trainers."""
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    class Bare:
        alpha, beta, simpo_gamma, label_smoothing, loss_type = 0.0, 2.0, 0.6, 0.0, "simpo"
        accelerator = type("Device", (), {"device": "cpu"})

    from porism.losses.preferences import Pairs, orpo, simpo

    del tiny_model
    tokens = [torch.tensor([3.0, 5.0, 2.0]), torch.tensor([4.0, 2.0, 7.0])]
    means = [torch.tensor([-0.4, -1.3, -0.05]), torch.tensor([-0.9, -0.2, -2.5])]
    sums = [(mean * count).requires_grad_() for mean, count in zip(means, tokens, strict=True)]
    pairs = Pairs(*sums, *(torch.zeros(3), torch.zeros(3)), *tokens)
    for ours, theirs in (
        (simpo.loss(pairs, beta=2.0, gamma=0.6), CPOTrainer.cpo_loss(Bare(), *means)[0]),
        (orpo.loss(pairs, beta=2.0), -ORPOTrainer.odds_ratio_loss(Bare(), *means)[0]),
    ):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=0.0)
        assert ours.requires_grad


def test_kto(tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    labels = [True, False, True]
    trainer = trl.KTOTrainer(
        model=str(tiny_model),
        ref_model=load(str(other_model)).model,
        args=trl.KTOConfig(
            **rows_at_once(tmp_path), beta=0.3, undesirable_weight=1.4, model_init_kwargs={"dtype": "float32"}
        ),
        train_dataset=text_rows(completion=CHOSEN, label=labels),
    )
    batch, *theirs = of_trl(trainer)
    rows = rows_of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    mixed = rows_of(batch["KL_input_ids"], batch["KL_attention_mask"], batch["KL_completion_mask"])
    items = [
        Item(prompt, [Answer(own), Answer(strange)], {"labels": [float(label)]})
        for (prompt, own), (_, strange), label in zip(rows, mixed, batch["label"], strict=True)
    ]
    network, frozen = network_of(tiny_model), LanguageModel(network_of(other_model))
    objective = kto.objective(
        LanguageModel(network), lambda batch: _summed(frozen, batch), beta=0.3, undesirable_weight=1.4
    )
    same(of_porism(objective, network, items), tuple(theirs))


@pytest.mark.parametrize(("beta", "temperature"), [(0.0, 1.0), (1.0, 1.0), (0.3, 1.0), (0.5, 2.0)])
def test_distillation(tiny_model: Path, other_model: Path, beta: float, temperature: float) -> None:
    from trl.experimental.gkd import GKDTrainer

    items = [Item([5, 9, 7], [Answer([11, 12, 2])]), Item([8] * 9, [Answer([40, 2])])]
    plain, teacher = load(str(tiny_model)).model.train(), load(str(other_model)).model
    total, theirs = sum(len(item.answers[0].ids) for item in items), 0.0
    for item in items:
        ids, first = torch.tensor([[*item.prompt, *item.answers[0].ids]]), len(item.prompt)
        with torch.no_grad():
            taught = teacher(ids).logits[:, first - 1 : -1]
        loss = GKDTrainer.generalized_jsd_loss(
            plain(ids).logits[:, first - 1 : -1],
            taught,
            labels=ids[:, first:],
            beta=beta,
            temperature=temperature,
            num_items_in_batch=total,
        )
        loss.backward()
        theirs += float(loss.detach())
    network = network_of(tiny_model)
    objective = distill.objective(
        LanguageModel(network), LanguageModel(network_of(other_model)), beta=beta, temperature=temperature
    )
    same(of_porism(objective, network, items), (theirs, gradients(plain)))
