"""Connecting to a database of studies: Optuna's storage at a `Storage`, and what to say where that fails."""

from __future__ import annotations

import re
import time
from importlib.util import find_spec
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage

from nnlab.errors import UserError
from nnlab.search.as_optuna import quiet
from nnlab.search.storage import Storage, taken

CREATE_ATTEMPTS = 6  # of several processes that make one new database at once, the others try again
CREATE_PAUSE = 0.05  # seconds before the second attempt; it doubles
SQLITE_TIMEOUT = 60  # seconds to wait for another process that writes


def available(storage: Storage, name: str | None = None, existing: bool = False) -> None:
    """Raise `UserError` unless the database can be used, and has no study of this `name`."""
    names = []
    with quiet():
        optuna = connected(storage, existing)
        if name:
            names = [study.study_name for study in optuna.get_all_studies()]
    leave(optuna)
    if name in names:
        raise UserError(taken(storage, name))


def connected(storage: Storage, existing: bool) -> RDBStorage:
    """Optuna's storage there. In an `existing` one no table is made: the database may be somebody else's.

    Raises `UserError`.
    """
    _check(storage, existing)
    from sqlalchemy.exc import IntegrityError  # which may not be installed: `_check` says so

    # Several processes may write to one file: by default SQLite waits for five seconds only.
    options = None
    if storage.url.startswith("sqlite"):
        options = {"connect_args": {"timeout": SQLITE_TIMEOUT}}
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return RDBStorage(storage.url, engine_kwargs=options, skip_table_creation=existing)
        except Exception as e:  # whatever a driver raises, the URL does not lead to a database
            raced = isinstance(e, IntegrityError) or "already exists" in str(e)
            if raced and not existing and attempt + 1 < CREATE_ATTEMPTS:
                time.sleep(CREATE_PAUSE * 2**attempt)
                continue
            raise UserError(_unusable(storage, e)) from None
    raise AssertionError("unreachable")


def leave(storage: BaseStorage) -> None:
    """Give back the connections of Optuna's storage, which drivers want closed."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def _check(storage: Storage, existing: bool) -> None:
    """What can be said of the URL before anything is opened."""
    url = storage.url
    if "://" not in url:
        raise UserError(
            f"storage = '{storage}': expected a URL, such as sqlite:///sweeps.db, or null for a file"
        )
    if url.startswith(("redis", "journal")):
        raise UserError(f"storage = '{storage}': nnlab takes databases (sqlite, postgresql, mysql), or null")
    file = url.partition(":///")[2].partition("?")[0]
    if url.startswith("sqlite") and (not file or ":memory:" in file):
        raise UserError(f"storage = '{storage}' is gone with its process; write a file, sqlite:///sweeps.db")
    if url.startswith("sqlite") and existing and not Path(file).is_file():
        raise UserError(f"storage = '{storage}': the file that this sweep wrote to does not exist")
    if find_spec("sqlalchemy") is None:
        raise UserError(f"storage = '{storage}' needs SQLAlchemy: python -m pip install sqlalchemy alembic")


def _unusable(storage: Storage, error: Exception) -> str:
    """One sentence; if a password was wanted, it says where one is looked for."""
    error = error.__cause__ or error  # Optuna wraps what the driver raised
    reason = " ".join(str(error).split("\n")[0].split())
    if re.search(r"no such table|does not exist|doesn't exist", reason) and "version_info" in reason:
        return f"storage = '{storage}': there are no studies in it, so this sweep never wrote to it"
    reason = storage.without_secrets(f"{type(error).__name__}: {reason}")
    sentence = f"storage = '{storage}' cannot be used: {reason}"
    if re.search(r"password|access denied", str(error), re.IGNORECASE):
        sentence += "; its password may stand in NNLAB_STORAGE (the whole URL)"
        if storage.url.startswith("postgres"):
            sentence += ", PGPASSWORD or ~/.pgpass"
    return sentence
