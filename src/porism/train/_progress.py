"""What is shown and kept while training runs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import transformers

from porism import console, store
from porism.train._trainer import write_metrics

__all__ = ["Progressing"]


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
        del control
        if args.process_index == 0:
            self._bar = self._stack.enter_context(
                console.progress("training", state.max_steps, "steps", done=state.global_step)
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One step further."""
        del args, state, control
        if self._bar:
            self._bar.advance()

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write what has been logged so far."""
        del control
        if args.process_index == 0:
            write_metrics(self._metrics, state.log_history)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the time spent so far."""
        del state, control
        if args.process_index == 0:
            self._out.save()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        del args, state, control
        self._stack.close()
