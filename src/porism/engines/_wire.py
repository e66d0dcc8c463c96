"""Requests as the JSON that OpenAI-compatible servers take, and their replies as samples."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from porism.engines import Request, Sample, Sampling
from porism.engines._streams import Cutter, joined
from porism.errors import RecipeError
from porism.records import Finish, content_id

__all__ = ["Answer", "Server", "answer", "body", "check", "count", "dearest", "path"]

_MOST_STOPS = 4
"""Stop strings that OpenAI's own server takes in a request, and vLLM's too."""

_MARK = re.compile(r"<\S+>|\[/?[A-Z]+\]")
"""A token of a chat template."""

_BROKEN = {"content_filter": "the server's content filter", "abort": "the server", "error": "the server"}


@dataclass
class Server:
    """What is known of a server; some of it is learnt from its answers."""

    model: str
    vllm: bool = False
    """It takes vLLM's own parameters."""
    context: int = 0
    """Most tokens of prompt and answer together; 0 where the server does not say."""
    limit: str = "max_tokens"
    """What it calls the longest answer in a chat."""
    takes_n: bool = True
    """It answers a request with ``n`` by that many choices."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Put into every body; None leaves a field out."""


class Answer(NamedTuple):
    """What one call brought."""

    samples: dict[int, Sample]
    prompt_tokens: int
    completion_tokens: int
    told: bool
    """The server said how many tokens it used."""


def check(request: Request) -> None:
    """Look at what would be sent.

    Raises:
        RecipeError: the JSON schema is not JSON.
    """
    if request.sampling.json_schema:
        try:
            json.loads(request.sampling.json_schema)
        except ValueError as error:
            raise RecipeError(f"json_schema: expected a JSON schema, got text that is not JSON ({error}).") from None


def path(request: Request) -> str:
    """Where a request is sent to, below the base URL."""
    return "/chat/completions" if request.messages else "/completions"


def body(request: Request, numbers: Sequence[int], server: Server, *, prefix_ids: Sequence[int] = ()) -> dict[str, Any]:
    """The JSON that asks for some of a request's samples.

    Args:
        request: what is asked.
        numbers: which of its samples.
        server: who is asked.
        prefix_ids: the request's prefix as token ids, where the prompt is one of ids.
    """
    sampling = request.sampling
    sent: dict[str, Any] = {"model": server.model, "temperature": sampling.temperature}
    if request.messages:
        sent |= _chat(request)
        sent[server.limit] = sampling.max_tokens
    else:
        sent["prompt"] = [*request.ids, *prefix_ids] if request.ids else request.text + request.prefix
        sent["max_tokens"] = sampling.max_tokens
    sent["seed"] = int(content_id(request.seed, numbers[0]), 16) % 2**31  # some servers take no more bits
    if len(numbers) > 1:
        sent["n"] = len(numbers)
    if request.logprobs:
        sent["logprobs"] = True if request.messages else 1
    optional = {
        "stop": list(sampling.stop[:_MOST_STOPS]),
        "top_p": sampling.top_p if sampling.top_p < 1 else None,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias},
        "return_token_ids": server.vllm,
    }
    sent |= {name: value for name, value in optional.items() if value} | _guided(sampling)
    if server.vllm and not request.messages and any(_MARK.fullmatch(stop) for stop in sampling.stop):
        sent["skip_special_tokens"] = False  # it looks for stop strings in the text, which would lack them
    sent.update(server.extra)
    return {name: value for name, value in sent.items() if value is not None}


