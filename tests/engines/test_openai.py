"""The engine behind HTTP, against a real server on loopback that misbehaves on demand."""

import builtins
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

from fake_openai import Act, Fake, Seen

from conftest import lines, problem
from porism import pipeline, recipe, store
from porism.engines import Reply, Request, Sampling, openai
from porism.engines._calls import _retry_after
from porism.engines._streams import Cutter
from porism.errors import DataError, MissingExtra, ModelError, RecipeError
from porism.records import to_row

KEY = "sk-test-0123456789-secret"
FAST = {"backoff": 0.01, "timeout": 20.0}

Start = Callable[..., openai.OpenAI]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts engines, and closes them at the end."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    engines = []

    def started(fake: Fake, model: str = "m", **settings: Any) -> openai.OpenAI:
        engines.append(openai.start(model, base_url=fake.url, **{**FAST, **settings}))
        return engines[-1]

    yield started
    for engine in engines:
        engine.close()


def chat(text: str = "hi", **changes: Any) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **changes)


def raw(text: str = "once upon", **changes: Any) -> Request:
    return Request(text=text, **changes)


def texts(replies: list[Reply]) -> list[list[str]]:
    return [[sample.text for sample in reply.samples] for reply in replies]


def only(replies: list[Reply]) -> Any:
    ((sample,),) = (reply.samples for reply in replies)
    return sample


def echo(body: dict[str, Any], number: int) -> str:
    """The last word that was asked, and the choice's number."""
    return f"{body['messages'][-1]['content'] if 'messages' in body else body['prompt']}/{number}"


# --- what is sent, and what comes back -----------------------------------------------------------------


def test_a_chat_and_a_raw_prompt_go_to_their_own_places(start: Start) -> None:
    with Fake(answer=lambda body, number: f"said {number} well") as fake:
        engine = start(fake)
        first, second = engine.generate([chat("what is it"), raw("one two three")])
        assert first.samples[0].text == second.samples[0].text == "said 0 well"
        assert (first.samples[0].tokens, first.prompt_tokens, second.prompt_tokens) == (3, 6, 3)
        sent = {seen.path: seen.body for seen in fake.asked()}
        assert sent["/v1/chat/completions"]["messages"] == [{"role": "user", "content": "what is it"}]
        assert sent["/v1/completions"]["prompt"] == "one two three"
        assert fake.seen[0].headers["authorization"] == f"Bearer {KEY}"
        assert engine.usage == openai.Usage(3, 0, 0, 6 + 3 + 1, 3 + 3 + 1, 0.0)  # one of them asked about templates


def test_every_sampling_setting_reaches_the_server(start: Start) -> None:
    sampling = Sampling(
        temperature=0.7,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        max_tokens=9,
        stop=("a", "b"),
        logit_bias=((7, -2.5),),
    )
    with Fake(answer=lambda body, number: "xyz") as fake:
        start(fake, extra_body={"reasoning_effort": "low", "seed": None}).generate([chat(sampling=sampling)])
        body = fake.asked()[0].body
        assert {name: value for name, value in body.items() if name not in ("messages", "model")} == {
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 5,
            "min_p": 0.1,
            "max_tokens": 9,
            "stop": ["a", "b"],
            "logit_bias": {"7": -2.5},
            "reasoning_effort": "low",
        }
        start(fake).generate([chat(sampling=Sampling())])
        assert set(fake.asked()[1].body) == {"messages", "model", "temperature", "max_tokens", "seed"}


def test_a_seed_belongs_to_request_and_sample(start: Start) -> None:
    def seeds(takes_n: bool, seed: int) -> list[int]:
        with Fake(takes_n=takes_n) as fake:
            start(fake, concurrency=1).generate([chat(n=3, seed=seed)])
            return [seen.body["seed"] for seen in fake.asked()]

    assert len(seeds(True, 2**63)) == 1
    one = seeds(False, 5)
    assert len(set(one)) == 3
    assert one == seeds(False, 5)
    assert not set(one) & set(seeds(False, 6))
    assert all(0 <= seed < 2**31 for seed in one)


def test_n_samples_in_one_request_or_in_several(start: Start) -> None:
    with Fake(answer=echo) as fake:
        assert texts(start(fake).generate([chat("a", n=3)])) == [["a/0", "a/1", "a/2"]]
        assert [seen.body["n"] for seen in fake.asked()] == [3]
    with Fake(answer=echo, takes_n=False) as fake:
        engine = start(fake)
        assert texts(engine.generate([chat("a", n=3)])) == [["a/0", "a/0", "a/0"]]
        engine.generate([chat("b", n=2)])
        assert [seen.body.get("n", 1) for seen in fake.asked()] == [3, 1, 1, 1, 1], "it asked for n once only"

    def refuses(seen: Seen) -> Act | None:
        return Act(400, {"error": {"message": "only one choice"}}) if seen.body.get("n", 1) > 1 else None

    with Fake(refuses, answer=echo) as fake:
        engine = start(fake)
        assert texts(engine.generate([chat("a", n=3)])) == [["a/0", "a/0", "a/0"]]
        assert engine.usage.failed == 0


