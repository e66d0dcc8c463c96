import json
import subprocess
import sys
from pathlib import Path

import pytest
from doctor_kit import checks, row, written

from porism.doctor import Status
from porism.errors import RecipeError
from porism.models import memory
from porism.models.memory import Shape, Step, estimate

SHAPE = Shape(
    parameters=1_000_000, layers=2, hidden=64, query=64, key=32, feed_forward=128, vocabulary=1_000
)  # fmt: skip
STEP = Step(method="sft", tokens=1_000, learnt=500, accumulates=True, dtype="float32")


def test_the_parts_are_those_of_the_formula() -> None:
    parts = estimate(SHAPE, STEP).parts
    assert parts["weights"] == parts["gradients"] == 4_000_000
    assert parts["optimiser"] == 8_000_000
    assert parts["activations"] == 1_000 * 2 * (24 * 64 + 12 * 64 + 8 * 32 + 16 * 128)
    assert parts["logits"] == 12 * 500 * 1_000
    assert parts["reference"] == parts["sampling"] == 0
    mixed = estimate(SHAPE, STEP._replace(dtype="bfloat16")).parts
    assert mixed["weights"] == 6_000_000
    assert mixed["activations"] == 1_000 * 2 * (26 * 64 + 6 * 64 + 4 * 32 + 8 * 128)


def test_adapters_need_less_and_references_more() -> None:
    whole, adapted = estimate(SHAPE, STEP), estimate(SHAPE, STEP._replace(lora_r=4))
    ranks = 64 + 64 + 2 * (64 + 32) + 64 + 64 + 3 * (64 + 128)
    assert adapted.parts["gradients"] == 4 * 2 * 4 * ranks
    assert adapted.parts["adapters"] == 1_000 * 2 * 7 * (2 * 64 + 64 + 2 * 32 + 2 * 128)
    assert whole.parts["adapters"] == 0
    dpo = estimate(SHAPE, STEP._replace(method="dpo"))
    assert dpo.parts["reference"] == 0  # computed before training
    assert dpo.parts["activations"] == 2 * whole.parts["activations"]
    for method, rank, size in (("grpo", 0, 4_000_000), ("grpo", 4, 0), ("distill", 4, 4_000_000)):
        assert estimate(SHAPE, STEP._replace(method=method, lora_r=rank)).parts["reference"] == size
    assert estimate(SHAPE, STEP._replace(method="reward")).parts["logits"] == 0
    grpo = STEP._replace(method="grpo", rollouts=1_000, rollout_tokens=300)
    assert estimate(SHAPE, grpo).parts["sampling"] == 256 * 300 * 2 * 2 * 32 * 4


@pytest.mark.parametrize("method", memory.METHODS)
def test_every_method_can_be_estimated(tiny_model: Path, method: str) -> None:
    for name in (method, f"{method}-lora"):
        found = checks(tiny_model, method=name)["memory peak"]
        assert found.figures["needed"] > 5e8
        assert found.found.startswith(f"{name} in ")


def test_rows_decide_where_there_are_some(tiny_model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", row(), row(question="x" * 40), row())
    options = {"batch_size": 2, "micro_batch_size": 2, "dtype": "float32"}
    assumed, known = checks(tiny_model, **options)["memory peak"], checks(tiny_model, file, **options)["memory peak"]
    assert "2 rows of 1,024 tokens" in assumed.found
    assert "the longest rows of the data in a micro-batch of 2" in known.found
    assert known.figures["parts"]["activations"] < assumed.figures["parts"]["activations"] / 5


def test_too_little_memory_says_what_to_change(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def there(free: float, total: float = 1e12) -> None:
        monkeypatch.setattr(memory, "available", lambda: memory.Memory("memory", int(total), int(free)))

    def found(**options: object):
        return checks(tiny_model, dtype="float32", max_length=200_000, **options)["memory peak"]

    there(1e12)
    needs = {micro: found(micro_batch_size=micro).figures["needed"] for micro in (8, 4, 2, 1)}
    there(1.2 * needs[2])
    assert (found().status, found().cure) == (Status.WARNING, "Set micro_batch_size to 2.")
    there(needs[8], needs[8] - 1)
    assert found().status == Status.FAILED
    there(1e6)
    assert found().cure == "Lower max_length, or train adapters (lora), or take a smaller model or a larger machine."
    assert "adapters" not in found(method="lora").cure


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "sfd"}, "method: expected one of lora, sft, .*got 'sfd'. Did you mean 'sft'"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"dtype": "float8"}, "dtype: expected one of auto, float32, .*got 'float8'"),
        ({"rows": -1}, "rows: expected at least 0, got -1"),
    ],
)
def test_options_that_nothing_could_have(options: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        checks(**options)


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": ["MemTotal: 1000 kB", "MemFree: 1 kB", "MemAvailable: 800 kB"],
        "/sys/fs/cgroup/memory.max": ["512000"],
        "/sys/fs/cgroup/memory.current": ["500000"],
    }
    monkeypatch.setattr(memory, "_lines", lambda file: files.get(str(file), []))
    assert memory.available() == memory.Memory("memory", 512_000, 12_000)
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert memory.available() == memory.Memory("memory", 1_024_000, 819_200)


def test_other_layouts_of_configurations() -> None:
    import transformers

    small = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    gpt = transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=2)
    assert memory.shape_of(gpt, 1)[1:] == (2, 16, 16, 16, 64, 300)
    gemma = transformers.Gemma3TextConfig(**small, num_key_value_heads=1, head_dim=32, intermediate_size=24)
    assert memory.shape_of(gemma, 1)[1:] == (2, 16, 64, 32, 24, 300)


def test_an_architecture_that_is_no_decoder_of_this_kind(tiny_model: Path) -> None:
    import transformers

    from porism.doctor import Options, _memory

    found = _memory.estimated(transformers.MambaConfig(), 1_000, [], Options())
    assert (found.status, found.found) == (Status.WARNING, "cannot be estimated for a model of the type mamba")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "accumulated"), [("full", 1), ("full", 2), ("lora", 1)])
def test_the_estimate_is_near_a_real_step(tmp_path: Path, method: str, accumulated: int) -> None:
    """Peak resident memory of two SFT steps of the embedded model, against the estimate for the same rows."""
    long = "The quick brown fox jumps over the lazy dog. " * 10
    rows = [row(f"{number}: {long}", long) for number in range(4 * accumulated)]
    file = written(tmp_path / "rows.jsonl", *rows)
    sizes = ["--batch-size", str(4 * accumulated), "--micro-batch-size", "4"]
    command = [sys.executable, "-m", "porism", "train", "sft", "--input", str(file), "--method", method, *sizes]
    command += ["--max-steps", "2", "--output", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    measured = json.loads((tmp_path / "out" / "manifest.json").read_text())["peak_memory_mb"] * 2**20
    found = checks(
        "smollm2-135m",
        file,
        method="lora" if method == "lora" else "sft",
        batch_size=4 * accumulated,
        micro_batch_size=4,
    )["memory peak"]
    ratio = found.figures["needed"] / measured
    assert 0.65 < ratio < 1.35, f"estimated {found.figures['needed'] / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB"
