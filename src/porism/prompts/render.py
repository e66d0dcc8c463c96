"""Chat messages → token ids, the same way for generation and for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism.errors import ModelError
from porism.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "Rendered",
    "Turn",
    "conversation_text",
    "encode",
    "encode_turns",
    "prompt_text",
    "text_ids",
]


class Rendered(NamedTuple):
    """A training row as token ids."""

    prompt: list[int]
    completion: list[int]
    """Ends with the token that ends a turn."""


class Turn(NamedTuple):
    """A part of a chat as token ids."""

    ids: list[int]
    spans: list[tuple[int, int]]
    """The characters of ``text`` that each token stands for; nothing for an end token that was added."""
    text: str
    learnt: bool
    """Whether the assistant wrote it."""
    content: str = ""
    """The message itself, without what the template adds."""


def prompt_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """What the model reads: the messages in its own chat template, ready for the assistant's turn.

    Raises:
        ModelError: the tokenizer has no chat template, or the template refuses the messages.
    """
    return _apply(tokenizer, messages, add_generation_prompt=True)


def conversation_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The messages in the model's chat template, with nothing begun after the last.

    Raises:
        ModelError: see :func:`prompt_text`.
    """
    return _apply(tokenizer, messages, add_generation_prompt=False)


def encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of :func:`prompt_text`. No token is added to what the template wrote, so BOS cannot come twice.

    Raises:
        ModelError: see :func:`prompt_text`.
        TypeError: see :func:`text_ids`.
    """
    return text_ids(tokenizer, prompt_text(tokenizer, messages), special=False)


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool) -> list[int]:
    """Token ids of a text, of whatever length: its reader compares that with the context.

    Args:
        tokenizer: the model's.
        text: to be cut.
        special: whether the tokenizer adds what it puts around a text, such as BOS.

    Raises:
        TypeError: the text is none, or has half a character, a lone surrogate, which no tokenizer takes.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError("it holds half a character (a lone surrogate)") from None
    return list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])


def encode_turns(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], completion: Sequence[Message]
) -> tuple[list[int], list[Turn]]:
    """Token ids of a prompt, and of what follows turn by turn: the assistant's, and what stands between them.

    Which is which follows from the template itself: what it adds when one more message is there. The parts are
    tokenised apart, because in generation the model meets exactly the prompt's tokens and writes the answer's.

    Raises:
        ModelError: a later message changes how the template renders what stands before it.
    """
    said = list(prompt)
    written = (
        prompt_text(tokenizer, said) if completion[0]["role"] == "assistant" else conversation_text(tokenizer, said)
    )
    first = list(tokenizer(written, add_special_tokens=False)["input_ids"])
    turns: list[Turn] = []
    for message in completion:
        if message["role"] == "assistant":
            before = prompt_text(tokenizer, said)
            turns += _between(tokenizer, written, before)
            whole = conversation_text(tokenizer, [*said, message])
            turns.append(_turn(tokenizer, _added(tokenizer, before, whole), message["content"]))
            written = before + turns[-1].text
        said.append(message)
    if turns and turns[-1].ids[-1:] != [tokenizer.eos_token_id]:
        last = turns[-1]
        turns[-1] = last._replace(ids=[*last.ids, tokenizer.eos_token_id], spans=[*last.spans, (0, 0)])
    return first, turns


def _between(tokenizer: PreTrainedTokenizerBase, written: str, before: str) -> list[Turn]:
    """What the template writes between two turns of the assistant."""
    text = _added(tokenizer, written, before)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [Turn(list(found["input_ids"]), list(found["offset_mapping"]), text, learnt=False)] if text else []


def _turn(tokenizer: PreTrainedTokenizerBase, text: str, content: str) -> Turn:
    """A turn of the assistant, up to the token that ends it."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, spans = list(found["input_ids"]), list(found["offset_mapping"])
    end = tokenizer.eos_token_id
    if end in ids:
        last = len(ids) - ids[::-1].index(end)
        ids, spans = ids[:last], spans[:last]
        text = text[: spans[-1][1]]
    return Turn(ids, spans, text, learnt=True, content=content)


def _added(tokenizer: PreTrainedTokenizerBase, before: str, whole: str) -> str:
    if not whole.startswith(before):
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} renders a prompt differently once it is answered, so the "
            "completion cannot be told apart. Use a template that only appends."
        )
    return whole[len(before) :]


def _apply(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
    import jinja2

    if not tokenizer.chat_template:
        raise ModelError(
            f"{tokenizer.name_or_path} has no chat template. Use an instruction-tuned model, "
            "or put a chat_template.jinja into its folder."
        )
    try:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        roles = ", ".join(message["role"] for message in messages)
        raise ModelError(f"the chat template of {tokenizer.name_or_path} refuses the roles {roles}: {error}") from None
    return str(text)
