"""A recipe's stages in order, each skipped, resumed or run. Function calls; no workflow engine.

Every verb is a module with ``settings(part, values)``, ``inputs(part, settings)`` (name → hash of all that it
reads) and ``run(part, settings, out)``. It may have ``check(part, settings)``, for mistakes that can be found before
anything runs.
:func:`prepare` checks a stage's settings, :func:`execute` runs it, :func:`run` does both for a whole recipe.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from porism import __version__, console, recipe, store
from porism.engines import LOADS
from porism.errors import DataError, RecipeError, StorageError, nearest
from porism.models.load import base_of
from porism.models.pull import verify
from porism.records import Record

__all__ = [
    "VERBS",
    "Stage",
    "default_part",
    "dry_run",
    "execute",
    "folder_of",
    "parts_package",
    "prepare",
    "resolved",
    "run",
    "settings_class",
]

VERBS = {
    "problems": "porism.problems",
    "synth": "porism.synth",
    "solve": "porism.solve",
    "grade": "porism.grade",
    "curate": "porism.curate",
    "train": "porism.train",
    "evaluate": "porism.evaluate",
    "compare": "porism.evaluate.compare",
}
"""Verb → its module."""

_Made = tuple[type[Record], ...] | None

_MODELS = ("model", "posterior", "teacher", "reference_model", "rollout_model", "reward_model")
"""Settings that name models."""
_REFERENCES = (
    "input", "before", "after", "against", "attempts", "embed", "eval_input", "eval_problems", *_MODELS
)  # fmt: skip
"""Settings that name files or models. In a recipe they may name an earlier stage."""
_UNLIKE_INPUT = ("against", "eval_problems")
"""Those among them whose records are of other classes than a stage's input."""


class Stage(NamedTuple):
    """A stage whose settings have been checked."""

    verb: str
    part: str
    name: str
    settings: recipe.Settings


def parts_package(verb: str) -> str:
    """The package whose modules are the verb's parts, or nothing."""
    return str(getattr(importlib.import_module(VERBS[verb]), "PARTS", ""))


def default_part(verb: str) -> str:
    """The part that is meant where none is named, or nothing."""
    return str(getattr(importlib.import_module(VERBS[verb]), "DEFAULT_PART", ""))


def settings_class(verb: str, part: str, values: Mapping[str, Any]) -> type[recipe.Settings]:
    """The settings that a stage takes; ``values`` may name an engine, whose settings are among them.

    Raises:
        RecipeError: unknown part or engine.
    """
    found: type[recipe.Settings] = importlib.import_module(VERBS[verb]).settings(part, values)
    return found


def prepare(verb: str, part: str, values: Mapping[str, Any], where: str = "", name: str = "") -> Stage:
    """Check the settings of a stage.

    Args:
        verb: such as ``solve``.
        part: such as ``cot``.
        values: the settings that are not left to their defaults.
        where: what the values stand in, for messages.
        name: the stage's name in its recipe.

    Raises:
        RecipeError: unknown verb, part or setting, or a wrong value.
    """
    if verb not in VERBS:
        raise RecipeError(f"{where}: unknown stage {verb!r}.{nearest(verb, VERBS)} Known: {', '.join(VERBS)}.")
    part = part or default_part(verb)
    label = f"{verb} {part}".strip()
    if parts_package(verb) and not part:
        raise RecipeError(f"{where or verb}: expected '{verb}: PART'; see 'porism {verb} --help' for the parts.")
    if part and not parts_package(verb):
        raise RecipeError(f"{where or verb}: {verb} has no parts, got {part!r}.")
    settings = recipe.build(settings_class(verb, part, values), values, f"{where} ({label})" if where else label)
    check = getattr(importlib.import_module(VERBS[verb]), "check", None)
    if check:
        check(part, settings)
    return Stage(verb, part, name or label.replace(" ", "-"), settings)


def execute(stage: Stage, target: str | Path) -> store.Manifest:
    """Run a stage, go on with it, or leave it as it is, as its output demands.

    Args:
        stage: what to do; its paths point to files.
        target: a folder, or a ``.jsonl`` file.

    Raises:
        UserError: see the verb.
    """
    module = importlib.import_module(VERBS[stage.verb])
    if int(os.environ.get("RANK", "0")) and hasattr(module, "follow"):
        return cast("store.Manifest", module.follow(stage.part, stage.settings, target, _key(module, stage)))
    out = store.Output(target)
    _refuse_own_input(stage, out)
    with store.lock(out.lock):
        try:
            return _execute(module, stage, out)
        finally:
            out.lock.unlink(missing_ok=True)


