"""The ``porism`` command.

The options of a stage are its settings, so they are read from its settings class; only the command that was asked for
is imported, which keeps ``porism --help`` fast.
"""

from __future__ import annotations

import errno
import inspect
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer

from porism import __version__, commands, console
from porism.errors import PorismError, RecipeError, nearest

__all__ = ["main"]

_STAGES = {
    "problems": (
        "Any data set → problem records.",
        "SOURCE",
        "porism problems gsm8k --split test --limit 10 --output test.jsonl",
    ),
    "synth": (
        "Problems and answers from a model.",
        "PART",
        "porism synth magpie --total 60 --output runs/magpie",
    ),
    "solve": (
        "Problems × strategy × engine → graded attempts.",
        "STRATEGY",
        "porism solve cot --input test.jsonl --output runs/cot",
    ),
    "grade": (
        "Score stored attempts again without generating.",
        "",
        "porism grade --input runs/cot --profile strict --output runs/cot-strict",
    ),
    "curate": (
        "Tag, keep or drop, pair, mix and split records, with a reason for each that is dropped.",
        "STEP",
        "porism curate correct --input runs/cot --output kept.jsonl",
    ),
    "train": (
        "Train a model on rows of records.",
        "METHOD",
        "porism train sft --input kept.jsonl --output runs/sft --lr 2e-4",
    ),
    "evaluate": (
        "Accuracy with intervals, by set and group (also: eval). Before a run: eval --power.",
        "",
        "porism evaluate --input runs/cot --output runs/cot-metrics",
    ),
    "compare": (
        "Two runs on the same problems: what changed.",
        "",
        "porism compare --before runs/a --after runs/b --output runs/ab",
    ),
}
"""Verb → help, what its parts are called, an example. Kept here so that ``--help`` imports no verb."""

