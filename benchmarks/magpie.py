"""Magpie against distilabel's: instructions a minute of SmolLM2-135M on this machine's cores.

python benchmarks/magpie.py --distilabel PYTHON    # → results/magpie.json; PYTHON: an environment that has distilabel
python benchmarks/magpie.py --small                # a few tokens, to standard output: does it still work?

Both sides write instructions from the same pre-query text (that of the domain algebra), at temperature 1 from the whole
vocabulary, at most 128 tokens each, and end at the model's end token. distilabel runs its own task ``MagpieGenerator``
with ``TransformersLLM``, in the faster of float32 and bfloat16, which generates one prompt at a time; as a second peer
its pipeline is told a batch size, for which distilabel has no setting. Porism drafts and sanitises. Loading is left out
on all sides. They take turns; the side that takes one prompt at a time gets a quarter of the instructions each round.

``--report FOLDER …`` adds the figures of finished ``synth report`` stages to the result that stands.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import _kit
from _peer import answering
from porism import console, store
from porism.engines import Sampling, local
from porism.models.load import load
from porism.models.machine import choose_dtype, prepare
from porism.models.pull import locate
from porism.synth._domains import chosen
from porism.synth._instructions import Turn, Writer, template_of
from porism.synth._sanitise import Rules, clean

MODEL = "smollm2-135m"
TARGET = 4
DOMAIN = chosen(["algebra"])[0]
TEMPERATURE = 1.0
OLDER = "three shown questions, temperature 0.7"
"""Another prompt, which the figures are compared with."""
THREADS = len(os.sched_getaffinity(0))


class Made(NamedTuple):
    """What a side made in one round."""

    seconds: float
    instructions: int
    tokens: int
    texts: list[str]


Side = Callable[[int], Made]
"""Writes so many instructions."""


def porism_side(dtype: str, tokens: int) -> Side:
    """Drafts and sanitising, as the stage does them."""
    engine = local.Local(load(MODEL, dtype))
    writer = Writer(engine, template_of("local", MODEL), Sampling(max_tokens=tokens), headings=False)
    seeds = iter(range(1_000_000))

    def run(rows: int) -> Made:
        began = time.perf_counter()
        drafts = writer.write([Turn(DOMAIN.conversation(), TEMPERATURE, next(seeds)) for _ in range(rows)])
        for draft in drafts:
            clean(draft.text, whole=draft.finish == "stop", domain=DOMAIN, rules=Rules())
        seconds = time.perf_counter() - began
        return Made(seconds, rows, sum(draft.tokens for draft in drafts), [draft.text for draft in drafts])

    return run


@contextlib.contextmanager
def distilabel_side(python: str, dtype: str, tokens: int) -> Iterator[Callable[[int, int], Made]]:
    """A process of distilabel, in its own environment: so many instructions, so many prompts at a time."""
    text = template_of("local", MODEL).pre_query(DOMAIN.conversation()).text
    settings = {"model": str(locate(MODEL)), "dtype": dtype, "tokens": tokens, "pre_query": text, "threads": THREADS}
    script = Path(__file__).with_name("_distilabel_side.py")
    with tempfile.TemporaryDirectory() as folder:
        settings |= {"tokenizer": older_tokenizer(Path(folder)), "temperature": TEMPERATURE}
        with answering(python, script, [json.dumps(settings)], {"TOKENIZERS_PARALLELISM": "false"}) as ask:

            def run(rows: int, batch: int) -> Made:
                answer = ask({"rows": rows, "batch": batch})
                if len(answer["texts"]) != rows:
                    raise SystemExit(f"distilabel made {len(answer['texts'])} instructions instead of {rows}")
                return Made(answer["seconds"], rows, answer["tokens"], answer["texts"])

            ask(None)
            yield run


def older_tokenizer(folder: Path) -> str:
    """The model's tokenizer as transformers 4, which distilabel needs, reads it: the class has another name there."""
    for file in (*locate(MODEL).glob("*token*"), *locate(MODEL).glob("*.jinja")):
        shutil.copy(file, folder)
    config = store.load_json(folder / "tokenizer_config.json")
    store.write_json(folder / "tokenizer_config.json", config | {"tokenizer_class": "PreTrainedTokenizerFast"})
    return str(folder)


