"""Sampling against transformers' ``generate`` and vLLM: tokens a second of SmolLM2-135M on this machine's cores.

python benchmarks/sampling.py --vllm PYTHON    # → results/sampling.json; PYTHON: an environment that has vllm
python benchmarks/sampling.py --small          # a few tokens, to standard output: does it still work?

Three workloads: 64 GSM-Symbolic prompts × 8 samples × 128 new tokens, 256 prompts × 1 × 32, and one prompt alone. All
sides get the same token ids, draw at temperature 1 from the whole vocabulary, and make exactly so many tokens a sample
(no end token). Each side runs in its best setting: ``generate`` and vLLM are swept over dtype and batch size on a part
of the work first; bfloat16 only where the processor multiplies it natively, since it is emulated elsewhere (29 against
77 tokens/s with ``generate``). vLLM is bound to all cores: by itself it leaves one idle, and of two that costs nearly
half (59 against 105 tokens/s). Then the sides take turns, each round on another part of the prompts that fills a batch:
256 rows for Porism, as many as were best for the others, which take minutes for one of them. The tokens of a greedy run
in float32 are compared too.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import reasoning_gym
import torch

import _kit
from _peer import answering
from porism import console
from porism.engines import Request, Sampling, local
from porism.models.load import Loaded, load
from porism.models.machine import choose_dtype, prepare
from porism.models.pull import locate
from porism.prompts.render import encode

MODEL = "smollm2-135m"
TARGETS = {"ratio_generate": 4, "ratio_vllm_cpu": 2}
SAME = 0.98
"""Least share of greedy tokens in common with ``generate``; what is left are near-ties of float32."""
ROWS = 256
"""Rows of a batch: the engine's own default."""
THREADS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Work:
    """What every side is given."""

    prompts: Sequence[Sequence[int]]
    n: int
    tokens: int
    temperature: float = 1.0

    @property
    def made(self) -> int:
        """Tokens that come of it."""
        return len(self.prompts) * self.n * self.tokens

    def part(self, at: int, of: int) -> Work:
        """Every ``of``-th prompt."""
        return replace(self, prompts=self.prompts[at::of])


Side = Callable[[Work], tuple[float, list[list[int]]]]
"""Seconds, and the tokens of each sample."""


def prompts(loaded: Loaded, count: int) -> list[list[int]]:
    """GSM-Symbolic questions in the model's chat template."""
    data = reasoning_gym.create_dataset("gsm_symbolic", size=count, seed=11)
    return [encode(loaded.tokenizer, [{"role": "user", "content": item["question"]}]) for item in data]


def porism_side(loaded: Loaded) -> Side:
    """The local engine as it stands."""
    engine = local.Local(loaded)
    ends = tuple((end, -1e9) for end in end_ids(loaded))

    def run(work: Work) -> tuple[float, list[list[int]]]:
        sampling = Sampling(temperature=work.temperature, max_tokens=work.tokens, logit_bias=ends)
        requests = [Request(ids=ids, n=work.n, seed=at, sampling=sampling) for at, ids in enumerate(work.prompts)]
        began = time.perf_counter()
        replies = engine.generate(requests)
        return time.perf_counter() - began, [list(sample.ids) for reply in replies for sample in reply.samples]

    return run


