"""The settings that all training methods share."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from porism import recipe
from porism.errors import MissingExtra
from porism.models.machine import Dtype
from porism.records import Message, Problem

__all__ = ["LOGGERS", "Method", "ScoreTraining", "Training"]

LOGGERS = ("tensorboard", "wandb", "mlflow", "trackio", "swanlab")

Method = Literal["full", "lora", "qlora", "peft"]


class Training(recipe.Settings):
    """What every method takes."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"report_to", "checkpoint_every"})

    model: Annotated[
        str, Field(description="where to start: an alias, a folder, or another training stage's output")
    ] = "smollm2-135m"
    method: Annotated[
        Method,
        Field(description="train all weights, low-rank adapters, those on 4-bit weights, or what 'peft' describes"),
    ] = "full"
    lr: Annotated[
        float | None, Field(description="peak learning rate; by method and model size if not given", gt=0)
    ] = None
    epochs: Annotated[float, Field(description="passes over the rows", gt=0)] = 1.0
    max_steps: Annotated[int, Field(description="stop after this many steps; 0 for whole epochs", ge=0)] = 0
    batch_size: Annotated[
        int, Field(description="rows in one optimiser step, over all processes; 0: by the model's size", ge=0)
    ] = 0
    micro_batch_size: Annotated[int, Field(description="rows in memory at once; must divide batch_size", ge=1)] = 8
    micro_batch_tokens: Annotated[
        int | None,
        Field(
            description="most tokens in memory at once, whatever the rows; 0: no limit; else by the model's size", ge=0
        ),
    ] = None
    max_length: Annotated[int, Field(description="drop rows with more tokens", ge=2)] = 1024
    schedule: Annotated[
        Literal["cosine", "linear", "constant_with_warmup"], Field(description="of the learning rate")
    ] = "cosine"
    warmup: Annotated[float, Field(description="share of the steps over which the learning rate rises", ge=0, lt=1)] = (
        0.05
    )
    weight_decay: Annotated[float, Field(description="AdamW's", ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(description="clip gradients to this norm", gt=0)] = 1.0
    train_layers: Annotated[
        int, Field(description="with full: train the last k layers only; 0 for all weights", ge=0)
    ] = 0
    lora_r: Annotated[int, Field(description="rank of the adapters", ge=1)] = 16
    lora_alpha: Annotated[int, Field(description="scale of the adapters, divided by the rank", ge=1)] = 32
    lora_dropout: Annotated[float, Field(description="dropout before the adapters", ge=0, lt=1)] = 0.0
    lora_targets: Annotated[list[str], Field(description="layers that get adapters; every linear layer if empty")] = []
    lora_kind: Annotated[
        Literal["lora", "dora", "rslora"],
        Field(description="plain; with a magnitude apart (DoRA); scaled by the root of the rank (rsLoRA)"),
    ] = "lora"
    peft: Annotated[
        dict[str, Any], Field(description="with method peft: a configuration of PEFT, such as {peft_type: IA3}")
    ] = {}
    merge: Annotated[bool, Field(description="write whole weights, the adapters added in")] = False
    dtype: Annotated[Dtype, Field(description="to compute in; weights stay float32")] = "auto"
    gradient_checkpointing: Annotated[
        bool, Field(description="compute activations again in the backward pass: less memory, a third more time")
    ] = False
    threads: Annotated[int, Field(description="threads of torch; 0: as many as processors are idle", ge=0)] = 0
    seed: Annotated[recipe.Seed, Field(description="of the order of the rows and of the adapters")] = 0
    eval_input: Annotated[
        list[str], Field(description="held-out rows like those of 'input', whose loss is measured in between")
    ] = []
    eval_problems: Annotated[
        list[str], Field(description="problems that are answered and graded in between: eval_accuracy")
    ] = []
    eval_every: Annotated[int, Field(description="steps between evaluations; 0 for a fifth of the run", ge=0)] = 0
    eval_max_tokens: Annotated[int, Field(description="longest answer to eval_problems", ge=1)] = 256
    keep_best: Annotated[
        bool, Field(description="at the end take the weights of the best evaluation: accuracy, else loss")
    ] = False
    patience: Annotated[
        int,
        Field(
            description="stop after so many evaluations without a better one, whose weights are taken; 0: never", ge=0
        ),
    ] = 0
    checkpoint_every: Annotated[int, Field(description="steps between checkpoints; 0 for a tenth of the run", ge=0)] = 0
    report_to: Annotated[list[str], Field(description=f"loggers of transformers: {', '.join(LOGGERS)}")] = []

    @property
    def adapted(self) -> bool:
        """Whether adapters are trained."""
        return self.method != "full"

    def asked(self, problem: Problem, system: str | None = None) -> list[Message]:
        """How a problem is asked that is answered while training runs: its question.

        Args:
            problem: whose question it is.
            system: the system message with which all rows begin, where they do.
        """
        before = [Message(role="system", content=system)] if system is not None else []
        return [*before, Message(role="user", content=problem.question)]

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find before anything runs what does not go together, and what is not installed.

        Raises:
            ValueError: settings exclude one another, or a logger is unknown.
            MissingExtra: a logger, or bitsandbytes, is not installed.
        """
        if self.micro_batch_size < self.batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}. "
                "Choose one that divides it."
            )
        if self.adapted and self.train_layers:
            raise ValueError(
                f"method {self.method} and train_layers {self.train_layers} exclude each other: train_layers chooses "
                "among all weights. Leave one out; lora_targets chooses the layers that get adapters."
            )
        if bool(self.peft) != (self.method == "peft"):
            raise ValueError("method peft and the setting peft belong together: give both, or neither.")
        if (self.keep_best or self.patience) and not (self.eval_input or self.eval_problems):
            raise ValueError("keep_best and patience go by evaluations: name eval_input or eval_problems.")
        if self.method == "qlora" and self.merge:
            raise ValueError(
                "merge: adapters cannot be added to weights of 4 bits. Leave merge out, and add them to the base's own "
                "weights afterwards: porism export."
            )
        if self.method == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
            raise MissingExtra("bitsandbytes", "'porism[qlora]'", "method qlora")
        for name in self.report_to:
            if name not in LOGGERS:
                raise ValueError(f"report_to: unknown logger {name!r}. Known: {', '.join(LOGGERS)}.")
            if importlib.util.find_spec(name) is None:
                raise MissingExtra(name, "'porism[log]'" if name == "tensorboard" else name, f"report_to: {name}")
        return self


class ScoreTraining(Training):
    """What the methods take whose model gives scores, and no answers."""

    @model_validator(mode="after")
    def _answers_nothing(self) -> Self:
        if self.eval_problems:
            raise ValueError("eval_problems: a model that gives scores answers no problems. Name eval_input instead.")
        return self
