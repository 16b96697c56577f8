"""Execution of `nnlab compare`: trains all arms on all data sets as one population, and compares them.

This module imports torch, so compare.py imports it only after the command line has been validated.
"""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import early_end
from nnlab.commands.command_settings import CompareSettings
from nnlab.commands.compare_arms import arrange
from nnlab.commands.compare_conclusion import conclude
from nnlab.commands.compare_words import ComparePlan
from nnlab.commands.folders import remove_unstarted
from nnlab.commands.messages import print_advice
from nnlab.commands.pictures import EndedRun, show_pictures
from nnlab.commands.run_folders import PreparedRun, make_run_folder
from nnlab.commands.train_command import Resumed, begin_runs, train_runs
from nnlab.records.comparison_file import ComparisonFile, comparison_of, write_comparison
from nnlab.records.text import shell_line
from nnlab.training.fit import Fit


def run(plan: ComparePlan) -> int:
    """Train the arms into a new folder and compare them; returns 1 if every row of some arm diverged."""
    settings = CompareSettings(measure=plan.measure)
    arrangement = []

    def check(fits: list[Fit]) -> None:
        arrangement.append(arrange(plan.varied, fits, settings.measure))

    print_advice("compare", (note for run in plan.runs for note in run.notes()))
    prepared = begin_runs(plan.runs, lambda: make_run_folder(plan.whole), check, "compare")
    (arms,) = arrangement
    folder = prepared[0].multirun_folder
    runs: dict[str, dict[str, list[str]]] = {}
    for (arm, data), each in zip(arms.places, prepared, strict=True):
        runs.setdefault(arm, {})[data] = [each.folder.name]
    try:
        # Before anything trains, so that `nnlab train resume=` knows what it ends with.
        write_comparison(
            folder, ComparisonFile(plan.whole.command, settings.measure, arms.data, arms.words, runs)
        )
    except OSError:
        remove_unstarted(folder)
        raise
    return train_and_compare(prepared, folder)


def train_and_compare(runs: list[PreparedRun], folder: Path, resumed: Resumed | None = None) -> int:
    """Train runs of a comparison below `folder`, or go on with them; then compare all that it has, and draw
    the pictures of these. Returns the exit code."""
    train_runs(runs, folder, resumed)
    comparison = comparison_of(folder)
    with early_end.reporting_what_is_saved(lambda: _describe_trained(comparison)):
        exit_code = conclude(comparison)
        ended = {run.name: EndedRun(run.folder, run.settings, run.command) for run in runs}
        show_pictures("compare", ended, folder, runs[0].prepared.cache)
    return exit_code


def _describe_trained(folder: Path) -> str:
    """What is saved where all arms are trained, and the comparison is still to be made."""
    return f"all arms are trained; to compare them: {shell_line(['nnlab', 'compare', str(folder)])}"
