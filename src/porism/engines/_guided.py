"""Answers that follow a JSON schema or a regular expression, through llguidance: which tokens may come next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from porism.engines import Sampling
from porism.errors import MissingExtra, RecipeError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["Guide", "Guides"]

_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line: a model that may write white space without end may never come to the end of its answer."""


class Guide:
    """Follows one row.

    Args:
        matcher: llguidance's, fresh.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def error(self) -> str:
        """Why the row cannot be followed any further, such as a grammar that grew too large; nothing if it can."""
        return str(self._matcher.get_error()) if self._matcher.is_error() else ""

    def allowed(self, width: int) -> torch.Tensor:
        """Which tokens may come next, [V]; where the grammar is at its end, the end token alone; all after an error."""
        import torch

        if self.error:
            return torch.ones(width, dtype=torch.bool)
        mask = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8) > 0
        return torch.nn.functional.pad(mask, (0, width - len(mask))) if len(mask) < width else mask[:width]

    def take(self, token: int) -> None:
        """Go on by one token."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)


class Guides:
    """Makes guides for a tokenizer; building the tokenizer's tables takes about a second, once.

    Args:
        tokenizer: of the model that answers.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._tables: Any = None
        self._compiled: dict[tuple[str, str], Any] = {}

    def guide(self, sampling: Sampling) -> Guide | None:
        """A guide for one row, or None where the answer is free.

        Raises:
            RecipeError: the schema or the expression is not valid.
            MissingExtra: llguidance is not installed.
        """
        kind = sampling.json_schema, sampling.regex
        if not any(kind):
            return None
        if kind not in self._compiled:
            self._compiled[kind] = self._matcher(sampling)
        return Guide(self._compiled[kind].deep_copy())

    def _matcher(self, sampling: Sampling) -> Any:
        try:
            import llguidance
            from llguidance import hf
        except ImportError:
            raise MissingExtra("llguidance", "'porism[guided]'", "an answer that follows a schema") from None
        if self._tables is None:
            self._tables = hf.from_tokenizer(self._tokenizer)
        try:
            if sampling.json_schema:
                grammar = llguidance.LLMatcher.grammar_from_json_schema(sampling.json_schema, _COMPACT)
            else:
                grammar = llguidance.LLMatcher.grammar_from_regex(sampling.regex)
            problem = llguidance.LLMatcher.validate_grammar(grammar, self._tables)
        except (ValueError, TypeError) as error:
            problem = str(error)
        if problem:
            name = "json_schema" if sampling.json_schema else "regex"
            raise RecipeError(f"{name}: not valid: {' '.join(str(problem).split())[:200]}")
        return llguidance.LLMatcher(self._tables, grammar)
