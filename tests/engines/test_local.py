from pathlib import Path

import pytest
import torch

from porism.engines import Request, Sampling
from porism.engines.local import Local
from porism.engines.scripted import Scripted
from porism.errors import ModelError, RecipeError
from porism.models import memory
from porism.models.load import load
from porism.prompts.render import encode
from porism.records import Message


def ask(text: str, **settings: object) -> Request:
    n, seed = settings.pop("n", 1), settings.pop("seed", 0)
    sampling = Sampling(**{"max_tokens": 12, **settings})  # type: ignore[arg-type]
    return Request(messages=[Message(role="user", content=text)], sampling=sampling, n=n, seed=seed)  # type: ignore[arg-type]


PROMPTS = ["Hi", "What is 3 + 4?", "A longer question about nothing in particular, to be padded against.", "?!"]


def test_greedy_equals_transformers_one_at_a_time(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    replies = Local(loaded, batch_size=3).generate([ask(text) for text in PROMPTS])
    for text, reply in zip(PROMPTS, replies, strict=True):
        ids = encode(loaded.tokenizer, [Message(role="user", content=text)])
        out = loaded.model.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=12, do_sample=False
        )[0, len(ids) :]
        assert reply.samples[0].text == loaded.tokenizer.decode(out, skip_special_tokens=True)
        assert reply.prompt_tokens == len(ids)


