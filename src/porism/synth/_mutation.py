"""Whether tests notice that a program is wrong: the share of its mutants that they reject.

Shapes: ``U`` mutants, ``I`` inputs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from porism import sandbox as box
from porism.sandbox.mutants import mutants
from porism.synth._runs import outputs, same

__all__ = ["Killed", "killed", "made"]


class Killed(NamedTuple):
    """What tests do to mutants."""

    mutants: int
    killed: int
    """Those that some test rejects. Some mutants are no different."""
    weak: tuple[int, ...]
    """Tests that reject none."""


def made(source: str, function: str, most: int, seed: int) -> list[str]:
    """Mutants of a program, each once, at most so many, chosen by the seed; none of code that is no Python."""
    every = list(dict.fromkeys(changed for _, changed in mutants(source, function)))
    return every if len(every) <= most else random.Random(seed).sample(every, most)


def killed(
    changed: Sequence[str],
    inputs: Sequence[Any],
    expected: Sequence[Any],
    *,
    function: str,
    sandbox: str,
    limits: box.Limits,
    seconds: float,
) -> Killed:
    """Run mutants on tests.

    Args:
        changed: the mutants. [U]
        inputs: of the tests. [I]
        expected: their results. [I]
        function: what is called; empty for whole programs.
        sandbox: the tier.
        limits: of each process.
        seconds: of each call.

    Raises:
        Refused: the sandbox cannot be had here.
        SandboxError: it failed.
    """
    found = outputs(changed, inputs, function=function, sandbox=sandbox, limits=limits, seconds=seconds, patience=1)
    rejects = [[not same(got, wanted) for got, wanted in zip(row, expected, strict=True)] for row in found]
    weak = tuple(at for at in range(len(inputs)) if rejects and not any(row[at] for row in rejects))
    return Killed(len(changed), sum(map(any, rejects)), weak)
