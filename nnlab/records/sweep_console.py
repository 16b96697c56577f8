"""Screen output of `nnlab sweep`: progress lines, a live view on a terminal, the table of best trials."""

from __future__ import annotations

import contextlib
from collections import Counter
from time import monotonic

from nnlab.records import text_columns
from nnlab.records.summary_text import interval_lines, metric_lines, refit_lines, shown_metrics
from nnlab.records.terminal import Terminal
from nnlab.records.text import format_duration, metric_formatter, metric_label, plus_minus
from nnlab.runtime.machine import in_bytes, resident_memory
from nnlab.search.plan import Plan
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial, rank_trials

PROGRESS_LINES = 12  # at most
TRIALS_SHOWN = 8  # in the table at the end
LIVE_MIN_ELAPSED, LIVE_MIN_REMAINING = 0.5, 1.0  # seconds, to be worth a live view
COLUMN_WIDTHS = {
    "trials": 8,
    "complete": 10,
    "pruned": 8,
    "failed": 8,
    "best": 10,
    "of trial": 10,
    "time": 10,
}


class SweepConsole:
    """Shows one sweep on `stream`: `start`, then `batch_started`, `record`, `trials_finished`, `close`.

    `count` trials are to be trained in all; those `finished_before` are from the sweep that is resumed.
    Without `has_lines` there is only the live view.
    """

    def __init__(
        self,
        search: Search,
        count: int,
        epochs: int,
        task: str,
        finished_before: list[Trial],
        stream=None,
        has_lines: bool = True,
    ):
        self.search, self.count, self.epochs, self.task = search, count, epochs, task
        self.trials, self.count_before = list(finished_before), len(finished_before)
        self.terminal = Terminal(stream, self._view)
        self.batch, self.epoch, self.has_lines = None, 0, has_lines
        self.start_time = monotonic()
        self._next_line_part = 0

    def start(self, lines: list[str]) -> None:
        self.terminal.title(lines[0])
        for line in lines[1:]:
            self.terminal.line(line)
        if self.count_before < self.count:
            self.terminal.line("".join(f"{head:>{width}}" for head, width in COLUMN_WIDTHS.items()))

    def batch_started(self, batch) -> None:
        """A batch of trials starts training."""
        self.batch, self.epoch = batch, 0
        self.terminal.show(self._should_show_live)

    def record(self, record) -> None:
        """Take in a `Record` of a stack."""
        self.epoch = record.epoch
        self.terminal.show(self._should_show_live)

    def trials_finished(self, trials: list[Trial]) -> None:
        """Trials finished: print a line if another twelfth of the sweep is done."""
        self.trials += trials
        part = len(self.trials) * PROGRESS_LINES // self.count
        if self.has_lines and (part >= self._next_line_part or len(self.trials) == self.count):
            self.terminal.line(self._progress_line())
            self._next_line_part = part + 1

    def close(self, results: list[str]) -> None:
        self.terminal.stop()
        for line in ["", *results]:
            self.terminal.line(line)

    def __enter__(self):
        return self

    def __exit__(self, exception_type, *_):
        self.terminal.stop()
        # The live view is gone, so print its last state.
        if self.has_lines and exception_type is not None and len(self.trials) < self.count:
            with contextlib.suppress(OSError):
                self.terminal.line(self._progress_line())
                if self._is_training():
                    self.terminal.line(f"  in training: {self.describe_training()}; begun again by resume=")

    def _is_training(self) -> bool:
        """Whether a batch is still training."""
        return self.batch is not None and self.batch.candidates[0].number >= len(self.trials)

    def describe_training(self) -> str:
        """`16 trials, 48 rows, epoch 3 of 10`: the batch in training."""
        trials, rows = (
            len(self.batch.training_trials()),
            len(self.batch.trial_of_row) - len(self.batch.ended_rows),
        )
        return f"{trials} trials, {rows} rows, epoch {self.epoch} of {self.epochs}"

    def value(self, value: float, name: str) -> str:
        """A formatted objective value."""
        return metric_formatter(name, self.task)(value)

    def table(self) -> list[str]:
        """The table of the best trials: objectives with the standard deviation over rows, and parameters."""
        ranked = rank_trials(self.trials, self.search.signs)[:TRIALS_SHOWN]
        if not ranked:
            return text_columns.wrap_line(f"  no trial was trained to its end{self._most_common_reason()}")
        keys = list(dict.fromkeys(key for trial in ranked for key in trial.params))
        names = [metric_label(name, self.task) for name in self.search.objectives]
        rows = []
        for trial in ranked:
            params = [_format_param(trial.params[key]) if key in trial.params else "-" for key in keys]
            rows.append([str(trial.number), *self._objectives(trial), *params])
        return [*text_columns.table(["trial", *names, *keys], rows), *self._notes(ranked)]

    def _most_common_reason(self) -> str:
        """The most frequent reason why trials failed, as text."""
        reasons = Counter(trial.reason for trial in self.trials if trial.reason).most_common(1)
        return "".join(f": {count} of {len(self.trials)} {reason}" for reason, count in reasons)

    def describe_best(self) -> str:
        """The best trial so far with its objectives and parameters; empty if there is none."""
        for trial in rank_trials(self.trials, self.search.signs)[:1]:
            keys = text_columns.short_names(list(trial.params))
            params = [f"{key}={_format_param(v)}" for key, v in zip(keys, trial.params.values(), strict=True)]
            return "  ".join([f"trial {trial.number}:", *self._objectives(trial), *params])
        return ""

    def _notes(self, ranked: list[Trial]) -> list[str]:
        """What +- means, and which trials are not in the table."""
        rows = ranked[0].rows
        lines = []
        if rows > 1:
            lines.append(f"  ± the standard deviation over a trial's {rows} rows")
        diverged = sum("diverged" in trial.reason for trial in self.trials)
        if diverged:
            trials = "1 trial" if diverged == 1 else f"{diverged} trials"
            lines.append(f"  not ranked: {trials} of which a row diverged")
        return lines

    def _objectives(self, trial: Trial) -> list[str]:
        return [
            plus_minus(value, std, metric_formatter(name, self.task))
            for value, std, name in zip(trial.values, trial.spread, self.search.objectives, strict=True)
        ]

    def counts(self) -> dict[str, int]:
        states = [trial.state for trial in self.trials]
        return {state: states.count(state) for state in (COMPLETE, PRUNED, FAILED)}

    def _progress_line(self) -> str:
        value = number = "-"
        for trial in rank_trials(self.trials, self.search.signs)[:1]:
            value = self.value(trial.values[0], self.search.objectives[0])
            number = str(trial.number)
        counts = [len(self.trials), *self.counts().values()]
        cells = [*counts, value, number, format_duration(monotonic() - self.start_time)]
        return "".join(f"{cell:>{width}}" for cell, width in zip(cells, COLUMN_WIDTHS.values(), strict=True))

    def _should_show_live(self) -> bool:
        return monotonic() - self.start_time > LIVE_MIN_ELAPSED and self.seconds_left() > LIVE_MIN_REMAINING

    def fraction_done(self) -> float:
        """The share of this process's trials that is done."""
        done = len(self.trials) - self.count_before
        if self._is_training():
            done += len(self.batch.candidates) * self.epoch / self.epochs
        return min(1.0, done / max(1, self.count - self.count_before))

    def seconds_left(self) -> float:
        """Estimated time left at the speed so far."""
        fraction_done = self.fraction_done()
        return (monotonic() - self.start_time) * (1 - fraction_done) / fraction_done if fraction_done else 0.0

    def _view(self, screen):
        from nnlab.records.live import sweep_view  # imports rich, which a pipe does not need

        return sweep_view(self, screen)


