"""Arrays in numpy's own files."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import TASKS, file_of, targets
from nnlab.data.normalization import CHOICES
from nnlab.errors import Advice, UserError, nearest
from nnlab.fields import static

_DAMAGED = (  # what reading a file raises that is not what it seems
    ValueError, TypeError, EOFError, OSError, RuntimeError, MemoryError, OverflowError, KeyError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Npz(Data):
    """A file of `numpy.savez`: X (N, d), real numbers; y (N,), text or numbers, or (N, m) numbers.

    `task: auto` takes text and whole numbers of at most 20 values for classes, and so several columns of 0
    with a single 1 in every row: classes one-hot, named by the column's number from 0. Arrays of Python
    objects are refused: to read them is to run whatever the file says.
    """

    name: ClassVar[str] = "npz"
    path: str | None = static(None)
    task: str = static("auto", choices=TASKS)
    target_normalization: str = static("standard", choices=CHOICES)

    def read(self):
        path = file_of(self.path, "FILE, one of numpy.savez with arrays X and y")
        x, y = arrays(path, ("X", "y"))
        if x.ndim != 2 or not x.size:
            raise UserError(f"{path}: X has the shape {x.shape}, expected (examples, inputs)")
        if y.ndim not in (1, 2) or len(y) != len(x) or not y.size:
            n = len(x)
            raise UserError(f"{path}: y has the shape {y.shape}, expected ({n},) or ({n}, outputs) like X")
        check_numbers(path, "X", x)
        if y.dtype.kind != "U" or self.task == "regression":
            check_numbers(path, "y", y)
        return Dataset(x, *self._targets(path, y))

    def _targets(self, path: Path, y: np.ndarray):
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim == 1:
            return targets(y, self.task, f"{path}: y")
        check_numbers(path, "y", y)
        one_hot = is_one_hot(y)
        if self.task == "classification" and not one_hot:
            raise UserError(
                f"{path}: y has the shape {y.shape}, but data.task=classification takes ({len(y)},), or "
                f"one-hot rows: a single 1 among 0s"
            )
        if self.task == "auto" and ((y == 0) | (y == 1)).all():
            warnings.warn(_taken_for(path, y, one_hot), Advice, stacklevel=2)
        if self.task == "regression" or not one_hot:
            return y.astype(np.float64), ()
        return targets(y.argmax(1), "classification", f"{path}: y, one-hot,")


def is_one_hot(y: np.ndarray) -> bool:
    """Whether every row of y (N, m), m > 1, is 0 but for a single 1."""
    return y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(1, dtype=np.int64) == 1).all())


def _taken_for(path: Path, y: np.ndarray, one_hot: bool) -> str:
    """How columns of 0s and 1s are read, and the other way."""
    if one_hot:
        return (
            f"{path}: y is one-hot and is read as classes, a column each; data.task=regression trains its 0s "
            f"and 1s as numbers"
        )
    return (
        f"{path}: y has {y.shape[1]} columns of 0s and 1s and not a single 1 in every row, so they are no "
        f"classes: they are trained as numbers, which data.task=regression says without this advice"
    )


def arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """The named arrays of the file; nothing in it is executed."""
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            for name in names:
                if name not in file:
                    raise UserError(f"{path} has no array {name}{nearest(name, file.files or ['X', 'y'])}")
            return [_array(path, file, name) for name in names]
    except UserError:
        raise
    except _DAMAGED as e:
        raise UserError(f"{path} is not a file of numpy.savez, or it is damaged") from e


def _array(path: Path, file, name: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError as e:
        if "pickle" not in str(e):
            raise
        raise UserError(
            f"{path}: {name} holds Python objects, which could run code when read; save numbers or text"
        ) from e


def check_numbers(path: Path, name: str, values: np.ndarray) -> None:
    """Raises `UserError` unless they are real and finite."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: {name} has the dtype {values.dtype}, expected real numbers")
    if values.dtype.kind == "f":
        for place in np.argwhere(~np.isfinite(values))[:1]:
            where = ", ".join(map(str, place))
            raise UserError(f"{path}: {name}[{where}] is {values[tuple(place)]:g}, expected a finite number")
