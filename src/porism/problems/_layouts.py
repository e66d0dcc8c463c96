"""A row of a file → question, chain of thought, answer: the layouts in which such files are written.

=====================  ===========================================================================================
layout                 keys
=====================  ===========================================================================================
``columns``            ``question``, ``answer``, perhaps ``solution``; or the keys that the settings name
``messages``           ``messages``: roles and contents, as chat templates and TRL have them
``sharegpt``           ``conversations``: ``from`` and ``value``, perhaps ``system``
``alpaca``             ``instruction``, ``input``, ``output``, perhaps ``history``
``input_output``       ``input``, ``output``, perhaps ``loss_mask``
``prompt_completion``  ``prompt``, ``completion``: texts or messages; with ``label`` (KTO) only what is true is taken
``preference``         ``prompt``, ``chosen``, ``rejected``; the prompt may stand in both, or as in alpaca or ShareGPT
``stepwise``           ``prompt``, ``completions``, ``labels``: a worked solution in steps; only if all are right
``problem``            ``problem``, ``solution``, perhaps ``answer``, as MATH has them
``query_response``     ``query`` and ``response``; or ``instruction``, ``prompt``, and ``response``, ``answer``
=====================  ===========================================================================================

Where a layout has no key for the answer, the answer is what the text states: ``#### 5``, a box, "the answer is 5".
Of a conversation the first exchange is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from porism import chains
from porism.problems import _choices

__all__ = ["Columns", "Fields", "Layout", "LeftOut", "fields", "kept", "kind_for", "parted", "text_of"]

Layout = Literal[
    "auto",
    "columns",
    "messages",
    "sharegpt",
    "alpaca",
    "input_output",
    "prompt_completion",
    "preference",
    "stepwise",
    "problem",
    "query_response",
]

_USER, _ASSISTANT = {"user", "human"}, {"assistant", "gpt", "model", "bot", "chatgpt"}
_ASKED = re.compile(r"\s*(?:问题?|問題?|Q|Question|Problem)\s*[:：]\s*", re.IGNORECASE)
_ANSWERED = re.compile(r"\s*(?:答案?|A|Answer)\s*[:：]\s*", re.IGNORECASE)
_NO_NUMBERS = {"nan", "inf", "infinity", "none", "null"}
_YES_NO = {"true", "false", "yes", "no"}
_NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SHORT = 40
_LINE = 200
_STRONGEST = ("boxed", "hash", "tag", "phrase")


class LeftOut(ValueError):
    """A row makes no problem by its nature: it is no defect of the file."""


class Columns(NamedTuple):
    """The keys of a row, as the settings name them."""

    question: Annotated[str, Field(description="the key of the question; a.b is b within a")] = "question"
    answer: Annotated[str, Field(description="the key of the reference answer")] = "answer"
    solution: Annotated[str, Field(description="the key of the worked solution")] = "solution"
    group: Annotated[str, Field(description="the key that results are broken down by")] = "group"
    options: Annotated[str, Field(description="the key of a choice's options")] = "options"
    keep: Annotated[list[str], Field(description="further keys, which stand in meta")] = []


class Fields(NamedTuple):
    """What a row says."""

    question: str
    answer: str
    solution: str = ""
    group: str = ""
    meta: Mapping[str, Any] = {}
    is_choice: bool = False


def fields(row: Mapping[str, Any], columns: Columns, layout: Layout = "auto") -> Fields:
    """What a row says.

    Raises:
        ValueError: it makes no problem; the reason, its kind before a colon.
    """
    name = _found(row, columns) if layout == "auto" else layout
    if name == "columns":
        return _columns(row, columns)
    found = _LAYOUTS[name](row)
    group = _at(row, columns.group)
    return found._replace(group=str(group)) if group else found


def kept(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """What stands under the further keys, as far as the row has them; what JSON has no word for as a text."""
    values = {key: _at(row, key) for key in columns.keep}
    return {
        key: json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=lambda _: None)
        for key, value in values.items()
        if value is not None
    }


def _found(row: Mapping[str, Any], columns: Columns) -> str:
    """The layout of a row, told by its keys."""
    if _at(row, columns.question) is not None and (
        _at(row, columns.answer) is not None or _at(row, columns.solution) is not None
    ):
        return "columns"
    for name, keys in (
        ("preference", ("chosen", "rejected")),
        ("messages", ("messages",)),
        ("sharegpt", ("conversations",)),
        ("stepwise", ("prompt", "completions", "labels")),
        ("prompt_completion", ("prompt", "completion")),
        ("alpaca", ("instruction", "output")),
        ("query_response", ("instruction", "response")),
        ("query_response", ("query", "response")),
        ("query_response", ("prompt", "response")),
        ("query_response", ("prompt", "answer")),
        ("input_output", ("input", "output")),
        ("problem", ("problem", "solution")),
        ("problem", ("problem", "answer")),
    ):
        if all(row.get(key) is not None for key in keys):
            return name
    if _at(row, columns.question) is not None:
        return "columns"
    raise ValueError(
        f"no layout: expected {columns.question!r} and {columns.answer!r}, or another known layout. {_keys(row)}"
    )


def _keys(row: Mapping[str, Any]) -> str:
    return f"Keys in this row: {', '.join(map(str, row))[:_LINE] or 'none'}."


# --- values ------------------------------------------------------------------------------------------


def _at(row: Mapping[str, Any], key: str) -> Any:
    """The value under a key; ``a.b`` also means ``b`` within ``a``."""
    if key in row or "." not in key:
        return row.get(key)
    value: Any = row
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def text_of(row: Mapping[str, Any], key: str, what: str = "") -> str:
    """The text under a key, which is the row's ``what``; a number or a truth value as it is written.

    Raises:
        ValueError: there is none.
    """
    value = _at(row, key)
    if isinstance(value, bool):  # the answers of StrategyQA
        value = "true" if value else "false"
    elif isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"no {what or key}: expected a text under {key!r}, got {_shown(value)}. {_keys(row)}")
    return value


def _shown(value: object) -> str:
    return repr(value)[:60]


def parted(worked: str) -> tuple[str, str]:
    """A worked text → the answer that it states, and the text itself; of a bare answer the text is empty."""
    before, mark, after = worked.rpartition("####")
    if mark:
        return _without_commas(after.strip()), worked if before.strip() else ""
    bare = worked.strip()
    answer = _stated(worked)
    return (answer, worked) if answer and answer != bare else (bare, "")


def _without_commas(answer: str) -> str:
    """An answer without the commas between thousands; a list or a point keeps its own."""
    return answer if set("()[]{}") & set(answer) else _THOUSANDS.sub("", answer)


def _stated(worked: str) -> str:
    """What a text states as its answer, by the strongest of its statements; empty where there is none."""
    chain = chains.read(worked)
    stated = [statement for statement in chain.statements if chain.response.covers(statement.span) and statement.closed]
    for rule in _STRONGEST:
        found = [statement.answer.of(worked).strip() for statement in stated if statement.rule == rule]
        if found and found[-1]:
            return found[-1]
    return ""


def _worked(question: str, worked: str, key: str, meta: Mapping[str, Any] | None = None) -> Fields:
    """A question with a text that ends in the answer.

    Raises:
        ValueError: there is no answer.
    """
    if not question.strip():
        raise ValueError("no question: it is empty")
    answer, solution = parted(worked)
    if not answer or answer.casefold().lstrip("+-") in _NO_NUMBERS:
        raise ValueError(f"no answer: expected one under {key!r}, got {worked[-40:]!r}")
    return Fields(question.strip(), answer, solution, meta=meta or {})


def kind_for(found: Fields) -> str:
    """The grader that fits an answer."""
    answer = found.answer.strip()
    if found.is_choice:
        return "choice"
    if answer.casefold() in _YES_NO:
        return "boolean"
    if "\n" in answer or len(answer) > _LINE:
        return "judge"
    if len(answer) <= _SHORT and len(_NUMBER.findall(answer)) == 1 and not set("\\^_()[]{}=<>√π") & set(answer):
        return "number"
    return "math"


# --- layouts -----------------------------------------------------------------------------------------


def _columns(row: Mapping[str, Any], columns: Columns) -> Fields:
    asked, given, options = (_at(row, key) for key in (columns.question, columns.solution, columns.options))
    question = _prompt(asked)[0] if isinstance(asked, list) else text_of(row, columns.question, "question")
    solution = given if isinstance(given, str) else ""
    group = _at(row, columns.group)
    if options is not None:
        texts, said = _choices.plain(options), _at(row, columns.answer)
        if said is None:
            raise ValueError(f"no answer: expected one of the options under {columns.answer!r}, got None. {_keys(row)}")
        letter = _choices.letter(said, texts)
        found = Fields(_choices.ask(question, texts), letter, solution, meta={"options": texts}, is_choice=True)
    else:
        key = columns.solution if solution and _at(row, columns.answer) is None else columns.answer
        found = _worked(question, text_of(row, key, "answer"), key)
        found = found._replace(question=question, solution=solution or found.solution)
    return found._replace(group="" if group is None else str(group))


def _problem(row: Mapping[str, Any]) -> Fields:
    question, solution = text_of(row, "problem"), row.get("solution")
    if row.get("answer") is None:
        return _worked(question, text_of(row, "solution"), "solution")
    found = _worked(question, text_of(row, "answer"), "answer")
    return found._replace(solution=solution if isinstance(solution, str) else found.solution)


def _alpaca(row: Mapping[str, Any]) -> Fields:
    history = row.get("history")
    if not history:
        return _worked(_instruction(row), text_of(row, "output"), "output", _with_system(row))
    first = history[0] if isinstance(history, list) else None
    if not isinstance(first, list) or len(first) != 2 or not all(isinstance(text, str) for text in first):
        raise ValueError(f"no history: expected a list of pairs of texts, got {_shown(history)}")
    return _worked(first[0], first[1], "history", {**_with_system(row), "turns": 2 * len(history) + 2})


def _instruction(row: Mapping[str, Any]) -> str:
    asked, more = text_of(row, "instruction"), row.get("input")
    return f"{asked}\n\n{more}" if isinstance(more, str) and more.strip() else asked


def _input_output(row: Mapping[str, Any]) -> Fields:
    """``loss_mask`` says which tokens of some tokenizer are trained on; here a prompt never is, so it is not needed."""
    mask = row.get("loss_mask")
    if mask is not None and not isinstance(mask, list):
        raise ValueError(f"no loss_mask: expected a list, got {type(mask).__name__}")
    question, output = text_of(row, "input"), text_of(row, "output")
    asked, answered = _ASKED.match(question), _ANSWERED.match(output)
    return _worked(
        question[asked.end() :] if asked else question, output[answered.end() :] if answered else output, "output"
    )


def _query(row: Mapping[str, Any]) -> Fields:
    said = "answer" if row.get("response") is None and "answer" in row else "response"
    if row.get("query") is None and row.get("prompt") is not None:
        question, system = _prompt(row["prompt"])
        return _worked(question, text_of(row, said), said, system)
    return _worked(text_of(row, "query" if "query" in row else "instruction"), text_of(row, said), said)


def _messages(row: Mapping[str, Any]) -> Fields:
    return _exchange(_turns(row.get("messages"), "messages"), "messages", _with_system(row))


def _sharegpt(row: Mapping[str, Any]) -> Fields:
    return _exchange(_turns(row.get("conversations"), "conversations"), "conversations", _with_system(row))


def _completion(row: Mapping[str, Any]) -> Fields:
    if row.get("label") not in (None, True):
        raise LeftOut(f"labelled false: its completion is an answer that is not wanted ({row['label']!r:.20})")
    question, system = _prompt(row.get("prompt"))
    return _worked(question, _said(row.get("completion"), "completion"), "completion", system)


def _preference(row: Mapping[str, Any]) -> Fields:
    rejected = _said(row.get("rejected"), "rejected")
    if row.get("prompt") is not None:
        question, meta = _prompt(row["prompt"])
    elif row.get("instruction") is not None:
        question, meta = _instruction(row), _with_system(row)
    elif row.get("question") is not None:
        question, meta = text_of(row, "question"), _with_system(row)
    elif row.get("conversations") is not None:
        question, meta = _prompt(row["conversations"], "conversations")
        meta = {**_with_system(row), **meta}
    else:
        found = _exchange(_turns(row.get("chosen"), "chosen"), "chosen", _with_system(row))
        return found._replace(meta={**found.meta, "rejected": rejected})
    return _worked(question, _said(row.get("chosen"), "chosen"), "chosen", {**meta, "rejected": rejected})


def _stepwise(row: Mapping[str, Any]) -> Fields:
    steps, labels = row.get("completions"), row.get("labels")
    if not isinstance(steps, list) or not isinstance(labels, list) or len(steps) != len(labels):
        raise ValueError("no steps: expected two lists of one length under 'completions' and 'labels'")
    if not all(labels):
        raise LeftOut(f"labelled false: step {labels.index(next(x for x in labels if not x)) + 1} is wrong")
    question, system = _prompt(row.get("prompt"))
    return _worked(question, "\n".join(map(str, steps)), "completions", {**system, "steps": len(steps)})


_LAYOUTS: dict[str, Callable[[Mapping[str, Any]], Fields]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "input_output": _input_output,
    "prompt_completion": _completion,
    "preference": _preference,
    "stepwise": _stepwise,
    "problem": _problem,
    "query_response": _query,
}


# --- conversations -----------------------------------------------------------------------------------


def _turns(value: object, key: str) -> list[tuple[str, str]]:
    """Role and text of each turn, under ``role`` and ``content`` or ``from`` and ``value``.

    Raises:
        ValueError: they are not turns of a conversation.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):  # a table's cell
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list) or not value:
        raise ValueError(f"no {key}: expected a list of turns, got {str(value)[:60]!r}")
    first = value[0]
    is_shared = isinstance(first, Mapping) and "from" in first and "role" not in first
    who, said = ("from", "value") if is_shared else ("role", "content")
    turns = []
    for turn in value:
        role = turn.get(who) if isinstance(turn, Mapping) else None
        text = _plain(turn.get(said)) if isinstance(turn, Mapping) else None
        if not isinstance(role, str) or text is None:
            raise ValueError(f"no {key}: expected turns with {who!r} and {said!r}, got {str(turn)[:60]!r}")
        turns.append((role.casefold(), text))
    return turns


