"""A sweep under way: from its request to its trials, the winner, and all that comes last.

Everything here may import torch and optuna: sweep.py imports it once the words are known to be right.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from nnlab.commands import early_end, folders
from nnlab.commands.command_keys import of_experiment
from nnlab.commands.messages import advise
from nnlab.commands.process import imports_are_done
from nnlab.commands.run_folders import folder_of_run
from nnlab.commands.sweep_request import SweepRequest
from nnlab.commands.sweep_screen import (
    file_lines,
    report_lines,
    result_lines,
    space_lines,
    story,
    sweep_title,
)
from nnlab.commands.sweep_writer import SweepWriter
from nnlab.commands.train_command import wants_picture
from nnlab.commands.winner import UNFINISHED_FOLDER, trained_winner
from nnlab.errors import UserError, say
from nnlab.experiment import Experiment
from nnlab.records.report import REPORT, Artist, add_lines
from nnlab.records.sweep_console import SweepConsole, plan_lines
from nnlab.records.sweep_folder import SweepFolder
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.records.text_columns import wrapped
from nnlab.runtime.devices import device
from nnlab.search.ledger import Ledger
from nnlab.search.plan import Plan
from nnlab.search.storage import available
from nnlab.search.study import RULES
from nnlab.search.sweep import BatchStarted, Hopeless, Sweep
from nnlab.search.trial import best
from nnlab.training.memory import refuse_too_large
from nnlab.training.results import Record


def run(asked: SweepRequest) -> int:
    """Search, or show the plan; 1 if no trial was trained to its end."""
    with ExitStack() as until_the_end:
        artist = None
        if asked.settings["report"] and not asked.settings["plan"]:
            artist = until_the_end.enter_context(Artist())  # imports plotly beside all that follows
        sweep, plan = prepared(asked)
        advise("sweep", asked.words.trials.notes())
        imports_are_done()
        if asked.settings["plan"]:
            show_plan(asked, sweep, plan)
            return 0
        return search(asked, sweep, plan, artist)


def prepared(asked: SweepRequest) -> tuple[Sweep, Plan]:
    """The sweep, not begun, its data loaded and its space checked from end to end; and its plan.

    Raises `UserError`.
    """
    trials = asked.words.trials
    if not trials.domains:
        raise UserError(
            "nothing to search: give a key several values, 'optimizer.lr=tag(log,interval(1e-4,1e-1))', or "
            "take a space, space=default"
        )

    def experiment_of(values: dict) -> Experiment:
        settings = trials.of_values(values)
        wants_picture(settings, rows=1)  # the winner's own run would refuse it, at the end
        return Experiment.from_config(of_experiment(settings))

    rules = RULES
    if asked.resumed:  # a sweep goes on by the rules it began with, or its trials would be others
        rules = asked.about.get("rules", 1)
    if rules > RULES:
        raise UserError(f"'{asked.resumed}' was begun by a newer nnlab: go on with it by that one")
    sweep = Sweep(trials.space, asked.search, experiment_of, rules=rules)
    if "data" in asked.about and asked.about["data"] != sweep.cache.fingerprints():
        raise UserError(
            f"the data are not those that the sweep in '{asked.resumed}' began with: the same file, and the "
            f"same working directory if its path is relative"
        )
    plan = sweep.plan()
    batch, instead = f"a batch of {plan.batch} trials", "set a smaller batch=, rows= or model"
    refuse_too_large(plan.memory, batch, instead, device(sweep.first.experiment.device))
    _check_study(asked)
    return sweep, plan


def _check_study(asked: SweepRequest) -> None:
    """Raise `UserError` for a database that cannot be reached, or has a study of the name already."""
    if not asked.database or asked.settings["plan"]:
        return
    study = asked.settings["study"]
    if asked.resumed or study == "auto":  # its name is the folder's, which is not known yet
        study = None
    available(asked.database, study, existing=not asked.may_create)


def plan_of_rest(asked: SweepRequest, sweep: Sweep) -> Plan:
    """The plan of a sweep to go on with, less what it has."""
    about, signs = asked.about, sweep.search.signs
    with SweepFolder(asked.resumed):
        ledger = Ledger(asked.resumed, asked.database, about["study"], about["id"], signs, resumed=True)
        sweep.go_on_from(ledger)
        ledger.close()
    return sweep.plan()


def show_plan(asked: SweepRequest, sweep: Sweep, plan: Plan) -> None:
    """Say what would be trained, and how long it takes."""
    if asked.resumed:
        plan = plan_of_rest(asked, sweep)
    screen = Terminal()
    for line in [sweep_title(sweep), *space_lines(sweep, asked.words.left_out), *plan_lines(plan)]:
        screen.line(line)


def search(asked: SweepRequest, sweep: Sweep, plan: Plan, artist: Artist | None) -> int:
    """Train the trials, then the winner; 1 if there is none."""
    path = asked.resumed or folder_of_run(asked.words.run)
    with early_end.naming(lambda: _kept(path, asked, sweep)), SweepFolder(path) as folder:
        try:
            writer = SweepWriter(folder, asked, sweep)
            return _search(path, asked, sweep, plan, artist, writer)
        finally:
            shutil.rmtree(path / UNFINISHED_FOLDER, ignore_errors=True)
            if sweep.ledger:
                sweep.ledger.close()


def _kept(path: Path, asked: SweepRequest, sweep: Sweep) -> str:
    """What there is of a sweep that ended early; of one that has not begun nothing is left."""
    if not asked.resumed and not sweep.ledger:
        folders.withdraw(path)
        return "nothing was begun"
    again = shell_line(["nnlab", "sweep", f"resume={path}"])
    return f"every finished batch is kept; to go on: {again}"


def _search(path: Path, asked: SweepRequest, sweep: Sweep, plan: Plan, artist, writer: SweepWriter) -> int:
    task = sweep.cache.datasets[sweep.first.experiment.data].spec.task
    with SweepConsole(sweep.search, sweep.count, sweep.epochs, task, sweep.trials) as console:
        console.start(_first_lines(asked, sweep, plan))
        hopeless = ""
        try:
            _train_trials(sweep, writer, console)
        except Hopeless as why:
            hopeless = str(why)
        lines, has_winner = _end(path, asked, sweep, artist, writer, console, hopeless)
        console.close(lines)
    if hopeless:
        say("sweep", hopeless)
    return 0 if has_winner else 1


def _first_lines(asked: SweepRequest, sweep: Sweep, plan: Plan) -> list[str]:
    finished = len(sweep.trials)
    lines = [sweep_title(sweep), *space_lines(sweep, asked.words.left_out)]
    if asked.resumed:
        already = f"  {finished} trials are there already"
        if finished >= sweep.count:
            already += "; that is all that were asked for, so nothing is trained"
        lines += wrapped(already)
    if finished < sweep.count:
        rest = sweep.plan() if finished else plan
        lines += plan_lines(rest)
    return lines


def _train_trials(sweep: Sweep, writer: SweepWriter, console: SweepConsole) -> None:
    for event in sweep:
        if isinstance(event, Record):
            console.record(event)
        elif isinstance(event, BatchStarted):
            console.batch_started(event.batch)
        else:
            writer.record(event)
            if event.written:
                console.trials_finished(event.trials)


def _end(
    path: Path, asked: SweepRequest, sweep: Sweep, artist: Artist | None, writer: SweepWriter,
    console: SweepConsole, hopeless: str,
) -> tuple[list[str], bool]:  # fmt: skip
    """The winner's own run, and the report, which is drawn while it trains; what to print, and whether there
    is a winner."""
    winners = best(sweep.trials, sweep.search.signs)[:1]
    if artist:
        line = shell_line(asked.words.trials.line(winners[0].params)) if winners else ""
        artist.begin(path / REPORT, story(asked, sweep, writer.curves, line, console.task))
    winner = trained_winner(path, asked, sweep, winners[0]) if winners else None
    writer.close_board()
    importances, no_report = artist.end() if artist else ({}, "")
    if artist and not no_report:
        add_lines(path / REPORT, report_lines(asked, winner, console.task))
    writer.close(winner, console.counts(), importances, hopeless)
    results = result_lines(asked, sweep, console, winner, importances)
    return [*results, *file_lines(path, artist is not None, no_report)], winner is not None
