"""`nnlab train resume=FOLDER`: the runs of an earlier command go on from their checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnlab.commands import compare_command
from nnlab.commands.changed_settings import (
    Change,
    changed_settings,
    changes_in,
    check_epochs,
    trains_otherwise,
)
from nnlab.commands.command_line import CommandLine
from nnlab.commands.command_settings import recording
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors
from nnlab.commands.pictures import PICTURE_KEYS, EndedRun, lack_pictures, refuse_pictures, show_pictures
from nnlab.commands.process import freeze_imports
from nnlab.commands.recorded_command import recorded_overrides, with_words
from nnlab.commands.resume_folder import resume_folder
from nnlab.commands.run_folders import PreparedRun, run_names
from nnlab.commands.train_command import Resumed, prepare, train_all
from nnlab.errors import UserError
from nnlab.records.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from nnlab.records.comparison_file import comparison_of
from nnlab.records.files import remove_temporaries
from nnlab.records.multirun_file import RUNS_FILE, stored_run_names
from nnlab.records.stored_run import StoredRun
from nnlab.records.tuning_file import refuse_untuned
from nnlab.training.data_cache import DataCache
from nnlab.untrusted import refuse_links_below


@dataclass(frozen=True)
class UnfinishedRuns:
    """The runs of a folder that is resumed, and its checkpoint, if it has one."""

    folder: Path
    runs: dict[str, StoredRun]  # by their names below the folder; "" for the folder itself
    checkpoint: Checkpoint | None

    @property
    def ended(self) -> list[str]:
        return [name for name, run in self.runs.items() if run.ended]


def run(line: CommandLine) -> int:
    """Go on with the runs in the folder that the line names; returns the exit code."""
    with one_sentence_errors():
        refuse_untuned(resume_folder(line))
        unfinished = read_unfinished(resume_folder(line))
        changes = changes_in(line)
        if len(unfinished.ended) == len(unfinished.runs):
            _say_that_it_has_ended(unfinished, changes)
            return 0
    train = compare_command.train_and_compare if comparison_of(unfinished.folder) else train_all
    return train_rest(unfinished, changes, train)


def train_rest(
    unfinished: UnfinishedRuns,
    changes: list[Change],
    train: Callable[[list[PreparedRun], Path, Resumed], int],
) -> int:
    """`train` what is left of the runs of a folder, with the changes; returns the exit code."""
    with one_sentence_errors(), advice_on_stderr("train"):
        runs = _prepare_runs(unfinished, changes)
        resumed = _find_states(unfinished, runs)
    freeze_imports()
    remove_temporaries(unfinished.folder)
    return train(runs, unfinished.folder, resumed)


def read_unfinished(folder: Path) -> UnfinishedRuns:
    """What there is in the folder of a run, or of all runs of -m. Raises `UserError`."""
    refuse_links_below(folder)
    if (folder / RUNS_FILE).exists():
        runs = {name: StoredRun(folder / name) for name in stored_run_names(folder)}
    else:
        runs = {"": StoredRun(folder)}
    is_there = (folder / CHECKPOINT_FILE).exists()
    checkpoint = read_checkpoint(folder) if is_there and not all(run.ended for run in runs.values()) else None
    if checkpoint and not {*checkpoint.files} <= {*runs}:
        raise UserError(f"'{folder / CHECKPOINT_FILE}' is of other runs than those in '{folder}'")
    return UnfinishedRuns(folder, runs, checkpoint)


def _say_that_it_has_ended(unfinished: UnfinishedRuns, changes: list[Change]) -> None:
    """Print that all runs have ended, and draw the pictures that they are still to have.

    Raises `UserError` if they were to train with other settings.
    """
    folder, runs = unfinished.folder, [*unfinished.runs.values()]
    if any(trains_otherwise(stored, changes) for stored in runs):
        anew = with_words(runs[0].command, [change.word for change in changes])
        new_command = anew if len(runs) == 1 else "nnlab train ..."
        raise UserError(
            f"'{folder}' has ended, so there is no state to continue from; to begin anew: {new_command}"
        )
    settings = [_settings_of_pictures(stored, changes) for stored in runs]
    what = f"'{folder}' has ended" if len(runs) == 1 else f"all {len(runs)} runs in '{folder}' have ended"
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # that was left when the process was killed
    print(f"{what}: there is nothing to go on with")
    asked = any(change.key in PICTURE_KEYS for change in changes)
    if asked or lack_pictures(settings, folder):  # others than before, or it was killed while it drew
        names = run_names([recorded_overrides(stored.command) for stored in runs])
        ended = [
            EndedRun(stored.path, each, stored.command) for stored, each in zip(runs, settings, strict=True)
        ]
        show_pictures("train", dict(zip(names, ended, strict=True)), folder)


def _settings_of_pictures(stored: StoredRun, changes: list[Change]) -> dict:
    """The settings of a run that has ended. Raises `UserError` for pictures that cannot be drawn of it."""
    settings = changed_settings(stored, changes)
    if recording(settings).pictures and stored.spec:
        refuse_pictures(settings, stored.experiment, stored.spec)
    return settings


def _prepare_runs(unfinished: UnfinishedRuns, changes: list[Change]) -> list[PreparedRun]:
    """Every run with its own settings, but for the changes."""
    cache, prepared = DataCache(), []
    if unfinished.ended and (epochs := next((c for c in changes if c.key == "epochs"), None)):
        raise UserError(
            f"{epochs.word}: '{unfinished.folder / unfinished.ended[0]}' has ended; only without epochs= the "
            f"others go on"
        )
    names = run_names([recorded_overrides(stored.command) for stored in unfinished.runs.values()])
    for name, stored in zip(names, unfinished.runs.values(), strict=True):
        settings = stored.settings if stored.ended else changed_settings(stored, changes)
        command = stored.command if stored.ended else with_words(stored.command, [c.word for c in changes])
        fit = prepare(settings, cache)
        prepared.append(PreparedRun(name, fit, stored.path, settings, command))
    return prepared


def _find_states(unfinished: UnfinishedRuns, runs: list[PreparedRun]) -> Resumed:
    """Which runs have ended, and the checkpoint of the others. Raises `UserError` if the checkpoint does not
    fit their settings or data."""
    names, checkpoint = [*unfinished.runs], unfinished.checkpoint
    ended = frozenset(names.index(name) for name in unfinished.ended)
    if checkpoint is None:
        return Resumed((), ended, None)
    fingerprints = runs[0].prepared.cache.fingerprints()
    if checkpoint.data != fingerprints:
        raise UserError(
            f"the data are not those that the run in '{unfinished.folder}' began with: the same file is "
            f"needed, and the same working directory if its path is relative"
        )
    indices = tuple(names.index(name) for name in checkpoint.files)
    check_epochs(checkpoint.state, [runs[i].prepared for i in indices])
    return Resumed(indices, ended, checkpoint)
