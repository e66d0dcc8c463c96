"""The card of an exported model: what it was made from, how, what was measured, and under which licence it stands.

The layout of its head is the hub's. Accuracies are taken from the run that the model was trained in, and only from
stages whose manifests say that they used exactly these weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from porism import __version__, store
from porism.errors import DataError, ModelError
from porism.models import names
from porism.models.load import SCORER, base_of
from porism.models.pull import WHEELS, locate

__all__ = ["Origin", "origin", "write"]

_LICENCE_KEYS = ("license", "license_name", "license_link")
_PLAIN = re.compile(r"[\w.:/+~#?=&%-]{1,300}")
_MOST_ANCESTORS = 20


class Origin(NamedTuple):
    """Where a model's weights began."""

    repository: str
    """``org/name`` on the Hugging Face hub; empty where it is not from there."""
    shown: str
    """What a person may call it."""
    commit: str
    licence: dict[str, str]
    """What the head of a card says of it: ``license``, ``license_name``, ``license_link``."""
    folder: Path
    """Where its own files are."""
    changed: bool
    """The weights are not those of the repository any more."""


def origin(folder: Path, *, changed: bool = False) -> Origin:
    """Follow a model to its beginning: an adapter to its base, a trained model to what its training began with.

    Args:
        folder: the model.
        changed: something was made of it since.

    Raises:
        ModelError: an adapter's base is not there.
    """
    for _ in range(_MOST_ANCESTORS):
        base = base_of(folder)
        made_from = _json(folder / "porism.json")
        head = _head(folder / "README.md")
        if base:
            folder, changed = locate(base), True
            continue
        named = head.get("base_model")
        alias = WHEELS.get(str(made_from.get("model"))) or WHEELS.get(str(named))
        if alias:
            changed = changed or not made_from
            return Origin(alias.original, alias.original, "", {"license": alias.licence}, folder, changed)
        if made_from.get("hub"):
            repository, commit = str(made_from.get("repository")), str(made_from.get("commit"))
            on_hub = made_from["hub"] == "hf"
            shown = repository if on_hub else f"{repository} on ModelScope"
            return Origin(repository if on_hub else "", shown, commit, _licence(head), folder, changed)
        parent = _parent(named)
        if isinstance(parent, Path):
            folder, changed = parent, True
            continue
        known = parent or folder.name
        return Origin(parent, known, "", _licence(head), folder, changed or bool(parent))
    raise ModelError(f"{folder}: the models that it was made from lead in a circle. Mend base_model in its README.md.")


def _parent(base: object) -> Path | str:
    """The folder of the model that a card names as its base, or its name on the hub, or nothing."""
    base = base[0] if isinstance(base, list) and len(base) == 1 else base
    if not isinstance(base, str) or not base:
        return ""
    try:
        return locate(base)
    except ModelError:
        remote = None if base.startswith((".", "/", "~")) else names.read(base)
        return remote.repo if remote and remote.hub == "hf" else ""


def _licence(head: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key in _LICENCE_KEYS if isinstance(value := head.get(key), str) and _PLAIN.fullmatch(value)}


def _head(file: Path) -> dict[str, Any]:
    """The values between the first two lines ``---`` of a card; nothing if it has none."""
    if not file.is_file():
        return {}
    parts = re.split(r"^---\s*$", file.read_text(encoding="utf-8", errors="replace"), maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        found = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(file: Path) -> dict[str, Any]:
    try:
        found = store.load_json(file) if file.is_file() else {}
    except DataError:
        return {}
    return found if isinstance(found, dict) else {}


def write(
    folder: Path,
    source: Path,
    begun: Origin,
    *,
    name: str,
    steps: Sequence[str],
    fingerprint: str,
    quantised: bool = False,
    scores: bool = False,
) -> None:
    """Write ``README.md`` into a folder.

    Args:
        folder: where to.
        source: the folder that the model was exported from.
        begun: where its weights began.
        name: what the model is called.
        steps: sentences on what was done in the export.
        fingerprint: of the model in ``source``, by which stages name it.
        quantised: GGUF is beside the weights.
        scores: it is a reward model or verifier.
    """
    stage = _json(source.parent / "manifest.json") if source.name == "model" else {}
    head: dict[str, Any] = {"base_model": begun.repository} if begun.repository else {}
    if begun.repository and (begun.changed or quantised):
        head["base_model_relation"] = "finetune" if begun.changed else "quantized"
    task = "text-classification" if scores else "text-generation"
    head |= {"library_name": "transformers", **begun.licence, "pipeline_tag": task, "tags": ["porism"]}
    made = "trained" if begun.changed else "exported"
    commit = f" (commit `{begun.commit}`)" if begun.commit else ""
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {name}",
        "",
        f"Made from {begun.shown}{commit}, {made} with Porism {__version__}.",
        "",
        *(_scoring(folder) if scores else []),
        *_training(stage),
        *(["## Export", "", *(f"- {step}" for step in steps), ""] if steps else []),
        *(_accuracy(source.parent.parent, fingerprint) if stage else []),
        "## Licence",
        "",
        _about_licence(begun),
        "",
    ]
    store.write_text(folder / "README.md", "\n".join(lines))


