"""Arrays in numpy's own files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data import labels
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import file_of
from nnlab.data.normalization import CHOICES
from nnlab.data.npz_members import Arrays, opened_arrays
from nnlab.errors import Advice, UserError
from nnlab.hyperparameters import static

FEWEST = 10  # rows; in fewer, two numbers may lie like a code by chance
ROUNDING = 1e-6  # of the difference between the two
NAMES = (("X", "y", "X_test", "y_test"), ("X_train", "y_train", "X_test", "y_test"))


@dataclass(frozen=True)
class Npz(Data):
    """A file of `numpy.savez`: X (N, d), real numbers, or images (N, rows, columns[, channels]), whose pixels
    are then the inputs; y (N,), text or numbers, or (N, m) numbers. X_test and y_test, if they are there, are
    the test set, so no split draws one. X_train and y_train are as good, and so are small letters or capitals
    in any of them.

    `task: auto` takes text and whole numbers of at most 20 values for classes, and so several columns of 0
    with a single 1 in every row, or of any two numbers in their places: classes one-hot, named by the
    column's number from 0. Arrays of Python objects are refused: to read them is to run whatever the file
    says.
    """

    name: ClassVar[str] = "npz"
    needs: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None = static(None)
    task: str = static("auto", choices=labels.TASKS)
    target_normalization: str = static("standard", choices=CHOICES)

    def read(self):
        path = file_of(self.path, "FILE, one of numpy.savez with arrays X and y")
        with opened_arrays(path) as arrays:
            of_x, of_y, of_test_x, of_test_y = _named(path, arrays.names)
            x, y = self._pair(path, arrays, of_x, of_y)
            tests = [name for name in (of_test_x, of_test_y) if name in arrays]
            if len(tests) == 1:
                absent = of_test_y if tests == [of_test_x] else of_test_x
                raise UserError(f"{path} has {tests[0]} but no {absent}: a test set is both")
            test, features = None, _features(path, of_x, x)
            _say_unused(path, [name for name in arrays.names if name not in (of_x, of_y, *tests)])
            if tests:
                test_x, test_y = self._pair(path, arrays, of_test_x, of_test_y)
                for name, own, other in ((of_x, x, test_x), (of_y, y, test_y)):
                    _check_alike(path, name, own, other)
                test = np.arange(len(x), len(x) + len(test_x))
                x, y = np.concatenate([x, test_x]), np.concatenate([y, test_y])
        y, classes, kind = self._targets(path, of_y, y)
        if classes and test is not None:
            _say_untrained(path, y, classes, test)
        return Dataset(x.reshape(len(x), -1), y, classes, features, test, labels=kind)

    def _pair(self, path: Path, arrays: Arrays, of_x: str, of_y: str):
        """Inputs and targets, both (N, ...), finite."""
        x = arrays.read(of_x)
        if x.ndim < 2 or not x.size:
            raise UserError(f"{path}: {of_x} has the shape {x.shape}, expected (examples, inputs)")
        check_numbers(path, of_x, x)
        x = x.astype(np.float64) if x.dtype.name == "uint64" else x
        y = arrays.read(of_y)
        if y.ndim not in (1, 2) or len(y) != len(x) or not y.size:
            wanted = f"({len(x)},) or ({len(x)}, outputs) like {of_x}"
            raise UserError(f"{path}: {of_y} has the shape {y.shape}, expected {wanted}")
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.dtype.kind != "U" or y.ndim == 2 or self.task == "regression":
            check_numbers(path, of_y, y)
        return x, y

    def _targets(self, path: Path, name: str, y: np.ndarray) -> labels.Targets:
        if y.ndim == 1:
            return labels.targets(y, self.task, f"{path}: {name}")
        one_hot = is_one_hot(y)
        if self.task == "classification" and not one_hot:
            raise UserError(
                f"{path}: {name} has the shape {y.shape}, but data.task=classification takes ({len(y)},), or "
                f"one-hot rows: a single 1 among 0s, or any two numbers in their places"
            )
        if self.task == "auto" and one_hot:
            said = taken_for_classes(y, f"{path}: {name}", "data.task=regression")
            warnings.warn(said, Advice, stacklevel=2)
        elif self.task == "auto" and ((y == 0) | (y == 1)).all():
            warnings.warn(_taken_for_numbers(f"{path}: {name}", y), Advice, stacklevel=2)
        if self.task == "regression" or not one_hot:
            return labels.Targets(y.astype(np.float64))
        return labels.targets(y.argmax(1), "classification", f"{path}: {name}, one-hot,")


def _named(path: Path, there: list[str]) -> list[str]:
    """What inputs, targets and those of the test set are called in the file; of an absent one its usual name.
    Raises `UserError` where two differ in capitals alone: either may be meant."""
    lower = [name.lower() for name in there]
    usual = next((names for names in NAMES if names[0].lower() in lower), NAMES[0])
    alike = {name: [other for other in there if other.lower() == name.lower()] for name in usual}
    for several in alike.values():
        if len(several) > 1:
            raise UserError(f"{path} has both {' and '.join(several)}: leave out or rename one of them")
    return [several[0] if several else name for name, several in alike.items()]


def _features(path: Path, name: str, x: np.ndarray) -> tuple[str, ...]:
    """Names of the inputs that images become, and a word that they do."""
    if x.ndim == 2:
        return ()
    inputs = x[0].size
    said = "x".join(map(str, x.shape[1:]))
    note = f"{path}: {name} has the shape {x.shape}: the {said} numbers of an example are {inputs:,} inputs"
    warnings.warn(note, Advice, stacklevel=3)
    return tuple("pixel_" + "_".join(map(str, place)) for place in np.ndindex(x.shape[1:]))


def _say_unused(path: Path, names: list[str]) -> None:
    if names:
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        warnings.warn(f"{path}: of no use here, and not read: {some}", Advice, stacklevel=3)


def _check_alike(path: Path, name: str, train: np.ndarray, test: np.ndarray) -> None:
    """Raises `UserError` unless an example of one is as an example of the other."""
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"{path}: {name} has the shape {train.shape} and its test set {test.shape}: they differ in more "
            f"than the number of examples"
        )
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise UserError(f"{path}: of {name} and its test set one is text and the other numbers")


def _say_untrained(path: Path, y: np.ndarray, classes: tuple[str, ...], test: np.ndarray) -> None:
    """Advice, if a class is in the test set alone."""
    trained = np.bincount(np.delete(y, test), minlength=len(classes))
    for c in np.flatnonzero(trained == 0)[:1]:
        said = f"{path}: class '{classes[c]}' is in the test set alone: no network can learn it"
        warnings.warn(said, Advice, stacklevel=3)


def is_one_hot(y: np.ndarray) -> bool:
    """Whether every row of y (N, m), m > 1, is one high value among equal low ones, the same two in all rows.

    They are 1 and 0, or, in more than a few rows, any two: -1 and 1, 0 and 255, 1/30 and 14/15 (smoothed).
    """
    if y.shape[1] < 2:
        return False
    low, high = y.min(), y.max()
    if (low, high) != (0, 1) and len(y) < FEWEST:
        return False
    rounding = ROUNDING * (float(high) - float(low)) if y.dtype.kind == "f" else 0
    is_high, is_low = (y >= high - rounding, y <= low + rounding) if rounding else (y == high, y == low)
    return bool((is_high.sum(1) == 1).all() and (is_high | is_low).all() and low < high)


def taken_for_classes(y: np.ndarray, name: str, otherwise: str) -> str:
    """Advice on a one-hot y: `otherwise` is the setting by which its numbers stay numbers."""
    low, high = float(y.min()), float(y.max())
    code = "" if (low, high) == (0, 1) else f" in {low:.4g} and {high:.4g}"
    numbers = f"{otherwise} trains its numbers as they are"
    return f"{name} is one-hot{code} and is read as classes, a column each; {numbers}"


def _taken_for_numbers(name: str, y: np.ndarray) -> str:
    return (
        f"{name} has {y.shape[1]} columns of 0s and 1s and not a single 1 in every row, so they are "
        f"no classes: they are trained as numbers, which data.task=regression says without this advice"
    )


def check_numbers(path: Path, name: str, values: np.ndarray) -> None:
    """Raises `UserError` unless they are real and finite."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: {name} has the dtype {values.dtype}, expected real numbers")
    if values.dtype.kind == "f":
        for place in np.argwhere(~np.isfinite(values))[:1]:
            where = ", ".join(map(str, place))
            raise UserError(f"{path}: {name}[{where}] is {values[tuple(place)]:g}, expected a finite number")
