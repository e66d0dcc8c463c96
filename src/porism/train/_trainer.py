"""The trainer: transformers' own, fed with packed rows, writing checkpoints that are whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import transformers

from porism import console, store
from porism.errors import PorismError
from porism.prompts.render import Rendered
from porism.train._packing import pack

__all__ = ["Loss", "Progressing", "Trainer", "last_checkpoint"]

Loss = Callable[[torch.nn.Module, dict[str, Any], Any], torch.Tensor]
"""``loss(model, batch, count)``: the loss of a packed batch, divided by the step's number of positions."""

_MARK = "complete"


class Rows(torch.utils.data.Dataset[Rendered]):
    """Training rows by number."""

    def __init__(self, rows: Sequence[Rendered]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Rendered:
        return self._rows[index]


class Trainer(transformers.Trainer):  # type: ignore[misc]
    """``transformers.Trainer`` with a packed batch and a loss from ``porism.losses``.

    Args:
        model: the network, plain or wrapped by PEFT.
        args: transformers' own arguments.
        rows: what to train on.
        loss: the algorithm.
        callbacks: transformers' callbacks.
    """

    lr_scheduler: Any

    def __init__(
        self,
        model: torch.nn.Module,
        args: transformers.TrainingArguments,
        rows: Sequence[Rendered],
        loss: Loss,
        callbacks: Sequence[transformers.TrainerCallback] = (),
    ) -> None:
        super().__init__(
            model=model, args=args, train_dataset=Rows(rows), data_collator=pack, callbacks=list(callbacks)
        )
        self._loss = loss
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.remove_callback(transformers.trainer_callback.PrinterCallback)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The algorithm's loss; stops at once where it is not a number.

        Raises:
            PorismError: the loss is NaN or infinite.
        """
        del return_outputs
        if num_items_in_batch is None:
            raise RuntimeError("transformers did not count the step's labels")
        loss = self._loss(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise PorismError(
                f"the loss became {loss.item()} after step {self.state.global_step}. Lower lr or max_grad_norm; "
                f"the last good checkpoint is in {self.args.output_dir}."
            )
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The schedule one step on: step k (from 1) of w warm-up steps has k / (w + 1) of the peak.

        Transformers' own begin at zero, so that a first step, and all of a training of one step, would do nothing.
        """
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            from_zero = transformers.get_scheduler(
                self.args.lr_scheduler_type,
                optimizer=optimizer,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps) + 1,
                num_training_steps=num_training_steps + 1,
            ).lr_lambdas[0]
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: from_zero(step + 1))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Write a checkpoint, mark it as whole, and only then delete the one before."""
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        store.write_json(folder / _MARK, {"step": self.state.global_step})
        for other in _checkpoints(Path(self.args.output_dir)):
            if other != folder:
                shutil.rmtree(other)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; remains of others are deleted."""
    whole = [path for path in _checkpoints(folder) if (path / _MARK).is_file()]
    for path in set(_checkpoints(folder)) - set(whole[-1:]):
        shutil.rmtree(path)
    return whole[-1] if whole else None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


class Progressing(transformers.TrainerCallback):  # type: ignore[misc]
    """Shows progress, and keeps ``metrics.jsonl`` and the manifest's clock up to date.

    Args:
        out: the stage's output.
        metrics: the file of one JSON line a logged step.
    """

    def __init__(self, out: store.Output, metrics: Path) -> None:
        self._out, self._metrics = out, metrics
        self._stack = ExitStack()
        self._bar: console.Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar where an earlier session left off."""
        del args, control
        self._bar = self._stack.enter_context(
            console.progress("training", state.max_steps, "steps", done=state.global_step)
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One step further."""
        del args, state, control
        if self._bar:
            self._bar.advance()

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write every logged step so far, so that a resumed run leaves no step twice."""
        del args, control
        steps = [entry for entry in state.log_history if "loss" in entry]
        text = "".join(json.dumps(entry) + "\n" for entry in steps)
        temporary = self._metrics.with_name(self._metrics.name + ".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self._metrics)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the time spent so far."""
        del args, state, control
        self._out.save()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        del args, state, control
        self._stack.close()