def _scoring(folder: Path) -> list[str]:
    """What a reward model or verifier gives, and how to ask for it."""
    about = _json(folder / SCORER)
    what = {
        "reward": "A reward model: the higher the number behind the last token of an answer, the better the answer.",
        "verifier": "A verifier: the number behind the last token is the log-odds that the answer is right.",
    }.get(str(about.get("kind")), "A model with one number behind the last token of an answer.")
    if about.get("steps_by"):
        what = (
            "A process verifier: the number behind each step is the log-odds that the step is right; steps are cut by "
            f"`{about['steps_by']}`."
        )
    ask = "`porism.graders.Scorer(folder).score(messages, [answer, …])`"
    return ["## Scores", "", f"{what} The answer stands in the chat template. In Python: {ask}.", ""]


def _training(stage: Mapping[str, Any]) -> list[str]:
    """What the manifest of a training stage says: settings, figures, and hashes of what was trained on."""
    key = stage.get("key")
    if not isinstance(key, dict):
        return []
    figures, inputs = stage.get("figures") or {}, key.get("inputs") or {}
    return [
        "## Training",
        "",
        f"Stage `{key.get('stage')}`, Porism {key.get('code')}.",
        "",
        *(
            f"- {name.replace('_', ' ')}: {value:,}"
            for name, value in figures.items()
            if isinstance(value, int | float)
        ),
        *(f"- `{name}` SHA-256 `{digest}`" for name, digest in inputs.items()),
        "",
        "```json",
        json.dumps(key.get("settings") or {}, ensure_ascii=False, indent=1),
        "```",
        "",
    ]


def _accuracy(run: Path, fingerprint: str) -> list[str]:
    """Accuracies that stages of the run measured with these weights, before and after where it compared."""
    manifests = {folder: _json(folder / "manifest.json") for folder in sorted(run.iterdir(), key=_number)}
    attempts: set[str] = set()
    for manifest in manifests.values():
        solved = _stage(manifest, "solve") and _inputs(manifest).get("model") == fingerprint
        graded = _stage(manifest, "grade") and bool(attempts & set(_references(manifest, "input")))
        if solved or graded:
            attempts.add(str(manifest.get("outputs", {}).get("records.jsonl")))
    rows: list[str] = []
    for folder, manifest in manifests.items():
        if _stage(manifest, "compare") and attempts & set(_references(manifest, "after")):
            rows += [_row(name, found, found.get("before")) for name, found in _sets(folder / "comparison.json")]
    if not rows:
        for folder, manifest in manifests.items():
            inputs = set(_references(manifest, "input"))
            if _stage(manifest, "evaluate") and inputs and inputs <= attempts:
                rows += [_row(name, {"after": found}, None) for name, found in _sets(folder / "metrics.json")]
    if not rows:
        return []
    title = ["## Accuracy", "", "In the run that trained this model, with 95 % intervals.", ""]
    return [*title, "| set | problems | before | after |", "|---|---|---|---|", *rows, ""]


def _number(folder: Path) -> int:
    number = folder.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _stage(manifest: Mapping[str, Any], verb: str) -> bool:
    key = manifest.get("key")
    return isinstance(key, dict) and str(key.get("stage", "")).split(" ")[0] == verb


def _inputs(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return manifest["key"].get("inputs") or {}


def _references(manifest: Mapping[str, Any], setting: str) -> list[str]:
    key = manifest.get("key")
    found = (key.get("references") or {}).get(setting) if isinstance(key, dict) else None
    return [str(digest) for digest in found] if isinstance(found, list) else []


def _sets(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, found in _json(file).items():
        if isinstance(found, dict):
            yield name, found


def _row(name: str, found: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    after = found.get("after") or {}
    shown = " ".join(name.split()).replace("|", "/")
    return f"| {shown} | {after.get('problems', '')} | {_interval(before)} | {_interval(after)} |"


def _interval(measured: Mapping[str, Any] | None) -> str:
    accuracy = (measured or {}).get("accuracy") or {}
    numbers = [accuracy.get(name) for name in ("value", "low", "high")]
    percents = [100 * number for number in numbers if isinstance(number, int | float)]
    if len(percents) < len(numbers):
        return "–"
    return "{:.1f} % ({:.1f}–{:.1f})".format(*percents)


def _about_licence(begun: Origin) -> str:
    known = begun.licence.get("license_name") or begun.licence.get("license")
    link = begun.licence.get("license_link")
    if not known:
        return f"The licence of {begun.shown} is not known to Porism. Look it up before you pass this model on."
    return f"{begun.shown} stands under {known}{f' ({link})' if link else ''}. What is made from it must keep to that."
