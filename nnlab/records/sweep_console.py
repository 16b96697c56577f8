"""What a person sees of a sweep: some lines while it searches, a live view on a terminal, the best trials."""

from __future__ import annotations

import contextlib
from collections import Counter
from time import monotonic

from nnlab.records import text_columns
from nnlab.records.summary_text import interval_lines, metric_lines, refit_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import duration, form, label, spread
from nnlab.runtime.machine import in_bytes, resident_memory
from nnlab.search.plan import Plan
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial, rank_trials

LINES_OF_PROGRESS = 12  # at most
TRIALS_SHOWN = 8  # in the table at the end
LIVE_AFTER, LIVE_LEFT = 0.5, 1.0  # seconds, over and to come, that are worth a view
HEADS = {"trials": 8, "complete": 10, "pruned": 8, "failed": 8, "best": 10, "of trial": 10, "time": 10}


class SweepConsole:
    """Shows one sweep on `stream`: `start`, then `batch_started`, `record`, `trials_finished`, `close`.

    `count` trials are wanted; `known` finished before, in a process that this one goes on from.
    """

    def __init__(self, search: Search, count: int, epochs: int, task: str, known: list[Trial], stream=None):
        self.search, self.count, self.epochs, self.task = search, count, epochs, task
        self.trials, self.before = list(known), len(known)
        self.terminal = Terminal(stream, self._view)
        self.batch, self.epoch = None, 0
        self.began = monotonic()
        self._next_line = 0

    def start(self, lines: list[str]) -> None:
        self.terminal.title(lines[0])
        for line in lines[1:]:
            self.terminal.line(line)
        if self.before < self.count:
            self.terminal.line("".join(f"{head:>{width}}" for head, width in HEADS.items()))

    def batch_started(self, batch) -> None:
        """A batch begins."""
        self.batch, self.epoch = batch, 0
        self.terminal.show(self._is_worth_a_view)

    def record(self, record) -> None:
        """An epoch of a stack."""
        self.epoch = record.epoch
        self.terminal.show(self._is_worth_a_view)

    def trials_finished(self, trials: list[Trial]) -> None:
        """Trials finished: a line, if they are enough for one."""
        self.trials += trials
        part = len(self.trials) * LINES_OF_PROGRESS // self.count
        if part >= self._next_line or len(self.trials) == self.count:
            self.terminal.line(self._line())
            self._next_line = part + 1

    def close(self, results: list[str]) -> None:
        self.terminal.stop()
        for line in ["", *results]:
            self.terminal.line(line)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.terminal.stop()
        if kind is not None and len(self.trials) < self.count:  # the view is gone: where it stood
            with contextlib.suppress(OSError):
                self.terminal.line(self._line())
                if self._is_training():
                    self.terminal.line(f"  in training: {self.in_training()}; begun again by resume=")

    def _is_training(self) -> bool:
        """Whether a batch is in training whose trials have not finished."""
        return self.batch is not None and self.batch.candidates[0].number >= len(self.trials)

    def in_training(self) -> str:
        """The batch in training, in words."""
        trials, rows = (
            len(self.batch.training_trials()),
            len(self.batch.trial_of_row) - len(self.batch.ended_rows),
        )
        return f"{trials} trials, {rows} rows, epoch {self.epoch} of {self.epochs}"

    def value(self, value: float, name: str) -> str:
        """An objective as people read it."""
        return form(name, self.task)(value)

    def table(self) -> list[str]:
        """The best trials: their objectives with the spread over rows, and their parameters."""
        ranked = rank_trials(self.trials, self.search.signs)[:TRIALS_SHOWN]
        if not ranked:
            return text_columns.wrapped(f"  no trial was trained to its end{self._why_none()}")
        keys = list(dict.fromkeys(key for trial in ranked for key in trial.params))
        names = [label(name, self.task) for name in self.search.objectives]
        rows = []
        for trial in ranked:
            params = [_shown(trial.params[key]) if key in trial.params else "-" for key in keys]
            rows.append([str(trial.number), *self._objectives(trial), *params])
        return [*text_columns.table(["trial", *names, *keys], rows), *self._notes(ranked)]

    def _why_none(self) -> str:
        """The reason of most trials, and of how many."""
        reasons = Counter(trial.reason for trial in self.trials if trial.reason).most_common(1)
        return "".join(f": {count} of {len(self.trials)} {reason}" for reason, count in reasons)

    def best_line(self) -> str:
        """The best trial so far, and what it has; empty without any."""
        for trial in rank_trials(self.trials, self.search.signs)[:1]:
            keys = text_columns.short_names(list(trial.params))
            params = [f"{key}={_shown(v)}" for key, v in zip(keys, trial.params.values(), strict=True)]
            return "  ".join([f"trial {trial.number}:", *self._objectives(trial), *params])
        return ""

    def _notes(self, ranked: list[Trial]) -> list[str]:
        """What stands behind the +-, and what is not in the table."""
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
            spread(value, std, form(name, self.task))
            for value, std, name in zip(trial.values, trial.spread, self.search.objectives, strict=True)
        ]

    def counts(self) -> dict[str, int]:
        states = [trial.state for trial in self.trials]
        return {state: states.count(state) for state in (COMPLETE, PRUNED, FAILED)}

    def _line(self) -> str:
        value = number = "-"
        for trial in rank_trials(self.trials, self.search.signs)[:1]:
            value = self.value(trial.values[0], self.search.objectives[0])
            number = str(trial.number)
        counts = [len(self.trials), *self.counts().values()]
        cells = [*counts, value, number, duration(monotonic() - self.began)]
        return "".join(f"{cell:>{width}}" for cell, width in zip(cells, HEADS.values(), strict=True))

    def _is_worth_a_view(self) -> bool:
        return monotonic() - self.began > LIVE_AFTER and self.seconds_left() > LIVE_LEFT

    def share(self) -> float:
        """Of the trials to come when this process began, the share that is done."""
        done = len(self.trials) - self.before
        if self._is_training():
            done += len(self.batch.candidates) * self.epoch / self.epochs
        return min(1.0, done / max(1, self.count - self.before))

    def seconds_left(self) -> float:
        """At the speed so far."""
        share = self.share()
        return (monotonic() - self.began) * (1 - share) / share if share else 0.0

    def _view(self, screen):
        from nnlab.records.live import sweep_view  # rich, of which a pipe needs nothing

        return sweep_view(self, screen)


