"""The chat template and the special tokens: does what is trained on equal what is met when generating?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from porism.doctor._checks import Check, Status
from porism.errors import ModelError
from porism.prompts.render import conversation_text, prompt_text
from porism.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["checks"]

_QUESTIONS = ("What is 17 + 25?", "And 42 + 8?")
_ANSWERS = ("17 + 25 = 42.", "42 + 8 = 50.")
_THOUGHT = "<think>\nI add the numbers.\n</think>\n\n"
_AROUND = 24


def checks(tokenizer: PreTrainedTokenizerBase, config: Any, generation: Any) -> Iterator[Check]:
    """Everything about template and special tokens.

    Args:
        tokenizer: as it is stored.
        config: the model's configuration.
        generation: the configuration of generation.
    """
    try:
        prompt_text(tokenizer, _chat("")[:1])
    except ModelError as error:
        yield _check("template", str(error), failed=True)
        yield _pad(tokenizer)
        return
    yield _present(tokenizer)
    yield from _prefixes(tokenizer)
    yield _system(tokenizer)
    try:
        yield _end(tokenizer, config, generation)
    except ModelError as error:
        yield _check("EOS", f"an answer is refused: {error}", failed=True)
    yield _pad(tokenizer)
    yield _begin(tokenizer)


def _present(tokenizer: PreTrainedTokenizerBase) -> Check:
    if "strftime_now" in str(tokenizer.chat_template):
        return _check(
            "template",
            "present, but it may write today's date: prompts, and so results, can change from day to day",
            "Put a fixed date into chat_template.jinja.",
            warning=True,
        )
    return _check("template", "present")


def _chat(thought: str) -> list[Message]:
    """Two questions, each answered."""
    chat = []
    for question, answer in zip(_QUESTIONS, _ANSWERS, strict=True):
        chat += [Message(role="user", content=question), Message(role="assistant", content=thought + answer)]
    return chat


def _prefixes(tokenizer: PreTrainedTokenizerBase) -> Iterator[Check]:
    """A longer conversation begins with the text of a shorter one: what was generated is what is read later."""
    kinds = (("", ""), (_THOUGHT, " that thinks"))
    try:
        broken = [(kind, place) for thought, kind in kinds if (place := _answered(tokenizer, _chat(thought)))]
        changed = [(kind, place) for thought, kind in kinds if (place := _continued(tokenizer, _chat(thought)))]
    except ModelError as error:
        yield _check("prefix", f"a conversation of several turns is refused: {error}", failed=True)
        return
    if broken:
        kind, place = broken[0]
        yield _check(
            "prefix",
            f"an answer{kind} changes the prompt before it: {place}",
            "Training is refused, or would learn another text than is generated. Use a template that only appends.",
            failed=True,
        )
    else:
        yield _check("prefix", "an answer only appends to its prompt, in the first and in later turns")
    kept = conversation_text(tokenizer, _chat(_THOUGHT)).count(_THOUGHT.split("\n")[1])
    if not kept:
        yield _check(
            "history",
            "the thinking of every answer is dropped, the last one's too",
            "Rows that think would be trained on without it. Use a template that keeps what an answer says.",
            warning=True,
        )
    elif changed:
        kind, place = changed[0]
        what = "earlier thinking is dropped" if kept < len(_ANSWERS) else f"earlier turns{kind} change"
        yield _check(
            "history",
            f"{what} when the chat goes on: {place}",
            "Single answers are not affected. In chats of several turns the model reads something else than it wrote, "
            "so train each answer as a row of its own.",
            warning=True,
        )
    else:
        yield _check("history", "earlier turns stay as they were, thinking included")


def _answered(tokenizer: PreTrainedTokenizerBase, chat: Sequence[Message]) -> str:
    """Where an answer changes the prompt that it answers; nothing where it does not."""
    for length in range(1, len(chat), 2):
        before = prompt_text(tokenizer, chat[:length])
        after = conversation_text(tokenizer, chat[: length + 1])
        if not after.startswith(before):
            return _difference(before, after, f"turn {length + 1}")
    return ""


def _continued(tokenizer: PreTrainedTokenizerBase, chat: Sequence[Message]) -> str:
    """Where one more turn changes the turns before; nothing where it does not."""
    for length in range(1, len(chat)):
        before, after = (conversation_text(tokenizer, chat[:end]) for end in (length, length + 1))
        if not after.startswith(before):
            return _difference(before, after, f"turn {length + 1}")
    return ""


def _difference(before: str, after: str, cause: str) -> str:
    """Where two texts part, in words."""
    at = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(after))
    start = max(0, at - _AROUND)
    old, new = (text[start : at + _AROUND] for text in (before, after))
    return f"{cause} turns {old!r} into {new!r} (character {at})"


def _system(tokenizer: PreTrainedTokenizerBase) -> Check:
    """Is a system message taken, and is one put in where none is given?"""
    said = "You add numbers."
    asked = _chat("")[:1]
    try:
        text = prompt_text(tokenizer, [Message(role="system", content=said), *asked])
    except ModelError as error:
        return _check(
            "system", f"a system message is refused: {error}", "Put instructions into the user's turn.", warning=True
        )
    if said not in text:
        return _check(
            "system", "a system message is left out in silence", "Put instructions into the user's turn.", warning=True
        )
    lead, _, rest = text.partition(said)
    plain = prompt_text(tokenizer, asked).partition(_QUESTIONS[0])[0]
    between = rest.partition(_QUESTIONS[0])[0]
    own = plain.removeprefix(lead).removesuffix(between).strip() if plain.startswith(lead) else ""
    return _check("system", f"accepted; without one the template puts in its own: {own[:80]!r}" if own else "accepted")


def _end(tokenizer: PreTrainedTokenizerBase, config: Any, generation: Any) -> Check:
    """The token that ends an answer in the template is one at which generation stops, and the tokenizer's EOS."""
    own = tokenizer.eos_token_id
    stops = {
        "config.json": _ids(getattr(config.get_text_config(), "eos_token_id", None)),
        "generation_config.json": _ids(getattr(generation, "eos_token_id", None)),
        "the tokenizer": _ids(own),
    }
    turn = _turn_end(tokenizer)
    named = "; ".join(f"{where} {_named(tokenizer, ids)}" for where, ids in stops.items())
    if own is None:
        return _check(
            "EOS", f"the tokenizer has none ({named})", "Set eos_token in tokenizer_config.json.", failed=True
        )
    if turn is None:
        return _check(
            "EOS",
            f"the template ends an answer with no token of its own ({named})",
            f"Training puts {_named(tokenizer, [own])} there; other programs may not. Let the template write it.",
            warning=True,
        )
    shown = _named(tokenizer, [turn])
    if turn not in {*stops["generation_config.json"], own}:
        return _check(
            "EOS",
            f"generation never stops: the template ends an answer with {shown}, but the EOS is another ({named})",
            f"Set eos_token and both eos_token_id to {shown}, or train with a template that ends with the EOS.",
            failed=True,
        )
    if turn != own:
        return _check(
            "EOS",
            f"the template ends an answer with {shown}, the tokenizer's EOS is {_named(tokenizer, [own])} ({named})",
            f"Training teaches both, one after the other. Set eos_token in tokenizer_config.json to {shown}.",
            warning=True,
        )
    differing = [where for where, ids in stops.items() if turn not in ids]
    if differing:
        return _check(
            "EOS",
            f"{shown} ends an answer, but not in {' and '.join(differing)} ({named})",
            "Porism stops there; programs that read that file may not. Add it to eos_token_id.",
            warning=True,
        )
    return _check("EOS", f"{shown} ends an answer in the template, the tokenizer, config and generation config")


