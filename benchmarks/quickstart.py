"""The quickstart, measured: runs the recipe and writes what it gained and what it cost.

python benchmarks/quickstart.py            # the whole recipe → results/quickstart.json
python benchmarks/quickstart.py --small    # a few problems and steps, to standard output: does it still work?
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import _kit
from porism import pipeline
from porism.evaluate import report

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "quickstart" / "recipe.yaml"
SMALL = [
    "practice.tasks={chain_sum: {count: 8}}",
    "instances.tasks={chain_sum: {count: 3}}",
    "templates.tasks={lcm: {count: 3, min_value: 2, max_value: 12}}",
    "gsm8k.limit=2",
    "before.max_tokens=16",
    "before.shots=1",
    "after.max_tokens=16",
    "train.max_steps=2",
    "before.max_unjudged=1.0",
    "after.max_unjudged=1.0",
]


def main() -> None:
    """Run, collect, write."""
    parser = _kit.parser(__doc__, "a few problems and steps")
    parser.add_argument("--run", type=Path, help="take the figures of a finished run instead of running")
    arguments = parser.parse_args()
    if arguments.run:
        result = collect(arguments.run)
    else:
        os.environ["PORISM_REPLIES_MB"] = "0"  # replies of an earlier run would cost no time
        with tempfile.TemporaryDirectory() as scratch:
            began = time.monotonic()
            run = pipeline.run(RECIPE, SMALL if arguments.small else [], scratch)
            report.write(run)
            result = {**collect(run), "wall_minutes": round((time.monotonic() - began) / 60, 2)}
    _kit.finish("quickstart", result, ["porism", "torch", "transformers", "peft"], small=arguments.small)


def collect(run: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    manifests = {folder.name: manifest for folder, manifest in report.stages(run)}
    comparison = json.loads(next(run.glob("*-compare/comparison.json")).read_text(encoding="utf-8"))
    return {
        "what": "recipes/quickstart/recipe.yaml: accuracy before and after, 95 % intervals, as shares",
        "command": "python benchmarks/quickstart.py",
        "minutes": round(sum(manifest.seconds for manifest in manifests.values()) / 60, 2),
        "target_minutes": 20,
        "peak_memory_gb": round(max(manifest.peak_memory_mb for manifest in manifests.values()) / 1024, 2),
        "target_memory_gb": 6,
        "target_gain_points": 20,
        "sets": {name: measured(item) for name, item in comparison.items()},
        "stages": {
            name: {
                "seconds": manifest.seconds,
                "peak_memory_gb": round(manifest.peak_memory_mb / 1024, 2),
                "counts": manifest.counts,
                "figures": manifest.figures,
                "environment": manifest.environment,
            }
            for name, manifest in manifests.items()
        },
    }


def measured(item: dict[str, Any]) -> dict[str, Any]:
    """One set's comparison, without its groups and examples."""
    sides = {
        side: {name: item[side][name] for name in ("accuracy", "statuses", "tokens")} for side in ("before", "after")
    }
    rest = (
        "problems",
        "difference",
        "mcnemar_p",
        "gain_by_format",
        "gain_by_reasoning",
        "wrong_to_right",
        "right_to_wrong",
    )
    return {**sides, **{name: item[name] for name in rest}}


if __name__ == "__main__":
    main()
