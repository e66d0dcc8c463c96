from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from porism.engines import Request, Sampling
from porism.engines.local import Local
from porism.errors import ModelError
from porism.models.load import load
from porism.models.tokens import add_tokens
from porism.records import Message

THINK = ["<think>", "</think>"]


@pytest.fixture(params=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model, or one whose output layer has weights of its own."""
    if request.param == "tied":
        return tiny_model
    config = transformers.LlamaConfig.from_pretrained(tiny_model, tie_word_embeddings=False)
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "untied")
    load(str(tiny_model)).tokenizer.save_pretrained(tmp_path / "untied")
    return tmp_path / "untied"


def logits(network: Any) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.arange(3, 40)[None]).logits[0]


def test_old_tokens_keep_their_logits_and_rows_are_as_documented(folder: Path, tmp_path: Path) -> None:
    loaded = load(str(folder))
    network, tokenizer = loaded.model, loaded.tokenizer
    tied = network.config.tie_word_embeddings
    before, old = logits(network), len(tokenizer)
    parts = {token: tokenizer(token, add_special_tokens=False)["input_ids"] for token in THINK}
    tables = {
        "in": network.get_input_embeddings().weight.clone(),
        "out": network.get_output_embeddings().weight.clone(),
    }
    ids = add_tokens(network, tokenizer, THINK)
    assert ids == {"<think>": old, "</think>": old + 1}
    torch.testing.assert_close(logits(network)[:, :old], before[:, :old], atol=1e-5, rtol=0)
    after = {"in": network.get_input_embeddings().weight, "out": network.get_output_embeddings().weight}
    assert (after["in"] is after["out"]) == tied
    assert len(after["in"]) == len(after["out"]) == network.config.vocab_size == old + 2
    for name, table in tables.items():
        for token, number in ids.items():
            rows = table[parts[token]].detach()
            row = after[name][number].detach()
            assert torch.cosine_similarity(row, rows.mean(0), dim=0) > 1 - 1e-6
            assert row.norm() == pytest.approx(float(rows.norm(dim=1).mean()), rel=1e-5)
    network.save_pretrained(tmp_path / "grown")
    tokenizer.save_pretrained(tmp_path / "grown")
    again = load(str(tmp_path / "grown"))
    torch.testing.assert_close(logits(again.model), logits(network))
    assert again.model.config.tie_word_embeddings == tied
    text = "<think>1 + 1</think>2"
    encoded = again.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert (encoded[0], encoded.count(old + 1)) == (old, 1)
    assert again.tokenizer.decode(encoded, skip_special_tokens=True) == text, "visible text"


def test_a_special_token_is_dropped_from_decoded_text(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load(str(tiny_model))
    add_tokens(loaded.model, loaded.tokenizer, ["<|call|>"], special=True)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids = again("a<|call|>b", add_special_tokens=False)["input_ids"]
    assert len(ids) == 3
    assert again.decode(ids, skip_special_tokens=True) == "ab"
    assert again.decode(ids) == "a<|call|>b"


def test_a_description_is_where_a_token_begins(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    described = loaded.tokenizer("hmm", add_special_tokens=False)["input_ids"]
    rows = loaded.model.get_input_embeddings().weight[described].clone()
    ids = add_tokens(loaded.model, loaded.tokenizer, ["<think>"], descriptions={"<think>": "hmm"})
    row = loaded.model.get_input_embeddings().weight[ids["<think>"]]
    assert torch.cosine_similarity(row, rows.mean(0), dim=0) > 1 - 1e-6


def test_rows_that_fill_up_a_multiple(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    mean, old = loaded.model.get_input_embeddings().weight.mean(0), len(loaded.tokenizer)
    ids = add_tokens(loaded.model, loaded.tokenizer, THINK, multiple=64)
    table = loaded.model.get_input_embeddings().weight
    assert len(table) % 64 == 0
    assert len(table) >= old + 2
    torch.testing.assert_close(table[-1], mean, atol=1e-6, rtol=0)
    assert len(table) == loaded.model.config.vocab_size
    assert add_tokens(loaded.model, loaded.tokenizer, [*THINK, "<answer>"])["</think>"] == ids["</think>"]
    assert len(loaded.model.get_input_embeddings().weight) == len(table), "there was room"


def test_a_token_that_is_there_is_left_as_it_is(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    before = loaded.model.get_input_embeddings().weight.clone()
    ids = add_tokens(loaded.model, loaded.tokenizer, ["<|im_end|>"])
    assert ids == {"<|im_end|>": loaded.tokenizer.eos_token_id}
    assert torch.equal(loaded.model.get_input_embeddings().weight, before)


@pytest.mark.parametrize(
    ("tokens", "options"),
    [([], {}), ([""], {}), (["  "], {}), (["<a>"], {"descriptions": {"<b>": "x"}}), (["<a>"], {"multiple": 0})],
)
def test_what_cannot_be_added(tiny_model: Path, tokens: list[str], options: dict[str, Any]) -> None:
    loaded = load(str(tiny_model))
    with pytest.raises(ModelError, match="add tokens"):
        add_tokens(loaded.model, loaded.tokenizer, tokens, **options)


@pytest.mark.parametrize("special", [False, True])
def test_the_local_engine_writes_them(folder: Path, tmp_path: Path, special: bool) -> None:
    loaded = load(str(folder))
    ids = add_tokens(loaded.model, loaded.tokenizer, THINK, special=special, multiple=8)
    loaded.model.save_pretrained(tmp_path / "grown")
    loaded.tokenizer.save_pretrained(tmp_path / "grown")
    bias = tuple((number, 100.0) for number in ids.values())
    request = Request(
        messages=[Message(role="user", content="<think>?")], sampling=Sampling(max_tokens=3, logit_bias=bias)
    )
    sample = Local(load(str(tmp_path / "grown"))).generate([request])[0].samples[0]
    assert (("<think>" in sample.text) or ("</think>" in sample.text)) != special
    assert sample.tokens == 3