def test_a_shared_prefix_changes_nothing(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked examples in front of every question are computed once; the answers are those of each prompt alone."""
    loaded = load(str(tiny_model))
    lead = [Message(role="system", content="Some rules that every prompt begins with, well over the limit.")]
    requests = [
        Request(messages=[*lead, Message(role="user", content=text)], sampling=Sampling(max_tokens=9))
        for text in PROMPTS
    ]
    seen = []
    true_forward = Local._forward

    def forward(self: Local, cache: object, ids: list[list[int]], keep: list[int], **rest: int) -> torch.Tensor:
        seen.append(sum(map(len, ids)))
        return true_forward(self, cache, ids, keep, **rest)

    monkeypatch.setattr(Local, "_forward", forward)
    together = Local(loaded).generate(requests)
    whole = sum(len(encode(loaded.tokenizer, request.messages)) for request in requests)
    assert sum(seen) < whole - 3 * 50, "the beginning was computed once, not four times"
    for request, reply in zip(requests, together, strict=True):
        ids = encode(loaded.tokenizer, request.messages)
        mask = torch.ones(1, len(ids))
        out = loaded.model.generate(
            input_ids=torch.tensor([ids]), attention_mask=mask, max_new_tokens=9, do_sample=False
        )
        assert reply.samples[0].text == loaded.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)


def test_a_sample_depends_on_its_own_seed_alone(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    hot = {"temperature": 1.0, "n": 3, "seed": 5}
    alone = Local(loaded).generate([ask(PROMPTS[0], **hot)])[0].samples
    among = Local(loaded, batch_size=2).generate([ask(text, **hot) for text in PROMPTS])[0].samples
    assert alone == among
    assert len({sample.text for sample in alone}) == 3
    other = Local(loaded).generate([ask(PROMPTS[0], **{**hot, "seed": 6})])[0].samples
    assert other != alone


def test_sampling_follows_the_models_probabilities(tiny_model: Path) -> None:
    """First tokens of many samples against the softmax: total variation within what n allows."""
    loaded = load(str(tiny_model))
    n = 3000
    reply = Local(loaded, batch_size=1000).generate([ask("Hi", temperature=0.7, max_tokens=1, n=n, seed=1)])[0]
    ids = torch.tensor([encode(loaded.tokenizer, [Message(role="user", content="Hi")])])
    with torch.inference_mode():
        p = torch.softmax(loaded.model(ids).logits[0, -1].float() / 0.7, -1)
    texts = [loaded.tokenizer.decode([token], skip_special_tokens=True) for token in range(len(p))]
    expected: dict[str, float] = {}
    for text, share in zip(texts, p.tolist(), strict=True):
        expected[text] = expected.get(text, 0) + share
    found = {text: sum(s.text == text for s in reply.samples) / n for text in {s.text for s in reply.samples}}
    distance = 0.5 * sum(abs(expected.get(text, 0) - found.get(text, 0)) for text in {*expected, *found})
    noise = 0.5 * sum((share * (1 - share) / n) ** 0.5 for share in expected.values())
    assert distance < 1.5 * noise


def test_top_k_and_top_p_narrow_the_choice(tiny_model: Path) -> None:
    engine = Local(load(str(tiny_model)))
    greedy = engine.generate([ask("Hi")])[0].samples[0]
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}):
        assert engine.generate([ask("Hi", temperature=2.0, seed=3, **narrow)])[0].samples[0] == greedy


def test_rows_that_end_early_leave_the_others_alone(tiny_model: Path) -> None:
    """Long answers of many lengths, cut by end tokens and stop strings, equal those of each prompt on its own."""
    loaded = load(str(tiny_model))
    requests = [
        ask(text, temperature=1.5, max_tokens=70, seed=seed, stop=("a", "7")) for seed in range(4) for text in PROMPTS
    ]
    together = Local(loaded, batch_size=16).generate(requests)
    assert len({reply.samples[0].tokens for reply in together}) > 2
    for request, reply in zip(requests, together, strict=True):
        assert Local(loaded).generate([request])[0] == reply


def test_stops_at_a_text_and_at_the_limit(tiny_model: Path) -> None:
    engine = Local(load(str(tiny_model)))
    whole = engine.generate([ask("Hi", max_tokens=12)])[0].samples[0]
    assert whole.finish == "length"
    assert whole.tokens == 12
    stop = whole.text[3:5]
    cut = engine.generate([ask("Hi", max_tokens=12, stop=(stop,))])[0].samples[0]
    assert (cut.text, cut.finish) == (whole.text[: whole.text.index(stop)], "stop")
    assert 0 < cut.tokens < 12


def test_a_prompt_that_does_not_fit_is_an_error_not_an_answer(tiny_model: Path) -> None:
    long, short = Local(load(str(tiny_model))).generate([ask("x" * 300), ask("Hi")])
    assert long.samples[0].finish == "error"
    assert "tokens, but the context" in long.samples[0].error
    assert short.samples[0].finish == "length"


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_p": 0.0},
        {"top_p": 1.2},
        {"temperature": -1},
        {"max_tokens": 0},
        {"top_k": -1},
        {"stop": ("",)},
        {"stop": tuple("abcdefghijklmnopq")},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"regex": "a+", "json_schema": "{}"},
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_scripted_answers() -> None:
    engine = Scripted({"a?": ["one", "two"], "b?": "x y z STOP w"}, default="none")
    replies = engine.generate([ask("a?", n=3), ask("b?", stop=("STOP",)), ask("b?", max_tokens=2), ask("c?")])
    assert [sample.text for sample in replies[0].samples] == ["one", "two", "one"]
    assert replies[1].samples[0].text == "x y z "
    assert (replies[2].samples[0].text, replies[2].samples[0].finish) == ("x y", "length")
    assert replies[3].samples[0].text == "none"
    assert len(engine.requests) == 4


def test_what_cannot_be_answered_is_said_at_once(tiny_model: Path) -> None:
    engine = Local(load(str(tiny_model)))
    broken, fine = engine.generate([ask("half \ud800", n=2), ask("Hi")])
    assert [sample.finish for sample in broken.samples] == ["error"] * 2
    assert "cannot be tokenised" in broken.samples[0].error
    assert fine.samples[0].finish != "error"
    unknown, fine = engine.generate([Request(ids=ids, sampling=Sampling(max_tokens=4)) for ids in ([5, 9000, 7], [5, 7])])
    assert "the token id 9000, and the model's go from 0 to" in unknown.samples[0].error
    assert fine.samples[0].finish != "error"
    with pytest.raises(RecipeError, match="logit_bias: expected token ids from 0 to .* got -1"):
        engine.generate([ask("Hi", logit_bias=((-1, 2.0),))])
    with pytest.raises(RecipeError, match="max_tokens: expected fewer than the 256 tokens .* got 256"):
        engine.generate([ask("Hi", max_tokens=256)])


@pytest.mark.parametrize("stop", ["\u3002\u3002\u3002", "\U0001f600\U0001f601", "\u00e9t\u00e9"])
def test_a_stop_string_of_many_bytes_is_found(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """Each byte is a token of this tokenizer, so the stop string has several times as many tokens as characters."""
    loaded = load(str(tiny_model))
    script = loaded.tokenizer(f"ab{stop}cd", add_special_tokens=False)["input_ids"]
    assert len(script) > 4 + len(stop)

    def scripted(logits: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.tensor([script[said.pop(0)]] * len(logits))

    monkeypatch.setattr("porism.engines._sampling.choose", scripted)
    said = list(range(len(script)))
    sample = Local(loaded).generate([ask("Hi", max_tokens=len(script), stop=(stop,))])[0].samples[0]
    assert (sample.text, sample.finish) == ("ab", "stop")
    assert len(said) == 2, "it ends with the stop string's last token"


def test_few_rows_at_a_time_where_little_memory_is_free(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(str(tiny_model))
    requests = [ask(text, temperature=1.0, n=3) for text in PROMPTS]
    plenty = Local(loaded).generate(requests)
    shape = memory.shape_of(loaded.model.config, 0)
    longest = max(reply.prompt_tokens for reply in plenty)
    row = memory.cache_bytes(loaded.model.config, 12 + 2 * longest, 4)
    assert row == (12 + 2 * longest) * 2 * 4 * shape.layers * shape.key
    widths = []
    true_step = Local._step

    def step(self: Local, call: object, cache: object, rows: list[object]) -> None:
        widths.append(len(rows))
        true_step(self, call, cache, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Local, "_step", step)
    monkeypatch.setattr(memory, "available", lambda: memory.Memory("memory", 10**9, 2 * 5 * row + row))
    assert Local(loaded).generate(requests) == plenty
    assert max(widths) == 5
    monkeypatch.setattr(memory, "available", lambda: memory.Memory("memory", 10**9, 0))
    assert Local(loaded).generate(requests[:1]) == plenty[:1]


def test_what_does_not_fit_is_not_scored(tiny_model: Path) -> None:
    engine = Local(load(str(tiny_model)))
    with pytest.raises(ModelError, match=r"the prompt has \d+ tokens, but the context and the completion leave room"):
        engine.score([(ask("Hi"), "x" * 300)])
    with pytest.raises(ModelError, match="cannot be tokenised"):
        engine.score([(ask("Hi"), "\ud800")])
    engine.close()
    engine.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_tokens_are_those_of_generate(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    expected = Local(loaded).generate([ask(text) for text in PROMPTS])
    loaded.model.to("cuda")
    engine = Local(loaded)
    found = engine.generate([ask(text) for text in PROMPTS])
    assert [reply.samples[0].ids for reply in found] == [reply.samples[0].ids for reply in expected]
    hot = ask("Hi", temperature=0.8, top_p=0.9, n=4, seed=2)
    assert engine.generate([hot]) == engine.generate([hot])
    assert engine.generate([ask("Hi", regex="[0-9]{4}")])[0].samples[0].text.isdigit()
    (scores,) = engine.score([(Request(text="What is"), " it")])
    assert all(score < 0 for score in scores)