_EXAMPLES = {
    "problems file": "porism problems file --path mine.jsonl --output problems.jsonl",
    "problems hub": "porism problems hub --dataset openai/gsm8k --config main --split test --output gsm8k",
    "problems math": "porism problems math --subset math500 --split test --fetch hf --output math500",
    "problems aqua": "porism problems aqua --split validation --path AQuA --output aqua",
    "problems strategyqa": "porism problems strategyqa --split dev --path strategyqa --output strategyqa",
    "problems svamp": "porism problems svamp --split test --path SVAMP.json --output svamp",
    "problems aime": "porism problems aime --year 2024 --fetch hf --output aime",
    "problems humaneval": "porism problems humaneval --path HumanEval.jsonl.gz --output humaneval",
    "problems mbpp": "porism problems mbpp --split test --fetch hf --output mbpp",
    "problems samples": "porism problems samples --which chinese_math --output chinese",
    "problems perturb": "porism problems perturb --input test.jsonl --changes numbers --changes names --output changed",
    "problems procedural": "porism problems procedural --tasks '{chain_sum: {count: 20}}' --output sums.jsonl",
    "synth magpie": (
        "porism synth magpie --model smollm2-135m --total 60 --ins-temp 1.2 --ins-top-p 1.0 "
        "--res-temp 0.1 --res-top-p 1.0 --output runs/magpie"
    ),
    "synth concepts": "porism synth concepts --domain math --levels 'high school' --output concepts.jsonl",
    "synth concepts_extract": "porism synth concepts-extract --input train.jsonl --output extracted.jsonl",
    "synth concepts_encode": "porism synth concepts-encode --input concepts.jsonl --output encoded",
    "synth concepts_sample": "porism synth concepts-sample --input concepts.jsonl --total 1000 --output draws.jsonl",
    "synth concepts_generate": "porism synth concepts-generate --input draws.jsonl --output problems",
    "synth concepts_rationales": "porism synth concepts-rationales --input problems --output rationales",
    "synth concepts_report": "porism synth concepts-report --input problems --output page",
    "synth testcases": "porism synth testcases --input code.jsonl --output tested",
    "synth trajectories": "porism synth trajectories --input problems --samples 8 --output trajectories",
    "synth respond": "porism synth respond --input runs/magpie --responses 4 --res-temp 0.8 --output runs/align",
    "synth rewrite": "porism synth rewrite --input train.jsonl --ways rephrase --ways backward --votes 4 --output more",
    "synth report": "porism synth report --input runs/magpie --input runs/align --output runs/synth-report",
    "solve direct": "porism solve direct --input test.jsonl --output runs/direct",
    "solve few_shot": "porism solve few-shot --input test.jsonl --shots 2 --output runs/few-shot",
    "solve worked": "porism solve worked --input train.jsonl --output runs/worked",
    "train reward": "porism train reward --input pairs.jsonl --centre 0.01 --output runs/reward",
    "train verifier": "porism train verifier --input runs/samples --method lora --output runs/verifier",
    "train dpo": "porism train dpo --input pairs.jsonl --model runs/sft/model --loss sigmoid --output runs/dpo",
    "train kto": "porism train kto --input runs/samples --model runs/sft/model --output runs/kto",
    "train rl": "porism train rl --input problems.jsonl --model runs/sft/model --algorithm grpo --output runs/rl",
    "train selfplay": "porism train selfplay --input problems.jsonl --model runs/sft/model --output runs/play",
    "train online_dpo": "porism train online-dpo --input problems.jsonl --model runs/sft/model --output runs/online",
    "train distill": "porism train distill --input kept.jsonl --teacher runs/large/model --output runs/small",
    "curate dedup": "porism curate dedup --input kept.jsonl --output unique.jsonl",
    "curate export": "porism curate export --input kept.jsonl --format llamafactory --output exported",
    "curate decontaminate": "porism curate decontaminate --input a.jsonl --against test.jsonl --action drop --output b",
    "curate filter": "porism curate filter --input tagged --where 'difficulty >= 3' --output hard",
    "curate mix": "porism curate mix --input a.jsonl --input b.jsonl --weights '[2, 1]' --count 3000 --output mixed",
    "curate pair": "porism curate pair --input runs/attempts --balance true --output pairs.jsonl",
    "curate report": "porism curate report --input tagged --input unique --output curation",
    "curate sample": "porism curate sample --input tagged --count 1000 --temperature 2 --output sample.jsonl",
    "curate split": "porism curate split --input unique --sizes '{train: 0.9, test: 0.1}' --output parts",
    "curate tag": "porism curate tag --input problems.jsonl --output tagged",
}
"""Examples of parts that their verb's does not show."""

_KNOWLEDGE = {
    "build": (
        "Bring an index to what its inputs hold: solved problems or documents; only what is new is embedded.",
        "porism knowledge build --input runs/cot --index runs/knowledge",
    ),
    "search": (
        "What is nearest to a text in an index, by meaning and by words.",
        "porism knowledge search --index runs/knowledge --query 'How much do six pens cost?' --top 3",
    ),
}
"""Commands of ``porism knowledge``: help, an example."""

_CHAT = """Talk with a model: in the terminal, or over a pipe with a question a line.

Example: porism chat smollm2-135m --system 'Answer in one sentence.' --temperature 0.2
"""

_FOLDERS = ("train", "evaluate", "compare")
"""Verbs that write to a folder only."""

_STOPPED = 130
_interrupted: list[int] = []
"""The signals that asked this process to stop."""

_DEFAULT_PARTS = {"solve": "direct"}
_ALIASES = {"eval": "evaluate"}