def plan_lines(plan: Plan) -> list[str]:
    """What a sweep will take, in words."""
    batches = f"in batches of {min(plan.batch, plan.trials)} trials"
    if not plan.stacks:
        return [f"  {plan.trials} trials, {batches}", ""]
    count = sum(n for n, _, _ in plan.stacks)
    rows = _range([k for _, k, _ in plan.stacks])
    parameters = _range([p for _, _, p in plan.stacks])
    stacks = f"{count} stack{'s' * (count > 1)} of {rows} rows"
    return [
        f"  {plan.trials} trials, {plan.rows} rows, {batches}",
        f"  a batch is {stacks}, each row of {parameters} parameters",
        f"  memory {in_bytes(resident_memory() + plan.memory)}, time about {duration(plan.seconds)}",
        *([f"  device=auto: {plan.because}"] if plan.because else []),
        "",
    ]


def _range(counts: list[int]) -> str:
    """`64` or `64 to 4,810`."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def test_lines(summary: dict, task: str) -> list[str]:
    """The winner's test metrics, from its summary, and what was trained twice for them."""
    tests = {name: m for name, m in summary.get("metrics", {}).items() if name.startswith("test_")}
    if not tests:
        return []
    lines = [*refit_lines(summary), *metric_lines(tests, task), *interval_lines(summary)]
    return ["  the winner, tested", *lines]


def _shown(label) -> str:
    if label is None:
        return "null"
    return f"{label:.4g}" if isinstance(label, float) else str(label)
