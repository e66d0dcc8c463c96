"""The engine behind HTTP, against a real server on loopback: what is sent, and what comes back."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

from fake_openai import Act, Fake, Seen
from openai_kit import KEY, Start, chat, echo, only, raw, texts

from porism.engines import Request, Sampling, openai
from porism.engines._streams import Cutter
from porism.errors import ModelError, RecipeError

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