def main() -> None:
    """Run the command line; end with 0, 2 (the user's mistake), 1 (ours) or 130 (stopped)."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell has it ignored
        signal.signal(signal.SIGINT, _stop)
    try:
        arguments = _as_flags(sys.argv[1:])
        code = _app(arguments)(args=arguments, standalone_mode=False)
    except KeyboardInterrupt:
        code = _STOPPED
    except Exception as error:  # noqa: BLE001 (what is not the user's doing is raised again)
        code = _STOPPED  # some libraries make an error of their own of an interruption
        if not _interrupted:
            _fail(*_told(error))
    if code == _STOPPED:  # which is also what typer makes of Ctrl-C inside a command
        _fail("Stopped. The same command goes on from here.", _STOPPED)
    sys.exit(code)


def _told(error: Exception) -> tuple[str, int]:
    """Message and exit code for an error: Porism's own, the command line's, or the disk's.

    Raises:
        Exception: the error itself, if it is none of these: that is a defect, and its traceback is wanted.
    """
    if isinstance(error, PorismError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # typer's usage errors
        return _of_another_engine(error) or error.format_message(), 2
    number = getattr(error, "errno", None)
    if "No space left on device" in str(error):  # safetensors wraps it in an exception of its own
        number = errno.ENOSPC
    if number not in _DISK:
        raise error
    return f"{getattr(error, 'filename', None) or 'writing'}: {_DISK[number]} What is finished stays.", 2


def _of_another_engine(error: Exception) -> str:
    """What to say of an unknown option that another engine has."""
    option, arguments = getattr(error, "option_name", ""), _as_flags(sys.argv[1:])
    if option and arguments[0] in ("chat", "solve"):
        from porism import pipeline

        name = option.lstrip("-").replace("-", "_")
        part = arguments[1] if arguments[0] == "solve" else ""
        try:
            pipeline.settings_class("solve", part or "direct", {**_engine_of(arguments), name: None})
        except RecipeError as known:
            return str(known) if part else f"chat: {str(known).removeprefix('solve direct: ')}"
    return ""


_DISK = {
    errno.ENOSPC: "no space left on the device. Free some, or choose another output folder.",
    errno.EFBIG: "the file is larger than this system allows. Choose another output folder.",
    errno.ENOENT: "no such file or folder, and it cannot be made. Check the path.",
    errno.EDQUOT: "the disk quota is used up. Free some space, or choose another output folder.",
    errno.EACCES: "permission denied. Choose a path that you may write to.",
    errno.EPERM: "not permitted. Choose a path that you may write to.",
    errno.EROFS: "the file system is read-only. Choose another output folder.",
    errno.ENOTDIR: "a part of this path is a file, not a folder. Choose another path.",
    errno.EISDIR: "expected a file, found a folder. Choose another path.",
}


def _fail(message: str, code: int) -> NoReturn:
    if code == _STOPPED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.notice(f"porism: {message}")
    sys.exit(code)


def _stop(signal_number: int, frame: FrameType | None) -> None:
    del frame
    _interrupted.append(signal_number)
    raise KeyboardInterrupt


def _as_flags(arguments: Sequence[str]) -> list[str]:
    """``key=value`` for a command with settings as ``--key=value``; ``run`` takes its overrides as they are."""
    if arguments and arguments[0] in _ALIASES:
        arguments = [_ALIASES[arguments[0]], *arguments[1:]]
    if arguments and arguments[0] == "export":
        return _spread(arguments)
    if not arguments or arguments[0] not in (*_STAGES, "chat", "doctor", "knowledge"):
        return list(arguments)
    verb, *rest = arguments
    if (
        verb in _DEFAULT_PARTS
        and rest
        and rest[0] not in ("-h", "--help")
        and (rest[0].startswith("-") or _pair(rest[0]))
    ):
        rest = [_DEFAULT_PARTS[verb], *rest]
    if verb in _STAGES and _STAGES[verb][1] and rest and ":" not in rest[0]:
        rest[0] = rest[0].replace("_", "-")
    flags = [verb]
    for before, argument in zip([verb, *rest], rest, strict=False):
        is_value = before.startswith("--") and "=" not in before
        pair = None if is_value else _pair(argument)
        flags.append(f"--{pair[0]}={pair[1]}" if pair else argument)
    return flags


def _spread(arguments: Sequence[str]) -> list[str]:
    """``export``'s options that may stand alone or take several values, as flags with one value each."""
    flags: list[str] = []
    tokens = False
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        last = not after or after.startswith("--")
        tokens = (argument == "--add-tokens" and not last) or (tokens and not argument.startswith("--"))
        if argument == "--gguf" and last:
            flags.append("--gguf=f16")
        elif not tokens:
            flags.append(argument)
        elif argument != "--add-tokens":
            flags.append(f"--add-tokens={argument}")
    return flags