def generate_side(loaded: Loaded, rows: int) -> Side:
    """Transformers' ``generate`` on batches of at most so many rows, prompts of like length together."""
    pad = loaded.tokenizer.pad_token_id

    def run(work: Work) -> tuple[float, list[list[int]]]:
        order = sorted(range(len(work.prompts)), key=lambda at: len(work.prompts[at]))
        size = max(1, rows // work.n)
        found: dict[int, list[list[int]]] = {}
        sampled: dict[str, Any] = {"do_sample": False}
        if work.temperature:
            sampled = {"do_sample": True, "temperature": work.temperature, "top_k": 0, "top_p": 1.0}
        began = time.perf_counter()
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            longest = max(len(work.prompts[at]) for at in chosen)
            padded = [[pad] * (longest - len(work.prompts[at])) + list(work.prompts[at]) for at in chosen]
            seen = [[0] * (longest - len(work.prompts[at])) + [1] * len(work.prompts[at]) for at in chosen]
            with torch.inference_mode():
                out = loaded.model.generate(
                    torch.tensor(padded),
                    attention_mask=torch.tensor(seen),
                    max_new_tokens=work.tokens,
                    min_new_tokens=work.tokens,
                    num_return_sequences=work.n,
                    pad_token_id=pad,
                    **sampled,
                )
            made = out[:, longest:].tolist()
            found.update({at: made[i * work.n : (i + 1) * work.n] for i, at in enumerate(chosen)})
        return time.perf_counter() - began, [ids for at in range(len(order)) for ids in found[at]]

    return run


@contextlib.contextmanager
def vllm_side(python: str, dtype: str) -> Iterator[tuple[Side, float]]:
    """A vLLM in its own process and environment, with its prefix cache; and the seconds that it took to start.

    Args:
        python: its interpreter.
        dtype: of the weights.
    """
    script = Path(__file__).with_name("_vllm_side.py")
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    environment = {"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": cores}
    with answering(python, script, [str(locate(MODEL)), dtype], environment) as ask:

        def run(work: Work) -> tuple[float, list[list[int]]]:
            question = {"prompts": [list(ids) for ids in work.prompts], "n": work.n, "tokens": work.tokens}
            answer = ask({**question, "temperature": work.temperature})
            if answer["made"] != work.made:
                raise SystemExit(f"vLLM made {answer['made']} tokens instead of {work.made}")
            return answer["seconds"], answer["ids"]

        yield run, ask(None)["started_in"]


def end_ids(loaded: Loaded) -> list[int]:
    """The tokens at which the model ends an answer."""
    ends = loaded.model.generation_config.eos_token_id
    return ends if isinstance(ends, list) else [ends]


def rate(side: Side, work: Work) -> float:
    """Tokens a second; the work is checked."""
    seconds, ids = side(work)
    if ids and sum(map(len, ids)) != work.made:
        raise SystemExit(f"{sum(map(len, ids))} tokens were made instead of {work.made}")
    return work.made / seconds


def sweep(models: dict[str, Loaded], work: Work, rows: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Tokens a second of ``generate`` in every dtype and batch size, on a part of the work.

    A dtype that is at less than half the best rate with its first batch size is not tried with others.
    """
    found: dict[str, dict[str, Any]] = {}
    for dtype, loaded in models.items():
        for size in rows:
            first = found.get(f"{dtype}, {rows[0]} rows")
            if first and 2 * first["tokens_per_second"] < max(each["tokens_per_second"] for each in found.values()):
                break
            few = replace(work, prompts=work.prompts[: max(1, size // work.n)], tokens=min(work.tokens, 32))
            found[f"{dtype}, {size} rows"] = {
                "dtype": dtype,
                "rows": size,
                "tokens_per_second": round(rate(generate_side(loaded, size), few), 1),
            }
    return found


def turns(sides: dict[str, tuple[Side, int]], work: Work, rounds: int) -> dict[str, list[float]]:
    """Tokens a second of each side, in turns. Each round is another part of the work that fills the side's batch."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, (side, rows) in sides.items():
            parts = max(1, len(work.prompts) * work.n // rows)
            found[name].append(round(rate(side, work.part(number % parts, parts)), 1))
            console.notice(f"round {number + 1}: {name} {found[name][-1]} tokens/s")
    return found


def same_tokens(left: Side, right: Side, work: Work) -> float:
    """The share of greedy tokens, from the left, that two sides have in common before they first differ."""
    greedy = replace(work, temperature=0.0, n=1)
    same = total = 0
    for ours, theirs in zip(left(greedy)[1], right(greedy)[1], strict=True):
        same += next((at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), len(ours))
        total += len(ours)
    return round(same / total, 4)


def limit(dtype: str, loaded: Loaded) -> dict[str, float]:
    """What the arithmetic of the linear layers alone allows: the best rate of a matrix product, and tokens a second."""
    config = loaded.model.config
    left = torch.randn(256, config.hidden_size, dtype=getattr(torch, dtype))
    right = torch.randn(config.intermediate_size, config.hidden_size, dtype=left.dtype)
    operations = 2 * left.shape[0] * right.shape[0] * right.shape[1]
    best = 0.0
    for _ in range(12):
        began = time.perf_counter()
        for _ in range(40):
            torch.nn.functional.linear(left, right)
        best = max(best, 40 * operations / (time.perf_counter() - began))
    matrices = sum(each.numel() for each in loaded.model.parameters() if each.ndim == 2)  # the tied head among them
    return {"gflop_per_second": round(best / 1e9), "tokens_per_second": round(best / (2 * matrices))}


def profile(loaded: Loaded, work: Work) -> dict[str, float]:
    """Where the time goes: shares of the processor's time."""
    from torch.profiler import ProfilerActivity, record_function

    from porism.engines import _attention, _sampling

    run = porism_side(loaded)
    attend, choose = _attention.Cache.attend, _sampling.choose

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with record_function(name):
                return function(*given, **named)

        return call

    _attention.Cache.attend = watched("attention", attend)  # type: ignore[method-assign]
    _sampling.choose = watched("sampling", choose)
    try:
        with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as seen:
            run(work)
    finally:
        _attention.Cache.attend, _sampling.choose = attend, choose  # type: ignore[method-assign]
    events = {event.key: event for event in seen.key_averages()}
    whole = sum(event.self_cpu_time_total for event in events.values())
    shares = {
        "linear layers": sum(events[key].self_cpu_time_total for key in ("aten::mm", "aten::addmm") if key in events),
        "attention": events["attention"].cpu_time_total,
        "choosing tokens": events["sampling"].cpu_time_total,
    }
    shares = {name: round(value / whole, 3) for name, value in shares.items()}
    return {**shares, "norms, rotary embedding, activations, Python": round(1 - sum(shares.values()), 3)}


def measure(python: str | None, count: int, tokens: int, *, small: bool) -> dict[str, Any]:
    """All workloads on all sides.

    Args:
        python: the interpreter of an environment with vLLM; without it vLLM is left out.
        count: prompts of the main workload; the wide one has four times as many.
        tokens: new tokens a sample.
        small: only show that everything works.
    """
    prepare(THREADS)
    dtypes = ["float32"] if small or choose_dtype("auto") == "float32" else ["float32", "bfloat16"]
    models = {dtype: load(MODEL, dtype) for dtype in dtypes}
    ours_dtype = choose_dtype("auto") if choose_dtype("auto") in models else "float32"
    ours = porism_side(models[ours_dtype])
    counts = (count, 2 if small else 8, tokens)
    drawn = prompts(models["float32"], 4 * count)
    main_work = Work(drawn[: counts[0]], counts[1], counts[2])
    wide = Work(drawn, 1, max(1, counts[2] // 4))
    alone = Work(drawn[:1], 1, counts[2])
    for side in (ours, generate_side(models["float32"], 4)):
        rate(side, Work(drawn[:2], 1, 4))
    rounds = 1 if small else 3
    swept = sweep(models, main_work, [4] if small else [64, 128])
    best = max(swept.values(), key=lambda found: found["tokens_per_second"])
    console.notice(f"generate: {swept}")
    sides = {"porism": (ours, ROWS), "generate": (generate_side(models[best["dtype"]], best["rows"]), best["rows"])}
    result: dict[str, Any] = {"generate_sweep": swept}
    with contextlib.ExitStack() as stack:
        if python:
            result["vllm_sweep"], sides["vllm"] = best_vllm(stack, python, dtypes, main_work)
            console.notice(f"vLLM: {result['vllm_sweep']}")
        result["tokens_per_second"] = {
            (name := f"{count} prompts × {counts[1]} × {tokens}"): turns(sides, main_work, rounds),
            f"{4 * count} prompts × 1 × {wide.tokens}": turns(sides, wide, rounds),
            f"1 prompt × 1 × {tokens}": turns(sides, alone, rounds),
        }
        few = replace(main_work, prompts=main_work.prompts[:8], tokens=min(64, counts[2]))
        result["greedy_tokens_equal"] = {
            name: same_tokens(ours, side, few) for name, (side, _) in sides.items() if name != "porism"
        }
    if best["dtype"] == ours_dtype == "float32" and result["greedy_tokens_equal"]["generate"] < SAME:
        raise SystemExit(f"greedy tokens differ from generate's: {result['greedy_tokens_equal']}")
    medians = {side: statistics.median(found) for side, found in result["tokens_per_second"][name].items()}
    result["limit"] = {dtype: limit(dtype, models[dtype]) for dtype in dtypes}
    result["share_of_limit"] = {
        dtype: round(medians["porism"] / found["tokens_per_second"], 3) for dtype, found in result["limit"].items()
    }
    result["profile"] = profile(models[ours_dtype], replace(main_work, tokens=min(64, counts[2])))
    ratios = {"ratio_generate": round(medians["porism"] / medians["generate"], 2)}
    if "vllm" in medians:
        ratios["ratio_vllm_cpu"] = round(medians["porism"] / medians["vllm"], 2)
    return {**ratios, "targets": TARGETS, "median_tokens_per_second": medians, "dtype": ours_dtype, **result}


def best_vllm(
    stack: contextlib.ExitStack, python: str, dtypes: Sequence[str], work: Work
) -> tuple[dict[str, Any], tuple[Side, int]]:
    """Start vLLM in each dtype, try it with batches of two sizes on a part of the work, and keep the fastest.

    Returns:
        Tokens a second of each, and the side with the number of its rows.
    """
    swept: dict[str, dict[str, Any]] = {}
    sides: dict[str, Side] = {}
    for dtype in dtypes:
        sides[dtype], started = stack.enter_context(vllm_side(python, dtype))
        rate(sides[dtype], replace(work.part(0, 4), tokens=min(work.tokens, 4)))
        for rows in (ROWS // 2, ROWS):
            few = replace(work, prompts=work.prompts[: max(1, rows // work.n)], tokens=min(work.tokens, 16))
            swept[f"{dtype}, {rows} rows"] = {
                "dtype": dtype,
                "rows": rows,
                "tokens_per_second": round(rate(sides[dtype], few), 1),
                "seconds_to_start": round(started, 1),
            }
    best = max(swept.values(), key=lambda found: found["tokens_per_second"])
    return swept, (sides[best["dtype"]], best["rows"])


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few tokens")
    parser.add_argument("--vllm", metavar="PYTHON", help="the interpreter of an environment that has vllm")
    parser.add_argument("--prompts", type=int, default=64, help="of the main workload")
    parser.add_argument("--tokens", type=int, default=128, help="new ones a sample")
    arguments = parser.parse_args()
    count, tokens = (2, 4) if arguments.small else (arguments.prompts, arguments.tokens)
    result = measure(arguments.vllm, count, tokens, small=arguments.small)
    if arguments.vllm:
        asked = (
            "import importlib.metadata as m; print(next(f'{n} {m.version(n)}' for n in ('vllm-cpu', 'vllm') if n in "
        )
        asked += "{d.name for d in m.distributions()}))"
        found = subprocess.run([arguments.vllm, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
        result["versions"] = {found[0]: found[1]}
    given = sys.argv[1:]
    if arguments.vllm:
        given[given.index("--vllm") + 1] = "PYTHON"
    result["command"] = " ".join(["python benchmarks/sampling.py", *given])
    result["threads"] = THREADS
    _kit.finish("sampling", result, ["porism", "torch", "transformers"], small=arguments.small)


if __name__ == "__main__":
    main()
