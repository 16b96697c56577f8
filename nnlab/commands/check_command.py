"""Checking what `nnlab check` asks for: a rung after the other, then the files.

Everything here may import torch: check.py imports it once the words are known to be right.
"""

from __future__ import annotations

from pathlib import Path

from nnlab.checks.ladder import chosen, climb
from nnlab.checks.subject import Budget, Subject
from nnlab.commands import early_end
from nnlab.commands.command_keys import of_experiment
from nnlab.commands.composing import ComposedRun
from nnlab.commands.folders import withdraw
from nnlab.commands.run_folders import PreparedRun, in_turn
from nnlab.commands.train_command import wants_picture
from nnlab.experiment import Experiment
from nnlab.hyperparameters import make
from nnlab.records.check_console import CheckConsole
from nnlab.records.run_folder import RunFolder
from nnlab.records.titles import titled

DRAWN_RUNGS = ("rates", "subset", "saturation")  # that have a picture


def run(runs: list[ComposedRun]) -> int:
    """Check each run after the one before."""
    return in_turn("check", runs, prepare, execute)


def prepare(settings: dict):
    """What is to be checked, its data loaded, and by which rungs; raises `UserError`."""
    wants_picture(settings, rows=2)
    rungs, budget = chosen(settings["only"]), make(Budget, settings["check"], "check")
    return Subject(Experiment.from_config(of_experiment(settings, "check")), budget), rungs


def execute(run: PreparedRun) -> int:
    """A line for each rung as it is done, then the files; 1 if a rung failed."""
    (subject, rungs), verdicts = run.prepared, []
    title = titled(subject.experiment, subject.dataset.spec)

    def kept() -> str:
        return _kept(run.folder, len(verdicts), len(rungs))

    with early_end.naming(kept), RunFolder(run.folder) as folder, CheckConsole(title, rungs) as console:
        folder.start(run.settings, run.command)
        for verdict in climb(subject, rungs):
            folder.write("check.json", [as_dict(one) for one in [*verdicts, verdict]])
            verdicts.append(verdict)
            console.verdict(verdict)
        # A rung with nothing to do has no details.
        drawn = [verdict for verdict in verdicts if verdict.rung in DRAWN_RUNGS and verdict.details]
        if drawn and wants_picture(run.settings, rows=2):
            from nnlab.records.check_picture import RUNG_PICTURES  # matplotlib, half a second

            for verdict in drawn:
                folder.picture(RUNG_PICTURES[verdict.rung](verdict.details, title), verdict.rung)
        console.close(run.folder)
    return int(any(verdict.status == "fail" for verdict in verdicts))


def _kept(folder: Path, climbed: int, asked: int) -> str:
    """What there is of a check that ended early."""
    if not climbed:
        withdraw(folder)
        return "no rung has said anything yet"
    return f"'{folder}' has what {climbed} of {asked} rungs said"


def as_dict(verdict) -> dict:
    """A verdict as check.json has it: the worst finding's fields, all findings, the numbers behind them."""
    findings = [vars(finding) for finding in verdict.findings]
    return {
        "rung": verdict.rung,
        **findings[0],
        "findings": findings,
        "details": verdict.details,
        "seconds": verdict.seconds,
    }
