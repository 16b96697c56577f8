"""Changes to the settings of a resumed run: only how long it trains, and what no result depends on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from nnlab.commands.column_types import parse_override
from nnlab.commands.command_line import CommandLine, key_of
from nnlab.commands.grammar import to_python
from nnlab.commands.quoting import to_hydra_spelling
from nnlab.commands.resume_folder import RESUME_KEY
from nnlab.errors import Advice, UserError, advise, nearest
from nnlab.experiment import GROUPS, Experiment
from nnlab.records.hparams import flatten
from nnlab.records.stored_run import StoredRun
from nnlab.schedules import simulate
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState

CHANGEABLE_KEYS = (
    "epochs", "stopping.patience", "stopping.min_delta", "threads", "device", "picture", "predictions",
    "show", "caption", "checkpoint.minutes", "checkpoint.epochs",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A key and its new value; `word` is the override as typed."""

    key: str
    value: object
    word: str


def changes_in(line: CommandLine) -> list[Change]:
    """What the line says beside the folder to resume. Raises `UserError` for anything but a plain value."""
    if line.multirun:
        raise UserError("-m goes with new runs: resume=FOLDER goes on with those that the folder has")
    words = [word for word in line.overrides if key_of(word) != RESUME_KEY]
    changes = []
    parser = OverridesParser.create()
    for override in (parse_override(parser, to_hydra_spelling(word)) for word in words):
        if override.is_delete() or override.is_sweep_override():
            raise UserError(f"{override.input_line}: with resume= a key has one value")
        changes.append(_change(override))
    return changes


def _change(override: Override) -> Change:
    key = override.key_or_group
    if key.partition(".")[0] == "hydra":
        raise UserError(f"{override.input_line}: a run that is resumed stays in its folder")
    return Change(key, to_python(override.value()), override.input_line)


def changed_settings(stored: StoredRun, changes: list[Change]) -> dict:
    """The settings of the run with the changes. Raises `UserError` for those that make it another run."""
    settings, recorded_settings = copy.deepcopy(stored.settings), dict(flatten(stored.settings))
    for change in changes:
        if change.key not in CHANGEABLE_KEYS:
            _refuse_another_run(stored, change, recorded_settings)
            continue
        group, dot, leaf = change.key.rpartition(".")
        tree = settings.setdefault(group, {}) if dot else settings
        if group == "stopping" and leaf not in tree:
            raise UserError(f"{change.word}: the run in '{stored.path}' has no {change.key}")
        tree[leaf] = change.value
    if settings.get("epochs") != stored.settings.get("epochs"):
        _advise_on_planned_rates(stored.experiment, settings["epochs"])
    return settings


def trains_otherwise(stored: StoredRun, changes: list[Change]) -> bool:
    """Whether the changes let the run train for longer, or less long. Raises `UserError` for others."""
    with warnings.catch_warnings(action="ignore", category=Advice):
        settings = changed_settings(stored, changes)
    return any(settings.get(key) != stored.settings.get(key) for key in ("epochs", "stopping"))


def _refuse_another_run(stored: StoredRun, change: Change, recorded_settings: dict) -> None:
    """Raise `UserError` unless the run has this value already."""
    recorded = _value_at(stored.settings, change.key)
    if recorded is None and change.key not in recorded_settings:
        known_keys = {part for name in recorded_settings for part in _key_and_group(name)}
        raise UserError(
            f"{change.word}: the run in '{stored.path}' has no key {change.key}"
            f"{nearest(change.key, known_keys)}"
        )
    if recorded != _with_text_keys(change.value):
        raise UserError(
            f"{change.word}: the run in '{stored.path}' began with {recorded}, and continues with that; only "
            f"these settings may change: {', '.join(CHANGEABLE_KEYS)}"
        )


def _value_at(settings: dict, key: str):
    """The value of a key with dots, perhaps a mapping; of a group the name of its choice."""
    for segment in key.split("."):
        settings = settings.get(segment) if isinstance(settings, dict) else None
    if key in GROUPS and isinstance(settings, dict):
        settings = settings.get("name", settings)
    return _with_text_keys(settings)


def _with_text_keys(value):
    """A mapping's keys as text: those of a word may be numbers."""
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else value


def _key_and_group(key: str) -> Iterator[str]:
    yield key
    if "." in key:
        yield key.partition(".")[0]


def _advise_on_planned_rates(experiment: Experiment, epochs) -> None:
    """A schedule that ends with the epochs has had other rates than it would have had with the new number."""
    if not isinstance(epochs, int) or epochs < 1:
        return  # `Experiment` says it
    shared_epochs = min(epochs, experiment.epochs, 1000)
    rates = [
        simulate(experiment.schedule, n, 1)[:shared_epochs] for n in (experiment.epochs, epochs) if n <= 2**20
    ]
    if len(rates) == 2 and not np.array_equal(*rates):
        advise(
            f"schedule.name = '{experiment.schedule.name}' plans its rates by epochs: those so far were of a "
            f"run of {experiment.epochs}, so this is not the same as a run of {epochs} from the beginning"
        )


def check_epochs(state: FitState, fits: list[Fit]) -> None:
    """Raise `UserError` if rows have trained for more epochs than they are to, or finished after fewer."""
    first, done = 0, state.epochs()
    finished = {result.row: result.epochs for result in state.results if result.status == "finished"}
    for fit in fits:
        (experiment,) = fit.experiments
        rows = range(first, first + len(fit.rows))
        first += len(fit.rows)
        trained = max((done.get(row, 0) for row in rows), default=0)
        if experiment.epochs < trained and not state.refit:
            raise UserError(f"epochs = {experiment.epochs}: the run has trained for {trained} already")
        too_early = [row for row in rows if finished.get(row, experiment.epochs) < experiment.epochs]
        if too_early:
            raise UserError(
                f"epochs = {experiment.epochs}: {len(too_early)} of {len(rows)} rows have finished, after "
                f"{finished[too_early[0]]} epochs; only without epochs= the others go on"
            )
