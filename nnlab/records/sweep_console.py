"""What a person sees of a sweep: some lines while it searches, a live view on a terminal, the best trials."""

from __future__ import annotations

import contextlib
from collections import Counter
from time import monotonic

from nnlab.records import text_columns
from nnlab.records.terminal import Terminal
from nnlab.records.text import duration, form, interval_lines, label, metric_lines, refit_lines, spread
from nnlab.runtime.machine import in_bytes, resident
from nnlab.search.plan import Plan
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial, best

LINES, SHOWN = 12, 8  # lines of progress at the most; trials in the table at the end


class SweepConsole:
    """Shows one sweep on `stream`: `start`, then `chosen`, `record`, `told` as they come, `close`.

    `count` trials are wanted; `known` were told before, by a process that this one goes on from.
    """

    def __init__(self, search: Search, count: int, epochs: int, task: str, known: list[Trial], stream=None):
        self.search, self.count, self.epochs, self.task = search, count, epochs, task
        self.trials, self.before = list(known), len(known)
        self.terminal = Terminal(stream, self._view)
        self.batch, self.epoch, self.began = None, 0, monotonic()
        self._next_line = 0
        self._work, self._done = 0.0, 0.0  # epochs of rows: of the batch, and done of all batches

    def start(self, lines: list[str]) -> None:
        self.terminal.title(lines[0])
        for line in lines[1:]:
            self.terminal.line(line)
        if self.before < self.count:
            heads = (("trials", 8), ("complete", 10), ("pruned", 8), ("failed", 8), ("best", 10))
            heads += (("of trial", 10), ("time", 10))
            self.terminal.line("".join(f"{head:>{width}}" for head, width in heads))

    def batch_started(self, batch) -> None:
        """A batch begins."""
        self.batch, self.epoch = batch, 0
        self.terminal.show(self._is_worth_a_view)

    def record(self, record) -> None:
        """An epoch of a stack."""
        self.epoch = record.epoch
        self.terminal.show(self._is_worth_a_view)

    def trials_finished(self, trials: list[Trial]) -> None:
        """Trials have been told: a line, if enough of them."""
        self.trials += trials
        part = len(self.trials) * LINES // self.count
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
                for line in self._under_way():
                    self.terminal.line(f"{line}; begun again by resume=")

    def _under_way(self) -> list[str]:
        """The batch in training, in words, if there is one."""
        if self.batch is None or self.batch.candidates[0].number < len(self.trials):
            return []
        going, rows = len(self.batch.training()), len(self.batch.owner) - len(self.batch.over)
        return [f"  in training: {going} trials, {rows} rows, epoch {self.epoch} of {self.epochs}"]

    def value(self, value: float, name: str) -> str:
        """An objective as people read it."""
        return form(name, self.task)(value)

    def table(self) -> list[str]:
        """The best trials: their objectives with the spread over rows, and their parameters."""
        ranked = best(self.trials, self.search.signs)[:SHOWN]
        if not ranked:
            return text_columns.wrapped(f"  no trial was trained to its end{self._why_none()}")
        keys = list(dict.fromkeys(key for trial in ranked for key in trial.params))
        names = [label(name, self.task) for name in self.search.objectives]
        cells = [["trial", *names, *keys]]
        for trial in ranked:
            params = [_shown(trial.params[key]) if key in trial.params else "-" for key in keys]
            cells.append([str(trial.number), *self._objectives(trial), *params])
        return [*text_columns.table(cells[0], cells[1:]), *self._notes(ranked)]

    def _why_none(self) -> str:
        """The reason of most trials, and of how many."""
        reasons = Counter(trial.reason for trial in self.trials if trial.reason).most_common(1)
        return "".join(f": {count} of {len(self.trials)} {reason}" for reason, count in reasons)

    def best_line(self) -> str:
        """The best trial so far, and what it has; empty without any."""
        for trial in best(self.trials, self.search.signs)[:1]:
            keys = text_columns.short_names(list(trial.params))
            params = [f"{key}={_shown(v)}" for key, v in zip(keys, trial.params.values(), strict=True)]
            return "  ".join([f"trial {trial.number}:", *self._objectives(trial), *params])
        return ""

    def _notes(self, ranked: list[Trial]) -> list[str]:
        """What stands behind the +-, and what is not in the table."""
        rows = ranked[0].rows
        lines = [f"  ± the standard deviation over a trial's {rows} rows"] if rows > 1 else []
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
        counts, first = self.counts(), best(self.trials, self.search.signs)[:1]
        name = self.search.objectives[0]
        found = self.value(first[0].values[0], name) if first else "-"
        of = str(first[0].number) if first else "-"
        told = "".join(f"{counts[s]:>{w}}" for s, w in ((COMPLETE, 10), (PRUNED, 8), (FAILED, 8)))
        return f"{len(self.trials):>8}{told}{found:>10}{of:>10}{duration(monotonic() - self.began):>10}"

    def _is_worth_a_view(self) -> bool:
        seconds = monotonic() - self.began
        return seconds > 0.5 and self.seconds_left() > 1.0

    def share(self) -> float:
        """Of the trials to come when this process began, the share that is done."""
        running = len(self.batch.candidates) * self.epoch / self.epochs if self.batch else 0
        told = len(self.trials) - self.before
        fresh = self.batch and self.batch.candidates[0].number < len(self.trials)
        done = told + (0 if fresh else running)
        return min(1.0, done / max(1, self.count - self.before))

    def seconds_left(self) -> float:
        """At the speed so far."""
        share = self.share()
        return (monotonic() - self.began) * (1 - share) / share if share else 0.0

    def _view(self, screen):
        from nnlab.records.live import sweep_view

        return sweep_view(self, screen)


def plan_lines(plan: Plan) -> list[str]:
    """What a sweep will take, in words."""
    if not plan.stacks:
        return [f"  {plan.trials} trials, in batches of {min(plan.batch, plan.trials)} trials", ""]
    sizes, rows = sorted({p for _, _, p in plan.stacks}), sorted({k for _, k, _ in plan.stacks})
    count = sum(n for n, _, _ in plan.stacks)
    parameters = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    in_each = f"{rows[0]}" + (f" to {rows[-1]}" if len(rows) > 1 else "")
    stacks = f"{count} stack{'s' * (count > 1)} of {in_each} rows"
    return [
        f"  {plan.trials} trials, {plan.rows} rows, in batches of {min(plan.batch, plan.trials)} trials",
        f"  a batch is {stacks}, each row of {parameters} parameters",
        f"  memory {in_bytes(resident() + plan.memory)}, time about {duration(plan.seconds)}",
        "",
    ]


def test_lines(summary: dict, task: str) -> list[str]:
    """The winner's test metrics, from its summary, and what was trained twice for them."""
    tests = {name: m for name, m in summary.get("metrics", {}).items() if name.startswith("test_")}
    said = ["  the winner, tested", *refit_lines(summary), *metric_lines(tests, task)]
    return [*said, *interval_lines(summary)] if tests else []


def _shown(label) -> str:
    return f"{label:.4g}" if isinstance(label, float) else "null" if label is None else str(label)
