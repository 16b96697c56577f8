"""What a person sees of a run: some lines while it trains, a live view on a terminal, a summary."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from nnlab.means import mean_of_finite
from nnlab.records.progress import EpochProgress
from nnlab.records.summary_text import summary_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import duration, error_name, form, label, number, percent, shell_word
from nnlab.records.text_columns import command, labelled

LINES_OF_PROGRESS = 10  # a line each tenth of the work, and one for the first epoch
CELL_LETTERS = 10  # at most: 999/10000
LIVE_AFTER, LIVE_LEFT = 0.3, 1.0  # seconds of training, over and to come, that are worth a view


class Console:
    """Shows one run on `stream`.

        with Console(title, rows, epochs, task) as console:
            console.record(record)             each epoch
            console.close(summary, folder)

    Everywhere: the title, about ten lines of progress, and a summary. On a terminal also a live
    view below the lines, for runs longer than a moment. `task` is "classification" (errors are
    percentages) or "regression" (they are RMSEs). Several rows are shown as means over those that trained.
    Without validation sets (`validates` is false) there are no columns for them.

    Runs that train `beside` each other have no mean: how many of them have ended is shown, and the best so
    far. Where stacks train one after another (not `together`), epochs would start again with each: instead
    the share of the work is shown.
    """

    def __init__(
        self, title: str, rows: int, epochs: int, task="classification", stream=None, validates=True,
        beside: Beside | None = None, together: bool = True,
    ):  # fmt: skip
        self.progress = EpochProgress(rows, epochs)
        self.task, self.validates, self.beside, self.together = task, validates, beside, together
        self.terminal = Terminal(stream, self._view)
        self._print = self.terminal.line
        self._next_line, self._again = 0, False
        self._last = None  # the last record that has no line
        self._shown_epoch = 0
        self.terminal.title(title)

    def record(self, record) -> None:
        """Take in a `Record`: a line if another tenth of the work is done, and the live view. Of a refit only
        that it has begun."""
        if record.refit:
            if not self._again:
                self.terminal.stop()
                self._print("  refit: trained again, on the validation examples too")
            self._again = True
            return
        if self.progress.trained == 0:  # the first record of all
            self._print_header()
        self.progress.record(record)
        part = self.progress.part(LINES_OF_PROGRESS)
        self._last = record
        over = self.progress.training() == 0
        # Several records may belong to one epoch, of which one line is enough.
        if over or (part >= self._next_line and self._epoch() > self._shown_epoch):
            self._print_line()
            self._last = None
            self._next_line = part + 1
        self.terminal.show(self._is_worth_a_view)

    def _epoch(self) -> int:
        """The epoch to which all rows have come; where they do not train together, the last one's."""
        if self.together and not self.beside:
            return int(self.progress.along.min())
        return self.progress.trained

    def close(self, summary: dict, folder, equation=()) -> None:
        """Take the live view away; print the summary (of `summarize`), the lines of what was learnt if it is
        an equation, and where the folder is."""
        self.terminal.stop()
        self._print("")
        lines = [*summary_lines(summary, self.task), ""]
        if equation:
            lines += [*equation, ""]
        lines += [*labelled("run folder", folder), *command("its curves", board_line(folder))]
        for line in lines:
            self._print(line)

    def note(self, sentence: str | None) -> None:
        """A sentence below the summary, if there is one; the command that it ends with can be copied."""
        if not sentence:
            return
        before, colon, words = sentence.rpartition(": nnlab ")
        lines = command(f"{before}:", f"nnlab {words}") if colon else labelled(sentence, "")
        for line in ["", *lines]:
            self._print(line.rstrip())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.terminal.stop()
        if kind is not None and self._last is not None:  # the view is gone: where it stood
            with contextlib.suppress(OSError):
                self._print_line()

    def error(self, value: float) -> str:
        """An error as the task has it: a percentage, or an RMSE in the target's unit."""
        return percent(value) if self.task == "classification" else number(value)

    def _print_header(self) -> None:
        if self.beside:
            line = f"{'done':>7}{'runs ended':>14}{'time':>10}"
            if self.beside.metric:
                line += f"  least {label(self.beside.metric, self.task)} so far"
            self._print(line)
            return
        error = error_name(self.task)
        done = "epoch" if self.together else "done"
        line = f"{done:>7}{'train loss':>14}{error:>10}"
        if self.validates:
            line += f"{'validation loss':>18}{error:>10}"
        if self.progress.rows > 1:
            line += f"{'training':>11}"
        self._print(f"{line}{'time':>10}")

    def _print_line(self) -> None:
        p, now = self.progress, self.progress.now()
        self._shown_epoch = self._epoch()
        time = f"{duration(p.seconds):>10}"
        if self.beside:
            line = f"{p.share():>7.0%}{self.beside.ended(p):>14}{time}  {self.beside.best(p, self.task)}"
            self._print(line.rstrip())
            return
        done = f"{p.share():.0%}"
        if self.together:
            done = f"{max(1, p.along.min())}"
        line = f"{done:>7}{number(now['train_loss']):>14}{self.error(now['train_error']):>10}"
        if self.validates:
            line += f"{number(now['val_loss']):>18}{self.error(now['val_error']):>10}"
        if p.rows > 1:
            trained = f"{now['rows']}/{p.rows}"
            if len(trained) > CELL_LETTERS:  # the title says of how many
                trained = f"{now['rows']}"
            line += f"{trained:>11}"
        self._print(line + time)

    def _is_worth_a_view(self) -> bool:
        return self.progress.seconds >= LIVE_AFTER and self.progress.seconds_left() >= LIVE_LEFT

    def _view(self, screen):
        from nnlab.records.live import runs_view, view  # rich, of which a pipe needs nothing

        return (runs_view if self.beside else view)(self, screen)


@dataclass(frozen=True)
class Beside:
    """Runs that train beside each other: of which rows, and by which metric they are compared."""

    names: tuple[str, ...]
    owner: np.ndarray  # (rows,) the place of each row's run
    metric: str = ""  # val_loss, val_error, train_...; "" where they are not to be compared

    def ended(self, progress: EpochProgress) -> str:
        """`3 of 9`: how many runs have no row in training."""
        training = {int(self.owner[row]) for row in range(progress.rows) if row not in progress.ended}
        return f"{len(self.names) - len(training)} of {len(self.names)}"

    def best(self, progress: EpochProgress, task: str) -> str:
        """The run whose rows' best epochs have the least mean; a run with a diverged row does not count."""
        if not self.metric:
            return ""
        values = progress.best.copy()  # a clock's thread may look while the training thread writes
        place = 1 if self.metric.endswith("error") else 0
        means = {}
        for run in range(len(self.names)):
            rows = np.flatnonzero(self.owner == run).tolist()
            if all(row in values and progress.ended.get(row) != "diverged" for row in rows):
                means[run] = mean_of_finite([values[row][place] for row in rows])
        if not means:
            return "-"
        run = min(means, key=means.__getitem__)
        return f"{form(self.metric, task)(means[run]):<8} {self.names[run]}"


def board_line(folder) -> str:
    """What shows a folder's curves."""
    return f"nnlab board {shell_word(str(folder))}"
