"""A model's folder: is it safe to load, and do its parts fit together?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from porism.doctor._checks import Check, Status
from porism.errors import UserError
from porism.models import facts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Found"]

_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8"}
_INPUT = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
_OUTPUT = ("lm_head.weight", "embed_out.weight")
_SHOWN = 3


class Found:
    """What there is of a model, as far as its checks have come.

    Args:
        model: an alias or a folder.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self.config: Any = None
        self.generation: Any = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.parameters = 0

    def checks(self) -> Iterator[Check]:
        """Folder, weights, configuration, tokenizer, vocabulary and context. Ends where nothing more can be said."""
        try:
            place = facts.place_of(self._model)
            tensors = facts.tensors_of(place.base)
            own = facts.tensors_of(place.folder) if place.folder != place.base else {}
        except UserError as error:
            yield _check("folder", str(error), failed=True)
            return
        adapter = f", an adapter on {place.base}" if own else ""
        yield _check("folder", f"{place.folder}{adapter}: no code, no pickles")
        self.parameters = sum(tensor.size for tensor in tensors.values())
        yield self._weights(tensors)
        readers = {"config": facts.config_of, "generation": facts.generation_config_of, "tokenizer": facts.tokenizer_of}
        for name, read in readers.items():
            try:
                setattr(self, name, read(place))
            except UserError as error:
                yield _check("files", str(error), failed=True)
                if name == "config":  # the others need it
                    return
        if self.tokenizer is not None:
            yield self._vocabulary(self.tokenizer, {**tensors, **own})
        yield self._context()

    def _weights(self, tensors: dict[str, facts.Tensor]) -> Check:
        kinds = Counter[str]()
        for tensor in tensors.values():
            kinds[_NAMES.get(tensor.dtype, tensor.dtype)] += tensor.size
        mixed = ", ".join(f"{name} {size / self.parameters:.0%}" for name, size in kinds.most_common())
        stored = mixed if len(kinds) > 1 else next(iter(kinds), "nothing")
        return _check(
            "weights",
            f"{self.parameters:,} parameters, stored as {stored}",
            "" if self.parameters else "Fetch the model again.",
            failed=not self.parameters,
            parameters=self.parameters,
        )

    def _vocabulary(self, tokenizer: PreTrainedTokenizerBase, tensors: dict[str, facts.Tensor]) -> Check:
        """Every token that the tokenizer can make has a row of the embedding, and of the output layer."""
        stated = int(getattr(self.config.get_text_config(), "vocab_size", 0))
        rows = {
            what: [tensor.shape[0] for name, tensor in tensors.items() if name.endswith(ends) and len(tensor.shape) > 1]
            for what, ends in (("embedding", _INPUT), ("output layer", _OUTPUT))
        }
        wrong = [f"the {what} has {found[-1]} rows" for what, found in rows.items() if found and found[-1] != stated]
        least = min([stated, *(found[-1] for found in rows.values() if found)])
        ids = tokenizer.get_vocab()
        beyond = sorted((number, token) for token, number in ids.items() if number >= least)
        if beyond:
            shown = ", ".join(f"{token!r} ({number})" for number, token in beyond[:_SHOWN])
            more = f" and {len(beyond) - _SHOWN} more" if len(beyond) > _SHOWN else ""
            return _check(
                "vocabulary",
                f"{len(beyond)} tokens have no embedding, which has {least} rows: {shown}{more}",
                "Resize the embedding to the tokenizer, or use the tokenizer that the model was made with.",
                failed=True,
            )
        if wrong:
            return _check(
                "vocabulary",
                f"config.json states {stated} tokens, but {' and '.join(wrong)}",
                "Set vocab_size in config.json to the number of rows.",
                failed=True,
            )
        return _check(
            "vocabulary", f"{len(ids):,} tokens, {least:,} rows of the embedding", tokens=len(ids), rows=least
        )

    def _context(self) -> Check:
        stated = facts.context_of(self.config, self.tokenizer)
        told = ", ".join(f"{name} {value:,}" for name, value in stated.items())
        if not stated:
            return _check(
                "context",
                "neither config.json (max_position_embeddings) nor the tokenizer (model_max_length) states its length",
                "Prompts that are too long cannot be told before they are sent. Add one of the two.",
                warning=True,
            )
        if len(stated) > 1 and stated["model_max_length"] > stated["max_position_embeddings"]:
            return _check(
                "context",
                f"the tokenizer lets through more than the model can read: {told}",
                "Lower model_max_length in tokenizer_config.json.",
                warning=True,
            )
        return Check("model", "context", Status.OK, told, figures=stated)


def _check(
    name: str, found: str, cure: str = "", *, failed: bool = False, warning: bool = False, **figures: Any
) -> Check:
    status = Status.FAILED if failed else Status.WARNING if warning else Status.OK
    return Check("model", name, status, found, cure, figures)
