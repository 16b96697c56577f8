"""A database that keeps studies: an Optuna URL, whose password is neither shown nor written.

Whatever is shown or written has the URL with its password masked, `postgresql://me:***@host/studies`. To
connect, the password comes from the URL as it was typed, else from NNLAB_STORAGE, the whole URL of the same
database, else from where the driver looks by itself: for PostgreSQL, PGPASSWORD and ~/.pgpass.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from nnlab.errors import UserError
from nnlab.masking import PASSWORD_MASK, masked, secrets

CREATE_ATTEMPTS = 6  # of several processes that make one new database at once, the others try again
CREATE_PAUSE = 0.05  # seconds before the second attempt; it doubles


@dataclass(frozen=True, repr=False)
class Storage:
    """A database: `str` shows its URL masked, `url` is what the driver needs."""

    shown: str
    url: str

    @staticmethod
    def of(written: str, typed: str | None = None) -> Storage:
        """The database at a URL as it is `written`, masked or not; `typed` is it with its password.

        >>> str(Storage.of("mysql://me:secret@host/studies"))
        'mysql://me:***@host/studies'
        """
        shown = masked(written)
        if written != shown:  # it has its password
            return Storage(shown, written)
        for whole in (typed, os.environ.get("NNLAB_STORAGE")):
            if whole and _anonymous(whole) == _anonymous(shown):
                return Storage(shown, whole)
        return Storage(shown, _anonymous(shown))

    def __str__(self) -> str:
        return self.shown

    def without_secrets(self, text: str) -> str:
        """The text, say a driver's, with this database's passwords masked."""
        for secret in sorted(secrets(self.url), key=len, reverse=True):
            text = text.replace(secret, PASSWORD_MASK)
        return text


def _anonymous(url: str) -> str:
    """The URL with no place for a password, for which the driver then looks elsewhere."""
    url = masked(url).replace(f":{PASSWORD_MASK}@", "@")
    url = re.sub(rf"(?<=[?&;])[^=&;?]+={re.escape(PASSWORD_MASK)}([&;]|$)", "", url)
    return url.rstrip("?&")


def connected(storage: Storage, existing: bool):
    """Optuna's storage there. Of an `existing` one no table is made: the database may be somebody else's.

    Raises `UserError`.
    """
    from sqlalchemy.exc import IntegrityError

    _check(storage, existing)
    timeout = {"connect_args": {"timeout": 60}} if storage.url.startswith("sqlite") else None
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return _optuna(storage.url, timeout, existing)
        except Exception as e:  # whatever a driver raises, the URL does not lead to a database
            raced = isinstance(e, IntegrityError) or "already exists" in str(e)
            if raced and not existing and attempt + 1 < CREATE_ATTEMPTS:
                time.sleep(CREATE_PAUSE * 2**attempt)
                continue
            raise UserError(_unusable(storage, e)) from None
    raise AssertionError("unreachable")


def leave(storage) -> None:
    """Give back the connections of Optuna's storage, which drivers want closed."""
    from optuna.storages import RDBStorage

    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def available(storage: Storage, name: str | None = None, existing: bool = False) -> None:
    """Raise `UserError` unless the database can be had, without a study of this `name`."""
    from nnlab.search.study import quiet

    with quiet():
        optuna = connected(storage, existing)
        names = [study.study_name for study in optuna.get_all_studies()] if name else []
    leave(optuna)
    if name in names:
        raise UserError(taken(storage, name))


def taken(where, name: str) -> str:
    return (
        f"{where} has a study '{name}' already: go on with its sweep by resume=FOLDER, or give another name "
        f"by study=..."
    )


def _optuna(url: str, engine_kwargs: dict | None, existing: bool):
    from optuna.storages import RDBStorage

    return RDBStorage(url, engine_kwargs=engine_kwargs, skip_table_creation=existing)


def _check(storage: Storage, existing: bool) -> None:
    """What can be said of the URL before anything is opened."""
    from importlib.util import find_spec

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
        raise UserError(f"storage = '{storage}': there is no such file, which this sweep wrote to")
    if find_spec("sqlalchemy") is None:
        raise UserError(f"storage = '{storage}' needs SQLAlchemy: python -m pip install sqlalchemy alembic")


def _unusable(storage: Storage, error: Exception) -> str:
    """One sentence; if a password was wanted, it says where one is looked for."""
    error = error.__cause__ or error  # Optuna wraps what the driver raised
    said = " ".join(str(error).split("\n")[0].split())
    if re.search(r"no such table|does not exist|doesn't exist", said) and "version_info" in said:
        return f"storage = '{storage}': there are no studies in it, so this sweep never wrote to it"
    said = storage.without_secrets(f"{type(error).__name__}: {said}")
    wanted = re.search(r"password|access denied", str(error), re.IGNORECASE)
    hint = "; its password may stand in NNLAB_STORAGE (the whole URL)" if wanted else ""
    hint += ", PGPASSWORD or ~/.pgpass" if wanted and storage.url.startswith("postgres") else ""
    return f"storage = '{storage}' cannot be used: {said}{hint}"
