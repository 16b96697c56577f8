"""What lasts of a sweep: its finished trials, in an Optuna study on disk or in a database.

A trial is written when it has finished, whole and in one write, in the order of numbers. So at any moment the
study holds the first n trials of the sweep and nothing half done: what was training when a process died is
chosen again, under the same numbers, since a choice follows from the seed and from the trials before.
Nothing that Optuna would unpickle is ever written or read: samplers' own notes stay in memory.
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
from nnlab.search.as_optuna import directions, distribution_of, frozen, in_short, quiet, thawed
from nnlab.search.database import connected, leave
from nnlab.search.space import Space
from nnlab.search.storage import Storage, taken
from nnlab.search.trial import COMPLETE, Trial
from nnlab.untrusted import is_number

JOURNAL_FILE = "study.journal"
OWNER_ATTRIBUTE = "nnlab_sweep"  # of a study: of which sweep it is


class Ledger:
    """The study `name` in a database, or in a journal file in `folder` if there is none.

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
        self.where = str(storage or folder / JOURNAL_FILE)
        with quiet(), self._reached():
            if storage:
                self.storage = connected(storage, resumed)
            else:
                self.storage = journal.opened(folder / JOURNAL_FILE, resumed)
            self.study = self._resumed(name, owner) if resumed else self._new(name, owner, signs)

    def trials(self) -> list[Trial]:
        """Every trial that was written, by number."""
        with self._damaged(), self._reached():
            stored = self.storage.get_all_trials(self.study, deepcopy=False)
            return [_sound(thawed(trial)) for trial in stored]

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
        template = frozen(trial, distributions, attributes)
        with self._reached():
            with signals_deferred():  # Optuna's lock, once half freed, would be nobody's
                new = self.storage.create_new_trial(self.study, template_trial=template)
            number = self.storage.get_trial_number_from_id(new)
        if number != trial.number:
            raise UserError(
                f"{self.where}: somebody else writes to this study: trial {trial.number} became {number}"
            )

    def close(self) -> None:
        """Leave the database, if it is in one. Everything is written: a fault now loses nothing."""
        with suppress(MachineFault), self._reached():
            leave(self.storage)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A database that fails is a fault of the machine: its last sentence, without its secrets."""
        try:
            yield
        except Exception as e:
            of_driver = isinstance(e, StorageInternalError) or type(e).__module__.startswith("sqlalchemy")
            if not (self.database and of_driver):
                raise
            cause = e.__cause__ or e  # Optuna wraps what the driver raised
            sentence = " ".join(str(cause).split("\n")[0].split())
            sentence = self.database.without_secrets(sentence)
            raise MachineFault(f"the database {self.where}: {sentence}") from None

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        """What is stored there may be anything, if somebody else wrote to it."""
        try:
            yield
        except (UserError, MachineFault, OSError):
            raise
        except Exception as e:
            raise UserError(f"{self.where} is damaged: {in_short(e)}") from e

    def _new(self, name: str, owner: str, signs) -> int:
        try:
            each = [StudyDirection[word.upper()] for word in directions(signs)]
            study = self.storage.create_new_study(each, study_name=name)
        except DuplicatedStudyError as e:
            study = self.storage.get_study_id_from_name(name)
            # Ours, if the process died between this write and the folder's.
            if self.storage.get_study_user_attrs(study).get(OWNER_ATTRIBUTE) != owner:
                raise UserError(taken(self.where, name)) from e
        self.storage.set_study_user_attr(study, OWNER_ATTRIBUTE, owner)
        return study

    def _resumed(self, name: str, owner: str) -> int:
        with self._damaged(), self._reached():
            try:
                study = self.storage.get_study_id_from_name(name)
            except KeyError as e:
                raise UserError(f"{self.where} has no study '{name}', which this sweep wrote to") from e
            theirs = self.storage.get_study_user_attrs(study).get(OWNER_ATTRIBUTE)
        if theirs != owner:
            raise UserError(f"{self.where}: the study '{name}' there is of another sweep")
        return study


def _sound(trial: Trial) -> Trial:
    """The trial, if it is one that nnlab may have written."""
    counts = (trial.rows, trial.epochs)
    numbers = (*trial.values, *(std for std in trial.spread if std is not None))
    epochs, values = list(trial.intermediate_values), trial.intermediate_values.values()
    right = {
        "a count of rows or epochs": all(type(count) is int and count >= 0 for count in counts),
        "a value or its spread": all(map(is_number, numbers)),
        "the number of spreads": len(trial.spread) == len(trial.values),
        "the epochs of its intermediate values": epochs == list(range(1, len(epochs) + 1)),
        "an intermediate value": not any(map(math.isnan, values)),
    }
    for what, is_right in right.items():
        if not is_right:
            raise UserError(f"trial {trial.number} of the study is not as nnlab writes one: {what} is wrong")
    return trial


def check(trials: list[Trial], space: Space, signs: tuple[int, ...]) -> None:
    """Raise `UserError` unless every trial is one of this space and has a value for each objective."""
    distributions = {key: distribution_of(domain) for key, domain in space.domains.items()}
    for trial in trials:
        chosen = {key: label for key, label in trial.params.items() if key in space.groups}
        try:
            belongs = set(trial.params) == set(space.keys(chosen))
            frozen(trial, distributions)
        except (ValueError, TypeError, KeyError, IndexError, AssertionError):
            belongs = False
        if not belongs or (trial.state == COMPLETE and len(trial.values) != len(signs)):
            raise UserError(
                f"trial {trial.number} of the study, {trial.params}, is none of the space that was searched"
            )
