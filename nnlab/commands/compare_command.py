"""Execution of `nnlab compare`: trains all arms on all data sets as one population, and compares them.

This module imports torch, so compare.py imports it only after the command line has been validated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from nnlab.commands import early_end
from nnlab.commands.command_settings import CompareSettings
from nnlab.commands.compare_arms import arrange
from nnlab.commands.compare_conclusion import conclude
from nnlab.commands.compare_words import ComparePlan
from nnlab.commands.messages import advice_on_stderr, print_advice
from nnlab.commands.pictures import EndedRun, show_pictures
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_folders import PreparedRun, make_run_folder, prepare_all
from nnlab.commands.train_command import Resumed, begin_runs, prepare, remove_begun, train_runs
from nnlab.records.comparison_file import ComparisonFile, comparison_of, write_comparison
from nnlab.records.text import shell_line
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit


def run(plan: ComparePlan, begun: Path | None = None) -> int:
    """Train the arms into a new folder and compare them, perhaps tuned before; or say what would be trained.
    Returns 1 if every row of some arm diverged.

    `begun`: the folder of the same comparison, of which the tuning goes on.
    """
    settings = CompareSettings(
        **{field.name: plan.whole.settings[field.name] for field in fields(CompareSettings)}
    )
    print_advice("compare", (note for run in plan.runs for note in run.notes()))
    if plan.tuning is None and not settings.plan:
        return _train(plan, settings, lambda: make_run_folder(plan.whole), {})
    from nnlab.commands import compare_plan, tuned_arms  # which import what searches

    with advice_on_stderr("compare"):
        fits = prepare_all(plan.runs, partial(prepare, cache=DataCache()))
        arms = arrange(plan.varied, fits, settings.trained_measure, settings.target)
        tuning = tuned_arms.prepare_tuning(plan, arms, begun) if plan.tuning else None
    print_advice("compare", [*plan.notes, *(tuning.notes() if tuning else [])])
    if settings.plan:
        compare_plan.show(arms, fits, tuning)
        return 0
    freeze_imports()
    folder = begun or make_run_folder(plan.whole)
    runs, entry = tuned_arms.tune(tuning, plan, folder)
    return _train(replace(plan, runs=runs, notes=()), settings, lambda: folder, {"tuning": entry})


def _train(
    plan: ComparePlan, settings: CompareSettings, make_folder: Callable[[], Path], others: dict
) -> int:
    """Train the arms, and compare them; `others` are further entries of compare.json."""
    others |= {"target": settings.target} if settings.target is not None else {}
    arrangement = []

    def check(fits: list[Fit]) -> None:
        arrangement.append(arrange(plan.varied, fits, settings.trained_measure, settings.target))
        print_advice("compare", plan.notes)

    prepared = begin_runs(plan.runs, make_folder, check, "compare")
    (arms,) = arrangement
    folder = prepared[0].multirun_folder
    runs: dict[str, dict[str, list[str]]] = {}
    for (arm, data), each in zip(arms.places, prepared, strict=True):
        runs.setdefault(arm, {})[data] = [each.folder.name]
    try:
        # Before anything trains, so that `nnlab train resume=` knows what it ends with.
        write_comparison(
            folder, ComparisonFile(plan.whole.command, settings.measure, arms.data, arms.words, runs, others)
        )
    except OSError:
        remove_begun(folder, prepared)
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
