"""Execution of `nnlab check`: runs one rung after the other and writes the verdicts and pictures.

This module imports torch, so check.py imports it only after the command line has been validated.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from nnlab.checks.ladder import make_subject, run_rungs, select_rungs
from nnlab.checks.subject import Budget
from nnlab.commands import early_end
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_settings import refuse_resume
from nnlab.commands.composing import ComposedRun
from nnlab.commands.folders import remove_unstarted
from nnlab.commands.pictures import refuse_picture_words
from nnlab.commands.run_folders import PreparedRun, run_each
from nnlab.commands.train_command import wants_picture
from nnlab.errors import CheckedAdvice
from nnlab.experiment import Experiment
from nnlab.hyperparameters import make_part
from nnlab.records.check_console import CheckConsole
from nnlab.records.run_folder import RunFolder
from nnlab.records.titles import experiment_title

RUNGS_WITH_PICTURE = ("gradients", "rates", "subset", "saturation", "data")


def run(runs: list[ComposedRun]) -> int:
    """Check the runs one after the other; returns the exit code."""
    for one in runs:
        refuse_picture_words("check", one.overrides)
    return run_each("check", runs, prepare, execute)


def prepare(settings: dict):
    """The subject of the check, with its data loaded, and the rungs to climb; raises `UserError`."""
    refuse_resume(settings)
    wants_picture(settings, rows=2)
    rungs, budget = select_rungs(settings["only"]), make_part(Budget, settings["check"], "check")
    experiment = Experiment.from_config(experiment_settings(settings, "check"))
    with warnings.catch_warnings():
        if "data" in rungs:
            warnings.simplefilter("ignore", CheckedAdvice)  # it says the same, and what it measured
        return make_subject(experiment, rungs, budget, settings["plant"]), rungs


def execute(run: PreparedRun) -> int:
    """Climb the rungs, a line on the screen for each, then draw pictures; returns 1 if a rung failed."""
    (subject, rungs), verdicts = run.prepared, []
    title = experiment_title(subject.experiment, subject.dataset.spec)

    def describe_saved() -> str:
        return _describe_saved(run.folder, len(verdicts), len(rungs))

    with (
        early_end.reporting_what_is_saved(describe_saved),
        RunFolder(run.folder) as folder,
        CheckConsole(title, rungs) as console,
    ):
        folder.start(run.settings, run.command)
        for verdict in run_rungs(subject, rungs):
            folder.write("check.json", [as_dict(one) for one in [*verdicts, verdict]])
            verdicts.append(verdict)
            console.verdict(verdict)
        # A rung that did not apply has no details.
        drawn = [verdict for verdict in verdicts if verdict.rung in RUNGS_WITH_PICTURE and verdict.details]
        if not wants_picture(run.settings, rows=2):
            drawn = []
        if drawn:
            from nnlab.records.check_picture import RUNG_PICTURES  # matplotlib, half a second

            for verdict in drawn:
                folder.picture(RUNG_PICTURES[verdict.rung](verdict.details, title), verdict.rung)
        console.close(run.folder, [f"{verdict.rung}.png" for verdict in drawn])
    return int(any(verdict.status == "fail" for verdict in verdicts))


def _describe_saved(folder: Path, finished_rungs: int, all_rungs: int) -> str:
    """What is saved of a check that ended early; a folder without any verdict is removed."""
    if not finished_rungs:
        remove_unstarted(folder)
        return "no rung has said anything yet"
    return f"'{folder}' has what {finished_rungs} of {all_rungs} rungs said"


def as_dict(verdict) -> dict:
    """A verdict as an entry of check.json: the worst finding's fields, all findings, and the measurements."""
    findings = [vars(finding) for finding in verdict.findings]
    return {
        "rung": verdict.rung,
        **findings[0],
        "findings": findings,
        "details": verdict.details,
        "seconds": verdict.seconds,
    }
