"""Answers that share a prompt, against each computed alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional

from porism.models import packing
from porism.models.load import load
from porism.models.packing import Answer, Item
from porism.train._model import LanguageModel

ITEMS = [
    Item([5, 9, 7, 6], [Answer([11, 12, 2]), Answer([30, 31, 32, 33, 2]), Answer([4])]),
    Item([8], [Answer([40, 2], [0.5, 2.0])]),
    Item([3, 3], [Answer([21, 22, 23], [1.0, 0.0, 1.0]), Answer([22])]),
]


def network_of(config: Any) -> Any:
    torch.manual_seed(1)
    return transformers.AutoModelForCausalLM.from_config(config).train()


def by_hand(network: Any) -> list[float]:
    """Weighted log-probability of every answer, each in a pass of its own; gradients stay in the network."""
    found = []
    for item in ITEMS:
        for answer in item.answers:
            first = len(item.prompt)
            logits = network(torch.tensor([[*item.prompt, *answer.ids]])).logits[0, first - 1 : -1]
            logps = functional.log_softmax(logits.float(), -1)[range(len(answer.ids)), list(answer.ids)]
            weights = torch.tensor(answer.weights if answer.weights is not None else [1.0] * len(answer.ids))
            (logps * weights).sum().backward()
            found.append(float((logps.detach() * (weights > 0)).sum()))
    return found


SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2),
    "qwen2": lambda: transformers.Qwen2Config(**SMALL, intermediate_size=48, num_key_value_heads=2),
    "mistral with a window of 3": lambda: transformers.MistralConfig(
        **SMALL, intermediate_size=48, num_key_value_heads=2, sliding_window=3
    ),
    "gemma2 with caps": lambda: transformers.Gemma2Config(
        **SMALL, intermediate_size=48, num_key_value_heads=2, head_dim=8, sliding_window=4, query_pre_attn_scalar=8
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_answers_behind_one_prompt_equal_each_alone(name: str) -> None:
    """Log-probabilities and every gradient, in architectures with windows and caps too."""
    config = CONFIGS[name]()
    plain, packed = network_of(config), network_of(config)
    plain.set_attn_implementation("eager")
    expected = by_hand(plain)
    packed.set_attn_implementation(packing.ATTENTION)
    model, batch = LanguageModel(packed), packing.pack(ITEMS)
    assert model.fused is not name.startswith("gemma2")
    logps = model.logprobs(packed, batch)
    assert model.by_answer(logps, batch).tolist() == pytest.approx(expected, rel=1e-4)
    assert model.tokens(batch).tolist() == [3, 5, 1, 2, 2, 1]
    (logps * batch["weights"]).sum().backward()
    for (key, a), (_, b) in zip(plain.named_parameters(), packed.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=2e-4, atol=2e-6, msg=f"{name} {key}")


def test_a_batch_says_what_is_in_it() -> None:
    batch = packing.pack([item._replace(row=at) for at, item in enumerate(ITEMS)])
    assert batch["layout"] == [[4, 3, 5, 1], [1, 2], [2, 3, 1]]
    assert batch["position_ids"][0].tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 4, 0, 1, 2, 0, 1, 2, 3, 4, 2]
    assert packing.totals([batch]).tolist() == [3, 6, 14, 14.5, 7, 0]
    assert packing.unpack(batch)[1] == [[8], [40, 2]]
    assert batch["marks"].tolist() == [6, 11, 12, 15, 20, 21]
    one = packing.pick(packing.pack([ITEMS[0], ITEMS[2]]), 1)
    assert one["layout"] == [[4, 5], [2, 1]]
    assert one["targets"].tolist() == [30, 31, 32, 33, 2, 22]
    first = packing.pick(batch, 0)
    assert first["weights"].tolist() == [1, 1, 1, 0.5, 2, 1, 1]
    assert first["targets"].tolist() == [11, 12, 2, 40, 2, 21, 23]


def test_noise_on_embeddings_is_of_the_size_that_neftune_says(tiny_model: Path) -> None:
    network: Any = load(str(tiny_model)).model
    network.set_attn_implementation(packing.ATTENTION)
    batch, seen = packing.pack(ITEMS), []
    plain = network.get_input_embeddings()(batch["input_ids"]).detach()
    model = LanguageModel(network, neftune=5.0)
    network.get_decoder().layers[0].register_forward_pre_hook(
        lambda _module, given, named: seen.append((given or (named["hidden_states"],))[0].detach()), with_kwargs=True
    )
    model.logprobs(network.eval(), batch)
    assert torch.equal(seen[-1], plain)
    model.logprobs(network.train(), batch)
    size, first = network.config.hidden_size, 4 + 3 + 5 + 1
    noise = (seen[-1] - plain).abs()
    for part, length in ((noise[0, :first], first), (noise[0, first : first + 3], 3)):
        bound = 5 / (length * size) ** 0.5
        assert 0.8 * bound < float(part.max()) <= bound * 1.0001