def _execute(module: Any, stage: Stage, out: store.Output) -> store.Manifest:
    key = _key(module, stage)
    if out.restore(key):
        console.notice("  put back: it was set aside for a run that did not come to its end")
    state = out.state(key)
    if state.name == "done" and out.manifest:
        console.notice("  done before, kept")
        return out.manifest
    if state.why:
        console.notice(f"  {'goes on' if state.name == 'resume' else 'done again'}: {state.why}")
    out.begin(key, state)
    _reset_peak()
    try:
        module.run(stage.part, stage.settings, out)
    except Exception:
        out.give_back()
        raise
    manifest = out.finish(_peak_mb())
    gc.collect()
    return manifest


def _refuse_own_input(stage: Stage, out: store.Output) -> None:
    """A stage must not write where it reads.

    Raises:
        StorageError: it would.
    """
    target = out.target.resolve()
    for _, value in _references(stage.settings):
        place = Path(value).expanduser().resolve()
        if place == target or target in place.parents or (place / "records.jsonl") == target:
            raise StorageError(f"{out.target} is also read by this stage. Choose another output.")


def run(path: str | Path, overrides: Sequence[str] = (), runs: str | Path = "runs") -> Path:
    """Run a recipe from its first stage to its last.

    Args:
        path: the recipe.
        overrides: ``stage.key=value`` or ``key=value``.
        runs: the folder in which the run's folder ``<name>`` stands.

    Returns:
        The run's folder.

    Raises:
        UserError: the recipe is wrong, or a stage fails; finished stages stay.
    """
    plan = recipe.load(path, overrides)
    stages = _prepare_all(plan, Path(path))
    folder = Path(runs).expanduser() / plan.name
    with store.lock(folder / ".lock"):
        store.write_text(folder / "recipe.yaml", resolved(plan, stages))
        current: list[str] = []
        earlier = _earlier(folder)
        names = [folder_of(stages, number) for number in range(len(stages))]
        for number, stage in enumerate(stages):
            name = names[number]
            store.write_json(folder / "stages.json", current)  # what a report may read: not what earlier recipes left
            console.notice(f"[{number + 1}/{len(stages)}] {stage.verb} {stage.part}".rstrip() + f" → {name}")
            _renumber(folder, name, names, earlier)
            manifest = execute(_with_paths(stages, number, folder), folder / name)
            console.notice(f"  {manifest.counted or 'done'}  ({_cost(manifest)})")
            current.append(name)
        store.write_json(folder / "stages.json", current)
    return folder


def _earlier(folder: Path) -> list[str]:
    """The stages that the run's last recipe got done, as far as that can be known."""
    try:
        found = store.load_json(folder / "stages.json")
    except DataError:
        return []
    return found if isinstance(found, list) else []


def _renumber(folder: Path, name: str, names: Sequence[str], earlier: Sequence[str]) -> None:
    """Give the folder of a stage that has moved within the recipe its new number, so that it need not run again.

    A folder that an adapter names as its base stays where it is.

    Args:
        folder: the run's.
        name: the stage's folder, which may not be there.
        names: the folders of all stages.
        earlier: what the run's last recipe got done, which is preferred.
    """
    if (folder / name).exists():
        return
    alike = re.compile(r"\d+-" + re.escape(name.partition("-")[2]))
    found = [path.name for path in folder.iterdir() if alike.fullmatch(path.name) and path.name not in names]
    found = [other for other in found if other in earlier] or found
    if len(found) != 1 or _is_base(folder / found[0], folder):
        return
    out = store.Output(folder / found[0])
    with store.lock(out.lock):
        out.lock.unlink()
        out.folder.rename(folder / name)
    console.notice(f"  was {found[0]}")


def _is_base(stage: Path, run: Path) -> bool:
    """True where an adapter of the run was trained on this stage's model, which it finds by its path."""
    bases = (base_of(config.parent) for config in run.glob("*/model/adapter_config.json"))
    return any(Path(base).is_relative_to(stage.resolve()) for base in bases)


def dry_run(path: str | Path, overrides: Sequence[str] = ()) -> str:
    """The recipe as it would run, every default written out, as YAML.

    Raises:
        RecipeError: the recipe is wrong.
    """
    plan = recipe.load(path, overrides)
    return resolved(plan, _prepare_all(plan, Path(path)))


