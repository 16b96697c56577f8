"""A sweep that may begin: its data loaded, its space checked from end to end, its memory and time known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.sweep_request import SweepRequest
from nnlab.commands.train_command import wants_picture
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.records.sweep_folder import SweepFolder
from nnlab.records.text import shell_line
from nnlab.runtime.devices import device
from nnlab.search.database import check_database
from nnlab.search.ledger import Ledger
from nnlab.search.plan import Plan
from nnlab.search.study import RULES
from nnlab.search.sweep import Sweep
from nnlab.search.trial import Trial
from nnlab.training.memory import refuse_too_large


@dataclass(frozen=True)
class PreparedSweep:
    """What was asked for, the sweep that does it, and its plan."""

    asked: SweepRequest
    sweep: Sweep
    plan: Plan

    @property
    def task(self) -> str:
        """classification or regression"""
        return self.sweep.cache.datasets[self.sweep.first_candidate.experiment.data].spec.task

    def train_line(self, trial: Trial) -> str:
        """The `nnlab train` line that is this trial."""
        return shell_line(self.asked.words.trials.line(trial.params))

    def plan_of_rest(self) -> Plan:
        """The plan, less what the sweep to go on with has already."""
        if not self.asked.resumed:
            return self.plan
        about, folder = self.asked.about, self.asked.resumed
        with SweepFolder(folder):
            signs = self.sweep.search.signs
            ledger = Ledger(folder, self.asked.database, about["study"], about["id"], signs, resumed=True)
            self.sweep.continue_from(ledger)
            ledger.close()
        return self.sweep.plan()


def prepared(asked: SweepRequest) -> PreparedSweep:
    """The sweep, not begun. Raises `UserError` for whatever would stop it later."""
    if not asked.words.trials.domains:
        raise UserError(
            "nothing to search: give a key several values, 'optimizer.lr=tag(log,interval(1e-4,1e-1))', or "
            "take a space, space=default"
        )
    sweep = _sweep(asked)
    if "data" in asked.about and asked.about["data"] != sweep.cache.fingerprints():
        raise UserError(
            f"the data are not those that the sweep in '{asked.resumed}' began with: the same file, and the "
            f"same working directory if its path is relative"
        )
    plan = sweep.plan()
    batch, instead = f"a batch of {plan.batch} trials", "set a smaller batch=, rows= or model"
    refuse_too_large(plan.memory, batch, instead, device(sweep.first_candidate.experiment.device))
    _check_study(asked)
    return PreparedSweep(_on_gpu(asked, sweep), sweep, plan)


def _on_gpu(asked: SweepRequest, sweep: Sweep) -> SweepRequest:
    """With the GPU in every trial's line, if it was taken for the work of all: one alone might not pay."""
    if sweep.placement.device.type == "cpu" or not sweep.placement.reason:
        return asked
    trials = replace(asked.words.trials, device=str(sweep.placement.device))
    return replace(asked, words=replace(asked.words, trials=trials))


def _sweep(asked: SweepRequest) -> Sweep:
    trials = asked.words.trials

    def experiment_of(values: dict) -> Experiment:
        settings = trials.of_values(values)
        wants_picture(settings, rows=1)  # the winner's own run would refuse it, at the end
        return Experiment.from_config(experiment_settings(settings))

    rules = RULES
    if asked.resumed:  # a sweep goes on by the rules it began with, or its trials would be others
        rules = asked.about.get("rules", 1)
    if rules > RULES:
        raise UserError(f"'{asked.resumed}' was begun by a newer nnlab: go on with it by that one")
    return Sweep(trials.space, asked.search, experiment_of, rules=rules)


def _check_study(asked: SweepRequest) -> None:
    """Raise `UserError` for a database that cannot be reached, or has a study of the name already."""
    if not asked.database or asked.settings["plan"]:
        return
    study = asked.settings["study"]
    if asked.resumed or study == "auto":  # its name is the folder's, which is not known yet
        study = None
    check_database(asked.database, study, existing=not asked.may_create)
