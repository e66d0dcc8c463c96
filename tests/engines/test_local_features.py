"""Streaming, cancelling, forced beginnings, biases, stop strings and guided answers of the local engine."""

import json
import logging
import re
from pathlib import Path
from threading import Event

import pytest

from porism.engines import Request, Sampling
from porism.engines.local import Local
from porism.errors import ModelError, RecipeError
from porism.models.load import load
from porism.records import Message


def ask(text: str = "Hi", n: int = 1, seed: int = 3, prefix: str = "", **settings: object) -> Request:
    sampling = Sampling(**{"max_tokens": 24, "temperature": 1.0, **settings})  # type: ignore[arg-type]
    return Request(messages=[Message(role="user", content=text)], sampling=sampling, n=n, seed=seed, prefix=prefix)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Local:
    return Local(load(str(tiny_model)))


def test_what_is_streamed_is_what_is_answered(engine: Local) -> None:
    plain = engine.generate([ask(n=2), ask("Ho", stop=("a",))])
    stop = plain[0].samples[0].text[4:7]
    requests = [ask(n=2, stop=(stop,)), ask("Ho")]
    told: dict[tuple[int, int], str] = {}
    pieces = []

    def on_text(request: int, sample: int, text: str) -> None:
        told[request, sample] = told.get((request, sample), "") + text
        pieces.append(text)

    replies = engine.generate(requests, on_text=on_text)
    for index, reply in enumerate(replies):
        for number, sample in enumerate(reply.samples):
            assert told.get((index, number), "") == sample.text
    assert len(pieces) > 10
    assert stop not in replies[0].samples[0].text


def test_a_stop_string_over_several_tokens_ends_the_answer_before_it(engine: Local) -> None:
    whole = engine.generate([ask()])[0].samples[0]
    stop = whole.text[5:9]
    assert len(stop) == 4
    cut = engine.generate([ask(stop=(stop,))])[0].samples[0]
    assert (cut.text, cut.finish) == (whole.text[: whole.text.index(stop)], "stop")
    assert cut.ids == whole.ids[: len(cut.ids)]


def test_cancelling_ends_what_is_under_way(engine: Local) -> None:
    cancel = Event()
    seen = []

    def on_text(request: int, sample: int, text: str) -> None:
        seen.append(text)
        if len(seen) == 3:
            cancel.set()

    replies = engine.generate([ask(max_tokens=150), ask("Ho", max_tokens=150)], on_text=on_text, cancel=cancel)
    assert [reply.samples[0].error for reply in replies] == ["cancelled", "cancelled"]
    assert len(seen) < 10
    whole = engine.generate([ask(max_tokens=150), ask("Ho", max_tokens=150)])
    for cut, made in zip(replies, whole, strict=True):  # what was made before stays
        assert 0 < cut.samples[0].tokens == len(cut.samples[0].ids) < 10
        assert cut.samples[0].ids == made.samples[0].ids[: cut.samples[0].tokens]
    assert "".join(seen).startswith(replies[0].samples[0].text[:1])


def test_half_a_character_is_told_plainly(engine: Local) -> None:
    reply, good = engine.generate([ask("\ud800"), ask()])
    assert reply.samples[0].error == "the prompt cannot be tokenised: it holds half a character (a lone surrogate)"
    assert good.samples[0].error == ""
    with pytest.raises(ModelError, match="half a character"):
        engine.score([(ask(), "\udfff")])


def test_an_empty_completion_has_no_scores(engine: Local) -> None:
    assert engine.score([(ask(), "")]) == [[]]
    assert [len(row) > 0 for row in engine.score([(ask(), ""), (ask(), "Ho")])] == [False, True]


def test_a_long_prompt_gets_its_error_and_nothing_else_is_said(
    engine: Local, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    long = "word " * 20_000
    said = engine.generate([ask(long)])[0].samples[0].error
    assert "leave room for" in said
    assert "sequence length" not in caplog.text


def test_an_answer_begins_with_its_prefix(engine: Local) -> None:
    sampling = Sampling(max_tokens=24, temperature=1.0, stop=("The",))
    message = [Message(role="user", content="Hi")]
    sample, free = (
        engine.generate([Request(messages=message, prefix=prefix, sampling=sampling, seed=3, logprobs=True)])[
            0
        ].samples[0]
        for prefix in ("The answer is ", "")
    )
    assert sample.text.startswith("The answer is ")
    assert len(sample.text) > len("The answer is ")
    assert sample.logprobs[0] != free.logprobs[0], "the model has read the prefix"


def test_a_bias_forces_a_token(engine: Local) -> None:
    sample = engine.generate([ask(logit_bias=((70, 100.0),), max_tokens=5)])[0].samples[0]
    assert set(sample.ids) == {70}


def test_an_answer_follows_a_json_schema(engine: Local) -> None:
    pytest.importorskip("llguidance")
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}, "ok": {"type": "boolean"}},
        "required": ["n", "ok"],
        "additionalProperties": False,
    }
    reply = engine.generate([ask(n=4, json_schema=json.dumps(schema), max_tokens=120)])[0]
    finished = [json.loads(sample.text) for sample in reply.samples if sample.finish == "stop"]
    assert finished
    assert all(set(value) == {"n", "ok"} and 0 <= value["n"] <= 99 for value in finished)


def test_an_answer_matches_a_regular_expression(engine: Local) -> None:
    pytest.importorskip("llguidance")
    pattern = r"#### -?[0-9]{1,3}"
    for sample in engine.generate([ask(n=4, regex=pattern, max_tokens=40)])[0].samples:
        assert sample.finish == "stop"
        assert re.fullmatch(pattern, sample.text), sample


@pytest.mark.parametrize(
    ("setting", "value"), [("regex", "("), ("json_schema", "{"), ("json_schema", '{"type": "nothing"}')]
)
def test_a_grammar_that_is_not_valid_is_refused(engine: Local, setting: str, value: str) -> None:
    pytest.importorskip("llguidance")
    with pytest.raises(RecipeError, match=setting):
        engine.generate([ask(**{setting: value})])


def test_replies_carry_the_version_of_the_weights(tiny_model: Path) -> None:
    engine = Local(load(str(tiny_model)))
    assert engine.generate([ask()])[0].weights == 0
    engine.weights_changed()
    assert engine.generate([ask()])[0].weights == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "one of messages, text and ids"),
        ({"text": "a", "ids": [1]}, "one of"),
        ({"text": "a", "n": 0}, "n: expected at least 1"),
    ],
)
def test_a_request_has_one_prompt(fields: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Request(**fields)  # type: ignore[arg-type]