def test_a_request_that_is_rejected_for_another_reason_fails_once(start: Start) -> None:
    with Fake(lambda seen: Act(400, {"error": {"message": "too long"}}) if seen.body else None) as fake:
        engine = start(fake)
        (reply,) = engine.generate([chat(n=4)])
        assert [sample.error for sample in reply.samples] == ["400: too long"] * 4
        assert len(fake.asked()) == 2


def test_stop_strings_beyond_the_fourth_cut_here(start: Start) -> None:
    with Fake(answer=lambda body, number: "one two three four") as fake:
        engine = start(fake)
        many = Sampling(stop=("v", "w1", "x", "y", "three"))
        sample = only(engine.generate([chat(sampling=many, logprobs=True)]))
        assert (sample.text, sample.finish) == ("one two ", "stop")
        assert len(sample.logprobs) == 3, "the token with the stop string's first letter begins before it"
        assert fake.asked()[0].body["stop"] == ["v", "w1", "x", "y"]
        told: list[str] = []
        engine.generate([chat(sampling=many)], on_text=lambda r, s, text: told.append(text))
        assert "".join(told) == "one two "
        assert only(engine.generate([chat(sampling=Sampling(stop=("two",)))])).text == "one "


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_stop_string_in_parts_is_found(size: int) -> None:
    text = "aab aabaab. END of ENDED"
    for stops, wanted in ((("ENDED",), "aab aabaab. END of "), (("aabaab.",), "aab "), (("zz",), text)):
        cutter = Cutter(stops)
        out = "".join(cutter.feed(text[at : at + size]) for at in range(0, len(text), size)) + cutter.flush()
        assert out == wanted


def test_logprobs_in_both_layouts(start: Start) -> None:
    with Fake(answer=lambda body, number: "four words are here") as fake:
        engine = start(fake)
        talk, text = engine.generate([chat(logprobs=True), raw(logprobs=True)])
        assert talk.samples[0].logprobs == (-0.5,) * 4
        assert text.samples[0].logprobs == (-4.0, -6.0, -4.0, -5.0)
        sent = {seen.path: seen.body["logprobs"] for seen in fake.asked() if "logprobs" in seen.body}
        assert sent == {"/v1/chat/completions": True, "/v1/completions": 1}
        assert type(sent["/v1/completions"]) is int
        both = engine.generate([chat(logprobs=True, n=2)])[0]
        assert [sample.tokens for sample in both.samples] == [4, 4]

    def without(seen: Seen) -> Act | None:
        return Act(body={"choices": [{"message": {"content": "x"}}]}) if seen.body else None

    with Fake(without) as fake:
        sample = only(start(fake).generate([chat(logprobs=True)]))
        assert (sample.finish, sample.error) == ("error", "the server sent no log-probabilities")


def test_guided_answers_are_asked_for_and_looked_at(start: Start) -> None:
    schema = '{"type": "object"}'
    with Fake(answer=lambda body, number: '{"a": 1}') as fake:
        engine = start(fake)
        assert only(engine.generate([chat(sampling=Sampling(json_schema=schema))])).finish == "stop"
        assert fake.asked()[0].body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        }
        sample = only(engine.generate([chat(sampling=Sampling(regex="[0-9]+"))]))
        assert (sample.finish, sample.text) == ("error", '{"a": 1}')
        assert "does not match regex" in sample.error
        body = fake.asked()[1].body
        assert body["structured_outputs"] == {"regex": "[0-9]+"}
        assert body["guided_regex"] == "[0-9]+"
        assert only(engine.generate([chat(sampling=Sampling(regex=r"\{.*\}"))])).finish == "stop"
        with pytest.raises(RecipeError, match="json_schema: expected a JSON schema"):
            engine.generate([chat(sampling=Sampling(json_schema="{"))])
    with Fake() as fake:
        sample = only(start(fake).generate([chat(sampling=Sampling(json_schema=schema))]))
        assert "not JSON" in sample.error


@pytest.mark.parametrize(
    ("said", "finish", "error"),
    [
        ("stop", "stop", ""),
        ("length", "length", ""),
        ("tool_calls", "stop", ""),
        ("content_filter", "error", "cut off by the server's content filter"),
        ("abort", "error", "cut off by the server"),
    ],
)
def test_finish_reasons(start: Start, said: str, finish: str, error: str) -> None:
    with Fake(finish=said) as fake:
        sample = only(start(fake).generate([chat()]))
        assert (sample.finish, sample.error, sample.text) == (finish, error, "answer 0")


