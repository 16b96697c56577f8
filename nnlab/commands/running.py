"""A sweep under way: who writes and shows what happens, the winner's own run, what comes last."""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from nnlab.commands import baseline, early_end, folders, hydra_entry, train
from nnlab.errors import say
from nnlab.records.report import REPORT, add_lines
from nnlab.records.text import label, shell_line, summary_lines
from nnlab.records.text_columns import command, labelled, wrapped

ASIDE = ".best"  # the folder of the winner's run, until it has ended


def sweep_title(sweep) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam: tpe, for the least validation loss"""
    from nnlab.records.run import titled

    e, s, space = sweep.first.experiment, sweep.search, sweep.space
    searched = {key.partition(".")[0] for key in space.domains if key in space.groups or "model." in key}
    how = s.sampler.name if not s.pruner.prunes else f"{s.sampler.name}, pruned by {s.pruner.name}"
    words = zip(s.signs, s.objectives, strict=True)
    spec = sweep.cache.datasets[e.data].spec
    goals = [f"{'least' if sign > 0 else 'largest'} {label(name, spec.task)}" for sign, name in words]
    about = titled(e, spec, searched)
    return f"{about}: {how}, for the {' and the '.join(goals)}"


def space_lines(sweep, left_out: tuple[str, ...] = ()) -> list[str]:
    """A line for each parameter, and which of the default space are `left_out`; how many trials there are, if
    that is not what was asked for."""
    space, sampler = sweep.space, sweep.search.sampler
    width = max(map(len, space.domains))
    lines = [f"  {key:<{width}}  {domain}" for key, domain in space.domains.items()]
    if left_out:
        lines += ["  only the keys that were named are searched; space=default would add",
                  f"  {', '.join(left_out)}"]  # fmt: skip
    lines += [f"  {sweep.judged_by}"] if sweep.judged_by else []
    if sampler.enumerates:
        count, impossible = sampler.count(space), sweep.impossible()
        some = f", of which the first {sweep.count} are trained" if sweep.count < count else ""
        wrong = f"; {impossible} cannot be trained or ranked, and fail with the reason" if impossible else ""
        lines.append(f"  {count} cells in the grid{some}{wrong}")
    elif sweep.count < sweep.wanted:
        lines.append(f"  {sweep.count} trials, not {sweep.wanted}: this space has no others, and a trial")
        lines.append("  repeated gives the same again; seeds=10 would train each with 10 seeds")
    if sampler.slow_after and sweep.count > sampler.slow_after:
        name, after = sampler.name, sampler.slow_after
        lines.append(
            f"  sampler={name} takes half a second a trial after {after}, and longer and longer: tpe is quick"
        )
    return lines


class Running:
    """A sweep under way: its folder, who writes and shows, the winner, the report."""

    def __init__(self, sweep, asked, args: Namespace, artist, plan):
        self.sweep, self.asked, self.args, self.artist, self.plan = sweep, asked, args, artist, plan
        self.command = asked.variants.cell.command
        self.compared: dict = {}  # the winner with what the search started from

    def run(self) -> int:
        from nnlab.records.sweep_folder import SweepFolder

        self.path = self.asked.resumed or hydra_entry.folder_of_run(self.asked.variants.cell)
        with early_end.naming(self._kept), SweepFolder(self.path) as self.folder:
            try:
                self._open(self.path)
                return self._run()
            finally:
                shutil.rmtree(self.path / ASIDE, ignore_errors=True)
                if self.sweep.ledger:
                    self.sweep.ledger.close()

    def _kept(self) -> str:
        """What there is of a sweep that ended early; of one that has not begun nothing is left."""
        if not self.asked.resumed and not self.sweep.ledger:
            folders.withdraw(self.path)
            return "nothing was begun"
        again = shell_line(["nnlab", "sweep", f"resume={self.path}"])
        return f"every finished batch is kept; to go on: {again}"

    def plan_of_rest(self):
        """The plan of a sweep to go on with, less what it has."""
        from nnlab.records.sweep_folder import SweepFolder
        from nnlab.search.ledger import Ledger

        about, s = self.asked.about, self.sweep.search
        with SweepFolder(self.asked.resumed):
            database = self.asked.database
            ledger = Ledger(self.asked.resumed, database, about["study"], about["id"], s.signs, True)
            self.sweep.go_on_from(ledger)
            ledger.close()
        return self.sweep.plan()

    def _run(self) -> int:
        from nnlab.records.sweep_console import SweepConsole, plan_lines
        from nnlab.search.sweep import Hopeless

        sweep, s = self.sweep, self.sweep.search
        e = sweep.first.experiment
        task = sweep.cache.datasets[e.data].spec.task
        with SweepConsole(s, sweep.count, sweep.epochs, task, sweep.trials) as self.console:
            told, left_out = len(sweep.trials), self.asked.variants.left_out
            lines = [sweep_title(sweep), *space_lines(sweep, left_out)]
            more = "; that is all that were asked for, so nothing is trained" * (told >= sweep.count)
            lines += wrapped(f"  {told} trials are there already{more}") if self.asked.resumed else []
            if told < sweep.count:
                lines += plan_lines(sweep.plan() if told else self.plan)
            self.console.start(lines)
            hopeless = ""
            try:
                self._search()
            except Hopeless as wrong:
                hopeless = str(wrong)
            lines = self._end(hopeless)
            self.console.close(lines)
        if hopeless:
            say("sweep", hopeless)
        return int(not self.winners)

    def _open(self, path: Path) -> None:
        """Begin to write in the folder, new or that of the sweep to go on with: the ledger, the board."""
        from nnlab.records.sweep_board import SweepBoard
        from nnlab.records.sweep_folder import TRIALS, read_curves
        from nnlab.search.ledger import JOURNAL, Ledger

        asked, sweep = self.asked, self.sweep
        cell = asked.variants.cell
        self.about = asked.about
        name = asked.settings["study"]
        if not asked.resumed:
            known = {
                "words": self.args.overrides, "batch": sweep.size, "rules": sweep.rules,
                "data": sweep.cache.fingerprints(), "decayed_once": asked.variants.decayed_once,
                "config_dir": self.args.config_dir and str(Path(self.args.config_dir).absolute()),
                "study": self.path.name if name == "auto" else name,
            }  # fmt: skip
            folders.describe(self.path, cell.composed)
            self.about = self.folder.start(asked.settings, self.command, known)
        begun = asked.resumed is not None and ((path / TRIALS).exists() or not asked.may_create)
        if not begun:  # perhaps killed while it made its study
            (path / JOURNAL).unlink(missing_ok=True)
        signs, study = sweep.search.signs, self.about["study"]
        ledger = Ledger(self.path, asked.database, study, self.about["id"], signs, begun)
        sweep.go_on_from(ledger)
        self.about = self.about | {"count": sweep.count}
        self.folder.about(self.about)
        self.keys = list(sweep.space.domains)
        task = sweep.cache.datasets[sweep.first.experiment.data].spec.task
        self.board = SweepBoard(self.path, sweep.search, self.keys, sweep.count, task)
        self.folder.trials(sweep.trials, self.keys, sweep.search.objectives)
        self.curves = read_curves(self.path)

    def _search(self) -> None:
        from nnlab.search.sweep import BatchStarted
        from nnlab.training.results import Record

        for event in self.sweep:
            if isinstance(event, Record):
                self.console.record(event)
            elif isinstance(event, BatchStarted):
                self.console.batch_started(event.batch)
            elif event.written:
                self.folder.append_trials(event.trials, self.keys, self.sweep.search.objectives)
                self.board.trials_finished(event.trials, self.curves)
                self.console.trials_finished(event.trials)
            else:  # about to be: curves are on disk before their trials count as told
                fresh = {t.number: event.batch.curves_of(t.number) for t in event.trials if t.epochs}
                self.folder.curves(fresh)
                self.curves |= fresh

    def _end(self, hopeless: str) -> list[str]:
        """The winner's own run, the report and all that comes last; what to print."""
        from nnlab.search.trial import best

        sweep = self.sweep
        self.winners = best(sweep.trials, sweep.search.signs)[:1]
        again = self.train_line(self.winners[0]) if self.winners else ""
        if self.artist:
            self.artist.begin(self.path / REPORT, self._story(again))
        winner = self._train_winner(again) if self.winners else {}
        self.board.close(sweep.trials, self.curves)
        importances, no_report = self.artist.end() if self.artist else ({}, "")
        if self.artist and not no_report:
            tested = (
                ["  the winner's own run, in best/", *summary_lines(winner, self.console.task)]
                if winner
                else []
            )
            against = self._against_default()
            add_lines(self.path / REPORT, [*tested, *([""] if tested and against else []), *against])
        self._write_end(importances, winner, again, hopeless)
        return [*self._results(importances, winner, again), *self._files(no_report)]

    def train_line(self, trial) -> str:
        """The `nnlab train` line that is this trial."""
        v = self.asked.variants
        return shell_line([*v.repeat, *v.words(trial.params)])

    def _train_winner(self, command: str) -> dict:
        """The winner as its line would train it, into best/: the test set is used here, once. Its summary.

        Beside it, in the same fit, what the search started from.
        """
        from nnlab.experiment import Experiment
        from nnlab.records.hparams import setting
        from nnlab.records.run import Run

        trial, v = self.winners[0], self.asked.variants
        settings = v.settings(trial.params)
        fit = self._with_default(Experiment.from_config(train.of_experiment(settings)))
        aside, best = self.path / ASIDE, self.path / "best"
        shutil.rmtree(aside, ignore_errors=True)
        searched = tuple(setting(key) for key in self.keys)
        order = replace(train.order(fit, aside, settings, command), differ=searched)
        with Run(order, fit) as run:
            for record in fit:
                run.record(record)
            summary = run.close()
        shutil.rmtree(best, ignore_errors=True)
        aside.rename(best)
        if not self.compared["reason"]:
            self.compared = baseline.compared(fit, self.sweep.search.objectives, self.sweep.search.signs)
        return summary

    def _with_default(self, winner):
        """The fit of the winner and, where their numbers may stand beside each other, of the default."""
        from nnlab.experiment import Experiment
        from nnlab.search.batch_training import candidate
        from nnlab.training.fit import Fit

        def as_it_stands(params: dict) -> Experiment:
            return Experiment.from_config(train.of_experiment(self.asked.variants.settings(params)))

        cache = self.sweep.cache
        checked = candidate(0, {}, as_it_stands, cache)
        wrong = checked.wrong or baseline.not_comparable(winner, checked.experiment, cache)
        self.compared = {"reason": wrong}
        if wrong:
            return Fit([winner], cache)
        trained = self.sweep.trials
        return Fit(baseline.together(winner, as_it_stands({}), len(trained), cache), cache)

    def _against_default(self) -> list[str]:
        """How the winner compares with what the search started from."""
        if not self.compared:
            return []
        command = shell_line([*self.asked.variants.repeat, *self.asked.variants.words({})])
        return baseline.lines(self.compared, self.console.task, command)

    def _story(self, again: str):
        from nnlab.records.report import Story

        sweep, s = self.sweep, self.sweep.search
        lines = [self.command, *([again] if again else [])]
        return Story(
            sweep_title(sweep),
            lines,
            sweep.trials,
            sweep.chooser.distributions,
            s.signs,
            s.objectives,
            self.curves,
            self.console.task,
        )

    def _write_end(self, importances: dict, tested: dict, again: str, hopeless: str) -> None:
        seconds, counts = self.sweep.seconds, self.console.counts()
        winner = self.winners[0] if self.winners else None
        used_up = self.sweep.count < self.sweep.wanted
        ended = "the space has no further trial" if used_up else "complete"
        self.folder.about(
            self.about
            | {
                "trials": counts,
                "ended": hopeless or ended,
                "best": {
                    "trial": winner.number, "values": winner.values, "spread": winner.spread,
                    "params": winner.params, "command": again,
                } if winner else None,
                "test": {n: m for n, m in tested.get("metrics", {}).items() if n.startswith("test_")},
                **({"refit": tested["refit"]} if "refit" in tested else {}),
                **({"compared": self.compared} if self.compared else {}),
                "importances": importances,
                "seconds": {
                    "total": hydra_entry.seconds_of_process(), "training": seconds.training,
                    "search": seconds.search,
                },
            }
        )  # fmt: skip

    def _results(self, importances: dict, winner: dict, again: str) -> list[str]:
        from nnlab.records.sweep_console import test_lines

        lines = [*self.console.table(), ""]
        if importances:
            shares = ", ".join(f"{key} {share:.0%}" for key, share in importances.items())
            lines += labelled("importance", shares)
        lines += test_lines(winner, self.console.task)
        lines += [*command("to repeat it", again), ""] if again else []
        lines += [*self._way_out(), ""] if not again else []
        compared = self._against_default()
        return [*lines, *compared, ""] if compared else lines

    def _way_out(self) -> list[str]:
        """What to do where no trial came to its end: if they diverged, look for a rate that works."""
        diverged = [trial for trial in self.sweep.trials if "diverged" in trial.reason]
        if 2 * len(diverged) < len(self.sweep.trials) or not diverged:
            return []
        line = self.train_line(diverged[0]).replace("nnlab train", "nnlab check only=rates", 1)
        return command("for a rate that works, search below what this says:", line)

    def _files(self, no_report: str) -> list[str]:
        from nnlab.records.console import board_line

        said = no_report or f"{REPORT} in it"
        report = labelled("report", said) if self.artist else []
        return [*labelled("sweep folder", self.path), *report, *command("its curves", board_line(self.path))]
