"""Files that users bring: finding and opening them, and telling classes from numbers in a target."""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nnlab.errors import UserError, nearest

TASKS = ("auto", "classification", "regression")
CLASSES = 20  # whole numbers of at most so many values are classes, unless data.task says otherwise


def path_of(path: str | None, what: str) -> Path:
    """`data.path` as a path; raises `UserError` if it is not set."""
    if not path:
        raise UserError(f"data.path = {'null' if path is None else repr(path)}: write data.path={what}")
    return Path(path).expanduser()


def file_of(path: str | None, what: str) -> Path:
    """The file at `data.path`; raises `UserError` with the nearest name if there is none."""
    file = path_of(path, what)
    if file.is_dir():
        raise UserError(f"data.path = '{path}' is a folder: write data.path={what}")
    if not file.exists():
        raise missing(file)
    return file


def missing(file: Path) -> UserError:
    """`there is no file data/churm.csv; did you mean 'churn.csv'?`"""
    if not file.parent.is_dir():
        return UserError(f"there is no file {file}: there is no folder {file.parent}")
    hint = nearest(file.name, [other.name for other in file.parent.iterdir()])
    return UserError(f"there is no file {file}{hint if 'mean' in hint else ''}")


@contextmanager
def opened(path: Path, mode: str = "rb"):
    """The file, unpacked if it is gzip's; what goes wrong in reading it is a `UserError` that names it."""
    try:
        with open(path, "rb") as start:
            packed = start.read(2) == b"\x1f\x8b"
        text = {} if "b" in mode else {"encoding": "utf-8-sig", "newline": ""}
        with (gzip.open if packed else open)(path, mode, **text) as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise UserError(f"{path} is a damaged gzip file: {e}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path} is not text in UTF-8: {e.reason} at byte {e.start}") from e
    except csv.Error as e:
        raise UserError(f"{path} is no table: {e}") from e
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror or e}") from e


def targets(y: np.ndarray, task: str, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(y, classes) of a `Dataset` from the target column y (N,), text or finite numbers.

    By `auto`, text and whole numbers of at most 20 values are classes. Classes are sorted.
    """
    if task == "regression" or task == "auto" and not are_classes(y):
        return y.astype(np.float64)[:, None], ()
    values, number = np.unique(y, return_inverse=True)
    names = tuple(_label(v) for v in values.tolist())
    if len(names) < 2:
        raise UserError(f"{where} has only one class, '{names[0]}': there is nothing to tell apart")
    return number, names


def are_classes(y: np.ndarray) -> bool:
    """Whether `auto` takes them for classes."""
    return y.dtype.kind not in "biuf" or bool((y == np.floor(y)).all()) and len(np.unique(y)) <= CLASSES


def _label(value) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole or isinstance(value, bool) else str(value)
