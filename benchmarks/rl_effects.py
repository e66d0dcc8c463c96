"""What learning from checked answers gains: accuracy on held-out instances before and after, over several seeds.

porism run recipes/quickstart/recipe.yaml  # whose model it starts from
python benchmarks/rl_effects.py            # four recipes, three seeds each → results/rl_effects.json
python benchmarks/rl_effects.py --recipes rl-grpo --seeds 21
python benchmarks/rl_effects.py --small    # one problem or two and one step each, to standard output

Every seed draws its own problems, and its run stands in runs/rl-effects/SEED: the same command goes on where it was cut
off, and takes runs that are finished as they are. Accuracy is at temperature 0, one answer a problem. The interval is
that of a mean of clusters: a problem that several seeds drew is one. Figures of recipes that were not asked for stay in
the file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from _kit import RESULTS, finish
from porism import console, pipeline
from porism.evaluate import load, report

ROOT = Path(__file__).parents[1]
NAME = "rl_effects"
RECIPES = ("rl-grpo", "rl-rloo", "rl-ppo", "selfplay")
SEEDS = (21, 22, 23)
HELD_OUT, OTHERS = "held-out instances", "kinds not practised"
SMALL = [
    "model=smollm2-135m",
    "practice.tasks={chain_sum: {count: 4}}",
    "longer.tasks={chain_sum: {count: 2}}",
    "instances.tasks={chain_sum: {count: 2}}",
    "longer-instances.tasks={chain_sum: {count: 2, min_terms: 4}}",
    "others.tasks={lcm: {count: 2, min_value: 2, max_value: 12}}",
    "before.max_tokens=8",
    "after.max_tokens=8",
    "before.max_unjudged=1.0",
    "after.max_unjudged=1.0",
]
SMALL_TRAIN = {
    "samples": "2",
    "batch_size": "2",
    "micro_batch_size": "2",
    "max_tokens": "8",
    "max_steps": "1",
    "minibatches": "1",
    "max_truncated": "1.0",
    "max_zero_variance": "1.0",
    "max_unjudged": "1.0",
}
TARGETS = {
    "rl-grpo": "at least 10 points",
    "rl-rloo": "an interval above zero",
    "rl-ppo": "an interval above zero",
    "selfplay": "an interval above zero, or a negative result",
}


class Pair(NamedTuple):
    """One problem in one run."""

    problem: str
    before: bool
    after: bool


def main() -> None:
    """Run what is asked for, pool, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="one step of each, printed, not stored")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES, help="which")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="of the runs that are pooled")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "rl-effects", help="where the runs stand")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.small:
            arguments.runs, arguments.seeds = Path(scratch), [21]
        found = {name: of_recipe(name, arguments) for name in arguments.recipes}
    kept = {} if arguments.small else before().get("effects", {})
    result = {
        "what": "accuracy on held-out instances before and after learning from checked answers, with 95 % intervals",
        "targets": TARGETS,
        "effects": {**kept, **found},
        "command": " ".join(["python benchmarks/rl_effects.py", *sys.argv[1:]]),
    }
    finish(NAME, result, ["porism", "torch", "transformers"], small=arguments.small)


def before() -> dict[str, Any]:
    """The file as it stands."""
    file = RESULTS / f"{NAME}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def of_recipe(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The runs of one recipe, pooled."""
    part = "train-selfplay" if name == "selfplay" else "train-rl"
    small = [*SMALL, *(f"{part}.{key}={value}" for key, value in SMALL_TRAIN.items())]
    runs = []
    for seed in arguments.seeds:
        changes = [f"seed={seed}", *(small if arguments.small else [])]
        run = pipeline.run(ROOT / "recipes" / name / "recipe.yaml", changes, arguments.runs / str(seed))
        report.write(run)
        runs.append(run)
        console.notice(f"{name}, seed {seed}: {gain(pairs(run, HELD_OUT))}")
    minutes = [sum(manifest.seconds for _, manifest in report.stages(run)) / 60 for run in runs]
    return {
        "seeds": arguments.seeds,
        **gain([one for run in runs for one in pairs(run, HELD_OUT)]),
        "by_format_points": [round(100 * compared(run)[HELD_OUT]["gain_by_format"], 1) for run in runs],
        "by_seed": [gain(pairs(run, HELD_OUT)) for run in runs],
        OTHERS: gain([one for run in runs for one in pairs(run, OTHERS)]),
        "minutes": [round(one, 1) for one in minutes],
        "target_minutes": 20,
    }


def pairs(run: Path, wanted: str) -> list[Pair]:
    """What a finished run solved of a set before and after."""
    sides = []
    for side in ("before", "after"):
        attempts = load([str(next(run.glob(f"*-solve-{side}")))])
        own = [one for one in attempts if one.problem.set == wanted]
        sides.append({one.problem.id: one.verdict is not None and one.verdict.correct for one in own})
    return [Pair(problem, right, sides[1][problem]) for problem, right in sides[0].items()]


def compared(run: Path) -> dict[str, Any]:
    """The comparison of a finished run, by set."""
    found: dict[str, Any] = json.loads(next(run.glob("*-compare/comparison.json")).read_text(encoding="utf-8"))
    return found


def gain(rows: Sequence[Pair]) -> dict[str, Any]:
    """By how many points more is right after, with the interval of a mean of clusters."""
    by_problem: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_problem[row.problem].append(row.after - row.before)
    n, clusters = len(rows), len(by_problem)
    mean = sum(row.after - row.before for row in rows) / n
    squares = sum((sum(own) - len(own) * mean) ** 2 for own in by_problem.values())
    half = 1.96 * math.sqrt(squares * clusters / (clusters - 1)) / n
    return {
        "problems": n,
        "different_problems": clusters,
        "before": round(sum(row.before for row in rows) / n, 4),
        "after": round(sum(row.after for row in rows) / n, 4),
        "gain_points": {
            "value": round(100 * mean, 1),
            "low": round(100 * (mean - half), 1),
            "high": round(100 * (mean + half), 1),
        },
    }


if __name__ == "__main__":
    main()
