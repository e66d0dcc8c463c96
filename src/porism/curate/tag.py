"""Write tags into records: language, subject, difficulty, safety, lengths, opinions and rewards, a measured pass rate.

Every record is kept; its id does not change, since tags stand in ``meta``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from porism import store
from porism.curate import _rules
from porism.curate._judge import Judge
from porism.curate._scores import rewards
from porism.curate._source import others
from porism.curate._text import LONGEST, normal, question_of, readable, response_of, tokens
from porism.engines import LOADS
from porism.errors import DataError, MissingExtra, RecipeError
from porism.models.load import fingerprint
from porism.problems._language import language_of
from porism.records import JUDGED, Attempt, Problem, Record

__all__ = ["curate", "files", "hashes"]

Tag = Literal["language", "subject", "difficulty", "safety", "words", "tokens", "pass_rate", "reward"]
JudgeTag = Literal["difficulty", "quality", "category", "subject", "safety", "reward"]
Attempts = Annotated[list[str], Field(description="graded attempts for pass_rate; the input itself where left empty")]
Tokenizer = Annotated[str, Field(description="the model whose tokenizer counts, for tokens")]
JudgeTags = Annotated[list[JudgeTag], Field(description="tags that a model gives; they stand under 'judge'")]
JudgeModel = Annotated[str, Field(description="the model that judges")]
JudgeEngine = Annotated[str, Field(description="the engine that runs it")]
Scorer = Annotated[str, Field(description="a reward model or verifier that scores answers: writes the tag reward")]

_AT_ONCE = 64


def curate(
    records: Iterable[Record],
    *,
    tags: Annotated[list[Tag], Field(description="tags that need no judge")] = [  # noqa: B006 (never changed)
        "language",
        "subject",
        "difficulty",
        "safety",
        "words",
    ],
    tokenizer: Tokenizer = "",
    attempts: Attempts = [],  # noqa: B006
    judge: JudgeTags = [],  # noqa: B006
    judge_model: JudgeModel = "",
    judge_engine: JudgeEngine = "local",
    judge_options: Annotated[dict[str, Any], Field(description="settings of that engine")] = {},  # noqa: B006
    scorer: Scorer = "",
    max_failed: Annotated[float, Field(description="stop if the judge fails on a larger share", ge=0, le=1)] = 0.05,
) -> Iterator[tuple[Record, str]]:
    """Add tags to each record's ``meta``; see the module :mod:`porism.curate._rules` for those of rules.

    ``words`` writes ``question_words`` and ``response_words``, ``tokens`` ``question_tokens`` and ``response_tokens``,
    ``pass_rate`` also ``passes_of``: how many attempts at the problem were judged; ``reward`` of pairs also
    ``reward_difference``.

    Raises:
        RecipeError: ``tokens`` without a tokenizer, ``reward`` without a scorer, or ``judge`` without a model.
        DataError: ``pass_rate`` without attempts, or the judge failed too often.
    """
    makers = [_MAKERS[tag] for tag in tags if tag in _MAKERS]
    if "tokens" in tags:
        makers.append(_counter(tokenizer))
    if "pass_rate" in tags:
        makers.append(_passes(_attempts(records, attempts)))
    if "reward" in tags and not scorer:
        raise RecipeError("curate tag: a reward is given by a reward model. Set scorer, or ask a judge for it.")
    total, failed, last = 0, 0, ""
    passed, done = 0, getattr(records, "done", None) or 0
    asking = Judge(judge, model=judge_model, engine=judge_engine, options=judge_options) if judge else nullcontext()
    with asking as judging:
        for batch in _batches(records, _AT_ONCE if judge or scorer else 1):
            passed += len(batch)
            if passed <= done:
                yield from ((record, "") for record in batch)
                continue
            opinions = judging.tags(batch) if judging else [{}] * len(batch)
            scored = rewards(scorer, batch) if scorer else [{}] * len(batch)
            for record, opinion, rewarded in zip(batch, opinions, scored, strict=True):
                found = {name: value for maker in makers for name, value in maker(record).items()} | rewarded
                total, failed = total + 1, failed + ("error" in opinion)
                last = str(opinion.get("error", last))
                extra = {"judge": opinion} if opinion else {}
                yield dataclasses.replace(record, meta={**record.meta, **found, **extra}), ""
    if failed > max_failed * total:
        raise DataError(
            f"the judge gave no tags for {failed} of {total} records, more than max_failed={max_failed} allows. "
            f"The last said: {last}. Choose another judge_model, or raise max_failed."
        )


def files(*, attempts: Attempts = []) -> list[Path]:  # noqa: B006
    """The files of attempts."""
    return [store.locate(path) for path in attempts]


def hashes(
    *,
    tokenizer: Tokenizer = "",
    judge: JudgeTags = [],  # noqa: B006
    judge_model: JudgeModel = "",
    judge_engine: JudgeEngine = "local",
    scorer: Scorer = "",
) -> dict[str, str]:
    """The fingerprints of the models."""
    models = {"tokenizer": tokenizer, "scorer": scorer}
    found = {name: fingerprint(model) for name, model in models.items() if model}
    return found | (
        {"judge_model": fingerprint(judge_model)} if judge and judge_model and judge_engine in LOADS else {}
    )


def _by_rules(name: str, rule: Callable[[Record], Any]) -> Callable[[Record], dict[str, Any]]:
    return lambda record: {name: rule(record)}


def _words(record: Record) -> dict[str, Any]:
    return {
        "question_words": len(tokens(normal(question_of(record)[:LONGEST]))),
        "response_words": len(tokens(normal(response_of(record)[:LONGEST]))),
    }


def _worked(record: Record) -> str:
    """A worked solution, where the record has one: the reference's, or a text that was judged correct."""
    if isinstance(record, Problem):
        return record.solution
    if isinstance(record, Attempt):
        correct = record.verdict is not None and record.verdict.correct
        return record.problem.solution or (record.text if correct else "")
    return response_of(record)


