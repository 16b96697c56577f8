"""A study's journal: Optuna's file of operations, a line each, mended where a process died while it wrote."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from nnlab.errors import UserError
from nnlab.search.as_optuna import in_short

OPERATION_CODES = range(11)  # that Optuna's journal knows
SUBJECT_KEYS = {"study_name", "study_id", "trial_id"}  # an operation has one of them
STUDY_ID = re.compile(rb'"study_id": ?(\d{1,20})')  # 0 in a journal of one study


def opened(path: Path, resumed: bool) -> JournalStorage:
    """Optuna's storage in a journal file; one that is there is mended first. Raises `UserError`."""
    if path.exists():
        _mend_tail(path)
        _refuse_other_studies(path)
    elif resumed:
        raise UserError(f"there is no {path}, which this sweep wrote to")
    # The sweep's folder is locked by whoever reads this, so this lock is that of a process that died.
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    try:
        # Optuna's other lock is a link, which not every file system has.
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError:
        raise
    except Exception as e:  # whatever Optuna trips over
        raise UserError(f"{path} is not the journal of a study, or it is damaged: {in_short(e)}") from e


def _mend_tail(path: Path) -> None:
    """Cut what the last write left damaged: half a line after a kill, anything at all after a power cut.

    Optuna would append behind it, and no line from there on could be read again.
    """
    # In bytes: half a line may end within a letter.
    lines = path.read_bytes().splitlines(keepends=True)
    whole = len(lines)
    while whole and not _is_operation(lines[whole - 1]):
        whole -= 1
    if 0 < whole < len(lines):  # with none at all it is not a journal, and not ours to cut
        os.truncate(path, sum(map(len, lines[:whole])))


def _refuse_other_studies(path: Path) -> None:
    """Each sweep has a journal to itself; trials of another study would be missing, and be trained again."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if any(int(study) for study in STUDY_ID.findall(line)):
                raise UserError(
                    f"{path}, line {number}, is of another study than the sweep's: take the file "
                    f"from a copy of the folder, or start a new sweep"
                )


def _is_operation(line: bytes) -> bool:
    """Whether a journal's line is one of Optuna's operations, to its end."""
    try:
        fields = json.loads(line)
        known = fields["op_code"] in OPERATION_CODES and "worker_id" in fields
        return line.endswith(b"\n") and known and not fields.keys().isdisjoint(SUBJECT_KEYS)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
