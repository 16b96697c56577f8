"""What lasts of a sweep: its told trials, in an Optuna study on disk or in a database.

A trial is written when it is told, whole and in one stroke, in the order of numbers. So at any moment the
study holds the first n trials of the sweep and nothing half done: what was training when a process died is
chosen again, under the same numbers, since a choice follows from the seed and from what was told.
Nothing that Optuna would unpickle is ever written or read: samplers' own notes stay in memory.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnlab.errors import MachineFault, UserError
from nnlab.interruption import deferred
from nnlab.search.space import Space
from nnlab.search.storage import Storage, connected, leave, taken
from nnlab.search.study import frozen, quiet
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.untrusted import is_number

JOURNAL = "study.journal"
OPERATIONS = 11  # that Optuna's journal knows, numbered from 0
SUBJECTS = {"study_name", "study_id", "trial_id"}  # each of them names one
STUDY_ID = re.compile(rb'"study_id": ?(\d{1,20})')  # 0 in a journal of one study
OWNER = "nnlab_sweep"  # a study's attribute: of which sweep it is


class Ledger:
    """The study `name` in a database, or in a journal file in `folder` if there is none.

    `owner` tells this sweep from all others. A study of that name must be there if `resumed`, and must not
    be otherwise. Raises `UserError`.
    """

    def __init__(
        self,
        folder: Path,
        database: Storage | None,
        name: str,
        owner: str,
        signs: tuple[int, ...],
        resumed: bool,
    ):
        self.database, self.where = database, str(database or folder / JOURNAL)
        with quiet(), self._reached():
            self.storage = connected(database, resumed) if database else _journal(folder / JOURNAL, resumed)
            self.study = self._resumed(name, owner) if resumed else self._new(name, owner, signs)

    def trials(self) -> list[Trial]:
        """Every trial that was told, by number."""
        with self._damaged(), self._reached():
            kept = self.storage.get_all_trials(self.study, deepcopy=False)
            return [_thawed(trial) for trial in kept]

    def append(self, trial: Trial, distributions: dict) -> None:
        """Write a told trial; it is on disk when this returns. Raises `UserError` if somebody else wrote."""
        attributes = {"rows": trial.rows, "epochs": trial.epochs}
        attributes |= {"spread": list(trial.spread)} if trial.rows > 1 else {}
        attributes |= {"reason": trial.reason} if trial.reason else {}
        template = frozen(trial, distributions, attributes)
        with self._reached():
            with deferred():  # Optuna's lock, once half freed, would be nobody's
                new = self.storage.create_new_trial(self.study, template_trial=template)
            number = self.storage.get_trial_number_from_id(new)
        if number != trial.number:
            raise UserError(
                f"{self.where}: somebody else writes to this study: trial {trial.number} became {number}"
            )

    def close(self) -> None:
        """Leave the database, if it is in one. All is written: one that fails now loses nothing."""
        with suppress(MachineFault), self._reached():
            leave(self.storage)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A database that fails is a fault of the machine: its last sentence, without its secrets."""
        from optuna.exceptions import StorageInternalError

        try:
            yield
        except Exception as e:
            if not self.database or not (
                isinstance(e, StorageInternalError) or type(e).__module__.startswith("sqlalchemy")
            ):
                raise
            cause = e.__cause__ or e  # Optuna wraps what the driver raised
            said = self.database.without_secrets(" ".join(str(cause).split("\n")[0].split()))
            raise MachineFault(f"the database {self.where}: {said}") from None

    def _new(self, name: str, owner: str, signs) -> int:
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        directions = [StudyDirection.MINIMIZE if sign > 0 else StudyDirection.MAXIMIZE for sign in signs]
        try:
            study = self.storage.create_new_study(directions, study_name=name)
        except DuplicatedStudyError as e:
            study = self.storage.get_study_id_from_name(name)
            if self.storage.get_study_user_attrs(study).get(OWNER) != owner:
                raise UserError(taken(self.where, name)) from e
        self.storage.set_study_user_attr(study, OWNER, owner)
        return study

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        """What is found there may be anything, if somebody else wrote to it."""
        try:
            yield
        except (UserError, MachineFault, OSError):
            raise
        except Exception as e:
            raise UserError(f"{self.where} is damaged: {_said(e)}") from e

    def _resumed(self, name: str, owner: str) -> int:
        with self._damaged(), self._reached():
            try:
                study = self.storage.get_study_id_from_name(name)
            except KeyError as e:
                raise UserError(f"{self.where} has no study '{name}', which this sweep wrote to") from e
            theirs = self.storage.get_study_user_attrs(study).get(OWNER)
        if theirs != owner:
            raise UserError(f"{self.where}: the study '{name}' there is of another sweep")
        return study


