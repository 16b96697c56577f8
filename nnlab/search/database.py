"""Connects to a database of Optuna studies, and explains in one sentence why a connection failed."""

from __future__ import annotations

import re
import time
from importlib.util import find_spec
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage

from nnlab.errors import UserError
from nnlab.search.optuna_conversion import without_optuna_warnings
from nnlab.search.storage import Storage, study_exists_message

CREATE_ATTEMPTS = 6  # for processes that create the same database at the same time
CREATE_PAUSE = 0.05  # seconds before the second attempt; it doubles
SQLITE_TIMEOUT = 60  # seconds to wait for another process that writes


def check_database(storage: Storage, name: str | None = None, existing: bool = False) -> None:
    """Raise `UserError` unless the database can be used, and has no study of this `name`."""
    study_names = []
    with without_optuna_warnings():
        optuna = connect_database(storage, existing)
        if name:
            study_names = [study.study_name for study in optuna.get_all_studies()]
    disconnect(optuna)
    if name in study_names:
        raise UserError(study_exists_message(storage, name))


def connect_database(storage: Storage, existing: bool) -> RDBStorage:
    """Optuna's storage at that URL. In an `existing` one no table is created: it may be somebody else's.

    Raises `UserError`.
    """
    _check_url(storage, existing)
    from sqlalchemy.exc import IntegrityError  # optional: `_check_url` has made sure that it is installed

    # Several processes may write to one file: by default SQLite waits for five seconds only.
    engine_options = None
    if storage.url.startswith("sqlite"):
        engine_options = {"connect_args": {"timeout": SQLITE_TIMEOUT}}
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return RDBStorage(storage.url, engine_kwargs=engine_options, skip_table_creation=existing)
        except Exception as e:  # whatever a driver raises, the URL does not lead to a database
            lost_race = isinstance(e, IntegrityError) or "already exists" in str(e)
            if lost_race and not existing and attempt + 1 < CREATE_ATTEMPTS:
                time.sleep(CREATE_PAUSE * 2**attempt)
                continue
            raise UserError(_connection_error(storage, e)) from None
    raise AssertionError("unreachable")


def disconnect(storage: BaseStorage) -> None:
    """Close the connections of Optuna's storage."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def _check_url(storage: Storage, existing: bool) -> None:
    """Raise `UserError` for a URL that cannot work, before anything is opened."""
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


def _connection_error(storage: Storage, cause: Exception) -> str:
    """The failure in one sentence; if the password was refused, also where passwords are looked for."""
    cause = cause.__cause__ or cause  # Optuna wraps what the driver raised
    reason = " ".join(str(cause).split("\n")[0].split())
    if re.search(r"no such table|does not exist|doesn't exist", reason) and "version_info" in reason:
        return f"storage = '{storage}': there are no studies in it, so this sweep never wrote to it"
    reason = storage.without_secrets(f"{type(cause).__name__}: {reason}")
    sentence = f"storage = '{storage}' cannot be used: {reason}"
    if re.search(r"password|access denied", str(cause), re.IGNORECASE):
        sentence += "; its password may stand in NNLAB_STORAGE (the whole URL)"
        if storage.url.startswith("postgres"):
            sentence += ", PGPASSWORD or ~/.pgpass"
    return sentence
