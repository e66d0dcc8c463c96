"""The commands that are no stages: ``run``, ``report``, ``doctor``, ``pull``, ``export``, ``cache``, ``eval --power``.

Each function's parameters are its options and its text is its help, read by typer; what it needs is imported inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["cache", "doctor", "export", "power", "pull", "report", "run"]


def run(
    recipe: Annotated[str, typer.Argument(help="the recipe, a YAML file")],
    overrides: Annotated[list[str] | None, typer.Argument(help="stage.key=value or key=value")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the recipe with every default, and stop.")] = False,
    runs: Annotated[str, typer.Option(help="The folder in which the run's own folder stands.")] = "runs",
) -> None:
    """Run a recipe: every stage in order, going on where an earlier run stopped. Ends with a report.

    Example: porism run recipes/quickstart/recipe.yaml train.lr=1e-4 --dry-run
    """
    from porism import pipeline

    if dry_run:
        print(pipeline.dry_run(recipe, overrides or []), end="")
        return
    folder = pipeline.run(recipe, overrides or [], runs)
    report([str(folder)])


def report(runs: Annotated[list[str], typer.Argument(help="folders of finished runs")]) -> None:
    """Write report.html into each run's folder and print its table.

    Example: porism report runs/quickstart
    """
    from porism.evaluate import report as page_of
    from porism.evaluate import tables

    for run in runs:
        page = page_of.write(Path(run))
        done = page_of.stages(Path(run))
        tables.show_stages(done)
        compared = [folder for folder, _ in done if (folder / "comparison.json").is_file()]
        for folder in compared or [folder for folder, _ in done if (folder / "metrics.json").is_file()]:
            print()
            tables.show(folder)
        print(f"\nReport: {page}")


def pull(
    model: Annotated[
        str,
        typer.Argument(help="org/name[@revision], modelscope:org/name[@revision], smollm2-135m, or a folder"),
    ],
    to: Annotated[str | None, typer.Option(help="Also put a copy into this folder.")] = None,
    endpoint: Annotated[str, typer.Option(help="A mirror to fetch from.", metavar="URL", show_default=False)] = "",
    data_host: Annotated[
        list[str] | None, typer.Option(help="A further host that the mirror may send to; repeatable.", metavar="HOST")
    ] = None,
) -> None:
    """Fetch a model into the cache, check it, and print its folder. An interrupted pull goes on where it stopped.

    Models come from the Hugging Face hub, from a mirror of it (--endpoint, or HF_ENDPOINT), or from ModelScope. For a
    gated or private model, set HF_TOKEN (MODELSCOPE_API_TOKEN), or log in with: hf auth login

    \b
    Example: porism pull smollm2-135m --to models/smol
             porism pull HuggingFaceTB/SmolLM2-360M-Instruct
             porism pull Qwen/Qwen2.5-0.5B-Instruct@main --endpoint https://hub.example.org
             porism pull modelscope:Qwen/Qwen2.5-0.5B-Instruct
    """  # noqa: D301 (typer reads the backspace as: keep these lines)
    from porism.models import pull as models

    print(models.pull(model, to, endpoint=endpoint, data_hosts=data_host or ()))


def export(
    model: Annotated[str, typer.Argument(help="a training stage's model, a folder, an alias, or a model of a hub")],
    *,
    to: Annotated[str, typer.Option(help="The folder to write.")],
    dtype: Annotated[
        str, typer.Option(help="Of the weights; the model's own by default.", metavar="float32|bfloat16|float16")
    ] = "",
    gguf: Annotated[
        str, typer.Option(help="Also write GGUF of this type; f16 where none is named.", metavar="f32|f16|bf16|q8_0")
    ] = "",
    converter: Annotated[
        str, typer.Option(help="Let this program write GGUF: llama.cpp's convert_hf_to_gguf.py.", metavar="PATH")
    ] = "",
    add_tokens: Annotated[
        list[str] | None, typer.Option(help="Add tokens; several may follow.", metavar="TOKEN …")
    ] = None,
    special: Annotated[
        bool, typer.Option("--special", help="Drop the added tokens from decoded text, as marks are.")
    ] = False,
    pad_to_multiple: Annotated[int, typer.Option(help="With --add-tokens: rows of the embeddings.", metavar="N")] = 1,
) -> None:
    """Write a model as plain safetensors with a model card, its adapter merged in; and as GGUF.

    \b
    Example: porism export runs/quickstart/10-train-sft/model --to models/mine
             porism export runs/quickstart/10-train-sft/model --to models/mine --gguf q8_0
             porism export smollm2-135m --to models/thinks --add-tokens '<think>' '</think>'
    """  # noqa: D301
    from porism.models import export as models

    tokens = add_tokens or []
    print(
        models.export(
            model,
            to,
            dtype=dtype,
            gguf=gguf,
            converter=converter,
            add_tokens=tokens,
            special=special,
            multiple=pad_to_multiple,
        )
    )


def doctor(
    model: Annotated[str, typer.Argument(help="an alias or a folder; the machine alone is looked at without")] = "",
    data: Annotated[str, typer.Argument(help="training rows: a file or a stage's folder")] = "",
    *,
    method: Annotated[
        str, typer.Option(help="The training whose memory is estimated: sft, lora, dpo, grpo, grpo-lora, …")
    ] = "sft",
    dtype: Annotated[str, typer.Option(help="To compute in.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Rows in one optimiser step.")] = 16,
    micro_batch_size: Annotated[int, typer.Option(help="Rows in memory at once.")] = 8,
    max_length: Annotated[int, typer.Option(help="Longest row, in tokens.")] = 1024,
    lora_r: Annotated[int, typer.Option(help="Rank of the adapters.")] = 16,
    samples: Annotated[int, typer.Option(help="Answers to each prompt, for methods that generate.")] = 8,
    max_tokens: Annotated[int, typer.Option(help="Longest such answer.")] = 256,
    rows: Annotated[int, typer.Option(help="Rows to show as they will be tokenised.")] = 2,
    against: Annotated[
        list[str] | None, typer.Option(help="A test set that the data must not overlap with; may stand several times.")
    ] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Also run programs against the sandbox.")] = False,
    network: Annotated[bool, typer.Option("--network", help="Also ask the hosts that models come from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine, a model and its training data before time is spent on them.

    One line a check: ok, warning or failed, what was found, what to do. Exit code 0 where nothing failed, else 2.

    Example: porism doctor smollm2-135m kept.jsonl --against test.jsonl --method lora
    """
    from rich.console import Console

    from porism import doctor as checks

    options = checks.Options(
        method=method,
        dtype=dtype,
        batch_size=batch_size,
        micro_batch_size=micro_batch_size,
        max_length=max_length,
        lora_r=lora_r,
        samples=samples,
        max_tokens=max_tokens,
        rows=rows,
        against=against or [],
        network=network,
        sandbox=sandbox,
    )
    found = checks.examine(model, data, options)
    if as_json:
        text, well = checks.as_json(found)
        print(text)
    else:
        well = checks.show(found, options, data, Console(highlight=False))
    if not well:
        raise typer.Exit(2)