def _turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token with which the template ends the assistant's turn."""
    text = conversation_text(tokenizer, _chat("")[:2])
    tail = text.rpartition(_ANSWERS[0])[2]
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return next((int(one) for one in tokenizer(tail, add_special_tokens=False)["input_ids"] if one in special), None)


def _pad(tokenizer: PreTrainedTokenizerBase) -> Check:
    if tokenizer.pad_token_id is None:
        return _check(
            "pad token",
            "none; the EOS is used in its place",
            "Porism's training does not pad. For trainers that do, set pad_token to a token of its own.",
            warning=True,
        )
    shown = _named(tokenizer, [tokenizer.pad_token_id])
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        return _check(
            "pad token",
            f"{shown}, which is also the EOS",
            "Porism's training does not pad. Those that do may mask the EOS with it, so that the model never learns to "
            "stop: set pad_token to a token of its own.",
            warning=True,
        )
    return _check("pad token", f"{shown}, apart from the EOS")


def _begin(tokenizer: PreTrainedTokenizerBase) -> Check:
    """BOS stands once at the beginning, whether the template writes it or the tokenizer adds it."""
    own = tokenizer.bos_token_id
    if own is None:
        return _check("BOS", "none")
    text = prompt_text(tokenizer, _chat("")[:1])
    written, added = (
        _leading(tokenizer(text, add_special_tokens=adding)["input_ids"], own) for adding in (False, True)
    )
    shown = _named(tokenizer, [own])
    if written > 1:
        return _check(
            "BOS", f"the template writes {shown} {written} times", "Take one out of chat_template.jinja.", failed=True
        )
    if written and added > written:
        return _check(
            "BOS",
            f"the template writes {shown}, and the tokenizer adds another to any text",
            "Porism adds none to what a template wrote. Other programs double it: take it out of one of the two.",
            warning=True,
        )
    if added and not written:
        return _check(
            "BOS",
            f"the tokenizer begins plain text with {shown}, the template a chat without it",
            "If the model was trained with it, let the template write it.",
            warning=True,
        )
    return _check("BOS", f"{shown} stands once at the beginning" if written else f"{shown} is not used")


def _leading(ids: Sequence[int], token: int) -> int:
    return next((at for at, one in enumerate(ids) if one != token), len(ids))


def _ids(value: Any) -> list[int]:
    return [int(one) for one in (value if isinstance(value, list | tuple) else [value]) if one is not None]


def _named(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return ", ".join(str(tokenizer.convert_ids_to_tokens(one)) for one in ids) or "none"


def _check(name: str, found: str, cure: str = "", *, failed: bool = False, warning: bool = False) -> Check:
    status = Status.FAILED if failed else Status.WARNING if warning else Status.OK
    return Check("template", name, status, found, cure)
