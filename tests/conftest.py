"""Fixtures that every test may use: a tiny random model in the layout of a real one, and the real data where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from porism.records import Attempt, Message, Problem, Status, Verdict

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True, scope="session")
def nothing_from_before() -> Iterator[None]:
    """No test is answered from what another one, or the user, has asked before; those of the cache turn it on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORISM_REPLIES_MB", "0")
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a byte-level tokenizer and a chat template."""
    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("tiny") / "model"
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    core.train_from_iterator([], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with other weights: a reference, or a teacher."""
    import torch

    from porism.models.load import load

    folder = tmp_path_factory.mktemp("other") / "model"
    loaded = load(str(tiny_model))
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def lines(file: Path) -> list[Any]:
    """The values in a JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets; the test is skipped where it is absent."""
    folder = Path(os.environ.get("PORISM_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not here ({folder}; set PORISM_DATA)")
    return folder


def problem(number: int = 0, **changes: object) -> Problem:
    """A problem that differs from others by its number."""
    values: dict[str, object] = {
        "question": f"What is {number} + 1?",
        "answer": str(number + 1),
        "solution": f"{number} + 1 = {number + 1}\n#### {number + 1}",
        "source": "test",
        "group": f"g{number % 2}",
        "set": "test",
    }
    return Problem(**{**values, **changes})  # type: ignore[arg-type]


def attempt(number: int = 0, status: Status = Status.CORRECT, **changes: object) -> Attempt:
    """A graded attempt at :func:`problem`."""
    values: dict[str, object] = {
        "problem": problem(number),
        "strategy": "direct",
        "messages": [Message(role="user", content=f"What is {number} + 1?")],
        "text": f"#### {number + 1}",
        "completion_tokens": 5,
        "verdict": Verdict(status=status, answer=str(number + 1), rule="hash", grader="number", profile="auto"),
    }
    return Attempt(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Starts engines for OpenAI-compatible servers, and closes them at the end."""
    from openai_kit import starting

    yield from starting(monkeypatch)


@pytest.fixture(scope="session")
def tier() -> str:
    """The sandbox that ``auto`` means here; the test is skipped, with the reason, where there is none."""
    from porism import sandbox

    try:
        return sandbox.ready("auto")
    except sandbox.Refused as error:
        pytest.skip(str(error))
