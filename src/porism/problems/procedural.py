"""Problems made by reasoning-gym's generators: as many as wanted, with answers that are right by construction.

Each task is a generator (``chain_sum``, ``gcd``, …) with its own parameters, or ``gsm_symbolic`` with a list of
GSM-Symbolic templates (Mirzadeh et al., 2024, arXiv:2410.05229). Only tasks whose answers are numbers are taken.
A worked solution comes with the templates, and with the tasks in :mod:`porism.problems._worked`.

A problem belongs to a split by a hash of its task and the numbers in it, so two problems that differ in names or in the
order of their numbers alone never stand in different splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field

from porism.errors import DataError, RecipeError, nearest
from porism.problems import _worked
from porism.recipe import Seed
from porism.records import Problem, content_id

__all__ = ["instance", "load"]

_SHARES = {"train": range(7), "validation": range(7, 8), "test": range(8, 10)}
"""Split → tenths of all problems."""

_TRIES = 400
"""Instances drawn for each one wanted before a task is said to be used up."""

_ANSWER_ONLY = re.compile(r"\s*Give only the [\w ]+ as your final answer\.")
"""Some generators forbid showing work; the sentence is left out, since a worked solution is what is wanted here."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ANSWER = re.compile(r"-?\d+(\.\d+)?(/\d+)?")


class _Item(NamedTuple):
    question: str
    answer: str
    solution: str


def _some(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if not tasks:
        raise ValueError("expected at least one task, such as {chain_sum: {count: 10}}, got none.")
    return tasks


def load(
    split: str = "train",
    *,
    tasks: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="task → its parameters, 'count' among them; for gsm_symbolic, 'templates': a list of numbers"
        ),
        AfterValidator(_some),
    ],
    count: Annotated[int, Field(description="problems of each task that names no count of its own", ge=1)] = 100,
    seed: Annotated[Seed, Field(description="of the generators")] = 0,
) -> Iterator[Problem]:
    """The problems of a split, task after task, none twice.

    Raises:
        RecipeError: unknown split, task, template or parameter.
        DataError: a task's answers are no numbers, or it has too few different problems.
    """
    if split not in _SHARES:
        raise RecipeError(f"no split {split!r}.{nearest(split, _SHARES)} Known: {', '.join(_SHARES)}.")
    for task, options in tasks.items():
        wanted, parameters = _parameters(task, {"count": count, **options})
        if task == "gsm_symbolic":
            templates = parameters.pop("templates", sorted(_templates()))
            if not isinstance(templates, list) or not templates:
                raise RecipeError(f"gsm_symbolic: templates: expected a list of numbers, got {templates!r}.")
            if parameters:
                raise RecipeError(
                    f"gsm_symbolic: unknown parameter {next(iter(parameters))!r}. Known: count, templates."
                )
            for number, template in enumerate(templates):
                share = wanted // len(templates) + (number < wanted % len(templates))
                if share:
                    yield from _take(f"gsm_symbolic/{template}", _instances(template, seed), split, share)
        else:
            yield from _take(task, _generated(task, parameters, seed, wanted), split, wanted)


def _parameters(task: str, options: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """How many problems of a task are wanted, and its generator's parameters.

    Raises:
        RecipeError: no such number, or a parameter that is not the task's to set.
    """
    for name, instead in (("seed", "'seed' beside 'tasks', which serves them all"), ("size", "'count'")):
        if name in options:
            raise RecipeError(f"{task}: {name!r} is no parameter of a task here. Use {instead}.")
    wanted = options["count"]
    if not isinstance(wanted, int) or wanted < 1:
        raise RecipeError(f"{task}: count: expected a number of at least 1, got {wanted!r}.")
    return wanted, {name: value for name, value in options.items() if name != "count"}


def _take(group: str, items: Iterator[_Item], split: str, wanted: int) -> Iterator[Problem]:
    """The first ``wanted`` items that belong to the split, none twice.

    Raises:
        DataError: there are not so many, or an answer is not a number.
    """
    seen: set[str] = set()
    for tries, item in enumerate(items):
        if len(seen) == wanted or tries > _TRIES * wanted:
            break
        if not _ANSWER.fullmatch(item.answer):
            raise DataError(
                f"{group}: the answer {item.answer[:40]!r} is not a number. Choose a task whose answers are."
            )
        numbers = sorted(_NUMBER.findall(item.question))
        if int(content_id(group, numbers), 16) % 10 not in _SHARES[split] or item.question in seen:
            continue
        seen.add(item.question)
        yield Problem(
            question=item.question, answer=item.answer, solution=item.solution, source="procedural", group=group
        )
    if len(seen) < wanted:
        raise DataError(
            f"{group}: expected {wanted} different problems in the {split} split, found {len(seen)}. "
            "Ask for fewer, or widen the task's parameters."
        )


def _templates() -> dict[int, Any]:
    """GSM-Symbolic template number → generator."""
    from reasoning_gym.arithmetic.gsm_symbolic import generators_00_49, generators_50_99

    return {
        int(name.removeprefix("generate_")): getattr(module, name)
        for module in (generators_00_49, generators_50_99)
        for name in dir(module)
        if name.startswith("generate_")
    }


def instance(template: int, rng: Random) -> _Item | None:
    """A GSM-Symbolic template filled in; None where there is no such template, or the answer is no number."""
    generator = _templates().get(template)
    if generator is None:
        return None
    try:
        made = generator(rng, 1.0)
    except ValueError:  # it has drawn values that do not go together
        return None
    answer = str(made["answer"])
    return (
        _Item(made["question"].strip(), answer, made["metadata"]["answer_cot"]) if _ANSWER.fullmatch(answer) else None
    )


def _instances(template: int, seed: int) -> Iterator[_Item]:
    generators = _templates()
    if template not in generators:
        raise RecipeError(f"gsm_symbolic: no template {template!r}; there are {min(generators)} to {max(generators)}.")
    number = 0
    while True:
        try:
            made = generators[template](Random(f"{seed}/{template}/{number}"), 1.0)
            yield _Item(made["question"].strip(), str(made["answer"]), made["metadata"]["answer_cot"])
        except ValueError:  # the generator has drawn values that do not go together
            pass
        number += 1


def _stream(task: str, seed: int) -> int:
    """The first of a task's seeds. reasoning-gym gives item i the seed ``seed + i``, so that near seeds share items."""
    return int(content_id(task, seed), 16) % 2**31


def _generated(task: str, parameters: Mapping[str, Any], seed: int, wanted: int) -> Iterator[_Item]:
    """Items of one of reasoning-gym's generators, but those whose solution cannot be written in whole numbers."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        raise RecipeError(
            f"no task {task!r}.{nearest(task, DATASETS)} See reasoning-gym's gallery for all {len(DATASETS)}."
        )
    try:
        made = reasoning_gym.create_dataset(task, seed=_stream(task, seed), size=_TRIES * wanted, **parameters)
    except (TypeError, AssertionError, ValueError) as error:
        raise RecipeError(f"{task}: its generator refuses {dict(parameters)}: {error}") from None
    work = _worked.WORKED.get(task)
    for item in made:
        try:
            solution = work(item["metadata"]) if work else ""
        except _worked.Unsolvable:
            continue
        yield _Item(_ANSWER_ONLY.sub("", item["question"]).strip(), str(item["answer"]), solution)