_MAKERS: dict[str, Callable[[Record], dict[str, Any]]] = {
    "language": _by_rules("language", lambda record: language_of(question_of(record))),
    "subject": _by_rules("subject", lambda record: _rules.subject(question_of(record))),
    "difficulty": _by_rules("difficulty", lambda record: _rules.difficulty(question_of(record), _worked(record))),
    "safety": _by_rules("safety", lambda record: _rules.safety(f"{question_of(record)}\n{response_of(record)}")),
    "words": _words,
}


def _counter(tokenizer: str) -> Callable[[Record], dict[str, Any]]:
    """Counts tokens."""
    if not tokenizer:
        raise RecipeError("curate tag: tokens are counted by a model's tokenizer. Set tokenizer, or take words.")
    try:
        import transformers
    except ImportError:
        raise MissingExtra("transformers", "porism", "counting tokens") from None
    from porism.models.pull import locate

    found = transformers.AutoTokenizer.from_pretrained(
        locate(tokenizer), trust_remote_code=False, local_files_only=True
    )

    def count(text: str) -> int:
        return len(found(readable(text), add_special_tokens=False)["input_ids"])

    return lambda record: {
        "question_tokens": count(question_of(record)),
        "response_tokens": count(response_of(record)),
    }


def _attempts(records: Iterable[Record], paths: Sequence[str]) -> Iterator[Record]:
    if not paths:
        yield from records
    for _, record in others(paths):
        yield record


def _passes(attempts: Iterable[Record]) -> Callable[[Record], dict[str, Any]]:
    """The share of right ones among the judged attempts at each problem, counted in one pass."""
    counts: dict[str, list[int]] = {}
    for attempt in attempts:
        if isinstance(attempt, Attempt) and attempt.verdict is not None and attempt.verdict.status in JUDGED:
            right = counts.setdefault(attempt.problem.id, [0, 0])
            right[0] += attempt.verdict.correct
            right[1] += 1
    if not counts:
        raise DataError("curate tag: pass_rate needs graded attempts, and there are none. Name them with attempts.")

    def rate(record: Record) -> dict[str, Any]:
        problem = record.problem if isinstance(record, Attempt) else record
        right, of = counts.get(problem.id, (0, 0))
        return {"pass_rate": round(right / of, 4), "passes_of": of} if of else {}

    return rate


def _batches(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := [record for _, record in zip(range(size), iterator, strict=False)]:
        yield batch
