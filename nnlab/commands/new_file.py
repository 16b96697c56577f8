"""Output files: the path must be new, in a folder that exists; write errors name the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnlab.errors import MachineFault, UserError, is_machine_error


def new_file(key: str, text: str, endings: Sequence[str]) -> Path:
    """The path that `key` is given, which has one of the endings or none. Raises `UserError` where nothing
    new can be written."""
    if not text:
        raise UserError(f"{key} = '': expected the name of a file")
    path = Path(text).expanduser()
    if path.is_dir():
        raise UserError(f"{key} = '{text}' is a folder: name a file, or write hydra.run.dir={text}")
    if path.suffix and path.suffix.lower() not in endings:
        expected = " or ".join(endings)
        raise UserError(f"{key} = '{text}': expected a name that ends in {expected}, or has no ending")
    if path.is_symlink() or path.exists():
        raise UserError(f"{key} = '{text}' exists already: choose another name, or remove it")
    if not path.parent.is_dir():
        raise UserError(f"{key} = '{text}': there is no folder '{path.parent}'")
    return path


@contextmanager
def naming_output(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing into one sentence about the file."""
    try:
        yield
    except OSError as e:
        kind = MachineFault if is_machine_error(e) else UserError
        raise kind(f"'{path}' cannot be written: {e.strerror}") from e
