"""Passwords in URLs are masked in all that is said or written: `postgresql://me:***@host/studies`."""

import re
from urllib.parse import unquote

MASK = "***"
# From the first colon behind the user's name to the last @: an unquoted password may hold any of both.
_LOGIN = re.compile(r"((?:\w[\w+.-]*://)?[^:/?@'\"\s]*):(?!//)(.*)(?=@)", re.DOTALL)
# A host that was forgotten leaves a password where a port would be.
_NO_HOST = re.compile(r"(://[^:/?@'\"\[\]\s]*):([^/?@'\"\s]*[^\d/?@'\"\s][^/?@'\"\s]*)(?=[/?'\"\s]|$)")
_PARAMETER = re.compile(r"(?<=[?&;])([^=&;?'\"\s]+)=([^&;'\"\s]*)")
_OPEN = {  # parameters of a URL that are no secrets
    "host", "hostaddr", "port", "user", "dbname", "sslmode", "charset", "timeout", "connect_timeout",
    "application_name", "unix_socket", "mode", "uri", "cache", "target_session_attrs",
}  # fmt: skip


def masked(url: str) -> str:
    """The URL with `***` in the place of its password, and of every parameter that may be one.

    >>> masked("mysql://me:secret@host/studies?ssl_key=abc")
    'mysql://me:***@host/studies?ssl_key=***'
    """
    url = _LOGIN.sub(rf"\1:{MASK}", url)
    url = _NO_HOST.sub(lambda m: m[0] if m[2] == MASK else f"{m[1]}:{MASK}", url)
    return _PARAMETER.sub(_parameter, url)


def masked_urls(text: str) -> str:
    """The text with the password of every URL in it masked."""
    # A path makes one slash of two.
    return re.sub(r"\w[\w+.-]*:/\S+", lambda m: masked(m[0]), text) if ":/" in text else text


def secrets(url: str) -> set[str]:
    """What is masked in the URL, as it stands there and decoded."""
    hidden = {m[2] for pattern in (_LOGIN, _NO_HOST) for m in pattern.finditer(url)}
    hidden |= {m[2] for m in _PARAMETER.finditer(url) if _parameter(m) != m[0]}
    return (hidden | {unquote(secret) for secret in hidden}) - {"", MASK}


def _parameter(match: re.Match) -> str:
    is_open = unquote(match[1]).lower() in _OPEN
    return match[0] if is_open else f"{match[1]}={MASK}"
