"""Execution of `nnlab sweep sampler=grid,random,gp`: a sweep of each, then their table and search.png.

This module imports torch and optuna, so sweep.py imports it only after the command line has been validated.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from nnlab.commands import folders, sweep_command, sweep_definition
from nnlab.commands.command_line import CommandLine, key_of
from nnlab.commands.messages import print_advice
from nnlab.commands.prepared_sweep import PreparedSweep, prepare_sweep
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_folders import make_run_folder
from nnlab.commands.search_picture import show_searches
from nnlab.commands.sweep_request import SweepRequest
from nnlab.records.stored_run import StoredRun
from nnlab.records.terminal import Terminal
from nnlab.records.text import metric_formatter, metric_label
from nnlab.records.text_columns import labelled_lines, table
from nnlab.search.trial import rank_trials

TEST_METRICS = ("test_accuracy", "test_rmse")


def run(requests: dict[str, SweepRequest], line: CommandLine) -> int:
    """Search by each sampler in turn, or show the plans; returns 1 if some sweep trained no trial to its
    end."""
    with ExitStack() as until_the_end:
        renderers = [sweep_command.report_renderer(request, until_the_end) for request in requests.values()]
        jobs = {sampler: prepare_sweep(request) for sampler, request in requests.items()}
        first = next(iter(requests.values()))
        print_advice("sweep", first.definition.trials.notes())
        freeze_imports()
        if first.settings["plan"]:
            for job in jobs.values():
                sweep_command.show_plan(job)
            return 0
        parent = _make_folder(first, line)
        exit_codes = []
        for (sampler, job), renderer in zip(jobs.items(), renderers, strict=True):
            folder = folders.make_folder_in_multirun(parent, sampler)
            exit_codes.append(sweep_command.search(job, renderer, folder))
    _conclude(jobs, parent)
    return max(exit_codes)


def _make_folder(request: SweepRequest, line: CommandLine) -> Path:
    """A new folder for all sweeps: that of `line`, or one that is named after it."""
    where = [word for word in line.overrides if key_of(word) == "hydra.run.dir"]
    run = sweep_definition.read(request.line.with_overrides([*request.line.overrides, *where])).run
    return make_run_folder(replace(run, overrides=[w for w in line.overrides if not w.startswith("hydra.")]))


def _conclude(jobs: dict[str, PreparedSweep], folder: Path) -> None:
    """Print what each sampler found, and where the picture of all trials is."""
    terminal = Terminal()
    for text in ["", *_table(jobs, folder), "", *labelled_lines("all sweeps", folder)]:
        terminal.line(text)
    first = next(iter(jobs.values()))
    caption = first.request.settings["caption"]
    searched = {sampler: job.sweep.trials for sampler, job in jobs.items()}
    show_searches(searched, first.sweep.space, first, folder, caption)


def _table(jobs: dict[str, PreparedSweep], folder: Path) -> list[str]:
    """A line for each sampler: its best trial, when it was tried, and how its winner tests."""
    first = next(iter(jobs.values()))
    objective, task = first.sweep.search.objectives[0], first.task
    rows = []
    for sampler, job in jobs.items():
        row = [sampler, str(len(job.sweep.trials))]
        for best in rank_trials(job.sweep.trials, job.sweep.search.signs)[:1]:
            row += [metric_formatter(objective, task)(best.values[0]), str(best.number)]
            metrics = StoredRun(folder / sampler / "best").summary["metrics"]
            name = next((name for name in TEST_METRICS if name in metrics), None)
            row.append(metric_formatter(name, task)(metrics[name]["mean"]) if name else "")
        rows.append(row + [""] * (5 - len(row)))
    test = "test RMSE" if task == "regression" else "test accuracy"
    return table(["sampler", "trials", metric_label(objective, task), "of trial", test], rows, left=1)
