"""Screen output of a training run: progress lines, a live view on a terminal, and the summary."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from nnlab.means import mean_of_finite
from nnlab.metrics import larger_is_better
from nnlab.records.progress import EpochProgress
from nnlab.records.progress_columns import ProgressColumns
from nnlab.records.summary_text import summary_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import (
    format_duration,
    format_number,
    format_percent,
    metric_formatter,
    metric_label,
    shell_word,
)
from nnlab.records.text_columns import command_lines, labelled_lines

ERROR_METRICS = ("val_error", "train_error")
PROGRESS_LINES = 10  # a line each tenth of the work, and one for the first epoch
FEW_EPOCHS = 20  # up to which every epoch has a line
LIVE_MIN_ELAPSED, LIVE_MIN_REMAINING = (
    0.3,
    1.0,
)  # seconds of training, over and to come, that are worth a view


class Console:
    """Shows one run on `stream`.

        with Console(title, rows, epochs, task) as console:
            console.record(record)             each epoch
            console.close(summary, folder)

    It prints the title, about ten lines of progress (of few epochs, one for each), and a summary; on a
    terminal also a live view below the lines, unless the run is short. `task` is "classification" (errors are
    percentages) or "regression" (they are RMSEs). Several rows are shown as means over those that train.
    Without validation sets (`validates` is false) there are no columns for them. A `metric` that chooses the
    best epoch is shown instead of the validation error, and the learning `rate` if it changes; further curves
    where a line has room for them.

    For several runs in `parallel`, a mean would say nothing: the number of runs that have ended is shown, and
    the best run so far. Where stacks train one after another (not `single_stack`), epochs would start again
    with each, so the share of the work is shown instead.
    """

    def __init__(
        self, title: str, rows: int, epochs: int, task="classification", stream=None, validates=True,
        parallel: ParallelRuns | None = None, single_stack: bool = True, metric: str = "", rate: bool = False,
    ):  # fmt: skip
        self.progress = EpochProgress(rows, epochs, metric)
        self.metric, self.rate = metric, rate
        self.task, self.validates, self.parallel, self.single_stack = task, validates, parallel, single_stack
        self.terminal = Terminal(stream, self._view)
        self._print = self.terminal.line
        self._lines = max(PROGRESS_LINES, epochs if epochs <= FEW_EPOCHS else 0)
        self._next_line_part, self._refit_announced = 0, False
        self._unprinted = None  # the latest record without a line
        self._columns: ProgressColumns | None = None  # once a record says which curves there are
        self._shown_epoch = 0
        self.terminal.title(title)

    def record(self, record) -> None:
        """Take in a `Record`: print a line if another tenth of the work is done, and refresh the live view.

        Of a refit only its start is printed.
        """
        if record.refit:
            if not self._refit_announced:
                self.terminal.stop()
                self._print("  refit: trained again, on the validation examples too")
            self._refit_announced = True
            return
        is_first = self.progress.row_epochs == 0
        self._take_in(record)
        if is_first:
            self._print_header()
        part = self.progress.part(self._lines)
        self._unprinted = record
        all_ended = self.progress.training_count() == 0
        # Stacks may have one record each for an epoch; one line is enough.
        if all_ended or (part >= self._next_line_part and self._epoch() > self._shown_epoch):
            self._print_line()
            self._unprinted = None
            self._next_line_part = part + 1
        self.terminal.show(self._should_show_live)

    def replay(self, record) -> None:
        """Take in a `Record` that was shown before the run was resumed."""
        self._take_in(record)

    def _take_in(self, record) -> None:
        if not self._columns:
            self._columns = ProgressColumns(
                self.task, self.validates, self.progress.rows, self.metric, self.rate, record.metrics
            )
            self.progress.show(self._columns.names)
        self.progress.record(record)

    def resumed(self, epoch: int) -> None:
        """Say from where the run goes on, once all records before it are replayed."""
        self._print(f"  resumed after epoch {epoch}" if epoch else "  resumed in its first epoch")
        if self.progress.row_epochs:
            self._next_line_part = self.progress.part(self._lines) + 1
            self._shown_epoch = self._epoch()
            self._print_header()

    def _epoch(self) -> int:
        """The epoch that all rows have reached; where they do not share one stack, a count of row epochs."""
        if self.single_stack and not self.parallel:
            return int(self.progress.epochs_reached.min())
        return self.progress.row_epochs

    def close(self, summary: dict, folder, equation=()) -> None:
        """Remove the live view; print the summary (from `summarize`), a learnt equation, and the folder."""
        self.terminal.stop()
        self._print("")
        lines = [*summary_lines(summary, self.task), ""]
        if equation:
            lines += [*equation, ""]
        lines += [*labelled_lines("run folder", folder), *command_lines("its curves", board_command(folder))]
        for line in lines:
            self._print(line)

    def note(self, sentence: str | None) -> None:
        """Print a sentence below the summary, if any; a command at its end stays on one line to be copied."""
        if not sentence:
            return
        before, colon, words = sentence.rpartition(": nnlab ")
        lines = command_lines(f"{before}:", f"nnlab {words}") if colon else labelled_lines(sentence, "")
        for line in ["", *lines]:
            self._print(line.rstrip())

    def __enter__(self):
        return self

    def __exit__(self, exception_type, *_):
        self.terminal.stop()
        # The live view is gone, so print its last state.
        if exception_type is not None and self._unprinted is not None:
            with contextlib.suppress(OSError):
                self._print_line()

    def error(self, value: float) -> str:
        """An error as text: a percentage, or for a regression an RMSE in the target's unit."""
        return format_percent(value) if self.task == "classification" else format_number(value)

    def _print_header(self) -> None:
        if self.parallel:
            line = f"{'done':>7}{'runs ended':>14}{'time':>10}"
            if self.parallel.metric:
                line += f"  {self.parallel.describe(self.task)} so far"
            self._print(line)
            return
        self._print(self._columns.header("epoch" if self.single_stack else "done"))

    def _print_line(self) -> None:
        p, now = self.progress, self.progress.latest_means()
        self._shown_epoch = self._epoch()
        if self.parallel:
            runs, time = self.parallel, format_duration(p.seconds)
            line = f"{p.fraction_done():>7.0%}{runs.ended(p):>14}{time:>10}  {runs.best(p, self.task)}"
            self._print(line.rstrip())
            return
        done = f"{p.fraction_done():.0%}"
        if self.single_stack:
            done = f"{max(1, p.epochs_reached.min())}"
        self._print(self._columns.line(done, now, p.rows, p.seconds))

    def _should_show_live(self) -> bool:
        return (
            self.progress.seconds >= LIVE_MIN_ELAPSED and self.progress.seconds_left() >= LIVE_MIN_REMAINING
        )

    def _view(self, screen):
        from nnlab.records.live import run_view, runs_view  # imports rich, which a pipe does not need

        return (runs_view if self.parallel else run_view)(self, screen)