def rounds_of(sides: dict[str, tuple[Side, int]], rounds: int) -> dict[str, list[Made]]:
    """What each side makes, in turns, so many instructions a round."""
    found: dict[str, list[Made]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, (side, rows) in sides.items():
            made = side(rows)
            found[name].append(made)
            console.notice(f"round {number + 1}: {name} {60 * made.instructions / made.seconds:.1f} instructions/min")
    return found


def figures(made: list[Made]) -> dict[str, Any]:
    """Instructions a minute and tokens a second, median and each round."""
    rates = [60 * one.instructions / one.seconds for one in made]
    return {
        "instructions_per_minute": round(statistics.median(rates), 1),
        "rounds": [round(rate, 1) for rate in rates],
        "tokens_per_second": round(statistics.median(one.tokens / one.seconds for one in made), 1),
        "tokens_per_instruction": round(sum(one.tokens for one in made) / sum(one.instructions for one in made), 1),
        "example": made[0].texts[0],
    }


def measure(python: str | None, rows: int, tokens: int, rounds: int, dtypes: Sequence[str]) -> dict[str, Any]:
    """All sides.

    Args:
        python: the interpreter of an environment with distilabel; without it that is left out.
        rows: instructions a round.
        tokens: most of an instruction.
        rounds: how often they take turns.
        dtypes: that are tried for distilabel.
    """
    prepare(THREADS)
    load_before = os.getloadavg()[0]
    dtype = choose_dtype("auto")
    ours = porism_side(dtype, tokens)
    ours(2)
    sides: dict[str, tuple[Side, int]] = {"porism": (ours, rows)}
    result: dict[str, Any] = {"target": TARGET}
    with contextlib.ExitStack() as stack:
        if python:
            swept: dict[str, Any] = {}
            for each in dtypes if len(dtypes) > 1 else ():
                with distilabel_side(python, each, tokens) as run:
                    run(1, 1)
                    few = max(2, rows // 16)
                    swept[each] = {
                        "one at a time": round(60 * few / run(few, 1).seconds, 1),
                        "batches": round(60 * rows / run(rows, rows).seconds, 1),
                    }
            hows = ("one at a time", "batches")
            best = {how: max(swept, key=lambda each: swept[each][how], default=dtypes[0]) for how in hows}
            alone = stack.enter_context(distilabel_side(python, best["one at a time"], tokens))
            together = alone
            if best["batches"] != best["one at a time"]:
                together = stack.enter_context(distilabel_side(python, best["batches"], tokens))
            sides["distilabel"] = lambda count: alone(count, 1), max(2, rows // 4)
            sides["distilabel, its pipeline in batches"] = lambda count: together(count, count), rows
            result["distilabel_sweep"] = {"instructions_per_minute": swept, "chosen": best}
        found = rounds_of(sides, rounds)
    result["sides"] = {name: figures(made) for name, made in found.items()}
    rate = result["sides"]["porism"]["instructions_per_minute"]
    for name, label in (("distilabel", ""), ("distilabel, its pipeline in batches", "_batched")):
        if name in result["sides"]:
            result[f"ratio_distilabel{label}"] = round(rate / result["sides"][name]["instructions_per_minute"], 2)
    return {**result, "dtype": dtype, "rows": rows, "tokens": tokens, "load_before": round(load_before, 2)}


def with_reports(folders: list[str]) -> None:
    """Put the figures of ``synth report`` stages into the result that stands."""
    file = _kit.RESULTS / "magpie.json"
    result = store.load_json(file) if file.is_file() else {}
    result["instructions"] = {}
    for folder in folders:
        result["instructions"] |= store.load_json(Path(folder) / "report.json")
    store.write_text(file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few tokens")
    parser.add_argument("--distilabel", metavar="PYTHON", help="the interpreter of an environment that has distilabel")
    parser.add_argument("--rows", type=int, default=64, help="instructions a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="tried for distilabel")
    parser.add_argument("--note", default="", help="stored with the result")
    parser.add_argument("--report", nargs="+", metavar="FOLDER", help="add the figures of reports, and stop")
    arguments = parser.parse_args()
    if arguments.report:
        with_reports(arguments.report)
        return
    rows, tokens, rounds = (4, 8, 1) if arguments.small else (arguments.rows, 128, arguments.rounds)
    result = measure(arguments.distilabel, rows, tokens, rounds, arguments.dtypes)
    if arguments.distilabel:
        names = ("distilabel", "transformers", "torch")
        asked = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {names!r}), sep=';')"
        told = subprocess.run([arguments.distilabel, "-c", asked], capture_output=True, text=True, check=True).stdout
        parts = [each.split() for each in told.strip().split(";")]
        result["versions"] = {
            name if name == "distilabel" else f"{name} beside distilabel": version for name, version in parts
        }
    standing = _kit.RESULTS / "magpie.json"
    if standing.is_file() and not arguments.small:
        kept = store.load_json(standing)
        result |= {name: kept[name] for name in ("instructions", "read_by_hand", OLDER) if name in kept}
    given = sys.argv[1:]
    if arguments.distilabel:
        given[given.index("--distilabel") + 1] = "PYTHON"
    result["command"] = " ".join(["python benchmarks/magpie.py", *given])
    if arguments.note:
        result["note"] = arguments.note
    result["threads"] = THREADS
    _kit.finish("magpie", result, ["porism", "torch", "transformers"], small=arguments.small)


if __name__ == "__main__":
    main()
