"""The local engine on the layouts of other model families: the tokens of transformers' own ``generate``."""

import json
from pathlib import Path

import peft
import pytest
import torch
import transformers

from porism.engines import Request, Sampling
from porism.engines._attention import Cache
from porism.engines.local import Local
from porism.models.load import Loaded, load

COMMON = {
    "vocab_size": 303,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "eos_token_id": 2,
    "bos_token_id": 1,
    "pad_token_id": 0,
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**COMMON),
    "qwen2": lambda: transformers.Qwen2Config(**COMMON),
    "qwen3": lambda: transformers.Qwen3Config(**COMMON),
    "mistral, sliding window": lambda: transformers.MistralConfig(**COMMON, sliding_window=16),
    "gemma 2, soft caps and sliding window": lambda: transformers.Gemma2Config(
        **COMMON, sliding_window=16, query_pre_attn_scalar=8
    ),
    "gemma 3, sliding window": lambda: transformers.Gemma3TextConfig(
        **COMMON, sliding_window=16, query_pre_attn_scalar=8, sliding_window_pattern=2
    ),
}


@pytest.fixture(params=CONFIGS)
def loaded(request: pytest.FixtureRequest, tiny_model: Path) -> Loaded:
    """A random model of the family, with weights large enough that its answers differ from prompt to prompt."""
    torch.manual_seed(4)
    network = transformers.AutoModelForCausalLM.from_config(CONFIGS[request.param]()).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return Loaded(network, load(str(tiny_model)).tokenizer, tiny_model, request.param)


def prompts(count: int, *, shared: int = 0) -> list[list[int]]:
    drawn = torch.Generator().manual_seed(7)
    lead = torch.randint(3, 300, (shared,), generator=drawn).tolist()
    lengths = torch.randint(1, 60, (count,), generator=drawn).tolist()
    return [lead + torch.randint(3, 300, (length,), generator=drawn).tolist() for length in lengths]


def alone(loaded: Loaded, ids: list[int], tokens: int) -> list[int]:
    out = loaded.model.generate(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=tokens, do_sample=False
    )
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("shared", [0, 40])
def test_greedy_tokens_are_those_of_generate(loaded: Loaded, shared: int) -> None:
    """64 prompts of 1 to 100 tokens, more than fit at once, so that rows end and others come in."""
    asked = prompts(64, shared=shared)
    requests = [Request(ids=ids, sampling=Sampling(max_tokens=20)) for ids in asked]
    replies = Local(loaded, batch_size=24).generate(requests)
    answers = [list(reply.samples[0].ids) for reply in replies]
    assert answers == [alone(loaded, ids, 20) for ids in asked]
    assert len({tuple(answer) for answer in answers}) > 30


def test_one_row_alone_says_what_generate_says(loaded: Loaded) -> None:
    """Its prompt and own tokens lie in one piece, which grows, and in which a window slides."""
    engine = Local(loaded)
    for ids in prompts(4):
        request = Request(ids=ids, sampling=Sampling(max_tokens=150), logprobs=True)
        (sample,) = engine.generate([request])[0].samples
        assert list(sample.ids) == alone(loaded, ids, 150)
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([[*ids, *sample.ids]]), use_cache=False).logits[0, len(ids) - 1 : -1]
        plain = logits.log_softmax(-1)[range(len(sample.ids)), list(sample.ids)]
        torch.testing.assert_close(torch.tensor(sample.logprobs), plain, atol=1e-4, rtol=0)


def test_a_row_that_is_alone_stays_alone() -> None:
    cache = Cache(alone=True)
    cache.admit(0)
    with pytest.raises(RuntimeError, match="a second row"):
        cache.admit(0)


def test_logprobs_are_those_of_a_plain_forward_pass(loaded: Loaded) -> None:
    requests = [
        Request(ids=ids, sampling=Sampling(max_tokens=9, temperature=1.3, top_k=50), n=2, seed=3, logprobs=True)
        for ids in prompts(6)
    ]
    for request, reply in zip(requests, Local(loaded).generate(requests), strict=True):
        for sample in reply.samples:
            ids = torch.tensor([[*request.ids, *sample.ids]])
            with torch.inference_mode():
                scores = torch.log_softmax(loaded.model(ids).logits[0].float(), -1)
            first = len(request.ids) - 1
            expected = [scores[first + at, token].item() for at, token in enumerate(sample.ids)]
            assert sample.logprobs == pytest.approx(expected, abs=1e-4)


def test_eight_samples_are_eight_requests(loaded: Loaded) -> None:
    sampling = Sampling(max_tokens=12, temperature=1.0)
    ids = prompts(3)[1]
    together = Local(loaded).generate([Request(ids=ids, sampling=sampling, n=8, seed=11)])[0].samples
    among = Local(loaded, batch_size=5).generate(
        [Request(ids=other, sampling=sampling, n=8, seed=11) for other in prompts(3)]
    )
    assert among[1].samples == together
    single = [Request(ids=ids, sampling=sampling, seed=11, first=number) for number in range(8)]
    assert tuple(reply.samples[0] for reply in Local(loaded).generate(single)) == together
    assert len({sample.ids for sample in together}) > 4


def test_score_is_the_sum_that_generation_tells(loaded: Loaded) -> None:
    engine = Local(loaded)
    tokenizer = loaded.tokenizer
    pairs = [(Request(text="abc 12"), " def"), (Request(text="What is 3 + 4? It"), " is 7."), (Request(text="x"), "y")]
    for (request, text), scores in zip(pairs, engine.score(pairs), strict=True):
        prompt = tokenizer(request.text)["input_ids"]
        completion = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([prompt + completion])).logits[0].float()
        expected = torch.log_softmax(logits, -1)[range(len(prompt) - 1, len(prompt) + len(completion) - 1), completion]
        assert scores == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_model_attends_as_before_afterwards(loaded: Loaded) -> None:
    before = loaded.model.config._attn_implementation
    ids = torch.tensor([prompts(1)[0]])
    with torch.inference_mode():
        expected = loaded.model(ids).logits
        Local(loaded).generate([Request(ids=[5, 6, 7], sampling=Sampling(max_tokens=3))])
        assert torch.equal(loaded.model(ids).logits, expected)
    assert loaded.model.config._attn_implementation == before


def test_an_adapter_answers_without_being_merged(tiny_model: Path, tmp_path: Path) -> None:
    """The tokens of ``generate`` on the adapted model, and other tokens than the base's."""
    base = load(str(tiny_model))
    torch.manual_seed(8)
    config = peft.LoraConfig(
        r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    peft.get_peft_model(base.model, config).save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": str(tiny_model)}))
    adapted = load(str(tmp_path / "adapter"))
    assert isinstance(adapted.model, peft.PeftModel)
    most = base.model.config.vocab_size
    asked = [[token % most for token in ids] for ids in prompts(12)]
    requests = [Request(ids=ids, sampling=Sampling(max_tokens=16)) for ids in asked]
    found = [reply.samples[0].ids for reply in Local(adapted).generate(requests)]
    assert found == [tuple(alone(adapted, list(request.ids), 16)) for request in requests]
    assert found != [reply.samples[0].ids for reply in Local(load(str(tiny_model))).generate(requests)]
    assert [name for name, _ in adapted.model.named_parameters() if "lora_" in name]