def _plain(content: object) -> str | None:
    """The text of a turn, whose content may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        if len(parts) == len(content) and all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts))
    return None


def _exchange(turns: list[tuple[str, str]], key: str, meta: Mapping[str, Any]) -> Fields:
    """The first question of a conversation and its answer."""
    system = "\n".join(text for role, text in turns if role == "system")
    spoken = [(role, text) for role, text in turns if role != "system"]
    if len(spoken) < 2 or spoken[0][0] not in _USER or spoken[1][0] not in _ASSISTANT:
        roles = ", ".join(role for role, _ in turns)[:_LINE]
        raise ValueError(f"no {key}: expected a question and then an answer, got the roles {roles}")
    found = {**meta, **({"system": system} if system else {}), **({"turns": len(spoken)} if len(spoken) > 2 else {})}
    return _worked(spoken[0][1], spoken[1][1], key, found)


def _prompt(value: object, key: str = "prompt") -> tuple[str, dict[str, str]]:
    """The question in a prompt: a text, or messages of which the last is asked; the system's as meta."""
    if isinstance(value, str) and value.strip():
        return value, {}
    turns = _turns(value, key)
    system = "\n".join(text for role, text in turns if role == "system")
    asked = [text for role, text in turns if role in _USER]
    if len(asked) != 1 or turns[-1][0] not in _USER:
        raise ValueError(f"no {key}: expected one question that stands last, got {len(asked)} in {len(turns)} turns")
    return asked[0], {"system": system} if system else {}


def _said(value: object, key: str) -> str:
    """The text of a completion: a text, a message, or messages of which the last is the assistant's."""
    if isinstance(value, str) and value.strip():
        return value
    turns = _turns([value] if isinstance(value, Mapping) else value, key)
    if turns[-1][0] not in _ASSISTANT or not turns[-1][1].strip():
        raise ValueError(f"no {key}: expected an assistant's message at the end, got {turns[-1][0]!r}")
    return turns[-1][1]


def _with_system(row: Mapping[str, Any]) -> dict[str, str]:
    system = row.get("system")
    return {"system": system} if isinstance(system, str) and system.strip() else {}
