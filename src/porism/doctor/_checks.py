"""What a check says, and what the user may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = ["Check", "Options", "Piece", "Preview", "Status"]


class Status(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, but perhaps not as meant."""
    FAILED = "failed"
    """It does not work, or works wrongly."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    group: str
    """What was looked at: ``environment``, ``sandbox``, ``network``, ``model``, ``template``, ``data``, ``memory``."""
    name: str
    status: Status
    found: str
    cure: str = ""
    """What to do, where something is wrong."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind ``found``, for programs."""


class Piece(NamedTuple):
    """A part of a training row."""

    text: str
    learnt: bool
    """Whether its tokens carry a loss."""
    tokens: int


class Preview(NamedTuple):
    """A training row as it will be tokenised."""

    title: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a preflight assumes, and what else it looks at."""

    method: str = "sft"
    """The algorithm that is to run; ``-lora`` at the end for adapters, ``lora`` for SFT with them."""
    dtype: str = "auto"
    batch_size: int = 16
    micro_batch_size: int = 8
    max_length: int = 1024
    lora_r: int = 16
    samples: int = 8
    """Answers to each prompt, for methods that generate."""
    max_tokens: int = 256
    """Longest such answer."""
    rows: int = 2
    """Rows to show."""
    against: Sequence[str] = ()
    """Test sets that the data must not overlap with."""
    network: bool = False
    """Whether to ask hosts."""
    sandbox: bool = False
    """Whether to run programs against the sandbox."""
