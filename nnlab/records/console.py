"""What a person sees of a run: some lines while it trains, a live view on a terminal, a summary."""

from __future__ import annotations

import contextlib
import math
import shlex
from time import monotonic

import numpy as np

from nnlab.records.terminal import Terminal
from nnlab.records.text import duration, error_name, number, percent, summary_lines

LINES = 10  # a line each tenth of the work, and one for the first epoch
LIVE_AFTER, LIVE_LEFT = 0.3, 1.0  # seconds of training, over and to come, that are worth a view
SHOWN = ("train_loss", "train_error", "val_loss", "val_error")


class Console:
    """Shows one run on `stream`.

        with Console(title, rows, epochs, task) as console:
            console.record(record)             each epoch
            console.close(summary, folder)

    Everywhere: the title, about ten lines of progress, and a summary. On a terminal also a live
    view below the lines, for runs longer than a moment. `task` is "classification" (errors are
    percentages), "regression" (they are RMSEs) or "mixed": then there is no mean of all rows to show.
    Several rows are shown as means over those that trained. Without validation sets (`validates` is
    false) there are no columns for them.
    """

    def __init__(
        self, title: str, rows: int, epochs: int, task="classification", stream=None, validates=True
    ):
        self.progress = Progress(rows, epochs)
        self.task, self.validates = task, validates
        self.terminal = Terminal(stream, self._view)
        self._print = self.terminal.line
        self._next_line, self._again = 0, False
        self._last = None  # the last record that has no line
        self._print(self.terminal.bold(title))

    def record(self, record) -> None:
        """Take in a `Record`: a line if another tenth of the work is done, and the live view. Of a refit only
        that it has begun."""
        if record.refit:
            if not self._again:
                self.terminal.stop()
                self._print("  refit: trained again, on the validation examples too")
            self._again = True
            return
        self.progress.record(record)
        if self._next_line == 0:
            self._print_header()
        part = self.progress.part(LINES)
        self._last = record
        if part >= self._next_line or self.progress.training() == 0:
            self._print_line(record)
            self._last = None
        self._next_line = part + 1
        self.terminal.show(self._is_worth_a_view)

    def close(self, summary: dict, folder, equation=()) -> None:
        """Take the live view away; print the summary (of `summarize`), the lines of what was learnt if it is
        an equation, and where the folder is."""
        self.terminal.stop()
        self._print("")
        for line in [*summary_lines(summary, self.task), "", *equation, *([""] if equation else [])]:
            self._print(line)
        self._print(f"  run folder         {folder}")
        self._print(f"  curves             tensorboard --logdir {shlex.quote(str(folder))}")

    def note(self, line: str | None) -> None:
        """A line below the summary, if there is one to say."""
        if line:
            self._print("")
            self._print(f"  {line}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.terminal.stop()
        if kind is not None and self._last is not None:  # the view is gone: where it stood
            with contextlib.suppress(OSError):
                self._print_line(self._last)

    def error(self, value: float) -> str:
        """An error as the task has it: a percentage, or an RMSE in the target's unit."""
        return percent(value) if self.task == "classification" else self.loss(value)

    def loss(self, value: float) -> str:
        """A loss, if the rows have the same kind of it."""
        return "-" if self.task == "mixed" else number(value)

    def _print_header(self) -> None:
        error = error_name(self.task)
        several = f"{'training':>11}" if self.progress.rows > 1 else ""
        self._print(
            f"{'epoch':>7}{'train loss':>14}{error:>10}"
            + (f"{'validation loss':>18}{error:>10}" if self.validates else "")
            + f"{several}{'time':>10}"
        )

    def _print_line(self, record) -> None:
        p, now = self.progress, self.progress.now()
        trained = f"{now['rows']}/{p.rows}"
        self._print(
            f"{record.epoch:>7}{self.loss(now['train_loss']):>14}{self.error(now['train_error']):>10}"
            + (
                f"{self.loss(now['val_loss']):>18}{self.error(now['val_error']):>10}"
                if self.validates
                else ""
            )
            + (f"{trained:>11}" if p.rows > 1 else "")
            + f"{duration(p.seconds):>10}"
        )

    def _is_worth_a_view(self) -> bool:
        return self.progress.seconds >= LIVE_AFTER and self.progress.seconds_left() >= LIVE_LEFT

    def _view(self, screen):
        from nnlab.records.live import view

        return view(self, screen)


class Progress:
    """How far the rows are, and the best of each so far.

    Rows may come in several stacks, one after another or in turns, each from epoch 1; so time is
    the wall clock's, and not the records'.

    done        (rows,) epochs; all of them for a row that has ended
    along       (rows,) the same, but rows that have ended go along with the others
    best        row -> loss, error and epoch of its best epoch: of validation, or else of training
    """

    def __init__(self, rows: int, epochs: int):
        self.rows, self.epochs = rows, epochs
        self.epoch, self.seconds, self.trained = 0, 0.0, 0
        self.done = np.zeros(rows, dtype=int)
        self.along = np.zeros(rows, dtype=int)
        self.best: dict[int, tuple[float, float, int]] = {}
        self.ended: dict[int, str] = {}
        self._started = None
        self._at = np.zeros(rows, dtype=int)  # the epoch that each row trained last
        self._latest = np.full((rows, len(SHOWN)), np.nan)  # and its metrics

    def record(self, record) -> None:
        """Take in a `Record`. Every epoch does this, so it leaves the arithmetic to who looks."""
        if self._started is None:
            self._started = monotonic() - record.seconds
        self.epoch, self.seconds = record.epoch, monotonic() - self._started
        self.trained += len(record.rows)
        self._at[record.rows] = self.done[record.rows] = self.along[record.rows] = record.epoch
        for i, name in enumerate(SHOWN):
            self._latest[record.rows, i] = record.metrics.get(name, np.nan)
        for i in np.flatnonzero(record.improved).tolist():
            row = int(record.rows[i])
            kind = "val" if "val_loss" in record.metrics else "train"
            loss, error = (float(record.metrics[f"{kind}_{what}"][i]) for what in ("loss", "error"))
            self.best[row] = (loss, error, record.epoch)
        self.ended |= record.ended
        if self.ended:
            over = list(self.ended)
            self.done[over] = self.epochs
            self.along[over] = np.maximum(self.along[over], record.epoch)

    def now(self) -> dict[str, float]:
        """Metric -> mean over `present`, finite values only; and how many those are, as `rows`."""
        present = self.present()
        means = {name: mean(self._latest[present, i]) for i, name in enumerate(SHOWN)}
        return means | {"rows": int(present.sum())}

    def present(self) -> np.ndarray:
        """(rows,) bool: the rows that trained in this epoch, or are on their way to it."""
        training = self._at > 0
        training[list(self.ended)] = False
        return training | (self._at == self.epoch)

    def part(self, parts: int) -> int:
        """How many of so many equal parts of the epochs are over."""
        return int(self.along.sum()) * parts // (self.rows * self.epochs)

    def share(self) -> float:
        """Of all rows' epochs, the share that is done or will not be needed."""
        return float(self.done.sum() / (self.rows * self.epochs))

    def training(self) -> int:
        """How many rows have not ended."""
        return self.rows - len(self.ended)

    def seconds_left(self) -> float:
        """At the speed so far, if no other row ends early."""
        left = self.rows * self.epochs - self.done.sum()
        return float(left * self.seconds / max(self.trained, 1))


def mean(values) -> float:
    """The mean of the finite values, NaN if there are none."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else math.nan