def plan_lines(plan: Plan) -> list[str]:
    """The cost of a sweep as lines of text: trials, rows, memory, time."""
    batches = f"in batches of {min(plan.batch, plan.trials)} trials"
    if not plan.stacks:
        return [f"  {plan.trials} trials, {batches}", ""]
    count = sum(n for n, _, _ in plan.stacks)
    rows = _count_range([k for _, k, _ in plan.stacks])
    parameters = _count_range([p for _, _, p in plan.stacks])
    stacks = f"{count} stack{'s' * (count > 1)} of {rows} rows"
    return [
        f"  {plan.trials} trials, {plan.rows} rows, {batches}",
        f"  a batch is {stacks}, each row of {parameters} parameters",
        f"  memory {in_bytes(resident_memory() + plan.memory)}, time about {format_duration(plan.seconds)}",
        *([f"  device=auto: {plan.because}"] if plan.because else []),
        "",
    ]


def _count_range(counts: list[int]) -> str:
    """`64` or `64 to 4,810`."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def test_lines(summary: dict, task: str) -> list[str]:
    """The winner's test metrics from its summary, and notes on refit and intervals."""
    shown = shown_metrics(summary) if "metrics" in summary else {}
    tests = {name: m for name, m in shown.items() if name.startswith("test_")}
    if not tests:
        return []
    lines = [*refit_lines(summary), *metric_lines(tests, task), *interval_lines(summary)]
    return ["  the winner, tested", *lines]


def _format_param(label) -> str:
    if label is None:
        return "null"
    return f"{label:.4g}" if isinstance(label, float) else str(label)
