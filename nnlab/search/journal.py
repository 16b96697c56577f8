"""Opens the journal file of an Optuna study, and repairs one whose last write was cut off by a crash."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from nnlab.errors import UserError
from nnlab.runtime.machine import in_bytes, refuse_too_large
from nnlab.search.optuna_conversion import one_line_error

OPERATION_CODES = range(11)  # the codes of JournalStorage
SUBJECT_KEYS = {"study_name", "study_id", "trial_id"}  # an operation has one of them
BYTES_PER_BYTE = 8  # of memory, for each of the file: Optuna keeps what all lines say
STUDY_ID = re.compile(rb'"study_id": ?(\d{1,20})')  # 0 in a journal of one study


def open_journal(path: Path, resumed: bool) -> JournalStorage:
    """Optuna's storage in a journal file; an existing file is repaired first. Raises `UserError`."""
    if path.exists():
        needed = BYTES_PER_BYTE * path.stat().st_size
        refuse_too_large(f"{path} would take {in_bytes(needed)} of memory", needed)
        _truncate_damaged_tail(path)
        _refuse_other_studies(path)
    elif resumed:
        raise UserError(f"there is no {path}, which this sweep wrote to")
    # This process holds the lock on the sweep's folder, so a lock file here is left over from a crash.
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    try:
        # Optuna's other lock is a link, which not every file system has.
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError:
        raise
    except Exception as e:  # a damaged file can make Optuna raise anything
        raise UserError(f"{path} is not the journal of a study, or it is damaged: {one_line_error(e)}") from e


def _truncate_damaged_tail(path: Path) -> None:
    """Cut off what the last write left damaged: half a line after a kill, anything at all after a power cut.

    Otherwise Optuna would append to it, and could read nothing from there on.
    """
    # As bytes: a line that was cut off may end inside a character.
    lines = path.read_bytes().splitlines(keepends=True)
    intact_count = len(lines)
    while intact_count and not _is_operation(lines[intact_count - 1]):
        intact_count -= 1
    if 0 < intact_count < len(lines):  # with no intact line it is not a journal: leave it untouched
        os.truncate(path, sum(map(len, lines[:intact_count])))


def _refuse_other_studies(path: Path) -> None:
    """Each sweep has a journal to itself; trials of another study would be missing, and be trained again."""
    with open(path, "rb") as file:
        for line_number, line in enumerate(file, 1):
            if any(int(study_id) for study_id in STUDY_ID.findall(line)):
                raise UserError(
                    f"{path}, line {line_number}, is of another study than the sweep's: take the file "
                    f"from a copy of the folder, or start a new sweep"
                )


def _is_operation(line: bytes) -> bool:
    """Whether a journal's line is one of Optuna's operations, to its end."""
    try:
        fields = json.loads(line)
        is_known = fields["op_code"] in OPERATION_CODES and "worker_id" in fields
        return line.endswith(b"\n") and is_known and not fields.keys().isdisjoint(SUBJECT_KEYS)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
