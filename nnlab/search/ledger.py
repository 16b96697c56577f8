"""Stores the finished trials of a sweep in an Optuna study, in a journal file or in a database.

A trial is written when it has finished, whole and in one write, in the order of numbers. So at any moment the
study holds the first n trials of the sweep and nothing half done: what was training when a process died is
chosen again, under the same numbers, since a choice follows from the seed and from the trials before.
Nothing that Optuna would unpickle is ever written or read: a sampler's internal state stays in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.study import StudyDirection

from nnlab.errors import MachineFault, UserError
from nnlab.interruption import signals_deferred
from nnlab.search import journal
from nnlab.search.database import connect_database, disconnect
from nnlab.search.optuna_conversion import (
    directions,
    from_frozen_trial,
    one_line_error,
    to_distribution,
    to_frozen_trial,
    without_optuna_warnings,
)
from nnlab.search.space import Space
from nnlab.search.storage import Storage, study_exists_message
from nnlab.search.trial import COMPLETE, Trial
from nnlab.untrusted import is_number

JOURNAL_FILE = "study.journal"
OWNER_ATTRIBUTE = "nnlab_sweep"  # the study attribute with the id of the sweep that it belongs to


class Ledger:
    """The study `name` in a database, or in a journal file in `folder` if there is no database.

    `owner` is the id by which this sweep knows its own study. A study of that name must be there if
    `resumed`, and must not be otherwise. Raises `UserError`.
    """

    def __init__(
        self,
        folder: Path,
        storage: Storage | None,
        name: str,
        owner: str,
        signs: tuple[int, ...],
        resumed: bool,
    ):
        self.database = storage
        self.location = str(storage or folder / JOURNAL_FILE)
        with without_optuna_warnings(), self._database_faults():
            if storage:
                self.storage = connect_database(storage, resumed)
            else:
                self.storage = journal.open_journal(folder / JOURNAL_FILE, resumed)
            self.study = self._find_study(name, owner) if resumed else self._create_study(name, owner, signs)

    def trials(self) -> list[Trial]:
        """Every stored trial, in the order of numbers."""
        with self._damage_as_user_error(), self._database_faults():
            stored = self.storage.get_all_trials(self.study, deepcopy=False)
            return [_validated(from_frozen_trial(trial)) for trial in stored]

    def append(self, trial: Trial, distributions: dict) -> None:
        """Write a finished trial; it is on disk when this returns.

        Raises `UserError` if another process wrote to the study.
        """
        attributes = {"rows": trial.rows, "epochs": trial.epochs}
        if trial.rows > 1:
            attributes["spread"] = list(trial.spread)
        if trial.reason:
            attributes["reason"] = trial.reason
        # One write: a trial that is created first and completed later could be left half done.
        template = to_frozen_trial(trial, distributions, attributes)
        with self._database_faults():
            with signals_deferred():  # an interrupt between would leave Optuna's lock held for ever
                new = self.storage.create_new_trial(self.study, template_trial=template)
            number = self.storage.get_trial_number_from_id(new)
        if number != trial.number:
            raise UserError(
                f"{self.location}: somebody else writes to this study: trial {trial.number} became {number}"
            )

    def close(self) -> None:
        """Disconnect from the database, if there is one. All trials are written: a fault loses nothing."""
        with suppress(MachineFault), self._database_faults():
            disconnect(self.storage)

    @contextmanager
    def _database_faults(self) -> Iterator[None]:
        """Turn a database error into a `MachineFault`: one sentence, without its secrets."""
        try:
            yield
        except Exception as e:
            from_driver = isinstance(e, StorageInternalError) or type(e).__module__.startswith("sqlalchemy")
            if not (self.database and from_driver):
                raise
            cause = e.__cause__ or e  # Optuna wraps what the driver raised
            sentence = " ".join(str(cause).split("\n")[0].split())
            sentence = self.database.without_secrets(sentence)
            raise MachineFault(f"the database {self.location}: {sentence}") from None

    @contextmanager
    def _damage_as_user_error(self) -> Iterator[None]:
        """Turn any error in reading into a `UserError`: the file may have been edited or damaged."""
        try:
            yield
        except (UserError, MachineFault, OSError):
            raise
        except Exception as e:
            raise UserError(f"{self.location} is damaged: {one_line_error(e)}") from e

    def _create_study(self, name: str, owner: str, signs) -> int:
        try:
            study_directions = [StudyDirection[word.upper()] for word in directions(signs)]
            study = self.storage.create_new_study(study_directions, study_name=name)
        except DuplicatedStudyError as e:
            study = self.storage.get_study_id_from_name(name)
            # It is this sweep's own, if the process died before the folder was written.
            if self.storage.get_study_user_attrs(study).get(OWNER_ATTRIBUTE) != owner:
                raise UserError(study_exists_message(self.location, name)) from e
        self.storage.set_study_user_attr(study, OWNER_ATTRIBUTE, owner)
        return study

    def _find_study(self, name: str, owner: str) -> int:
        with self._damage_as_user_error(), self._database_faults():
            try:
                study = self.storage.get_study_id_from_name(name)
            except KeyError as e:
                raise UserError(f"{self.location} has no study '{name}', which this sweep wrote to") from e
            found_owner = self.storage.get_study_user_attrs(study).get(OWNER_ATTRIBUTE)
        if found_owner != owner:
            raise UserError(f"{self.location}: the study '{name}' there is of another sweep")
        return study


def _validated(trial: Trial) -> Trial:
    """The trial, unchanged. Raises `UserError` for one that nnlab cannot have written."""
    counts = (trial.rows, trial.epochs)
    objective_values = (*trial.values, *(std for std in trial.spread if std is not None))
    epochs, values = list(trial.intermediate_values), trial.intermediate_values.values()
    validity = {
        "a count of rows or epochs": all(type(count) is int and count >= 0 for count in counts),
        "a value or its spread": all(map(is_number, objective_values)),
        "the number of spreads": len(trial.spread) == len(trial.values),
        "the epochs of its intermediate values": epochs == list(range(1, len(epochs) + 1)),
        "an intermediate value": not any(map(math.isnan, values)),
    }
    for what, is_valid in validity.items():
        if not is_valid:
            raise UserError(f"trial {trial.number} of the study is not as nnlab writes one: {what} is wrong")
    return trial


def check_trials(trials: list[Trial], space: Space, signs: tuple[int, ...]) -> None:
    """Raise `UserError` unless every trial is one of this space and has a value for each objective."""
    distributions = {key: to_distribution(domain) for key, domain in space.domains.items()}
    for trial in trials:
        choices = {key: label for key, label in trial.params.items() if key in space.groups}
        try:
            belongs = set(trial.params) == set(space.keys(choices))
            to_frozen_trial(trial, distributions)
        except (ValueError, TypeError, KeyError, IndexError, AssertionError):
            belongs = False
        if not belongs or (trial.state == COMPLETE and len(trial.values) != len(signs)):
            raise UserError(
                f"trial {trial.number} of the study, {trial.params}, is none of the space that was searched"
            )