def folder_of(stages: Sequence[Stage], number: int) -> str:
    """The folder of a stage within its run: number, verb, and what tells it from others."""
    stage = stages[number]
    if stage.name != f"{stage.verb}-{stage.part}":
        label = stage.name if stage.name.startswith(stage.verb) else f"{stage.verb}-{stage.name}"
    else:
        label = f"{stage.verb}-{stage.part}"
    return f"{number + 1}-{label}"


def resolved(plan: recipe.Recipe, stages: Sequence[Stage]) -> str:
    """The recipe as YAML with every default written out; it can be run again."""
    entries = [{stage.verb: stage.part or None, "name": stage.name, **stage.settings.model_dump()} for stage in stages]
    value = {"name": plan.name, "seed": plan.seed, "model": plan.model, "stages": entries}
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110))


def _prepare_all(plan: recipe.Recipe, path: Path) -> list[Stage]:
    """Check every stage, and every name of another stage in it, before the first one runs."""
    stages: list[Stage] = []
    made: list[_Made] = []
    for entry in plan.stages:
        where = f"{path}, stage {entry.name!r}"
        if entry.verb not in VERBS:
            raise RecipeError(
                f"{where}: unknown verb {entry.verb!r}.{nearest(entry.verb, VERBS)} Known: {', '.join(VERBS)}."
            )
        values = _with_defaults(plan, entry, stages)
        stage = prepare(entry.verb, entry.part, values, where, entry.name)
        for name, value in _references(stage.settings):
            target = _resolve(name, value, stages, Path(), where)
            if name in _MODELS and target == value and getattr(stage.settings, "engine", "local") in LOADS:
                verify(value)
        _check_file(stage.settings, where)
        made.append(_flow(stage, stages, made, where))
        stages.append(stage)
    return stages


def _flow(stage: Stage, earlier: Sequence[Stage], made: Sequence[_Made], where: str) -> _Made:
    """Check that the stages which a stage names make what it reads.

    Args:
        stage: the stage.
        earlier: the stages before it.
        made: the classes of the records that each of those makes; None where that is not known.
        where: what the stage stands in, for messages.

    Returns:
        The classes of the records that it makes.

    Raises:
        RecipeError: a stage that it names makes no model, no records, or records of another class.
    """
    passed: list[_Made] = []
    for name, value in _references(stage.settings):
        labels = [(other.name, other.verb) for other in earlier]
        label, part = _parted(value, labels)
        if not recipe.names_stage(label, labels):
            passed += [None] if name == "input" else []
            continue
        number = recipe.number_of(label, labels, f"{where}: {name}")
        found = None if part else made[number]  # what stands beside the records may be of another class
        reads = stage.settings.reads if name not in _UNLIKE_INPUT else ()
        if name in _MODELS:
            if earlier[number].verb != "train":
                raise RecipeError(f"{where}: {name}: the stage {value!r} makes no model; only 'train' does.")
            continue
        if found == ():
            raise RecipeError(f"{where}: {name}: the stage {value!r} makes no records that another stage could read.")
        if found and reads and not set(found) <= set(reads):
            raise RecipeError(
                f"{where}: {name}: expected {_plural(reads)}, but the stage {value!r} makes {_plural(found)}. "
                "Name another stage."
            )
        passed += [found] if name == "input" else []
    if stage.verb != "curate" or stage.settings.makes is not None:
        return stage.settings.makes
    return None if None in passed else tuple({kind for one in passed for kind in one or ()})


def _plural(kinds: Sequence[type]) -> str:
    return " or ".join(f"{kind.__name__.lower()}s" for kind in kinds)


def _with_defaults(plan: recipe.Recipe, entry: recipe.StageEntry, earlier: Sequence[Stage]) -> dict[str, Any]:
    """The settings of a stage, with the recipe's seed and model, and the stage before as its input."""
    part = entry.part or default_part(entry.verb)
    named = part or not parts_package(entry.verb)
    known = settings_class(entry.verb, part, entry.settings).model_fields if named else {}
    values = dict(entry.settings)
    given = {"seed": recipe.seed_of(plan.seed, entry.name), "model": plan.model}
    values.update({name: value for name, value in given.items() if name in known and name not in values})
    if "input" in known and "input" not in values and earlier:
        values["input"] = [earlier[-1].name]
    if isinstance(values.get("input"), str):
        values["input"] = [values["input"]]
    return values


