"""Chat messages → token ids, the same way for generation and for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism.errors import ModelError
from porism.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Rendered", "conversation_text", "encode", "encode_pair", "prompt_text"]


class Rendered(NamedTuple):
    """A training row as token ids."""

    prompt: list[int]
    completion: list[int]
    """Ends with the token that ends a turn."""


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
    """Token ids of :func:`prompt_text`. No token is added to what the template wrote, so BOS cannot come twice."""
    return list(tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"])


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], completion: Sequence[Message]
) -> Rendered:
    """Token ids of a prompt, and of the completion as the template writes it, up to the end of the turn.

    The two are tokenised apart, because in generation the model meets exactly the prompt's tokens and writes
    the completion's.

    Raises:
        ModelError: adding the completion changes how the template renders the prompt.
    """
    before = prompt_text(tokenizer, prompt)
    whole = conversation_text(tokenizer, [*prompt, *completion])
    if not whole.startswith(before):
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} renders a prompt differently once it is answered, so the "
            "completion cannot be told apart. Use a template that only appends."
        )
    end = tokenizer.eos_token_id
    ids = list(tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"])
    if end in ids:
        last = len(ids) - 1 - ids[::-1].index(end)
        ids = ids[: last + 1]
    else:
        ids.append(end)
    return Rendered(list(tokenizer(before, add_special_tokens=False)["input_ids"]), ids)


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
