"""One self-contained page about a run: what changed, how sure that is, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from porism import __version__, store
from porism.errors import DataError
from porism.evaluate import plots, rollouts, tables
from porism.records import Attempt

__all__ = ["stages", "write"]


def write(run: Path) -> Path:
    """Write ``report.html`` into a run's folder. It needs no network and no other file, and works without JavaScript.

    Raises:
        DataError: the folder holds no run.
    """
    import jinja2

    done = stages(run)
    machine = _machine([manifest for _, manifest in done])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=tables.percent, points=tables.points)
    page = environment.get_template("report.html.j2").render(
        name=run.resolve().name,
        version=__version__,
        machine=_listed(machine),
        stages=[_stage(folder, manifest, machine) for folder, manifest in done],
        total_seconds=sum(manifest.seconds for _, manifest in done),
        comparisons=[_comparison(folder, done) for folder, _ in done if (folder / "comparison.json").is_file()],
        measurements=[
            (folder.name, store.load_json(folder / "metrics.json"))
            for folder, _ in done
            if (folder / "metrics.json").is_file()
        ],
        trainings=[_training(folder) for folder, _ in done if (folder / "metrics.jsonl").is_file()],
        recipe=store.read_text(run / "recipe.yaml") if (run / "recipe.yaml").is_file() else "",
    )
    target = run / "report.html"
    store.write_text(target, page)
    return target


def stages(run: Path) -> list[tuple[Path, store.Manifest]]:
    """The stages of a run that are done, in order, with their manifests; not what an earlier recipe left in the folder.

    Raises:
        DataError: the folder holds no run, or one of which a stage is gone or damaged.
    """
    if not (run / "stages.json").is_file():
        raise DataError(f"{run}: expected a run's folder with stages.json. Run a recipe first: porism run RECIPE")
    names = store.load_json(run / "stages.json")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{run / 'stages.json'}: expected a list of folders. Give the recipe's command again.")
    return [(run / name, store.Manifest.load(run / name / "manifest.json")) for name in names]


def _machine(manifests: Sequence[store.Manifest]) -> dict[str, Any]:
    """What most stages ran on: of each property the commonest value, if more than half of the stages have it."""
    counted = Counter((name, str(value)) for manifest in manifests for name, value in manifest.environment.items())
    return {name: value for (name, value), count in counted.items() if 2 * count > len(manifests)}


def _listed(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _stage(folder: Path, manifest: store.Manifest, machine: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of stages; of its machine only what differs from the others'."""
    own = {name: value for name, value in manifest.environment.items() if machine.get(name) != str(value)}
    return {
        "folder": folder.name,
        "status": manifest.status,
        "seconds": manifest.seconds,
        "memory_gb": manifest.peak_memory_mb / 1024,
        "counts": manifest.counted,
        "machine": _listed(own),
    }


def _comparison(folder: Path, done: list[tuple[Path, store.Manifest]]) -> dict[str, Any]:
    """A comparison with its plots. The two sides' attempts are found by the hashes in the manifest."""
    sets = store.load_json(folder / "comparison.json")
    key = store.Manifest.load(folder / "manifest.json").key
    wanted = [digest for side in ("before", "after") for digest in key.references.get(side, [])]
    places = {manifest.outputs.get("records.jsonl"): other / "records.jsonl" for other, manifest in done}
    sides = [places[digest] for digest in wanted if digest in places]
    tokens = [[cast("Attempt", record).completion_tokens for record in store.read(side, Attempt)] for side in sides]
    overall = {name: (item["before"]["accuracy"], item["after"]["accuracy"]) for name, item in sets.items()}
    groups = {
        name: {group: (part["before"], part["after"]) for group, part in item["groups"].items()}
        for name, item in sets.items()
        if len(item["groups"]) > 1
    }
    return {
        "folder": folder.name,
        "sets": sets,
        "plot": plots.before_after(overall),
        "group_plots": {name: plots.before_after(part) for name, part in groups.items()},
        "token_plot": plots.token_counts(*tokens) if len(tokens) == 2 else "",
        "statuses": sorted(
            {status for item in sets.values() for side in ("before", "after") for status in item[side]["statuses"]}
        ),
    }


def _training(folder: Path) -> dict[str, Any]:
    rows = [row for _, row in store.rows(folder / "metrics.jsonl")]
    steps = [row for row in rows if "loss" in row]
    manifest = store.Manifest.load(folder / "manifest.json")
    return {
        "folder": folder.name,
        "figures": manifest.figures,
        "tokens_per_second": manifest.figures.get("tokens", 0) / manifest.seconds if manifest.seconds else 0,
        "plot": plots.curve([row["step"] for row in steps], [row["loss"] for row in steps], "loss, nats a token"),
        "rollouts": rollouts.section(folder, rows),
    }