def test_thoughts_that_are_sent_apart_stand_in_tags(start: Start) -> None:
    with Fake(message={"reasoning_content": "hm, well"}) as fake:
        engine = start(fake)
        wanted = "<think>\nhm, well\n</think>\n\nanswer 0"
        assert only(engine.generate([chat()])).text == wanted
        told: list[str] = []
        assert only(engine.generate([chat()], on_text=lambda r, s, t: told.append(t))).text == wanted
        assert "".join(told) == wanted


def test_vllm_tells_token_ids(start: Start) -> None:
    models = [{"id": "m", "owned_by": "vllm", "max_model_len": 64}]
    with Fake(models=models) as fake:
        fake.script = lambda seen: (
            Act(body={"choices": [{"message": {"content": "x"}, "token_ids": [5, 6, 2]}]}) if seen.body else None
        )
        sample = only(start(fake).generate([chat()]))
        assert (sample.ids, sample.tokens) == ((5, 6, 2), 3)
        assert fake.asked()[0].body["return_token_ids"] is True
        fake.script = lambda seen: None
        start(fake, server="other").generate([chat()])
        assert "return_token_ids" not in fake.asked()[1].body


def test_a_prefix_is_part_of_the_answer(start: Start) -> None:
    with Fake(answer=lambda body, number: " and more") as fake:
        engine = start(fake, server="vllm")
        told: list[str] = []
        sample = only(engine.generate([chat(prefix="Well")], on_text=lambda r, s, t: told.append(t)))
        assert sample.text == "".join(told) == "Well and more"
        body = fake.asked()[0].body
        assert body["messages"][-1] == {"role": "assistant", "content": "Well"}
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
        assert only(engine.generate([raw("one", prefix=" two")])).text == " two and more"
        assert fake.asked()[-1].body["prompt"] == "one two"
        sample = only(engine.generate([Request(ids=[1, 2], prefix="x")]))
        assert "set tokenizer" in sample.error
    with Fake() as fake:
        sample = only(start(fake).generate([chat(prefix="Well")]))
        assert (sample.finish, len(fake.asked())) == ("error", 0)
        assert "server=vllm" in sample.error


def test_a_name_that_newer_models_want_is_learnt(start: Start) -> None:
    def newer(seen: Seen) -> Act | None:
        said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return Act(400, {"error": {"message": said}}) if "max_tokens" in seen.body else None

    with Fake(newer) as fake:
        engine = start(fake)
        assert only(engine.generate([chat(sampling=Sampling(max_tokens=7))])).text == "answer 0"
        engine.generate([chat(sampling=Sampling(max_tokens=8))])
        assert [seen.body.get("max_completion_tokens") for seen in fake.asked()] == [None, 7, 8]


def test_a_prompt_beyond_the_context_is_not_sent(start: Start, tiny_model: Path) -> None:
    models = [{"id": "m", "owned_by": "vllm", "max_model_len": 64}]
    with Fake(models=models) as fake:
        engine = start(fake, tokenizer=str(tiny_model))
        long, short = engine.generate(
            [chat("word " * 40, sampling=Sampling(max_tokens=8)), chat("short", sampling=Sampling(max_tokens=8))]
        )
        assert "but the context and max_tokens leave room for 56" in long.samples[0].error
        assert short.samples[0].finish == "stop"
        assert len(fake.asked()) == 1


# --- raw prompts and scoring ---------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
def test_a_server_that_puts_a_template_around_raw_prompts_is_refused(start: Start, known: bool) -> None:
    with Fake(template="< user > ", tokenizes=known) as fake:
        engine = start(fake)
        with pytest.raises(ModelError, match=r"puts a chat template around raw prompts.*4 tokens"):
            engine.generate([raw()])
        assert only(engine.generate([chat()])).finish == "stop"
        with pytest.raises(ModelError, match="chat template"):
            engine.score([(raw(), " x")])
    with Fake(tokenizes=known) as fake:
        engine = start(fake)
        assert texts(engine.generate([raw(), raw()])) == [["answer 0"], ["answer 0"]]
        assert [seen.body["prompt"] for seen in fake.asked()].count("a") == 1, "asked once"


def test_a_small_template_is_seen_with_a_tokenizer(start: Start, tiny_model: Path) -> None:
    with Fake(template="[I] ") as fake:
        with pytest.raises(ModelError, match="at most 1 can be"):
            start(fake, tokenizer=str(tiny_model)).generate([raw()])
        assert only(start(fake).generate([raw()])).finish == "stop", "one token more could be the tokenizer's own"