def _pair(argument: str) -> tuple[str, str] | None:
    """``key=value`` as flag name and value; None for anything else."""
    name, equals, value = argument.partition("=")
    return (name.replace("_", "-"), value) if equals and name.isidentifier() else None


def _app(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the options of the one stage that ``arguments`` ask for."""
    app = typer.Typer(
        help="Make a language model a better reasoner, and prove that it is.",
        epilog="Start with: porism run recipes/quickstart/recipe.yaml",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    for command in (commands.run, commands.report, commands.doctor, commands.pull, commands.export, commands.cache):
        app.command()(command)
    app.command("chat", help=_CHAT)(_chat() if arguments and arguments[0] == "chat" else _unused)
    _add_knowledge(app, arguments)
    for verb, (text, parts, example) in _STAGES.items():
        asked = bool(arguments) and arguments[0] == verb
        if asked and verb == "evaluate" and "--power" in arguments:
            app.command(verb)(commands.power)
            continue
        if not parts:
            app.command(verb, help=text, epilog=f"Example: {example}")(_command(verb, "") if asked else _unused)
            continue
        group = typer.Typer(help=f"{text} Parts: {parts}.", epilog=f"Example: {example}", no_args_is_help=True)
        app.add_typer(group, name=verb)
        if asked:
            _add_parts(group, verb, example, arguments[1] if len(arguments) > 1 else "")
    return app


def _show_version(asked: bool) -> None:
    if asked:
        print(f"porism {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    del version


def _unused() -> None:
    """Stands for a command that was not asked for."""


def _add_parts(group: typer.Typer, verb: str, example: str, wanted: str) -> None:
    """One command a part; options only for the part that is wanted."""
    from porism import find, pipeline

    package = pipeline.parts_package(verb)
    known = find.names(package)
    wanted = wanted.replace("-", "_") if ":" not in wanted else wanted
    for part in known:
        text = find.summary(package, part)
        group.command(part.replace("_", "-"), help=text, epilog=f"Example: {_EXAMPLES.get(f'{verb} {part}', example)}")(
            _command(verb, part) if part == wanted else _unused
        )
    if ":" in wanted:
        group.command(wanted, help="Code of your own.")(_command(verb, wanted))
    elif wanted and not wanted.startswith("_") and wanted not in known:
        raise RecipeError(f"{verb} has no part {wanted!r}.{nearest(wanted, known)} Known: {', '.join(known)}.")


def _command(verb: str, part: str) -> Callable[..., None]:
    """A function whose parameters are the stage's settings, for typer to read."""
    from porism import pipeline

    fields = pipeline.settings_class(verb, part, _engine_of(_as_flags(sys.argv[1:]))).model_fields

    def command(**given: Any) -> None:
        output = given.pop("output")
        manifest = pipeline.execute(pipeline.prepare(verb, part, _values(fields, given)), output)
        console.notice(f"{output}: {manifest.counted}")
        if verb in ("evaluate", "compare"):
            from porism.evaluate import tables

            tables.show(Path(output))

    place = "a folder" if verb in _FOLDERS else "a folder, or a .jsonl file"
    output = _parameter("output", str, f"where to write: {place} (required)", required=True)
    return _with_settings(command, fields, [output])


def _with_settings(
    command: Callable[..., None], fields: dict[str, Any], others: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """The function with a parameter for each setting, and others, for typer to read."""
    parameters = [*(_parameter(name, field.annotation, _help(field)) for name, field in fields.items()), *others]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _values(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given as flags."""
    return {name: _parsed(fields[name].annotation, value) for name, value in given.items() if value not in (None, [])}


def _engine_of(arguments: Sequence[str]) -> dict[str, str]:
    """The engine that is asked for, since its settings are options too."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--engine" and (equals or at + 1 < len(arguments)):
            return {"engine": value if equals else arguments[at + 1]}
    return {}


def _parameter(name: str, kind: Any, text: str, *, required: bool = False) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    listed = getattr(kind, "__origin__", None) is list
    annotation: Any = str if required else list[str] | None if listed else str | None
    default: Any = inspect.Parameter.empty if required else None
    option = typer.Option(flag, help=text, show_default=False, metavar=_type_name(kind))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def _type_name(kind: Any) -> str:
    """A setting's type as a person reads it: ``int``, ``full|lora``, ``str …``."""
    inside: tuple[Any, ...] = getattr(kind, "__args__", ())
    origin = getattr(kind, "__origin__", None)
    if origin is Literal:
        return "|".join(map(str, inside))
    if origin is list:
        return f"{_type_name(inside[0])} …"
    if origin is dict:
        return "yaml"
    if inside:
        return _type_name(inside[0])
    return str(getattr(kind, "__name__", kind))


def _help(field: Any) -> str:
    text = field.description or ""
    if field.is_required():
        return f"{text} (required)"
    return text if field.default in (None, "", []) else f"{text} (default: {field.default})"


def _parsed(kind: Any, value: str | list[str]) -> Any:
    """A flag's text as the value that the setting's type expects; a list is a repeated flag or ``[a, b]``."""
    from porism.recipe import scalar

    if isinstance(value, list):
        if len(value) == 1 and value[0].startswith("["):
            return scalar(value[0])
        return value if kind == list[str] else [scalar(text) for text in value]
    return value if kind is str or kind == str | None else scalar(value)


def _add_knowledge(app: typer.Typer, arguments: Sequence[str]) -> None:
    """The commands of ``knowledge``; options only for the one that is wanted."""
    group = typer.Typer(
        help="An index of solved problems or documents, for retrieval.",
        epilog=f"Example: {_KNOWLEDGE['build'][1]}",
        no_args_is_help=True,
    )
    app.add_typer(group, name="knowledge")
    if not arguments or arguments[0] != "knowledge":
        return
    for name, (text, example) in _KNOWLEDGE.items():
        wanted = name in arguments[1:2]
        group.command(name, help=text, epilog=f"Example: {example}")(_of_knowledge(name) if wanted else _unused)


def _of_knowledge(name: str) -> Callable[..., None]:
    """A command of ``knowledge``, with its settings as options."""
    from porism import knowledge, recipe
    from porism.knowledge import _command

    kind: type[recipe.Settings] = knowledge.BuildSettings if name == "build" else knowledge.SearchSettings

    def command(**given: Any) -> None:
        settings = recipe.build(kind, _values(kind.model_fields, given), f"knowledge {name}")
        if isinstance(settings, knowledge.BuildSettings):
            _command.build(settings)
        elif isinstance(settings, knowledge.SearchSettings):
            _command.search(settings)

    return _with_settings(command, kind.model_fields, [])


def _chat() -> Callable[..., None]:
    """The command ``chat``, with the settings of the engine that is asked for as its options."""
    from porism import chat, recipe

    kind = chat.settings(_engine_of(_as_flags(sys.argv[1:])))

    def command(model: str, **given: Any) -> None:
        chat.talk(model, recipe.build(kind, _values(kind.model_fields, given), "chat"))

    model = inspect.Parameter(
        "model",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[str, typer.Argument(help="an alias, a folder, or a server's name for a model")],
    )
    return _with_settings(command, kind.model_fields, [model])
