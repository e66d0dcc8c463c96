"""The trainer: transformers' own, fed with packed rows, writing checkpoints that are whole or not there."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
import transformers

from porism import store
from porism.errors import PorismError, StorageError
from porism.models.packing import Batch, Item, Totals, pack, totals

__all__ = ["Objective", "Outcome", "Rows", "Trainer", "last_checkpoint", "remove_remains", "write_metrics", "written"]


class Outcome(NamedTuple):
    """What an algorithm makes of a batch."""

    loss: torch.Tensor
    """Divided by a count of the whole optimiser step, so that micro-batches add up."""
    figures: Mapping[str, torch.Tensor] = {}
    """What else is logged, divided in the same way."""


Objective = Callable[[Any, Batch, Totals], Outcome]
"""``objective(model, batch, totals)``: an algorithm, as far as the trainer knows it."""

_MARK = "complete"


class Rows(torch.utils.data.Dataset[Item]):
    """Training rows by number."""

    def __init__(self, rows: Sequence[Item]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Item:
        return self._rows[index]


class Trainer(transformers.Trainer):  # type: ignore[misc]
    """``transformers.Trainer`` with packed batches and an objective made of ``porism.losses``.

    Args:
        model: the network, plain or wrapped by PEFT.
        args: transformers' own arguments.
        rows: what to train on.
        objective: the algorithm.
        callbacks: transformers' callbacks.
        held_out: rows whose loss is measured in between.
        answered: measures generated answers in between; its figures join those of the evaluation.
        renew: replaces a step's batches, such as by answers of the model as it is now.
        micro_tokens: most tokens in memory at once; a longer micro-batch is split. 0 for no limit.
        told: told of a batch whose loss is no number; it says where its rows are kept.
        feed: gives every step its batches, in the place of rows; see :class:`porism.train._feed.Feed`.
        beside: what is written into a checkpoint besides the network, and read from it.
    """

    lr_scheduler: Any
    control: Any

    def __init__(
        self,
        model: torch.nn.Module,
        args: transformers.TrainingArguments,
        rows: Sequence[Item],
        objective: Objective,
        callbacks: Sequence[transformers.TrainerCallback] = (),
        *,
        held_out: Sequence[Item] = (),
        answered: Callable[[], Mapping[str, float]] | None = None,
        renew: Callable[[Sequence[Batch], int], Sequence[Batch]] | None = None,
        micro_tokens: int = 0,
        told: Callable[[Sequence[int]], str] | None = None,
        feed: Any = None,
        beside: Any = None,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=Rows(rows),
            eval_dataset=Rows(held_out) if held_out or answered else None,
            data_collator=_Collator(micro_tokens),
            callbacks=list(callbacks),
        )
        self._objective, self._answered, self._renew, self._told = objective, answered, renew, told
        self._feed, self._beside = feed, beside
        self._figures: dict[str, float] = {}
        self._held_out = held_out
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.remove_callback(transformers.trainer_callback.PrinterCallback)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """The micro-batches of a step, and its totals over all of them and all processes."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._feed:
            return self._fed(device)
        if self._renew:
            for sample in samples:
                sample["parts"] = list(self._renew(sample["parts"], self.state.global_step))
        parts = [part for sample in samples for part in sample["parts"]]
        counted = totals(parts).to(device) if parts else torch.zeros(len(Totals._fields), device=device)
        if self.args.world_size > 1:
            counted = self.accelerator.reduce(counted, "sum")
        return samples, counted

    def _fed(self, device: torch.device) -> tuple[list[Any], torch.Tensor]:
        """What the feed gives for this step, and its totals."""
        fed = self._feed(self.state.global_step)
        self.control.should_training_stop |= fed.done
        self._figures.update(fed.figures)
        return [{"parts": fed.parts}], (totals(fed.parts) + fed.absent if fed.parts else fed.absent).to(device)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Forward and backward, part by part; gradients of processes are joined after the last."""
        parts = inputs["parts"]
        if not parts:
            return torch.zeros((), device=self.args.device)
        found = []
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                found.append(super().training_step(model, part, num_items_in_batch))
        return torch.stack(found).sum()

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The objective's loss; stops at once where it is not a number.

        Raises:
            PorismError: the loss is NaN or infinite.
        """
        del return_outputs
        if not isinstance(num_items_in_batch, torch.Tensor):
            raise RuntimeError("the step's totals are missing")  # noqa: TRY004 (a defect here, not of a caller)
        outcome = self._objective(model, inputs, _divisors(num_items_in_batch))
        if not torch.isfinite(outcome.loss):
            where = f" {self._told(inputs['rows'])}" if self._told else ""
            raise PorismError(
                f"the loss became {outcome.loss.item()} after step {self.state.global_step}.{where} Lower lr or "
                f"max_grad_norm; the last good checkpoint is in {self.args.output_dir}."
            )
        for name, value in outcome.figures.items():
            self._figures[name] = self._figures.get(name, 0.0) + float(value)
        # processes' gradients are averaged, and each has divided by the totals of all
        loss: torch.Tensor = outcome.loss * self.accelerator.num_processes
        return loss

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor, None, None]:
        """A batch's part in the loss of all held-out rows, as much as makes that loss the mean over the rows."""
        del prediction_loss_only, ignore_keys
        with torch.no_grad(), self.compute_loss_context_manager():
            parts = [self._prepare_inputs(part) for part in inputs["parts"]]
            found = [self._objective(model, part, self._of_held_out).loss for part in parts]
        share = sum(len(part["rows"]) for part in parts) / len(self._held_out)
        return torch.stack(found).sum().detach() / share, None, None

    @functools.cached_property
    def _of_held_out(self) -> Totals:
        """What the loss of held-out rows is divided by: the counts of all of them, however they are batched."""
        return _divisors(totals(pack([row]) for row in self._held_out).to(self.args.device))

    def evaluation_loop(self, *args: Any, **named: Any) -> Any:
        """The loss of held-out rows, and what generated answers are worth."""
        found = super().evaluation_loop(*args, **named)
        found.metrics.update(self._of_answers())
        return found

    def evaluate(self, *args: Any, **named: Any) -> dict[str, float]:
        """The loss of held-out rows, and what generated answers are worth, told at once."""
        if self._held_out:
            return super().evaluate(*args, **named)  # type: ignore[no-any-return]
        found = self._of_answers()
        self.log(dict(found))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _of_answers(self) -> dict[str, float]:
        return {f"eval_{name}": value for name, value in self._answered().items()} if self._answered else {}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the objective's figures to a step's line."""
        if "loss" in logs and self._figures:
            names = sorted(self._figures)
            values = torch.tensor([self._figures[name] for name in names], device=self.args.device)
            if self.args.world_size > 1:
                values = self.accelerator.reduce(values, "sum")
            logs.update(zip(names, values.tolist(), strict=True))
            self._figures.clear()
        super().log(logs, start_time)

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

    def _run_epoch(self, *args: Any, **named: Any) -> None:
        """Train for an epoch, but not where training goes on from the checkpoint with which it had come to its end."""
        waited = (
            one.early_stopping_patience_counter >= one.early_stopping_patience
            for one in self.callback_handler.callbacks
            if isinstance(one, transformers.EarlyStoppingCallback)
        )
        if self.state.global_step >= self.state.max_steps or any(waited):
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **named)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted."""
        del inputs
        return 0

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Write a checkpoint, mark it as whole, and only then delete others, but for the best one."""
        if self._feed:
            self._feed.settle()
        good = last_checkpoint(Path(self.args.output_dir))
        with written(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}", good):
            super()._save_checkpoint(model, trial)
        if self.args.world_size > 1:
            self.accelerator.wait_for_everyone()
        if not self.args.should_save:
            return
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self._beside:
            self._beside.save(folder)
        store.write_json(folder / _MARK, {"step": self.state.global_step})
        best = Path(self.state.best_model_checkpoint) if self.state.best_model_checkpoint else folder
        for other in _checkpoints(Path(self.args.output_dir)):
            if other not in (folder, best):
                shutil.rmtree(other)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Read a checkpoint, and what stands beside the network in it."""
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self._beside:
            self._beside.load(Path(resume_from_checkpoint))