def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove all of them.")] = False) -> None:
    """How many replies of models are kept for reruns, and where.

    Example: porism cache --clear
    """
    from porism.engines import kept

    shelf = kept()
    if clear:
        shelf.clear()
    entries, size = shelf.size()
    print(f"{shelf.file}: {entries:,} replies, {size / 2**20:.1f} of {shelf.most / 2**20:,.0f} MB")


def power(
    *,
    power: Annotated[bool, typer.Option("--power", help="What a comparison will be able to show.")] = False,
    problems: Annotated[int, typer.Option(help="How many problems there are.", min=0)] = 0,
    input: Annotated[  # noqa: A002 (the option's name)
        list[str] | None, typer.Option(help="Problems to count instead; their groups are the clusters.", metavar="PATH")
    ] = None,
    accuracy: Annotated[
        list[float] | None, typer.Option(help="Of the models, about; several may be given.", metavar="SHARE")
    ] = None,
    correlation: Annotated[
        float, typer.Option(help="Of two models' answers to the same problem.", min=-1, max=1, metavar="RHO")
    ] = 0.5,
    samples: Annotated[int, typer.Option(help="Attempts at each problem.", min=1)] = 1,
    cluster_correlation: Annotated[
        float, typer.Option(help="Of answers to problems of one group, with --input.", min=0, max=1)
    ] = 0.0,
    gain: Annotated[
        float, typer.Option(help="A difference to be found, such as 0.02: how many problems it takes.", min=0, max=1)
    ] = 0.0,
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = 0.05,
    comparisons: Annotated[int, typer.Option(help="How many sets or models are compared at once.", min=1)] = 1,
    chance: Annotated[float, typer.Option(help="With which a true difference is found.")] = 0.8,
) -> None:
    """Before a run: the least difference that so many problems show, and how many a difference takes.

    Example: porism eval --power --problems 200 --accuracy 0.3 --gain 0.05
    """
    from porism.evaluate import planning

    del power
    planning.show(
        problems=problems,
        paths=input or [],
        accuracies=accuracy or [],
        correlation=correlation,
        samples=samples,
        cluster_correlation=cluster_correlation,
        gain=gain,
        alpha=alpha,
        comparisons=comparisons,
        chance=chance,
    )
