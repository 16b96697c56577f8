"""Prepares a sweep: loads its data, checks its space, memory and database, and plans its time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.pictures import refuse_pictures
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
from nnlab.training.data_cache import DataCache
from nnlab.training.memory import refuse_too_large


@dataclass(frozen=True)
class PreparedSweep:
    """The request, the sweep that fulfils it, and its plan."""

    request: SweepRequest
    sweep: Sweep
    plan: Plan

    @property
    def task(self) -> str:
        """classification or regression"""
        return self.sweep.cache.datasets[self.sweep.first_candidate.experiment.data].spec.task

    def train_line(self, trial: Trial) -> str:
        """The `nnlab train` line that repeats the trial."""
        return shell_line(self.request.definition.trials.shell_words(trial.params))

    def remaining_plan(self) -> Plan:
        """The plan without the trials that a resumed sweep has already."""
        if not self.request.resume_folder:
            return self.plan
        about, folder = self.request.sweep_json, self.request.resume_folder
        with SweepFolder(folder):
            signs = self.sweep.search.signs
            ledger = Ledger(folder, self.request.database, about["study"], about["id"], signs, resumed=True)
            self.sweep.continue_from(ledger)
            ledger.close()
        return self.sweep.plan()


def prepare_sweep(request: SweepRequest, cache: DataCache | None = None) -> PreparedSweep:
    """The sweep, ready to start, with data from the `cache`. Raises `UserError` for whatever would stop it
    later."""
    if not request.definition.trials.domains:
        raise UserError(
            "nothing to search: give a key several values, 'optimizer.lr=tag(log,interval(1e-4,1e-1))', or "
            "take a space, space=default"
        )
    sweep = _make_sweep(request, DataCache() if cache is None else cache)
    if "data" in request.sweep_json and request.sweep_json["data"] != sweep.cache.fingerprints():
        raise UserError(
            f"the data are not those that the sweep in '{request.resume_folder}' began with: the same file, "
            f"and the same working directory if its path is relative"
        )
    settings = request.definition.trials.settings(sweep.first_candidate.params)
    winner = Experiment.from_config(experiment_settings(settings))  # which records more than a trial does
    refuse_pictures(settings, winner, sweep.cache.datasets[winner.data].spec)
    plan = sweep.plan()
    batch, instead = f"a batch of {plan.batch} trials", "set a smaller batch=, rows= or model"
    refuse_too_large(plan.memory, batch, instead, device(sweep.first_candidate.experiment.device))
    _check_study(request)
    return PreparedSweep(_with_device(request, sweep), sweep, plan)


def _with_device(request: SweepRequest, sweep: Sweep) -> SweepRequest:
    """The request with the sweep's GPU as every trial's device: a single trial might not choose the GPU."""
    if sweep.placement.device.type == "cpu" or not sweep.placement.reason:
        return request
    trials = replace(request.definition.trials, device=str(sweep.placement.device))
    return replace(request, definition=replace(request.definition, trials=trials))


def _make_sweep(request: SweepRequest, cache: DataCache) -> Sweep:
    trials = request.definition.trials

    def experiment_of(values: dict) -> Experiment:
        settings = trials.settings_for_values(values)
        wants_picture(settings, rows=1)  # else the winner's own run would refuse it, at the end
        return Experiment.from_config(experiment_settings(settings))

    rules = RULES
    if request.resume_folder:  # with other rules its trials would be others
        rules = request.sweep_json.get("rules", 1)
    if rules > RULES:
        raise UserError(f"'{request.resume_folder}' was begun by a newer nnlab: go on with it by that one")
    return Sweep(trials.space, request.search, experiment_of, cache=cache, rules=rules)


def _check_study(request: SweepRequest) -> None:
    """Raise `UserError` if the database cannot be reached, or already has a study of that name."""
    if not request.database or request.settings["plan"]:
        return
    study = request.settings["study"]
    if (
        request.resume_folder or study == "auto"
    ):  # the study is named after the folder, which is not known yet
        study = None
    check_database(request.database, study, existing=not request.may_create)