def test_token_ids_are_sent_as_they_are(start: Start) -> None:
    with Fake() as fake:
        engine = start(fake)
        assert only(engine.generate([Request(ids=[5, 6, 7])])).text == "answer 0"
        assert fake.asked()[-1].body["prompt"] == [5, 6, 7]

    def more(seen: Seen) -> Act | None:
        if isinstance(seen.body.get("prompt"), list):
            return Act(body={"choices": [{"text": "x"}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})
        return None

    with Fake(more) as fake, pytest.raises(ModelError, match="9 tokens in a prompt of 3 token ids"):
        start(fake).generate([Request(ids=[5, 6, 7])])


def test_no_counts_is_said(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with Fake(counts=False) as fake:
        assert only(start(fake).generate([raw()])).text == "answer 0"
        assert "may put a template around" in capsys.readouterr().err


def test_scores_are_those_of_the_completion(start: Start) -> None:
    with Fake() as fake:
        engine = start(fake)
        assert engine.score([(raw("one two"), " three four!"), (raw("x"), ""), (raw("five"), " six")]) == [
            [-6.0, -6.0],
            [],
            [-4.0],
        ]
        body = fake.asked()[1].body
        assert (body["echo"], body["logprobs"], body["max_tokens"]) == (True, 1, 0)
        with pytest.raises(ModelError, match="one token of the prompt's end"):
            engine.score([(raw("one tw"), "o")])
        with pytest.raises(ModelError, match="set tokenizer"):
            engine.score([(chat(), "yes")])
        assert engine.usage.requests == 4


def test_scores_with_tokens_from_the_server_or_a_tokenizer(start: Start, tiny_model: Path) -> None:
    def minimum(seen: Seen) -> Act | None:
        return Act(400, {"error": {"message": "max_tokens ≥ 1"}}) if seen.body.get("max_tokens") == 0 else None

    with Fake(minimum, tokenizes=True) as fake:
        engine = start(fake)
        assert engine.score([(chat("a bc def"), " g hi")]) == [[-3.0, -3.0]]  # <2> and <3>, three characters each
        assert fake.asked()[-1].body["prompt"] == [1, 3, 4, 2, 3]
        assert fake.asked()[-1].body["max_tokens"] == 1
    with Fake() as fake:
        engine = start(fake, tokenizer=str(tiny_model))
        ((one, *_, last),) = engine.score([(chat("a"), "yes")])
        assert one < 0
        assert last < 0
        prompt = fake.asked()[-1].body["prompt"]
        assert len(prompt) > 10, "the chat template and the completion, byte by byte"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act(400, {"error": {"message": "echo is not supported"}}), "echo is not supported"),
        (Act(body={"choices": [{"text": "x"}]}), "no log-probabilities of the prompt"),
        (
            Act(body={"choices": [{"text": "x", "logprobs": {"token_logprobs": [-1.0], "text_offset": [9]}}]}),
            "not echo",
        ),
    ],
)
def test_a_server_that_cannot_score_is_told(start: Start, act: Act, reason: str) -> None:
    with (
        Fake(lambda seen: act if seen.body.get("echo") else None) as fake,
        pytest.raises(ModelError, match=f"cannot score completions: .*{reason}"),
    ):
        start(fake).score([(raw("one two"), " three")])


# --- streaming and cancelling --------------------------------------------------------------------------


def test_streaming_tells_the_same_text(start: Start) -> None:
    with Fake(answer=lambda body, number: f"{echo(body, number)} and the rest") as fake:
        engine = start(fake)
        told: dict[tuple[int, int], str] = {}
        threads = set()

        def on_text(request: int, sample: int, text: str) -> None:
            told[request, sample] = told.get((request, sample), "") + text
            threads.add(threading.current_thread())

        requests = [chat("a", n=2, logprobs=True), raw("b"), chat("c")]
        replies = engine.generate(requests, on_text=on_text)
        assert replies == engine.generate(requests) or texts(replies) == texts(engine.generate(requests))
        assert told == {
            (r, s): sample.text for r, reply in enumerate(replies) for s, sample in enumerate(reply.samples)
        }
        assert len(replies[0].samples[0].logprobs) == 4
        assert replies[0].prompt_tokens == 4
        assert threads == {threading.current_thread()}
        with pytest.raises(ZeroDivisionError):
            engine.generate([chat()], on_text=lambda *_: 1 / 0)


