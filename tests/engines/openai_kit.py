"""What the tests of the engine behind HTTP share: requests, answers, and an engine that is closed at the end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_openai import Fake

from porism.engines import Reply, Request, openai

KEY = "sk-test-0123456789-secret"
FAST = {"backoff": 0.01, "timeout": 20.0}

Start = Callable[..., openai.OpenAI]


def starting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
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
