"""Execution of `nnlab sweep`: trains the trials, then the winner, and writes the report.

This module imports torch and optuna, so sweep.py imports it only after the command line has been validated.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nnlab.commands import early_end, folders, launching, search_picture, sweep_screen
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import print_advice
from nnlab.commands.pictures import EndedRun, show_pictures
from nnlab.commands.prepared_sweep import PreparedSweep, prepare_sweep
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_folders import make_run_folder
from nnlab.commands.sweep_request import SweepRequest
from nnlab.commands.sweep_writer import SweepWriter
from nnlab.commands.winner import BEST_FOLDER, UNFINISHED_FOLDER, Winner, train_winner
from nnlab.errors import say
from nnlab.records.sweep_console import SweepConsole
from nnlab.records.sweep_folder import SweepFolder
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.report.renderer import REPORT_FILE, ReportRenderer, insert_winner
from nnlab.search.sweep import AllTrialsFailed, BatchStarted
from nnlab.search.trial import rank_trials
from nnlab.training.results import Record


def run(request: SweepRequest, refined: CommandLine | None = None) -> int:
    """Search, or show the plan; returns 1 if no trial was trained to its end.

    `refined`: the line with the refine= that the request came from. Both searches are then drawn.
    """
    with ExitStack() as until_the_end:
        renderer = report_renderer(request, until_the_end)
        job = prepare_sweep(request)
        print_advice("sweep", request.definition.trials.notes())
        freeze_imports()
        if request.settings["plan"]:
            show_plan(job)
            return 0
        if refined is None:
            return search(job, renderer)
        folder = make_run_folder(job.request.definition.run)
        exit_code = search(job, renderer, folder)
        search_picture.draw_both(refined, job, folder)
        return exit_code


def report_renderer(request: SweepRequest, until_the_end: ExitStack) -> ReportRenderer | None:
    """What renders the report, if there is to be one; it imports plotly in the background."""
    if request.settings["report"] and not request.settings["plan"]:
        return until_the_end.enter_context(ReportRenderer())
    return None


def show_plan(job: PreparedSweep) -> None:
    screen = Terminal()
    for line in sweep_screen.plan(job):
        screen.line(line)


def search(job: PreparedSweep, renderer: ReportRenderer | None, new_folder: Path | None = None) -> int:
    """Train the trials, then the winner, in a new folder or that of the resumed sweep."""
    path = new_folder or job.request.resume_folder or make_run_folder(job.request.definition.run)
    with (
        early_end.reporting_what_is_saved(lambda: _describe_saved(path, job)),
        SweepFolder(path) as folder,
        closing_ledger(job),
    ):
        try:
            writer = SweepWriter(folder, job)
            return _search(job, writer, renderer)
        finally:
            shutil.rmtree(path / UNFINISHED_FOLDER, ignore_errors=True)


@contextmanager
def closing_ledger(job: PreparedSweep) -> Iterator[None]:
    """Close what the sweep keeps its trials in, once it has been opened."""
    try:
        yield
    finally:
        if job.sweep.ledger:
            job.sweep.ledger.close()


def _describe_saved(path: Path, job: PreparedSweep) -> str:
    """What is saved of a sweep that ended early; the folder of one that has not begun is removed."""
    if not job.request.resume_folder and not job.sweep.ledger:
        folders.remove_unstarted(path)
        return "nothing was begun"
    again = shell_line(["nnlab", "sweep", f"resume={path}", *launching.words(job.request.line)])
    return f"every finished batch is kept; to go on: {again}"


def _search(job: PreparedSweep, writer: SweepWriter, renderer: ReportRenderer | None) -> int:
    sweep = job.sweep
    with SweepConsole(sweep.search, sweep.count, sweep.epochs, job.task, sweep.trials) as console:
        hopeless = ""
        with launching.executor_in(writer.path, job):
            console.start(sweep_screen.first_lines(job, writer.path))
            try:
                train_trials(job, writer, console)
            except AllTrialsFailed as why:  # trial after trial diverges: their results are still shown
                hopeless = str(why)
        winner = _finish(job, writer, console, renderer, hopeless)
    if hopeless:
        say("sweep", hopeless)
    return int(winner is None)


def train_trials(job: PreparedSweep, writer: SweepWriter, console: SweepConsole) -> None:
    """Train the trials that are not there yet, written and shown as they end. Raises `AllTrialsFailed`."""
    for event in job.sweep:
        if isinstance(event, Record):
            console.record(event)
        elif isinstance(event, BatchStarted):
            console.batch_started(event.batch)
        else:
            writer.record(event)
            if event.written:
                console.trials_finished(event.trials)


def _finish(
    job: PreparedSweep,
    writer: SweepWriter,
    console: SweepConsole,
    renderer: ReportRenderer | None,
    hopeless: str,
) -> Winner | None:
    """Train the winner while the report is drawn; then write and show the results."""
    winners = rank_trials(job.sweep.trials, job.sweep.search.signs)[:1]
    if renderer:
        renderer.submit(writer.path / REPORT_FILE, sweep_screen.report_data(job, writer.curves, winners))
    winner = train_winner(job, writer.path, winners[0]) if winners else None
    writer.close_board()
    importances, no_report = renderer.result() if renderer else ({}, "")
    if renderer and not no_report:
        insert_winner(writer.path / REPORT_FILE, sweep_screen.report_lines(job, winner))
    writer.close(winner.as_json() if winner else {}, console.counts(), importances, hopeless)
    results = sweep_screen.result_lines(job, console, winner, importances)
    console.close([*results, *sweep_screen.file_lines(writer.path, renderer is not None, no_report)])
    if winner:
        settings = job.request.definition.trials.settings(winner.trial.params)
        settings |= (
            {} if settings["show"] else {"caption": ""}
        )  # a caption of the search is none of its curves
        best = writer.path / BEST_FOLDER
        show_pictures("sweep", {"": EndedRun(best, settings, "")}, best, job.sweep.cache)
    return winner
