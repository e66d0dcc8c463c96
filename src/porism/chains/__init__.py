"""Reads a chain of thought: its reasoning, its response, its answers and its steps."""

from __future__ import annotations

from porism.chains._regions import Region, regions
from porism.chains.spans import Chain, Rule, Span, Statement, is_bare, read
from porism.chains.steps import Definition, Step, counts, steps

__all__ = [
    "Chain",
    "Definition",
    "Region",
    "Rule",
    "Span",
    "Statement",
    "Step",
    "counts",
    "is_bare",
    "read",
    "regions",
    "steps",
]
