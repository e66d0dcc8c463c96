"""Models that do not run on the cached attention: ``generate`` runs them, and everything else stays as it is."""

from pathlib import Path
from threading import Event

import pytest
import torch
import transformers

from porism.engines import Request, Sampling
from porism.engines._fallback import unfit
from porism.engines.local import Local
from porism.models.load import Loaded, load

SMALL = {"vocab_size": 303, "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": 2, "pad_token_id": 0}
UNFIT = {
    "mamba": lambda: transformers.MambaConfig(
        **SMALL, state_size=4, expand=2, num_heads=4, max_position_embeddings=128
    ),
    "bloom": lambda: transformers.BloomConfig(
        vocab_size=303, hidden_size=32, n_layer=2, n_head=4, eos_token_id=2, pad_token_id=0
    ),
}
FIT = {
    "gpt-2": lambda: transformers.GPT2Config(vocab_size=303, n_embd=32, n_layer=2, n_head=4, eos_token_id=2),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(
        **SMALL, num_attention_heads=4, intermediate_size=64, max_position_embeddings=128
    ),
    "qwen 3 with experts": lambda: transformers.Qwen3MoeConfig(
        **SMALL,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=128,
    ),
}
PROMPTS = [[5, 9, 17], [4, 8, 15, 16, 23, 42], [7, 7, 9], [100, 200, 300, 44, 55, 66]]


def made(config: transformers.PretrainedConfig, tiny_model: Path) -> Loaded:
    torch.manual_seed(3)
    network = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return Loaded(network, load(str(tiny_model)).tokenizer, tiny_model, "tiny")


def greedy(loaded: Loaded, ids: list[int], tokens: int) -> tuple[int, ...]:
    out = loaded.model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return tuple(out[0, len(ids) :].tolist())


@pytest.mark.parametrize("name", [*UNFIT, *FIT])
def test_greedy_tokens_are_those_of_generate(name: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one warning where the model does not fit, none where it does."""
    loaded = made({**UNFIT, **FIT}[name](), tiny_model)
    assert bool(unfit(loaded.model)) == (name in UNFIT)
    engine = Local(loaded)
    sampling = Sampling(max_tokens=12)
    for _ in range(2):
        replies = engine.generate([Request(ids=ids, sampling=sampling) for ids in PROMPTS])
        assert [reply.samples[0].ids for reply in replies] == [greedy(loaded, ids, 12) for ids in PROMPTS]
    assert capsys.readouterr().err.count("generate answers instead") == (name in UNFIT)


def test_an_unfit_model_keeps_the_interface(tiny_model: Path) -> None:
    """Seeds of single samples, stop strings, log-probabilities, scores, streams and cancelling."""
    engine = Local(made(UNFIT["bloom"](), tiny_model), batch_size=3)
    hot = Sampling(temperature=1.0, max_tokens=10)
    requests = [Request(ids=ids, sampling=hot, n=3, seed=at, logprobs=True) for at, ids in enumerate(PROMPTS)]
    heard: dict[tuple[int, int], str] = {}

    def listen(request: int, sample: int, text: str) -> None:
        heard[request, sample] = heard.get((request, sample), "") + text

    together = engine.generate(requests, on_text=listen)
    for at, request in enumerate(requests):
        alone = engine.generate([request])[0]
        assert [sample.ids for sample in alone.samples] == [sample.ids for sample in together[at].samples]
        assert all(heard.get((at, i), "") == sample.text for i, sample in enumerate(alone.samples))
    sample = together[0].samples[0]
    whole = torch.tensor([[*PROMPTS[0], *sample.ids]])
    with torch.inference_mode():
        scores = torch.log_softmax(engine._network(whole).logits[0].float(), -1)
    expected = [float(scores[len(PROMPTS[0]) - 1 + at, token]) for at, token in enumerate(sample.ids)]
    assert sample.logprobs == pytest.approx(expected, abs=1e-4)
    text = engine.generate([Request(text="Hi", sampling=Sampling(max_tokens=12))])[0].samples[0].text
    stop = text[4:6]
    cut = engine.generate([Request(text="Hi", sampling=Sampling(max_tokens=12, stop=(stop,)))])[0].samples[0]
    assert (cut.text, cut.finish) == (text[: text.index(stop)], "stop")
    (scored,) = engine.score([(Request(text="Hi"), text)])
    assert len(scored) == len(engine._tokenizer(text, add_special_tokens=False)["input_ids"])
    cancelled = Event()
    cancelled.set()
    assert engine.generate(requests[:1], cancel=cancelled)[0].samples[0].error == "cancelled"


def test_a_model_with_another_meaning_of_attention_does_not_fit(tiny_model: Path) -> None:
    """Gpt-oss gives attention sinks along with the queries; the cached attention knows none."""
    config = transformers.GptOssConfig(
        **SMALL,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=32,
        num_local_experts=2,
        num_experts_per_tok=1,
        max_position_embeddings=128,
    )
    assert "differ" in unfit(made(config, tiny_model).model)


def test_the_models_own_generation_settings_are_not_used(tiny_model: Path) -> None:
    """A penalty in the model's own file would change logits before we choose, and the log-probabilities with them."""
    loaded = made(UNFIT["bloom"](), tiny_model)
    requests = [Request(ids=ids, sampling=Sampling(max_tokens=12), logprobs=True) for ids in PROMPTS]
    plain = Local(loaded).generate(requests)
    own = loaded.model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size, own.suppress_tokens = 1.7, 2, [7, 8, 9]
    assert Local(loaded).generate(requests) == plain
    assert loaded.model.generation_config is own
