import json
import shutil
from pathlib import Path

import pytest
import torch
import train_kit
from torch.nn import functional
from train_kit import write

from conftest import attempt, lines, problem
from porism import store
from porism.errors import DataError, MissingExtra, ModelError, PorismError, RecipeError, StorageError, UserError
from porism.losses.cross_entropy import cross_entropy
from porism.models import packing
from porism.models.load import base_of, load
from porism.models.packing import Answer, Item
from porism.records import Attempt, Example, Message, Status
from porism.train import _trainer
from porism.train._model import LanguageModel

ROWS = [
    Item([5, 9, 7], [Answer([11, 12, 2])]),
    Item([8] * 9, [Answer([40, 2])]),
    Item([3], [Answer([21, 22, 23, 24, 2])]),
]


def train(target: Path, rows: str, model: Path | str, **settings: object) -> store.Manifest:
    return train_kit.train("sft", target, rows, model, **{"batch_size": 2, "lr": None, **settings})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in load(str(folder / "model")).model.named_parameters()}


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return write(tmp_path / "rows.jsonl", [attempt(n, text=f"{n} + 1 = {n + 1}\n#### {n + 1}") for n in range(10)])


def test_a_packed_row_equals_its_sequences_one_by_one(tiny_model: Path) -> None:
    """Loss and every gradient, against plain forward passes with the loss written out by hand."""
    plain = load(str(tiny_model)).model.train()
    total = sum(len(row.answers[0].ids) for row in ROWS)
    for row in ROWS:
        answer = row.answers[0].ids
        logits = plain(torch.tensor([[*row.prompt, *answer]])).logits[0, len(row.prompt) - 1 : -1]
        (-functional.log_softmax(logits, -1)[range(len(answer)), answer].sum() / total).backward()

    packed = load(str(tiny_model)).model.train()
    packed.set_attn_implementation(packing.ATTENTION)
    batch = packing.pack(ROWS)
    model = LanguageModel(packed)
    assert model.fused
    cross_entropy(model.logprobs(packed, batch), batch["weights"], total).backward()
    assert batch["targets"].tolist() == [token for row in ROWS for token in row.answers[0].ids]
    for (name, a), (_, b) in zip(plain.named_parameters(), packed.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7, msg=name)


