"""Whether the memory of this machine is enough for a training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from porism.doctor._checks import Check, Options, Status
from porism.errors import RecipeError, nearest
from porism.models import memory
from porism.models.machine import Dtype, choose_dtype

__all__ = ["check", "estimated"]

_ADAPTED = "-lora"


class _Method(NamedTuple):
    name: str
    adapters: bool


def check(options: Options) -> None:
    """Refuse what cannot be estimated.

    Raises:
        RecipeError: an unknown method or dtype, or a number below 1.
    """
    _method(options.method)
    if options.dtype not in get_args(Dtype):
        raise RecipeError(f"dtype: expected one of {', '.join(get_args(Dtype))}, got {options.dtype!r}.")
    for name in ("batch_size", "micro_batch_size", "max_length", "lora_r", "samples", "max_tokens"):
        if getattr(options, name) < 1:
            raise RecipeError(f"{name}: expected at least 1, got {getattr(options, name)}.")
    if options.rows < 0:
        raise RecipeError(f"rows: expected at least 0, got {options.rows}.")


def estimated(config: Any, parameters: int, lengths: Sequence[tuple[int, int]], options: Options) -> Check:
    """The peak of a step against what there is.

    Args:
        config: the model's.
        parameters: how many the model has.
        lengths: tokens of each row, all and with a loss; ``max_length`` is assumed where there are none.
        options: method, batch and lengths.
    """
    method = _method(options.method)
    dtype = choose_dtype(options.dtype)
    try:
        shape = memory.shape_of(config, parameters)
    except (AttributeError, TypeError, ValueError):
        return Check(
            "memory",
            "peak",
            Status.WARNING,
            f"cannot be estimated for a model of the type {getattr(config, 'model_type', 'unknown')}",
            "Watch the first steps, or begin with a small micro_batch_size.",
        )

    def needed(micro: int, max_length: int) -> memory.Estimate:
        tokens, learnt = _micro_batch(lengths, micro, max_length)
        step = memory.Step(
            method=method.name,
            tokens=tokens,
            learnt=learnt,
            accumulates=options.batch_size > micro,
            dtype=dtype,
            lora_r=options.lora_r if method.adapters else 0,
            rollouts=options.batch_size * options.samples,
            rollout_tokens=max_length + options.max_tokens,
        )
        return memory.estimate(shape, step)

    micro = min(options.micro_batch_size, options.batch_size)
    found, there = needed(micro, options.max_length), memory.available()
    basis = (
        f"the longest rows of the data in a micro-batch of {micro}"
        if lengths
        else f"micro-batches of {micro} rows of {options.max_length:,} tokens, half of them with a loss"
    )
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in found.parts.items() if size >= 5e7)
    text = (
        f"{options.method} in {dtype} needs about {found.total / 1e9:.1f} GB at its peak ({parts}) for {basis}; "
        f"{there.free / 1e9:.1f} of {there.total / 1e9:.1f} GB are free"
    )
    status = _status(found.total, there)
    fitting = next((size for size in _halves(micro) if needed(size, options.max_length).total <= 0.9 * there.free), 0)
    cure = "" if status is Status.OK else _cure(fitting, micro, method, lengths)
    figures = {"needed": found.total, "parts": dict(found.parts), "free": there.free, "total": there.total}
    return Check("memory", "peak", status, text, cure, figures)


def _status(needed: int, there: memory.Memory) -> Status:
    if needed > there.total:
        return Status.FAILED
    return Status.WARNING if needed > 0.9 * there.free else Status.OK


def _cure(fitting: int, micro: int, method: _Method, lengths: Sequence[tuple[int, int]]) -> str:
    ways = [f"set micro_batch_size to {fitting}"] if 0 < fitting < micro else []
    if not fitting:
        ways += ["lower max_length" if not lengths else "drop the longest rows (lower max_length)"]
        ways += [] if method.adapters else ["train adapters (lora)"]
        ways += ["take a smaller model or a larger machine"]
    return f"{', or '.join(ways).capitalize()}." if ways else "Free some memory first."


def _micro_batch(lengths: Sequence[tuple[int, int]], rows: int, max_length: int) -> tuple[int, int]:
    """Tokens of the largest micro-batch that can come, all and with a loss."""
    if not lengths:
        return rows * max_length, rows * max_length // 2
    longest = sorted(lengths, reverse=True)[:rows]
    return sum(whole for whole, _ in longest), sum(learnt for _, learnt in longest)


def _halves(number: int) -> list[int]:
    found = []
    while number >= 1:
        found.append(number)
        number //= 2
    return found


def _method(name: str) -> _Method:
    """The algorithm and whether adapters are trained.

    Raises:
        RecipeError: there is no such method.
    """
    base = "sft-lora" if name == "lora" else name.replace("_", "-")
    adapted = base.endswith(_ADAPTED)
    base = base.removesuffix(_ADAPTED)
    if base in memory.METHODS:
        return _Method(base, adapted)
    known = ["lora", *memory.METHODS]
    raise RecipeError(
        f"method: expected one of {', '.join(known)}, or one of these with {_ADAPTED} at the end, got {name!r}."
        f"{nearest(name, known)}"
    )