def _chat(request: Request) -> dict[str, Any]:
    messages = [dict(message) for message in request.messages]
    if not request.prefix:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": request.prefix})
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def _guided(sampling: Sampling) -> dict[str, Any]:
    if sampling.json_schema:
        schema = {"name": "answer", "schema": json.loads(sampling.json_schema), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if sampling.regex:  # the name in vLLM since 0.12, and before
        return {"structured_outputs": {"regex": sampling.regex}, "guided_regex": sampling.regex}
    return {}


def dearest(request: Request, samples: int) -> tuple[int, int]:
    """At most how many tokens a call can use: prompt, and all answers. No tokenizer makes more tokens than bytes."""
    prompt = len(request.ids) + len((request.text + request.prefix).encode("utf-8", "surrogatepass"))
    for message in request.messages:
        prompt += len(message["content"].encode("utf-8", "surrogatepass")) + 16
    return prompt + 64, samples * request.sampling.max_tokens


def answer(reply: Any, request: Request, numbers: Sequence[int]) -> Answer:
    """Read a reply.

    Args:
        reply: the JSON that came.
        request: what was asked.
        numbers: which samples; with fewer choices the last ones are missing.

    Raises:
        ValueError: it is not the reply of such a server.
    """
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(
            f"expected JSON with choices, got {str(reply)[:80]!r}; check base_url, which mostly ends in /v1"
        )
    try:
        return _answer(choices, reply.get("usage"), request, numbers)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise ValueError(f"a reply that cannot be read: {str(reply)[:80]!r}") from None


def _answer(choices: list[dict[str, Any]], usage: Any, request: Request, numbers: Sequence[int]) -> Answer:
    used = usage if isinstance(usage, dict) else {}
    prompt, total = (count(used.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    ordered = sorted(choices, key=lambda choice: int(choice.get("index") or 0))[: len(numbers)]
    pieces = [_piece(choice) for choice in ordered]
    counts = _shares(pieces, total)
    samples = {
        number: _sample(piece, count, request) for number, piece, count in zip(numbers, pieces, counts, strict=False)
    }
    return Answer(samples, prompt, total or sum(counts), bool(prompt or total))


def count(value: Any) -> int:
    """A number of tokens that a server tells; 0 for whatever is no such number."""
    return value if isinstance(value, int) and value > 0 else 0


class _Piece(NamedTuple):
    """A choice, whichever endpoint it came from."""

    thoughts: str
    text: str
    finish: str
    tokens: list[str]
    logprobs: list[float]
    ids: tuple[int, ...]


def _piece(choice: Mapping[str, Any]) -> _Piece:
    message = choice.get("message")
    if isinstance(message, dict):
        thoughts = message.get("reasoning_content") or message.get("reasoning") or ""
        text = message.get("content") or message.get("refusal") or ""
    else:
        thoughts, text = "", choice.get("text") or ""
    tokens, logprobs = _logprobs(choice.get("logprobs"))
    listed = choice.get("token_ids")
    numbers = isinstance(listed, list) and all(isinstance(token, int) for token in listed)
    ids = tuple(listed) if isinstance(listed, list) and numbers else ()
    return _Piece(_said(thoughts), _said(text), str(choice.get("finish_reason") or "stop"), tokens, logprobs, ids)


def _said(content: Any) -> str:
    """A message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return str(content)


def _logprobs(found: Any) -> tuple[list[str], list[float]]:
    """Tokens and log-probabilities in the layout of chats, or of completions."""
    if not isinstance(found, dict):
        return [], []
    if found.get("content"):
        return [str(row.get("token")) for row in found["content"]], [float(row["logprob"]) for row in found["content"]]
    values = found.get("token_logprobs") or []
    return [str(token) for token in found.get("tokens") or []], [float(value or 0.0) for value in values]


def _shares(pieces: Sequence[_Piece], total: int) -> list[int]:
    """Tokens of each choice: counted where the server lists them, else its share of the total by length of text."""
    counts = [len(piece.ids) or len(piece.logprobs) for piece in pieces]
    if all(counts) or not total:
        return counts
    lengths = [len(piece.thoughts) + len(piece.text) + 1 for piece in pieces]
    ends = [round(total * sum(lengths[: at + 1]) / sum(lengths)) for at in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _sample(piece: _Piece, tokens: int, request: Request) -> Sample:
    sampling = request.sampling
    whole = Cutter(sampling.stop)
    text = "".join(joined(piece.thoughts, piece.text, whole))
    finish: Finish = "stop" if whole.done or piece.finish != "length" else "length"
    ids, logprobs = piece.ids, tuple(piece.logprobs)
    if whole.done and piece.tokens:
        kept = _kept(piece.tokens, len(text))
        ids, logprobs = ids[:kept], logprobs[:kept]
    error = f"cut off by {_BROKEN[piece.finish]}" if piece.finish in _BROKEN and not whole.done else ""
    if not error and finish == "stop" and not whole.done:
        error = _unfollowed(sampling, piece.text)
    if not error and request.logprobs and not piece.logprobs:
        error = "the server sent no log-probabilities"
    return Sample(
        text=request.prefix + text,
        finish="error" if error else finish,
        tokens=tokens,
        error=error,
        ids=ids,
        logprobs=logprobs,
    )


def _kept(tokens: Sequence[str], length: int) -> int:
    """How many tokens begin before a text's end."""
    kept = start = 0
    for token in tokens:
        if start >= length:
            break
        start += len(token)
        kept += 1
    return kept


def _unfollowed(sampling: Sampling, text: str) -> str:
    """Why a text is not what was demanded: servers that do not know a parameter mostly ignore it in silence."""
    if sampling.regex and not _matches(sampling.regex, text):
        return "the answer does not match regex: the server seems to ignore it"
    if sampling.json_schema and not _is_json(text):
        return "the answer is not JSON: the server seems to ignore json_schema"
    return ""


def _matches(pattern: str, text: str) -> bool:
    try:
        return bool(re.fullmatch(pattern, text))
    except re.error:  # a dialect that Python does not read
        return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