class _Collator:
    """Rows → packed batches of at most so many tokens."""

    def __init__(self, micro_tokens: int) -> None:
        self._most = micro_tokens

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        parts: list[list[Item]] = [[]]
        room = self._most
        for item in items:
            if self._most and parts[-1] and item.tokens > room:
                parts.append([])
                room = self._most
            parts[-1].append(item)
            room -= item.tokens
        return {"parts": [pack(part) for part in parts]}


def _divisors(counted: torch.Tensor) -> Totals:
    """The totals as divisors: a count of 0 divides as 1, since there is nothing to divide."""
    return Totals(*torch.where(counted > 0, counted, torch.ones_like(counted)).float())


@contextlib.contextmanager
def written(folder: Path, good: Path | None = None) -> Iterator[None]:
    """In here a folder is written; what the disk refuses is removed, so that it takes no room.

    Args:
        folder: what is written.
        good: the last whole checkpoint.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        yield
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        kept = f"; the last whole checkpoint is {good}" if good else ""
        raise StorageError(
            f"{folder}: cannot be written: {' '.join(str(error).split())[:200]}. Free some space on the disk; the same "
            f"command then goes on{kept}."
        ) from error


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    whole = [path for path in _checkpoints(folder) if (path / _MARK).is_file()]
    return whole[-1] if whole else None


def remove_remains(folder: Path) -> None:
    """Delete checkpoints that were not written to their end."""
    for path in _checkpoints(folder):
        if not (path / _MARK).is_file():
            shutil.rmtree(path)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def write_metrics(file: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write every logged step and evaluation so far, so that a resumed run leaves none twice."""
    kept = [entry for entry in history if "loss" in entry or any(name.startswith("eval_") for name in entry)]
    text = "".join(json.dumps(entry) + "\n" for entry in kept)
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
