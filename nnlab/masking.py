"""Masking of passwords in URLs, wherever one is shown or written: `postgresql://me:***@host/studies`."""

import re
from urllib.parse import unquote

PASSWORD_MASK = "***"
# From the first colon after the user's name to the last @: an unquoted password may contain both characters.
_LOGIN_PATTERN = re.compile(r"((?:\w[\w+.-]*://)?[^:/?@'\"\s]*):(?!//)(.*)(?=@)", re.DOTALL)
# If the host was forgotten, the password stands where a port would be.
_NO_HOST_PATTERN = re.compile(
    r"(://[^:/?@'\"\[\]\s]*):([^/?@'\"\s]*[^\d/?@'\"\s][^/?@'\"\s]*)(?=[/?'\"\s]|$)"
)
_PARAMETER_PATTERN = re.compile(r"(?<=[?&;])([^=&;?'\"\s]+)=([^&;'\"\s]*)")
# Any other parameter may be a secret.
_PUBLIC_PARAMETERS = {
    "host", "hostaddr", "port", "user", "dbname", "sslmode", "charset", "timeout", "connect_timeout",
    "application_name", "unix_socket", "mode", "uri", "cache", "target_session_attrs",
}  # fmt: skip


def mask_password(url: str) -> str:
    """The URL with `***` in place of its password, and of every parameter that may be secret.

    >>> mask_password("mysql://me:secret@host/studies?ssl_key=abc")
    'mysql://me:***@host/studies?ssl_key=***'
    """
    url = _LOGIN_PATTERN.sub(rf"\1:{PASSWORD_MASK}", url)
    url = _NO_HOST_PATTERN.sub(lambda m: m[0] if m[2] == PASSWORD_MASK else f"{m[1]}:{PASSWORD_MASK}", url)
    return _PARAMETER_PATTERN.sub(_parameter, url)


def mask_passwords(text: str) -> str:
    """The text with the password of every URL in it masked."""
    # One slash is enough: a URL that was taken for a path has lost the other.
    if ":/" not in text:
        return text
    return re.sub(r"\w[\w+.-]*:/\S+", lambda m: mask_password(m[0]), text)


def secrets(url: str) -> set[str]:
    """What `mask_password` hides in the URL, as it is written and decoded."""
    hidden = {m[2] for pattern in (_LOGIN_PATTERN, _NO_HOST_PATTERN) for m in pattern.finditer(url)}
    hidden |= {m[2] for m in _PARAMETER_PATTERN.finditer(url) if _parameter(m) != m[0]}
    return (hidden | {unquote(secret) for secret in hidden}) - {"", PASSWORD_MASK}


def _parameter(match: re.Match) -> str:
    if unquote(match[1]).lower() in _PUBLIC_PARAMETERS:
        return match[0]
    return f"{match[1]}={PASSWORD_MASK}"
