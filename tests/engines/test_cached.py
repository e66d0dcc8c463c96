"""Replies that are kept: what counts as the same question, what is asked for the rest, what is never kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from porism.engines import Engine, OnText, Reply, Request, Sample, Sampling
from porism.engines._cached import Cached
from porism.engines._shelf import Shelf
from porism.engines.local import Local
from porism.engines.scripted import Scripted
from porism.models.load import Loaded, load

WARM = Sampling(temperature=1.0, max_tokens=12, top_k=40)


def ask(text: str = "a", **changes: Any) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **{"sampling": WARM, **changes})


def numbered() -> Scripted:
    """An engine whose samples name what they were asked and their number."""
    return Scripted(lambda request, number: f"{request.messages[-1]['content']} {request.seed}/{number}")


@pytest.fixture
def behind(tmp_path: Path) -> Callable[..., Cached]:
    """Puts engines behind one shelf."""
    shelf = Shelf(tmp_path / "replies.sqlite", 1 << 24)

    def made(engine: Engine, model: str = "w", *, single: bool = True, **made_by: object) -> Cached:
        return Cached(engine, shelf, model, {"engine": "test", **made_by}, single=single)

    return made


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Loaded:
    return load(str(tiny_model))


@pytest.mark.parametrize("single", [True, False])
def test_what_was_asked_is_not_asked_again(behind: Callable[..., Cached], *, single: bool) -> None:
    engine = numbered()
    requests = [ask("a", n=2, seed=1), ask("b", seed=2), ask("c", n=3, logprobs=True)]
    first = behind(engine, single=single).generate(requests)
    assert len(engine.requests) == 3
    again = behind(engine, single=single)
    assert again.generate(requests) == first == numbered().generate(requests)
    assert len(engine.requests) == 3
    assert again.taken == 6


CHANGES: dict[str, Callable[[Request], Request]] = {
    "seed": lambda r: replace(r, seed=9),
    "prompt": lambda r: ask("other", seed=r.seed),
    "role": lambda r: replace(r, messages=[{"role": "system", "content": "a"}]),
    "text": lambda r: replace(r, messages=(), text="a"),
    "ids": lambda r: replace(r, messages=(), ids=(1,)),
    "prefix": lambda r: replace(r, prefix="p"),
    "logprobs": lambda r: replace(r, logprobs=True),
    **{
        name: lambda r, name=name, value=value: replace(r, sampling=replace(WARM, **{name: value}))  # type: ignore[misc]
        for name, value in {
            "temperature": 0.9, "top_p": 0.5, "top_k": 3, "max_tokens": 11, "min_p": 0.1, "stop": ("x",),
            "logit_bias": ((3, 1.0),), "json_schema": "{}", "regex": "a",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("name", CHANGES)
def test_another_question_is_another_question(behind: Callable[..., Cached], name: str, *, single: bool) -> None:
    engine = Scripted({}, "x")
    request = ask("a", seed=1)
    behind(engine, single=single).generate([request])
    behind(engine, single=single).generate([CHANGES[name](request)])
    assert len(engine.requests) == 2


def test_other_weights_or_another_way_are_other_replies(behind: Callable[..., Cached]) -> None:
    engine = numbered()
    for other in (behind(engine), behind(engine, "v"), behind(engine, dtype="float32"), behind(engine, single=False)):
        other.generate([ask()])
        other.score([(ask(), "x")])
    assert len(engine.requests) == 4


def test_of_eight_only_those_are_made_that_are_not_there(behind: Callable[..., Cached]) -> None:
    engine = numbered()
    behind(engine).generate([ask(n=4, seed=3)])
    (reply,) = behind(engine).generate([ask(n=8, seed=3)])
    assert [sample.text for sample in reply.samples] == [f"a 3/{number}" for number in range(8)]
    assert [(request.first, request.n) for request in engine.requests] == [(0, 4), (4, 4)]
    behind(engine).generate([ask(n=2, seed=3)])
    assert len(engine.requests) == 2
    whole = behind(engine, single=False)  # a server's four are not the first of its eight
    whole.generate([ask(n=4, seed=5)])
    whole.generate([ask(n=8, seed=5)])
    assert [(request.first, request.n) for request in engine.requests[2:]] == [(0, 4), (0, 8)]


def test_one_greedy_sample_stands_for_all(behind: Callable[..., Cached]) -> None:
    engine = numbered()
    greedy = Sampling(temperature=0.0, max_tokens=12)
    told: list[tuple[int, int, str]] = []
    (reply,) = behind(engine).generate([ask(n=3, seed=1, sampling=greedy)], on_text=lambda *news: told.append(news))
    assert [sample.text for sample in reply.samples] == ["a 1/0"] * 3
    assert told == [(0, number, "a 1/0") for number in range(3)]
    assert behind(engine).generate([ask(n=2, seed=8, sampling=greedy)])[0].samples == reply.samples[:2]
    assert [request.n for request in engine.requests] == [1]


class Unsteady(Scripted):
    """Fails every other sample."""

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        bad = Sample(text="", finish="error", error="no luck")
        replies = super().generate(requests, on_text=on_text, cancel=cancel)
        return [replace(r, samples=tuple(bad if at % 2 else s for at, s in enumerate(r.samples))) for r in replies]


@pytest.mark.parametrize("single", [True, False])
def test_what_failed_is_asked_again(behind: Callable[..., Cached], *, single: bool) -> None:
    requests = [ask("a", n=4), ask("b")]
    failed = behind(Unsteady(lambda request, number: f"{number}"), single=single).generate(requests)
    assert [sample.error for sample in failed[0].samples] == ["", "no luck", "", "no luck"]
    engine = numbered()
    after = behind(engine, single=single).generate(requests)
    assert [request.messages[0]["content"] for request in engine.requests] == ["a"]
    assert [sample.finish for sample in after[0].samples] == ["stop"] * 4
    if single:  # the good ones stay
        assert [sample.text for sample in after[0].samples] == ["0", "a 0/1", "2", "a 0/3"]


def test_what_was_cancelled_is_not_kept(behind: Callable[..., Cached]) -> None:
    engine = numbered()
    behind(engine).generate([ask("a")])
    cancel = Event()
    cancel.set()
    known, new = behind(engine).generate([ask("a"), ask("b")], cancel=cancel)
    assert (known.samples[0].text, new.samples[0].error) == ("a 0/0", "cancelled")
    assert behind(engine).generate([ask("b")])[0].samples[0].text == "b 0/0"


def test_text_is_told_of_kept_and_new_samples_once(behind: Callable[..., Cached]) -> None:
    engine = numbered()
    behind(engine).generate([ask("b"), ask("c", n=2)])
    told: list[tuple[int, int, str]] = []
    requests = [ask("a"), ask("b", n=2), ask("c", n=3)]
    replies = behind(engine).generate(requests, on_text=lambda *news: told.append(news))
    expected = [(at, number, s.text) for at, reply in enumerate(replies) for number, s in enumerate(reply.samples)]
    assert sorted(told) == expected


def test_scores_are_kept(behind: Callable[..., Cached], loaded: Loaded) -> None:
    pairs = [(ask("a"), "b c"), (ask("a"), "d"), (Request(text="a"), "d"), (ask("a"), "")]
    engine = Local(loaded)
    found = behind(engine).score(pairs)
    assert found == engine.score(pairs)
    assert behind(Scripted({})).score(pairs) == found
    assert behind(Scripted({})).score([(ask("a"), "e")]) == [[-1.0]]


def test_weights_that_a_trainer_has_changed_are_not_taken_for_those_on_disk(
    behind: Callable[..., Cached], loaded: Loaded
) -> None:
    engine = Local(loaded)
    before = behind(engine).generate([ask()])
    engine.weights_changed()
    after = behind(engine).generate([ask(), ask("b")])
    assert [reply.weights for reply in after] == [1, 1]
    assert behind(Local(loaded)).generate([ask()]) == before
    fresh = behind(numbered())
    assert fresh.generate([ask("b")])[0].samples[0].text == "b 0/0"  # not what the changed weights said


def test_the_real_engine_says_the_same_with_and_without(behind: Callable[..., Cached], loaded: Loaded) -> None:
    engine = Local(loaded)
    requests = [ask(f"{n}", n=3, seed=n, logprobs=bool(n % 2)) for n in range(6)]
    plain = engine.generate(requests)
    assert behind(engine).generate([*requests[:2], replace(requests[3], n=1)]) == [
        *plain[:2],
        replace(plain[3], samples=plain[3].samples[:1]),
    ]
    mixed = behind(engine)
    assert mixed.generate(requests) == plain  # some from the shelf, some new, one in part
    assert mixed.taken == 7
    assert behind(Scripted({})).generate(requests) == plain
