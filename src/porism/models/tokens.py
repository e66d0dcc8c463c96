"""Add tokens to a model, such as ``<think>`` and ``</think>``, with embeddings to start from.

A token's row is the mean of the rows of the tokens by which its text, or a description of it, was written before,
stretched to their mean length: a mean of several rows is shorter than each of them, and a short row would make the
token an unlikely one. Rows of an untied output layer are made in the same way from that layer's own rows. Old tokens
keep their rows, and so their logits.

Sources: Koto, Lau and Baldwin, "IndoBERTweet" (2021), for the mean of a token's former parts; Hewitt, "Initializing New
Word Embeddings for Pretrained Language Models" (2021), for why random rows are worse than a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from porism.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["add_tokens"]


def add_tokens(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tokens: Sequence[str],
    *,
    special: bool = False,
    descriptions: Mapping[str, str] | None = None,
    multiple: int = 1,
) -> dict[str, int]:
    """Add tokens to a tokenizer and rows for them to its model, both in place.

    Args:
        network: the model, without adapters. Tied embeddings stay tied.
        tokenizer: its tokenizer.
        tokens: their texts. What is a token already is left as it is.
        special: treat them as marks like the end of a turn, which are dropped from decoded text, instead of as text.
        descriptions: token → words whose embeddings its own begins from; its own text where there are none.
        multiple: make the number of rows a multiple of this, such as 64, which suits some hardware; rows beyond the
            tokenizer's tokens are the mean of all rows.

    Returns:
        The tokens' ids.

    Raises:
        ModelError: no tokens, an empty one, or a description of something else.
    """
    import tokenizers
    import torch

    wanted, described = list(dict.fromkeys(tokens)), dict(descriptions or {})
    if not wanted or not all(token.strip() for token in wanted):
        raise ModelError(f"add tokens: expected texts that are not empty, got {list(tokens)!r}.")
    if set(described) - set(wanted):
        raise ModelError(f"add tokens: described, but not added: {', '.join(set(described) - set(wanted))}.")
    if multiple < 1:
        raise ModelError(f"add tokens: expected a multiple of at least 1, got {multiple}.")
    known = tokenizer.get_vocab()
    fresh = [token for token in wanted if token not in known]
    parts = {token: _ids(tokenizer, described.get(token, token)) for token in fresh}
    tokenizer.add_tokens(
        [tokenizers.AddedToken(token, special=special, normalized=False) for token in fresh], special_tokens=special
    )
    vocabulary = tokenizer.get_vocab()
    before = network.get_input_embeddings().weight.shape[0]
    needed = max(before, max(vocabulary.values()) + 1)
    rows = -(-needed // multiple) * multiple
    if rows > before:
        network.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for weight in _tables(network):
            mean = weight[:before].mean(0)
            weight[before:] = mean
            for token in fresh:
                weight[vocabulary[token]] = _start(weight, parts[token]) if parts[token] else mean
    return {token: vocabulary[token] for token in wanted}


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _tables(network: PreTrainedModel) -> list[torch.Tensor]:
    """What has an entry for each token: the embeddings, an output layer of its own, and that layer's bias."""
    first: Any = network.get_input_embeddings().weight
    output: Any = network.get_output_embeddings()
    found = [first]
    if output is not None and output.weight is not first:
        found.append(output.weight)
    if getattr(output, "bias", None) is not None:
        found.append(output.bias)
    return found


def _start(table: torch.Tensor, parts: Sequence[int]) -> torch.Tensor:
    """The mean of some rows, as long as they are on average; of a bias, the mean."""
    rows = table[list(parts)].float()
    mean = rows.mean(0)
    length = mean.norm() if table.dim() > 1 else mean.new_zeros(())
    return (mean * rows.norm(dim=1).mean() / length if length else mean).to(table.dtype)
