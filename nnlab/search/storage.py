"""A database that keeps studies: an Optuna URL, whose password is neither shown nor written.

Whatever is shown or written has the URL with its password masked, `postgresql://me:***@host/studies`. To
connect, the password comes from the URL as it was typed, else from NNLAB_STORAGE, the whole URL of the same
database, else from where the driver looks by itself: for PostgreSQL, PGPASSWORD and ~/.pgpass.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from nnlab.masking import PASSWORD_MASK, masked, secrets


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
        # Only of the same database: a password never goes to another server than that which it was given for.
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


def taken(where, name: str) -> str:
    """What to say where another sweep has that study."""
    return (
        f"{where} has a study '{name}' already: go on with its sweep by resume=FOLDER, or give another name "
        f"by study=..."
    )