def test_a_stream_that_breaks_is_tried_again_only_before_its_first_word(start: Start) -> None:
    def breaking(parts: int) -> Any:
        def stream(self: Fake, reply: dict[str, Any]) -> Iterator[dict[str, Any]]:
            for at, part in enumerate(original(self, reply)):
                if at == parts and len(self.asked()) == 1:
                    raise BrokenPipeError
                yield part

        return stream

    original = Fake.stream
    for parts, tries, finish in ((0, 2, "stop"), (1, 1, "error")):
        with pytest.MonkeyPatch.context() as patch, Fake() as fake:
            patch.setattr(Fake, "stream", breaking(parts))
            told: list[str] = []
            sample = only(start(fake).generate([chat()], on_text=lambda r, s, t, told=told: told.append(t)))
            assert (len(fake.asked()), sample.finish) == (tries, finish)
            assert "".join(told) == ("answer 0" if finish == "stop" else "answer")
    assert "ended early" in sample.error or "connection" in sample.error


def test_cancelling_aborts_what_is_in_flight(start: Start) -> None:
    with Fake(lambda seen: Act(delay=30) if "slow" in str(seen.body) else None, pause=0.02) as fake:
        engine = start(fake)
        cancel = threading.Event()
        threading.Timer(0.5, cancel.set).start()
        began = time.monotonic()
        quick, slow = engine.generate([chat("quick"), chat("slow", n=2)], cancel=cancel)
        assert time.monotonic() - began < 20
        assert quick.samples[0].text == "answer 0"
        assert [(sample.finish, sample.error) for sample in slow.samples] == [("error", "cancelled")] * 2
        fake.answer = lambda body, number: "word " * 5000
        cancel.clear()
        sample = only(engine.generate([chat()], on_text=lambda *_: cancel.set(), cancel=cancel))
        assert sample.error == "cancelled"
        assert only(engine.generate([chat()])).finish == "stop", "the engine goes on"
        deadline = time.monotonic() + 20
        while not fake.aborted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert fake.aborted, "the server was hung up on"


# --- failures ------------------------------------------------------------------------------------------


def test_two_hundred_requests_through_a_storm(start: Start) -> None:
    chances = random.Random(0)
    slow = Act(then=True, delay=3.0)
    given: list[Act] = []

    def storm(seen: Seen) -> Act | None:
        if not seen.body:
            return None
        (act,) = chances.choices(
            [
                Act(then=True, delay=chances.uniform(0, 0.02)),
                Act(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}),
                Act(500, "<h1>oh no</h1>"),
                Act(503, {"error": "overloaded"}),
                Act(drop=True),
                slow,
            ],
            [60, 10, 10, 10, 9, 1],
        )
        given.append(act)
        return act

    with Fake(storm, answer=echo) as fake:
        engine = start(fake, concurrency=7, timeout=2.0, retries=30)
        replies = engine.generate([chat(f"q{n}", seed=n) for n in range(200)])
        assert texts(replies) == [[f"q{n}/0"] for n in range(200)]
        assert slow in given
        assert 2 <= fake.most <= 7 + given.count(slow), "what the client gave up may still be waiting on the server"
        assert engine.usage.requests == 200
        assert engine.usage.retries == len(fake.asked()) - 200 > 20


def test_so_many_at_a_time(start: Start) -> None:
    with Fake(lambda seen: Act(then=True, delay=0.02)) as fake:
        start(fake, concurrency=5).generate([chat() for _ in range(40)])
        assert fake.most == 5


@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_honoured(start: Start, dated: bool) -> None:
    def busy(seen: Seen) -> Act | None:
        header = formatdate(time.time() + 2, usegmt=True) if dated else "1"
        return Act(429, {}, {"Retry-After": header}) if len(fake.asked()) == 1 else None

    with Fake(busy) as fake:
        assert only(start(fake).generate([chat()])).text == "answer 0"
        first, second = (seen.at for seen in fake.asked())
        assert second - first > 0.9


def test_retry_after_is_read() -> None:
    assert _retry_after("", "7") == 7
    assert _retry_after("1500", "7") == 1.5
    assert 50 < _retry_after("", formatdate(time.time() + 60, usegmt=True)) <= 60
    assert [_retry_after("", text) for text in ("", "soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", "nan")] == [0] * 5


def test_a_deadline_holds_for_all_tries(start: Start) -> None:
    with Fake(lambda seen: Act(429, {}, {"Retry-After": "3600"}) if seen.body else None) as fake:
        sample = only(start(fake, deadline=5.0).generate([chat()]))
        assert sample.error.endswith("the deadline of 5 s leaves no time")
        assert len(fake.asked()) == 1
    with Fake(lambda seen: Act(then=True, delay=1.0) if seen.body else None) as fake:
        sample = only(start(fake, timeout=0.2, retries=2).generate([chat()]))
        assert sample.error == "no answer within 0.2 s after 3 tries"