def test_accumulated_micro_batches_make_the_same_step(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    def first_step(micro: int) -> tuple[float, float]:
        train(tmp_path / str(micro), rows, tiny_model, batch_size=4, micro_batch_size=micro, max_steps=1)
        step = next(store.rows(tmp_path / str(micro) / "metrics.jsonl"))[1]
        return step["loss"], step["grad_norm"]

    whole = first_step(4)
    assert first_step(2) == pytest.approx(whole, rel=1e-5)
    assert first_step(1) == pytest.approx(whole, rel=1e-5)


def test_prompts_are_not_learned(tiny_model: Path, tmp_path: Path) -> None:
    """Prompt tokens are no targets: a prompt's log-probability moves far less than the answer's."""
    row = Example(
        prompt=[Message(role="user", content="abcdef")], completion=[Message(role="assistant", content="uvwxyz")]
    )
    train(
        tmp_path / "x",
        write(tmp_path / "r.jsonl", [row]),
        tiny_model,
        max_steps=30,
        lr=3e-3,
        batch_size=1,
        micro_batch_size=1,
    )

    @torch.inference_mode()
    def nll(folder: Path, text: str) -> float:
        loaded = load(str(folder))
        ids = torch.tensor([loaded.tokenizer(text, add_special_tokens=False)["input_ids"]])
        return float(loaded.model(input_ids=ids, labels=ids).loss)

    gain = {text: nll(tiny_model, text) - nll(tmp_path / "x" / "model", text) for text in ("uvwxyz", "abcdef")}
    assert gain["uvwxyz"] > 1
    assert gain["abcdef"] < gain["uvwxyz"] / 5


def test_which_weights_move(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    start = dict(load(str(tiny_model)).model.named_parameters())

    def moved(name: str, **settings: object) -> set[str]:
        train(tmp_path / name, rows, tiny_model, max_steps=2, lr=1e-2, **settings)
        return {key for key, value in weights(tmp_path / name).items() if not torch.equal(value, start[key])}

    assert moved("all") == set(start)
    last = moved("last", train_layers=1)
    assert last == {name for name in start if ".layers.1." in name or name == "model.norm.weight"}

    train(tmp_path / "lora", rows, tiny_model, max_steps=2, method="lora", lora_r=2)
    config = json.loads((tmp_path / "lora" / "model" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (2, str(tiny_model))
    assert not (tmp_path / "lora" / "model" / "model.safetensors").exists()
    train(tmp_path / "merged", rows, tiny_model, max_steps=2, method="lora", lora_r=2, merge=True)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        a, b = (load(str(tmp_path / name / "model")).model(ids).logits for name in ("lora", "merged"))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    only = train(tmp_path / "q", rows, tiny_model, max_steps=1, method="lora", lora_r=2, lora_targets=["q_proj"])
    assert only.figures["trainable_parameters"] == 2 * 2 * (32 * 2 + 32 * 2) // 2


def test_no_hub_is_asked_about_an_adapters_base(rows: str, tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("a hub was asked")

    for name in ("file_exists", "hf_hub_download", "model_info"):
        monkeypatch.setattr(huggingface_hub, name, asked)
        monkeypatch.setattr(f"peft.utils.save_and_load.{name}", asked, raising=False)
    train(tmp_path / "a", rows, tiny_model, max_steps=2, method="lora", lora_r=2, checkpoint_every=1)
    train(tmp_path / "b", rows, tmp_path / "a" / "model", max_steps=2, method="lora", checkpoint_every=1)


def test_an_adapter_pins_the_commit_of_its_base(
    rows: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    place, commit = tmp_path / "home" / "models" / "hf" / "org--tiny", "c0ffee" + "0" * 34
    for name in (commit, "d" * 40):
        shutil.copytree(tiny_model, place / name)
        store.write_json(place / name / "porism.json", {})
    store.write_json(place / "revisions.json", {"main": commit})
    train(tmp_path / "a", rows, "org/tiny", max_steps=1, method="lora", lora_r=2)
    store.write_json(place / "revisions.json", {"main": "d" * 40})
    train(tmp_path / "b", rows, tmp_path / "a" / "model", max_steps=1, method="lora")
    for name in ("a", "b"):
        config = json.loads((tmp_path / name / "model" / "adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == ("org/tiny", commit)
        assert base_of(tmp_path / name / "model") == f"org/tiny@{commit}"
    shutil.rmtree(place / commit)
    with pytest.raises(ModelError, match=f"porism pull org/tiny@{commit}"):
        load(str(tmp_path / "a" / "model"))


def test_training_goes_on_from_an_adapter(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    train(tmp_path / "a", rows, tiny_model, max_steps=2, method="lora", lora_r=2)
    train(tmp_path / "b", rows, tmp_path / "a" / "model", max_steps=2, method="lora")
    config = json.loads((tmp_path / "b" / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_model)
    whole = train(tmp_path / "c", rows, tmp_path / "a" / "model", max_steps=2)
    assert (tmp_path / "c" / "model" / "model.safetensors").exists()
    assert whole.figures["trainable_parameters"] == whole.figures["parameters"]


def test_every_setting_reaches_the_trainer(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    def losses(name: str, **settings: object) -> list[dict[str, float]]:
        train(tmp_path / name, rows, tiny_model, **settings)
        return [row for _, row in store.rows(tmp_path / name / "metrics.jsonl")]

    base = losses("base", lr=1e-2)
    assert len(base) == 5
    assert len(losses("epochs", epochs=2)) == 10
    assert len(losses("steps", max_steps=3)) == 3
    assert losses("seed", lr=1e-2, seed=1)[0]["loss"] != base[0]["loss"]
    assert losses("decay", lr=1e-2, weight_decay=0.5)[-1]["loss"] != base[-1]["loss"]
    assert losses("clip", lr=1e-2, max_grad_norm=1e-4)[-1]["loss"] != base[-1]["loss"]
    assert losses("dropout", method="lora", lora_dropout=0.9)[-1] != losses("dry", method="lora")[-1]
    assert losses("alpha", method="lora", lora_alpha=900)[-1]["loss"] != losses("alpha2", method="lora")[-1]["loss"]
    constant = [
        row["learning_rate"] for row in losses("constant", lr=1e-2, schedule="constant_with_warmup", warmup=0.0)
    ]
    assert set(constant) == {1e-2}
    cosine, linear = ([row["learning_rate"] for row in losses(n, lr=1e-2, schedule=n)] for n in ("cosine", "linear"))
    assert cosine != linear
    assert [row["learning_rate"] for row in losses("warm", lr=1e-2, warmup=0.6)][:4] == [0.0025, 0.005, 0.0075, 0.01]
    assert train(tmp_path / "bf16", rows, tiny_model, dtype="bfloat16").environment["dtype"] == "bfloat16"


def test_logs_go_where_they_are_asked_for(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(tmp_path / "x", rows, tiny_model, max_steps=1, report_to=["tensorboard"])
    assert list((tmp_path / "x" / "logs").rglob("events.out.tfevents*"))
    with pytest.raises(MissingExtra, match="pip install swanlab"):
        train(tmp_path / "y", rows, tiny_model, report_to=["swanlab"])


def test_only_graded_correct_attempts_are_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    mixed = write(tmp_path / "m.jsonl", [attempt(0), attempt(1, Status.WRONG)])
    with pytest.raises(DataError, match="is wrong"):
        train(tmp_path / "x", mixed, tiny_model)
    bare = write(tmp_path / "b.jsonl", [attempt(0, verdict=None)])
    with pytest.raises(DataError, match="is not graded"):
        train(tmp_path / "y", bare, tiny_model)
    assert train(tmp_path / "z", mixed, tiny_model, allow_unverified=True).counts["records"] == 2


def test_long_and_empty_rows_are_kept_out_with_the_reason(tiny_model: Path, tmp_path: Path) -> None:
    records: list[Attempt] = [attempt(0), attempt(1, text="long " * 40), attempt(2, text=" ")]
    manifest = train(tmp_path / "x", write(tmp_path / "r.jsonl", records), tiny_model, max_length=100)  # type: ignore[arg-type]
    assert manifest.counts == {"dropped": 2, "records": 1}
    reasons = [row["reason"] for _, row in store.rows(tmp_path / "x" / "dropped.jsonl")]
    assert reasons[0].startswith("longer than max_length")
    assert reasons[1] == "empty completion"
    bare = Example(prompt=[], completion=[])
    half = attempt(0, text="half \ud800")
    for record, complaint in (
        (attempt(0, text=" "), "the first: empty completion. Mend the rows."),
        (bare, "the first: empty prompt and completion. Mend the rows."),
        (half, "half of a surrogate pair"),
        (attempt(0, text="long " * 400), r"\d+ > 1024 tokens. Raise max_length."),
    ):
        with pytest.raises(DataError, match=f"none of 1 rows .*{complaint}"):
            train(tmp_path / "y", write(tmp_path / "e.jsonl", [record]), tiny_model)


def test_unfit_settings_are_one_clear_error(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    for settings, error, complaint in (
        ({"batch_size": 3}, RecipeError, "not a multiple"),
        ({"method": "lora", "train_layers": 2}, RecipeError, "exclude each other"),
        ({"train_layers": 9}, RecipeError, "2 layers, got 9"),
        ({"method": "lora", "lora_targets": ["nothing"]}, ModelError, "nothing"),
        ({"report_to": ["wandbb"]}, RecipeError, "unknown logger"),
        ({"lr": 0.0}, RecipeError, "greater than 0"),
    ):
        with pytest.raises(error, match=complaint):
            train(tmp_path / "x", rows, tiny_model, **settings)
    with pytest.raises(StorageError, match="expected a folder"):
        train(tmp_path / "x.jsonl", rows, tiny_model)


def test_a_loss_that_is_no_number_stops_the_run(
    rows: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from porism.losses import cross_entropy as losses

    true_loss, calls = losses.cross_entropy, []

    def sick(*args: object) -> torch.Tensor:
        calls.append(1)
        loss = true_loss(*args)  # type: ignore[arg-type]
        return loss * float("nan") if len(calls) == 4 else loss

    monkeypatch.setattr(losses, "cross_entropy", sick)
    with pytest.raises(PorismError, match=r"the loss became nan after step 3. Its batch had the rows \w+, \w+; they"):
        train(tmp_path / "x", rows, tiny_model, checkpoint_every=1)
    assert _trainer.last_checkpoint(tmp_path / "x" / "checkpoints").name == "checkpoint-3"  # type: ignore[union-attr]
    assert len(lines(tmp_path / "x" / "bad_batch.jsonl")) == 2
    monkeypatch.setattr(losses, "cross_entropy", true_loss)
    train(tmp_path / "x", rows, tiny_model, checkpoint_every=1)
    train(tmp_path / "calm", rows, tiny_model, checkpoint_every=1)
    a, b = (store.sha256(tmp_path / name / "model" / "model.safetensors") for name in ("x", "calm"))
    assert a == b


def test_the_card_says_what_the_model_was_made_from(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    train(tmp_path / "x", rows, tiny_model, max_steps=1)
    card = (tmp_path / "x" / "model" / "README.md").read_text()
    assert card.startswith("---\nbase_model: ")
    assert store.sha256(Path(rows)) in card
    assert '"max_steps": 1' in card
    assert not list((tmp_path / "x" / "model").glob("*.bin"))
    assert problem(0).question in (tmp_path / "x" / "records.jsonl").read_text()


@pytest.mark.parametrize("steps", [1, 2])
def test_no_step_is_without_effect(rows: str, tiny_model: Path, tmp_path: Path, steps: int) -> None:
    """The first step's learning rate is not zero, so a training of one step moves the adapters."""
    train(tmp_path / "x", rows, tiny_model, method="lora", lora_r=2, max_steps=steps)
    rates = [row["learning_rate"] for _, row in store.rows(tmp_path / "x" / "metrics.jsonl")]
    assert rates == [5e-4, 1e-3][:steps]
    network = load(str(tmp_path / "x" / "model")).model
    assert all(p.abs().max() > 0 for name, p in network.named_parameters() if "lora_B" in name)


def test_a_failed_training_gives_the_earlier_output_back(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "x"
    train(target, rows, tiny_model, max_steps=1)
    (target / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    for settings in ({"seed": -1}, {"seed": 2**32}, {"train_layers": 9}, {"max_length": 2}):
        with pytest.raises(UserError):
            train(target, rows, tiny_model, **{"max_steps": 1, **settings})
        assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    train(target, rows, tiny_model, max_steps=2)
    assert (target / "notes.txt").read_text() == "mine"
    assert not (target / ".old").exists()
