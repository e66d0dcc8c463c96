"""Reads a chain of thought: its reasoning, its response, its answers and its steps."""

from __future__ import annotations

from porism.chains._regions import Region, regions
from porism.chains.spans import Chain, Rule, Span, Statement, read

__all__ = ["Chain", "Region", "Rule", "Span", "Statement", "read", "regions"]