def test_what_cannot_be_read_is_said(start: Start) -> None:
    pages: list[Any] = ["<html>hello</html>", {"object": "list"}, [], {"choices": []}, {"choices": [{"message": 3}]}]
    with Fake(lambda seen: Act(body=pages[int(seen.body["messages"][0]["content"])]) if seen.body else None) as fake:
        replies = start(fake, retries=0).generate([chat(str(at)) for at in range(len(pages))])
        errors = [reply.samples[0].error for reply in replies]
        assert all("check base_url" in error for error in errors[:3])
        assert errors[3] == "the reply has no choices"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Act(401, {"error": {"message": f"Incorrect API key: {KEY}"}}), r"401.*OPENAI_API_KEY was refused"),
        (Act(403, {"error": {"message": "no"}}), r"403: no.*may use this model"),
        (
            Act(404, {"error": {"message": "no model."}}),
            r"404: no model\. Set model to one that it offers: other, m2\.",
        ),
        (Act(402, {"error": {"message": "pay"}}), "no credit left"),
        (Act(429, {"error": {"message": "quota", "code": "insufficient_quota"}}), "429: quota.*no credit left"),
    ],
)
def test_what_befalls_every_request_stops_at_once(start: Start, act: Act, message: str) -> None:
    with Fake(lambda seen: act if seen.body else None, models=[{"id": "other"}, {"id": "m2"}]) as fake:
        engine = start(fake, concurrency=2)
        with pytest.raises(ModelError, match=message) as caught:
            engine.generate([chat(str(n)) for n in range(50)])
        assert KEY not in str(caught.value)
        assert len(fake.asked()) < 10


def test_no_key_and_no_list(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with Fake(models=None) as fake:
        assert only(start(fake).generate([chat()])).text == "answer 0"
        assert all("authorization" not in seen.headers for seen in fake.seen)
    with (
        Fake(lambda seen: Act(401, {})) as fake,
        pytest.raises(ModelError, match="No key was sent: set the environment variable MY_KEY"),
    ):
        start(fake, key_env="MY_KEY")
    with Fake(lambda seen: Act(404, {}) if seen.body else None) as fake:
        engine = start(fake)
        with pytest.raises(ModelError, match="lists the model m, but seems to have no /completions for it"):
            engine.generate([raw()])
    with Fake(lambda seen: Act(404, {}) if seen.body else None, models=None) as fake:
        engine = start(fake)
        with pytest.raises(ModelError, match="lists no models either: check base_url"):
            engine.generate([chat()])


def test_a_dead_server_is_told_apart(start: Start) -> None:
    fake = Fake()
    with fake:
        engine = start(fake, retries=1)
        assert only(engine.generate([chat()])).finish == "stop"
    with pytest.raises(ModelError, match=rf"{fake.url} cannot be reached.*[Cc]onnect.*after 2 tries"):
        engine.generate([chat(), chat()])
    with pytest.raises(ModelError, match="Is the server running"):
        start(fake, retries=1)


def test_half_a_character_is_an_error_of_its_request_alone(start: Start, tmp_path: Path) -> None:
    with Fake() as fake:
        engine = start(fake, failed=str(tmp_path / "f.jsonl"))
        bad, good = engine.generate([chat("a \ud83d b"), chat("fine")])
        assert "lone surrogate" in bad.samples[0].error
        assert good.samples[0].finish == "stop"
        assert lines(tmp_path / "f.jsonl")[0]["request"]["messages"][0]["content"] == "a \ud83d b"


def test_failed_requests_are_kept(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "failed_requests.jsonl"
    with Fake(lambda seen: Act(500, {"error": f"with {KEY}"}) if "bad" in str(seen.body) else None) as fake:
        engine = start(fake, retries=1, failed=str(file))
        good, bad = engine.generate([chat("good"), chat(f"bad {KEY}", n=2, seed=3)])
        assert good.samples[0].finish == "stop"
        assert [sample.error for sample in bad.samples] == ["500: with *** after 2 tries"] * 2
        (row,) = lines(file)
        assert row["error"] == "500: with *** after 2 tries"
        assert row["samples"] == [0, 1]
        assert row["request"]["messages"] == [{"role": "user", "content": "bad ***"}]
        assert row["request"]["seed"] == 3
        assert engine.usage.failed == 1


# --- money ---------------------------------------------------------------------------------------------


def test_a_budget_is_never_exceeded_and_what_is_done_is_kept(start: Start) -> None:
    """Ten tokens an answer at a million each: ten of money an answer, 20 at most; the budget is for a good four."""
    with Fake(answer=lambda body, number: "w" + " w" * 9) as fake:
        engine = start(fake, price_out=1e6, budget=55.0, concurrency=8)
        requests = [chat(str(n), sampling=Sampling(max_tokens=20)) for n in range(12)]
        replies = engine.generate(requests)
        done = [reply for reply in replies if reply.samples[0].finish == "stop"]
        assert len(done) == len(fake.asked()) == 4
        assert {reply.samples[0].error for reply in replies if reply not in done} == {"budget used up"}
        assert engine.usage.cost == 40.0
        assert only(engine.generate([chat(sampling=Sampling(max_tokens=1))])).error == "budget used up"
        assert len(fake.asked()) == 4, "no further request is sent"
    with Fake() as fake, pytest.raises(ModelError, match="budget used up"):
        start(fake, price_in=1e6, budget=7.0).score([(raw("one two"), " three")] * 3)
    with pytest.raises(RecipeError, match="price_in or price_out"):
        openai.start("m", base_url="http://127.0.0.1:1/v1", budget=1.0)


def test_prices_are_for_a_million_tokens(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with Fake() as fake:
        engine = start(fake, price_in=2.0, price_out=10.0)
        engine.generate([chat("a b c")])
        assert engine.usage.cost == pytest.approx((6 * 2 + 2 * 10) / 1e6)
        engine.close()
        assert "1 requests, 0 failed, 6 + 2 tokens, cost 3.2e-05" in capsys.readouterr().err


# --- who answers, and with which settings --------------------------------------------------------------


def test_the_fingerprint_tells_servers_and_models_apart(start: Start) -> None:
    with Fake() as fake:
        first = start(fake).model
        assert first == start(fake).model
        assert first != start(fake, "other").model
        fake.models = [{"id": "m", "owned_by": "test", "created": 99, "permission": [{"id": "x"}]}]
        assert start(fake).model == first, "what changes with every look does not count"
        fake.models = [{"id": "m", "owned_by": "test", "root": "/weights/2"}]
        assert start(fake).model != first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "base_url: expected an address such as"),
        ({"base_url": "http://a b/v1"}, "base_url: expected an address such as"),
        ({"base_url": "http://host:99999/v1"}, "base_url: expected an address such as"),
        ({"base_url": "http://me:pw@host/v1"}, "without user, password"),
        ({"base_url": "http://host/v1?key=abc"}, "without user, password"),
        ({"base_url": "http://host/v1", "key_env": KEY}, "key_env: expected the name of an environment variable"),
    ],
)
def test_settings_that_would_give_a_secret_away(settings: dict[str, str], message: str) -> None:
    kind = recipe.settings_of(openai.start, recipe.Settings)
    for act in (lambda: recipe.build(kind, settings, "x"), lambda: openai.start("m", **settings)):
        with pytest.raises(RecipeError, match=message) as caught:
            act()
        assert not any(secret in str(caught.value) for secret in (KEY, "pw", "abc"))


