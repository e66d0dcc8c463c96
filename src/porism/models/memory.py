"""How much memory a training step needs, and how much this machine has.

The estimate adds up what a step of Porism's trainer holds at its peak. Letters: ``H`` hidden size, ``Q`` and ``K`` the
width of all query and of all key heads, ``I`` width of the feed-forward layer, ``L`` layers, ``V`` vocabulary, ``P``
parameters, ``T`` tokens in a micro-batch, ``N`` of them with a loss.

    weights       4 P, and 2 P more for the copies that mixed precision computes with
    reference     4 P for each frozen copy of the model (its adapters switched off cost nothing)
    gradients     4 for each trained parameter
    optimiser     8 for each trained parameter (AdamW's two moments)
    activations   T L (26 H + 6 Q + 4 K + 8 I) in mixed precision,
                  T L (24 H + 12 Q + 8 K + 16 I) in float32
    adapters      T L (2 H + Q + 2 K + 2 I) × 3.5 in mixed precision, × 7 in float32
    logits        12 N V: the scores in float32, their logarithms, and the gradient
    sampling      rows × tokens × 2 L K × (2 or 4), the keys and values, for methods that generate
    process       0.5 GB for Python, PyTorch and Transformers

The activations are those of a Llama layer without checkpointing: both residual streams, the norms' inputs, and what
each matrix product keeps for its gradient. Adapters make two more tensors for every output of a matrix product; these
are freed, but what the C library's heap loses between them was measured to be this much. A tenth is added to all for
the allocator.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["METHODS", "Estimate", "Memory", "Shape", "Step", "available", "cache_bytes", "estimate", "shape_of"]

_PROCESS = 500_000_000
_ALLOCATOR = 1.1
_MOST_ROWS = 256
"""Rows that the local engine samples at once."""


class _Kind(NamedTuple):
    """What an algorithm adds to plain training."""

    sequences: int = 1
    """Sequences in memory for one row: a preferred and a rejected answer are two."""
    references: int = 0
    """Frozen copies of the model."""
    logits: bool = True
    generates: bool = False


METHODS: Mapping[str, _Kind] = {
    "sft": _Kind(),
    "reward": _Kind(sequences=2, logits=False),
    "verifier": _Kind(logits=False),
    "dpo": _Kind(sequences=2, references=1),
    "kto": _Kind(references=1),
    "distill": _Kind(references=1),
    "grpo": _Kind(references=1, generates=True),
    "rloo": _Kind(references=1, generates=True),
    "ppo": _Kind(references=1, generates=True),
    "online-dpo": _Kind(sequences=2, references=1, generates=True),
    "selfplay": _Kind(sequences=2, references=1, generates=True),
}
"""Algorithm → what it holds besides one model in training."""


class Shape(NamedTuple):
    """The sizes of a decoder."""

    parameters: int
    layers: int
    hidden: int
    query: int
    key: int
    feed_forward: int
    vocabulary: int

    @property
    def outputs(self) -> int:
        """Width of the outputs of all matrix products of a block."""
        return 2 * self.hidden + self.query + 2 * self.key + 2 * self.feed_forward

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA adapters on every linear layer of every block."""
        sizes = (
            self.hidden + self.query,
            2 * (self.hidden + self.key),
            self.query + self.hidden,
            3 * (self.hidden + self.feed_forward),
        )
        return self.layers * rank * sum(sizes)


class Step(NamedTuple):
    """What an optimiser step works on."""

    method: str
    """One of :data:`METHODS`."""
    tokens: int
    """In the largest micro-batch, prompts included."""
    learnt: int
    """Of these, tokens that carry a loss."""
    accumulates: bool
    """Whether a step has several micro-batches."""
    dtype: str
    lora_r: int = 0
    """Rank of the adapters; 0 to train all weights."""
    rollouts: int = 0
    """Answers generated for one step."""
    rollout_tokens: int = 0
    """Longest prompt and answer together."""


class Estimate(NamedTuple):
    """Peak memory of a step, in bytes."""

    parts: Mapping[str, int]
    total: int


class Memory(NamedTuple):
    """Memory of this machine in bytes: of the graphics card where there is one, else of the processor."""

    what: str
    total: int
    free: int


def shape_of(config: Any, parameters: int) -> Shape:
    """The sizes that a configuration states, by the names that Transformers gives them.

    Args:
        config: of a decoder.
        parameters: how many the weights' files have.
    """
    text = config.get_text_config()
    hidden, heads = int(text.hidden_size), int(text.num_attention_heads)
    head = int(getattr(text, "head_dim", None) or hidden // heads)
    return Shape(
        parameters=parameters,
        layers=int(text.num_hidden_layers),
        hidden=hidden,
        query=heads * head,
        key=int(getattr(text, "num_key_value_heads", None) or heads) * head,
        feed_forward=int(getattr(text, "intermediate_size", None) or 4 * hidden),
        vocabulary=int(text.vocab_size),
    )


def estimate(shape: Shape, step: Step) -> Estimate:
    """Peak memory of one optimiser step, as the module's text says."""
    kind = METHODS[step.method]
    wide = step.dtype == "float32"
    tokens, learnt = step.tokens * kind.sequences, step.learnt * kind.sequences
    trained = shape.adapters(step.lora_r) if step.lora_r else shape.parameters
    layer = (
        24 * shape.hidden + 12 * shape.query + 8 * shape.key + 16 * shape.feed_forward
        if wide
        else 26 * shape.hidden + 6 * shape.query + 4 * shape.key + 8 * shape.feed_forward
    )
    rows = min(step.rollouts, _MOST_ROWS) if kind.generates else 0
    parts = {
        "process": _PROCESS,
        "weights": shape.parameters * (4 if wide else 6),
        "reference": 0 if step.lora_r else 4 * shape.parameters * kind.references,
        "gradients": 4 * trained,
        "optimiser": 8 * trained,
        "activations": tokens * shape.layers * layer,
        "adapters": int(tokens * shape.layers * shape.outputs * (7 if wide else 3.5)) if step.lora_r else 0,
        "logits": 12 * learnt * shape.vocabulary if kind.logits else 0,
        "sampling": rows * step.rollout_tokens * 2 * shape.layers * shape.key * (4 if wide else 2),
    }
    passing = parts["activations"] + parts["adapters"] + parts["logits"]
    if step.accumulates:
        changing = passing + parts["gradients"]
    else:  # gradients come while activations go
        changing = max(passing + 4 * min(trained, shape.vocabulary * shape.hidden), parts["gradients"])
    fixed = parts["weights"] + parts["reference"] + parts["optimiser"]
    total = parts["process"] + int(_ALLOCATOR * (fixed + max(changing, parts["sampling"])))
    return Estimate(parts, total)


def cache_bytes(config: Any, tokens: int, itemsize: int) -> int:
    """Bytes of the keys and values of so many tokens, in numbers of so many bytes."""
    shape = shape_of(config, 0)
    return tokens * 2 * shape.layers * shape.key * itemsize


def available() -> Memory:
    """How much memory there is: of the first graphics card, or of this process's share of the machine."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Memory(torch.cuda.get_device_name(), total, free)
    lines = _lines(Path("/proc/meminfo"))
    sizes = {name: 1024 * int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total = sizes.get("MemTotal") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = sizes.get("MemAvailable", total)
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):  # what a container may have
        limit, taken = (_lines(Path("/sys/fs/cgroup") / name) for name in (most, used))
        if limit and limit[0].isdigit() and int(limit[0]) < total:
            total = int(limit[0])
            free = min(free, total - int(taken[0]) if taken and taken[0].isdigit() else total)
    return Memory("memory", total, free)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