@dataclass(frozen=True)
class ParallelRuns:
    """Runs that train at the same time: their names, their rows, and the metric that compares them."""

    names: tuple[str, ...]
    owner: np.ndarray  # (rows,) the index of each row's run
    metric: str = ""  # val_loss, val_error, train_...; "" where they are not comparable

    def ended(self, progress: EpochProgress) -> str:
        """`3 of 9`: the number of runs whose rows have all ended."""
        training = {int(self.owner[row]) for row in range(progress.rows) if row not in progress.ended}
        return f"{len(self.names) - len(training)} of {len(self.names)}"

    def describe(self, task: str) -> str:
        """`least validation loss`, `largest validation ROC AUC`."""
        return f"{'largest' if larger_is_better(self.metric) else 'least'} {metric_label(self.metric, task)}"

    def best(self, progress: EpochProgress, task: str) -> str:
        """The run with the best mean over its rows' best epochs, without runs that have a diverged row."""
        if not self.metric:
            return ""
        # Copies: the live view's thread may read while the training thread writes.
        values = {row: best[self.metric in ERROR_METRICS] for row, best in progress.best.copy().items()}
        if self.metric == progress.metric:
            values = progress.best_metric.copy()
        means = {}
        for run in range(len(self.names)):
            rows = np.flatnonzero(self.owner == run).tolist()
            if all(row in values and progress.ended.get(row) != "diverged" for row in rows):
                means[run] = mean_of_finite([values[row] for row in rows])
        if not means:
            return "-"
        run = (max if larger_is_better(self.metric) else min)(means, key=means.__getitem__)
        return f"{metric_formatter(self.metric, task)(means[run]):<8} {self.names[run]}"


def board_command(folder) -> str:
    """The command that shows a folder's curves in TensorBoard."""
    return f"nnlab board {shell_word(str(folder))}"