def test_a_key_that_no_header_takes_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ("sk-abc\ndef", "sk-äbc"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        with pytest.raises(ModelError, match="OPENAI_API_KEY holds characters that no key has") as caught:
            openai.start("m", base_url="http://127.0.0.1:1/v1")
        assert "bc" not in str(caught.value)


def test_the_missing_extra_prints_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "openai":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'porism\[openai\]'"):
        openai.start("m", base_url="http://127.0.0.1:1/v1")


def test_it_can_be_used_from_threads_and_inside_a_running_loop(start: Start) -> None:
    import asyncio

    with Fake(answer=echo) as fake:
        engine = start(fake)
        found: dict[int, Any] = {}

        def ask(n: int) -> None:
            found[n] = texts(engine.generate([chat(f"{n}-{k}") for k in range(5)]))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {n: [[f"{n}-{k}/0"] for k in range(5)] for n in range(6)}

        async def inside() -> list[Reply]:
            return engine.generate([chat("x")])

        assert texts(asyncio.run(inside())) == [["x/0"]]
        assert engine.generate([]) == []


# --- as a stage ----------------------------------------------------------------------------------------


def problems(folder: Path, count: int) -> str:
    file = folder / "p.jsonl"
    file.write_text("".join(json.dumps(to_row(problem(n))) + "\n" for n in range(count)))
    return str(file)


def right(body: dict[str, Any], number: int) -> str:
    question = body["messages"][-1]["content"]
    return f"#### {int(question.split()[2]) + 1}"


def solve(target: Path, fake: Fake, records: str, **settings: Any) -> store.Manifest:
    values = {"input": [records], "engine": "openai", "model": "m", "base_url": fake.url, **FAST, **settings}
    return pipeline.execute(pipeline.prepare("solve", "direct", values), target)


def test_failed_attempts_are_asked_again_when_the_stage_goes_on(tmp_path: Path) -> None:
    records = problems(tmp_path, 12)
    out = tmp_path / "s"
    broken = {"What is 3 + 1?", "What is 7 + 1?", "What is 8 + 1?"}

    def bad(seen: Seen) -> Act | None:
        return Act(400, {}) if seen.body and seen.body["messages"][-1]["content"] in broken else None

    with Fake(bad, answer=right) as fake:
        with pytest.raises(DataError, match=r"3 of 12 attempts.*3 error"):
            solve(out, fake, records, problems_at_once=5, failed=str(tmp_path / "failed_requests.jsonl"))
        assert len(lines(tmp_path / "failed_requests.jsonl")) == 3
        with pytest.raises(DataError, match="3 of 12 attempts"):
            solve(out, fake, records, problems_at_once=5, retry_errors=False)
        assert len(fake.asked()) == 12
        broken.remove("What is 3 + 1?")
        with pytest.raises(DataError, match="2 of 12 attempts"):
            solve(out, fake, records, problems_at_once=5, concurrency=3)
        assert len(fake.asked()) == 15
        broken.clear()
        assert solve(out, fake, records, problems_at_once=5, retries=1).counts == {
            "correct": 12,
            "dropped": 0,
            "records": 12,
        }
        assert len(fake.asked()) == 17
        solve(tmp_path / "whole", fake, records)
        assert (out / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path: Path) -> None:
    records = problems(tmp_path, 10)
    money = {"price_out": 1e6, "max_tokens": 2, "samples": 2}
    with Fake(answer=right) as fake:
        with pytest.raises(DataError, match="Most often: budget used up"):
            solve(tmp_path / "s", fake, records, budget=24.0, **money)
        assert 0 < len(fake.asked()) < 10
        solve(tmp_path / "s", fake, records, budget=100.0, **money)
        assert len(fake.asked()) == 10, "what was paid for is kept"
        solve(tmp_path / "whole", fake, records, **money)
    assert (tmp_path / "s" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()


def porism(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "porism", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_goes_on_after_it_was_killed_and_the_key_is_nowhere(tmp_path: Path) -> None:
    records = problems(tmp_path, 24)
    env = {**os.environ, "MY_KEY": KEY, "OPENAI_LOG": "debug", "OPENAI_API_KEY": ""}
    said = ""
    with Fake(lambda seen: Act(then=True, delay=0.05) if seen.body else None, answer=right) as fake:
        command = ["solve", "--input", records, "--engine", "openai", "--base-url", fake.url, "--model", "m"]
        command += ["--key-env", "MY_KEY", "--problems-at-once", "4", "--concurrency", "2", "--failed", "failed.jsonl"]
        process = porism(*command, "--output", "s", cwd=tmp_path, env=env)
        progress = tmp_path / "s" / ".progress.jsonl"
        while not progress.exists() or progress.read_text().count("\n") < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        said += "".join(process.communicate())
        before = len(fake.asked())
        assert before < 24
        process = porism(*command, "--output", "s", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 0, said
        assert "goes on: it was cut off" in said
        assert len(fake.asked()) < before + 20, "finished units are not asked again"
        process = porism(*command, "--output", "whole", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 0, said
        assert (tmp_path / "s" / "records.jsonl").read_bytes() == (tmp_path / "whole" / "records.jsonl").read_bytes()
        assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in fake.seen)

        fake.script = lambda seen: Act(401 if seen.body else 200, {"error": {"message": f"bad {KEY}"}})
        process = porism(*command, "--output", "t", "--seed", "2", cwd=tmp_path, env=env)
        said += "".join(process.communicate())
        assert process.returncode == 2, said
        assert "porism: " in said
        assert "The key in the environment variable MY_KEY was refused" in said
        assert "Traceback" not in said
    assert "HTTP Request" in said or "HTTP Response" in said, "the client's own log was on"
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 4
    assert not any(KEY.encode() in data for data in written)
    assert KEY not in said


def test_ctrl_c_aborts_what_is_in_flight(tmp_path: Path) -> None:
    records = problems(tmp_path, 8)
    with Fake(lambda seen: Act(then=True, delay=60) if len(fake.asked()) > 4 else None, answer=right) as fake:
        command = ["solve", "--input", records, "--engine", "openai", "--base-url", fake.url, "--model", "m"]
        process = porism(*command, "--problems-at-once", "4", "--output", "s", cwd=tmp_path, env=dict(os.environ))
        while len(fake.asked()) < 6:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert errors.strip().splitlines()[-1] == "porism: Stopped. The same command goes on from here."
        fake.script = lambda seen: None
        process = porism(*command, "--problems-at-once", "4", "--output", "s", cwd=tmp_path, env=dict(os.environ))
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_a_port_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        command = ["solve", "--input", problems(tmp_path, 1), "--engine", "openai", "--base-url", url, "--retries", "1"]
        process = porism(*command, "--output", "s", cwd=tmp_path, env=dict(os.environ))
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.startswith(f"porism: {url} cannot be reached")
    assert len(errors.strip().splitlines()) == 1
