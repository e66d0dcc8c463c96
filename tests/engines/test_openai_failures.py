"""The engine behind HTTP against a server that misbehaves on demand: failures, money, keys."""

import builtins
import random
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

from fake_openai import Act, Fake, Seen
from openai_kit import KEY, Start, chat, echo, only, raw, texts

from conftest import lines
from porism import recipe
from porism.engines import Reply, Sampling, openai
from porism.engines._calls import _retry_after
from porism.errors import MissingExtra, ModelError, RecipeError

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


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("[" * 100_000, "a reply that cannot be read (maximum recursion depth exceeded"),
        ('{"choices": [{"index": Infinity, "message": {"content": "4"}}]}', "a reply that cannot be read: "),
        ('{"choices": [{"index": "first", "message": {"content": "4"}}]}', "a reply that cannot be read: "),
    ],
)
def test_a_reply_of_wrong_types_is_a_failed_request(start: Start, reply: str, said: str) -> None:
    json_text = Act(200, reply, {"Content-Type": "application/json"})
    with Fake(lambda seen: json_text if seen.body else None) as fake:
        failed, other = start(fake, retries=1).generate([chat(), chat("ho")])
        assert said in failed.samples[0].error
        assert other.samples[0].finish == "error"


@pytest.mark.parametrize("usage", ["many", [1], {"prompt_tokens": float("inf")}, {"prompt_tokens": -9}, {"a": 1}])
def test_a_wrong_usage_loses_no_answer_and_counts_at_its_dearest(start: Start, usage: Any) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    with Fake(lambda seen: Act(200, {"choices": [choice], "usage": usage}) if seen.body else None) as fake:
        engine = start(fake, price_in=1.0, price_out=1.0)
        assert only(engine.generate([chat(sampling=Sampling(max_tokens=100))])).text == "4"
        assert engine.usage.completion_tokens == 100
        assert engine.usage.cost > 0


@pytest.mark.parametrize(
    ("content", "text"),
    [([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"), (4, "4"), (None, "")],
)
def test_a_message_in_parts_is_a_text(start: Start, content: Any, text: str) -> None:
    with Fake(message={"content": content}) as fake:
        assert only(start(fake).generate([chat()])).text == text


def test_token_ids_that_are_none_are_left_out(start: Start) -> None:
    choice = {"index": 0, "message": {"content": "4"}, "finish_reason": "stop", "token_ids": "abc"}
    with Fake(lambda seen: Act(200, {"choices": [choice]}) if seen.body else None) as fake:
        assert only(start(fake).generate([chat()])).ids == ()


@pytest.mark.parametrize(
    "listed", [{"data": 5}, {"data": [{"id": "m", "max_model_len": "lots"}]}, {"data": [1, None]}, [], "m"]
)
def test_an_odd_list_of_models_is_no_matter(start: Start, listed: Any) -> None:
    with Fake(lambda seen: None if seen.body else Act(200, listed)) as fake:
        assert only(start(fake).generate([chat()])).text == "answer 0"


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


def test_what_was_answered_before_a_key_was_revoked_is_returned(start: Start) -> None:
    revoked = Act(401, {"error": {"message": "revoked"}})
    with Fake(lambda seen: revoked if seen.body and len(fake.asked()) > 6 else None, answer=echo) as fake:
        engine = start(fake, concurrency=2)
        replies = engine.generate([chat(str(n)) for n in range(20)])
        assert texts(replies[:4]) == [["0/0"], ["1/0"], ["2/0"], ["3/0"]]
        assert "revoked" in replies[-1].samples[0].error
        assert 4 <= sum(reply.samples[0].finish != "error" for reply in replies) <= 6
        before = len(fake.asked())
        with pytest.raises(ModelError, match="401: revoked"):
            engine.generate([chat("more")])
        assert len(fake.asked()) == before


def test_the_usual_key_is_not_sent_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(RecipeError, match="without encryption, so the key in OPENAI_API_KEY is not sent") as caught:
        openai.start("m", base_url="http://192.0.2.1:8000/v1")
    assert KEY not in str(caught.value)
