"""The URL of a database of Optuna studies, whose password is neither shown nor written to disk.

Whatever is shown or written has the URL with its password masked, `postgresql://me:***@host/studies`. To
connect, the password comes from the URL as it was typed, else from NNLAB_STORAGE, the whole URL of the same
database, else from where the driver looks by itself: for PostgreSQL, PGPASSWORD and ~/.pgpass.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from nnlab.masking import PASSWORD_MASK, mask_password, secrets


@dataclass(frozen=True, repr=False)
class Storage:
    """A database: `str` shows its URL masked, `url` is what the driver needs."""

    shown: str
    url: str

    @staticmethod
    def from_url(url_text: str, url_with_password: str | None = None) -> Storage:
        """The database at a URL, masked or not; `url_with_password` is the same one unmasked, if known.

        >>> str(Storage.from_url("mysql://me:secret@host/studies"))
        'mysql://me:***@host/studies'
        """
        shown = mask_password(url_text)
        if url_text != shown:  # it contains the password itself
            return Storage(shown, url_text)
        # Only for the same database: a password is never sent to a server that it was not given for.
        for full_url in (url_with_password, os.environ.get("NNLAB_STORAGE")):
            if full_url and _without_password(full_url) == _without_password(shown):
                return Storage(shown, full_url)
        return Storage(shown, _without_password(shown))

    def __str__(self) -> str:
        return self.shown

    def without_secrets(self, text: str) -> str:
        """The text, say a driver's, with this database's passwords masked."""
        for secret in sorted(secrets(self.url), key=len, reverse=True):
            text = text.replace(secret, PASSWORD_MASK)
        return text


def _without_password(url: str) -> str:
    """The URL without a password; the driver then looks elsewhere for one."""
    url = mask_password(url).replace(f":{PASSWORD_MASK}@", "@")
    url = re.sub(rf"(?<=[?&;])[^=&;?]+={re.escape(PASSWORD_MASK)}([&;]|$)", "", url)
    return url.rstrip("?&")


def study_exists_message(location, name: str) -> str:
    """The message for a study name that another sweep already uses."""
    return (
        f"{location} has a study '{name}' already: go on with its sweep by resume=FOLDER, or give another "
        f"name by study=..."
    )