def _journal(path: Path, resumed: bool):
    """A journal file, its torn tail mended: a line half written, once appended to, spoils all that follow."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    if path.exists():
        _mend_tail(path)
        _refuse_other_studies(path)
    elif resumed:
        raise UserError(f"there is no {path}, which this sweep wrote to")
    # The sweep's folder is locked by who reads this, so a lock found here is that of a process that died.
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    try:
        # Optuna's other lock is a link, which not every file system has.
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError:
        raise
    except Exception as e:  # whatever Optuna trips over
        raise UserError(f"{path} is no journal of a study, or it is damaged: {_said(e)}") from e


def _mend_tail(path: Path) -> None:
    """Cut what the last write left damaged: half a line after a kill, anything at all after a power cut.

    Optuna would append behind it, and no line from there on could be read again.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    whole = len(lines)
    while whole and not _is_operation(lines[whole - 1]):
        whole -= 1
    if 0 < whole < len(lines):  # else it is no journal at all, and not ours to cut
        os.truncate(path, sum(map(len, lines[:whole])))


def _refuse_other_studies(path: Path) -> None:
    """Each sweep has a journal to itself; trials of another study would be missing, and be trained again."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if any(int(found) for found in STUDY_ID.findall(line)):
                raise UserError(
                    f"{path}, line {number}, is of another study than the sweep's: take the file "
                    f"from a copy of the folder, or start a new sweep"
                )


def _is_operation(line: bytes) -> bool:
    """Whether a journal's line is one of Optuna's operations, to its end."""
    try:
        fields = json.loads(line)
        known = fields["op_code"] in range(OPERATIONS) and "worker_id" in fields
        return line.endswith(b"\n") and known and not fields.keys().isdisjoint(SUBJECTS)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _thawed(kept) -> Trial:
    """Optuna's trial as ours."""
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}
    if kept.state not in states:
        raise UserError(f"trial {kept.number} of the study was left running by another program")
    told, rows = kept.user_attrs, kept.user_attrs.get("rows", 0)
    values = tuple(kept.values) if kept.values and kept.state != TrialState.FAIL else ()
    return _sound(
        Trial(
            number=kept.number,
            params=dict(kept.params),
            state=states[kept.state],
            values=values,
            spread=tuple(told.get("spread", [None] * len(values))),
            rows=rows,
            epochs=told.get("epochs", 0),
            reason=str(told.get("reason", "")),
            intermediate_values=dict(kept.intermediate_values),
        )
    )


def _sound(trial: Trial) -> Trial:
    """The trial, if it is one that nnlab may have written."""
    counts, numbers = (trial.rows, trial.epochs), (*trial.values, *(s for s in trial.spread if s is not None))
    wrong = {
        "a count of rows or epochs": all(type(count) is int and count >= 0 for count in counts),
        "a value or its spread": all(map(is_number, numbers)),
        "the number of spreads": len(trial.spread) == len(trial.values),
        "the epochs of its intermediate values": list(trial.intermediate_values)
        == list(range(1, len(trial.intermediate_values) + 1)),
        "an intermediate value": not any(map(math.isnan, trial.intermediate_values.values())),
    }
    for what in [what for what, is_right in wrong.items() if not is_right]:
        raise UserError(f"trial {trial.number} of the study is not as nnlab writes one: {what} is wrong")
    return trial


def check(trials: list[Trial], space: Space, signs: tuple[int, ...]) -> None:
    """Raise `UserError` unless every trial is one of this space and has a value for each objective."""
    distributions = {key: domain.distribution() for key, domain in space.domains.items()}
    for trial in trials:
        chosen = {key: label for key, label in trial.params.items() if key in space.groups}
        try:
            belongs = set(trial.params) == set(space.keys(chosen))
            frozen(trial, distributions)
        except (ValueError, TypeError, KeyError, IndexError, AssertionError):
            belongs = False
        if not belongs or trial.state == COMPLETE and len(trial.values) != len(signs):
            raise UserError(
                f"trial {trial.number} of the study, {trial.params}, is none of the space that was searched"
            )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