def _references(settings: recipe.Settings) -> list[tuple[str, str]]:
    """Every setting that may name a stage, with each value that it has."""
    found = []
    for name in _REFERENCES:
        value = getattr(settings, name, None)
        found += [(name, item) for item in (value if isinstance(value, list) else [value]) if item]
    return found


def _resolve(name: str, value: str, earlier: Sequence[Stage], folder: Path, where: str) -> str:
    """The path that a reference stands for: an earlier stage's output, else itself.

    Raises:
        RecipeError: neither a stage nor something that exists.
    """
    labels = [(stage.name, stage.verb) for stage in earlier]
    label, part = _parted(value, labels)
    if recipe.names_stage(label, labels):
        number = recipe.number_of(label, labels, f"{where}: {name}")
        place = folder / folder_of(earlier, number)
        return str(place / "model" if name in _MODELS else place / f"{part}.jsonl" if part else place)
    if name in _MODELS:
        return value
    if not Path(value).expanduser().exists():
        known = [label for label, _ in labels]
        raise RecipeError(
            f"{where}: {name}: {value!r} is neither an earlier stage nor a file.{nearest(value, known)} "
            f"Earlier stages: {', '.join(known) or 'none'}."
        )
    return value


def _parted(value: str, labels: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """``split/test``, a file of records that a stage writes beside its main one, as the stage and the file's name."""
    label, _, part = value.partition("/")
    is_part = re.fullmatch(r"[A-Za-z0-9_-]+", part) and recipe.names_stage(label, labels)
    return (label, part) if is_part else (value, "")


def _check_file(settings: recipe.Settings, where: str) -> None:
    """Notice a source's missing file before anything runs.

    Raises:
        RecipeError: it is not there.
    """
    path = getattr(settings, "path", "")
    if path and not getattr(settings, "optional", False) and not Path(path).expanduser().exists():
        raise RecipeError(f"{where}: path: no such file: {path}")


def _with_paths(stages: Sequence[Stage], number: int, folder: Path) -> Stage:
    """The stage with each reference replaced by the path that it stands for."""
    stage, earlier = stages[number], stages[:number]
    changed: dict[str, Any] = {}
    for name in _REFERENCES:
        value = getattr(stage.settings, name, None)
        if isinstance(value, list):
            changed[name] = [_resolve(name, item, earlier, folder, stage.name) for item in value]
        elif value:
            changed[name] = _resolve(name, value, earlier, folder, stage.name)
    return stage._replace(settings=stage.settings.model_copy(update=changed))


def _key(module: Any, stage: Stage) -> store.Key:
    """What the output depends on. A path counts by the content of its file, not by its name."""
    inputs = {**store.hashes(_named_files(stage)), **module.inputs(stage.part, stage.settings)}
    references: dict[str, list[str]] = {}
    for name, value in _references(stage.settings):
        if name not in _MODELS:
            references.setdefault(name, []).append(store.sha256(store.locate(value)))
    hashed = {*references, *(name for name in _MODELS if name in inputs), *(["path"] if inputs else [])}
    left_out = hashed | stage.settings.not_in_key
    settings = {name: value for name, value in stage.settings.model_dump(mode="json").items() if name not in left_out}
    return store.Key(f"{stage.verb} {stage.part}".strip(), settings, references, inputs, __version__)


def _named_files(stage: Stage) -> list[Path]:
    """Files that settings name besides the records: code of the user's own, examples, scripts."""
    values = [stage.part]
    for name, value in stage.settings.model_dump().items():
        if name not in _REFERENCES and name not in stage.settings.not_in_key:
            values += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    places = [Path(value.rpartition(":")[0] if ".py:" in value else value) for value in values if len(value) < 1024]
    found = []
    for place in (place.expanduser() for place in places):
        with contextlib.suppress(OSError):  # a text that is longer than a file's name can be
            file = place / "records.jsonl" if place.is_dir() else place
            if file.suffix and file.is_file():
                found.append(file)
    return found


def _cost(manifest: store.Manifest) -> str:
    return f"{manifest.seconds:,.0f} s, {manifest.peak_memory_mb / 1024:.1f} GB"


def _reset_peak() -> None:
    """Start measuring peak memory anew, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mb() -> float:
    """Peak resident memory of this process in MB, since :func:`_reset_peak` where that works."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
