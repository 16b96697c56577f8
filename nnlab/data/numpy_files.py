"""`Npz`: data sets in .npz files, as written by `numpy.savez`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data import labels
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import data_file
from nnlab.data.given_arrays import GIVEN_ARRAYS, read_example_arrays
from nnlab.data.image_shapes import CHANNEL_AXES, NORMALIZED_PER, ExampleAxes, example_axes
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.npz_members import NpzArrays, open_npz
from nnlab.errors import UserError, advise, list_names, nearest
from nnlab.hyperparameters import static

# In fewer rows, two numbers may look like one-hot rows by chance.
FEWEST_ONE_HOT_ROWS = 10
ROUNDING_SHARE = 1e-6  # how far one-hot values may be rounded, as a share of high - low
ARRAY_NAMES = (("X", "y", "X_test", "y_test"), ("X_train", "y_train", "X_test", "y_test"))


@dataclass(frozen=True)
class Npz(Data):
    """A file of `numpy.savez` with these arrays, in capitals or small letters:

        X (or X_train)  (N, d) real numbers
                        or images (N, rows, columns[, channels]); see `channels`
        y (or y_train)  (N,) text or numbers, or (N, m) numbers
        X_test, y_test  the test set, if there is one: no split draws it then
        weights         (N,) factors on the losses of the examples
        groups          (N,) none is in two parts of a split
        times           (N,) the past trains, what follows validates

    With `task: auto`, text and whole numbers with at most 20 values are classes. So are several columns with
    a single 1 in every row and 0 elsewhere, or any other two numbers in their place: one-hot classes, named
    by the column index, from 0. Arrays of Python objects are refused: reading them may run code.

    channels  which axis of an example has the channels of an image: see `example_axes`
    """

    name: ClassVar[str] = "npz"
    needs: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None = static(None)
    task: str = static("auto", choices=labels.TASK_CHOICES)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    channels: str = static("auto", choices=CHANNEL_AXES)
    normalization_per: str = static("auto", choices=NORMALIZED_PER)

    def read(self):
        path = data_file(self.path, "FILE, one of numpy.savez with arrays X and y")
        with open_npz(path) as arrays:
            x_name, y_name, x_test_name, y_test_name = _array_names(path, arrays.names)
            _refuse_without(path, (x_name, y_name), arrays.names)
            x, y = self._read_pair(path, arrays, x_name, y_name)
            tests = [name for name in (x_test_name, y_test_name) if name in arrays]
            if len(tests) == 1:
                absent = y_test_name if tests == [x_test_name] else x_test_name
                raise UserError(f"{path} has {tests[0]} but no {absent}: a test set is both")
            axes = self._axes(f"{path}: {x_name} has the shape {x.shape}", x.shape[1:])
            test = None
            known, count = (x_name, y_name, *tests, *GIVEN_ARRAYS), len(x)
            _advise_unused(path, [name for name in arrays.names if name not in known])
            given = [arrays.read(name) if name in arrays else None for name in GIVEN_ARRAYS]
            if tests:
                test_x, test_y = self._read_pair(path, arrays, x_test_name, y_test_name)
                _refuse_mismatch(path, x_name, x, test_x)
                _refuse_mismatch(path, y_name, y, test_y)
                test = np.arange(len(x), len(x) + len(test_x))
                x, y = np.concatenate([x, test_x]), np.concatenate([y, test_y])
        y, classes, kind = numpy_targets(y, self.task, f"{path}: {y_name}")
        if classes and test is not None:
            advise_test_only_class(path, y, classes, test)
        given = read_example_arrays(*given, count, len(x) - count, f"{path}: ")
        return Dataset(axes.flat(x), y, classes, axes.features, test, labels=kind, shape=axes.shape, **given)

    def _axes(self, what: str, axes: tuple[int, ...]) -> ExampleAxes:
        if self.channels == "auto" and len(axes) == 2 and 1 not in axes:
            rows, columns = axes
            advise(
                f"{what}: the {rows}x{columns} numbers of an example are {rows * columns:,} inputs, a grey "
                f"image; of signals, data.channels=first or last says which axis has their channels"
            )
        return example_axes(axes, self.channels, what)

    def _read_pair(self, path: Path, arrays: NpzArrays, x_name: str, y_name: str):
        """Inputs and targets, both (N, ...), finite."""
        x = arrays.read(x_name)
        if x.ndim < 2 or not x.size:
            raise UserError(f"{path}: {x_name} has the shape {x.shape}, expected (examples, inputs)")
        refuse_non_finite(path, x_name, x)
        if x.dtype.name == "uint64":
            x = x.astype(np.float64)
        y = arrays.read(y_name)
        if y.ndim not in (1, 2) or len(y) != len(x) or not y.size:
            expected_shape = f"({len(x)},) or ({len(x)}, outputs) like {x_name}"
            raise UserError(f"{path}: {y_name} has the shape {y.shape}, expected {expected_shape}")
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.dtype.kind != "U" or y.ndim == 2 or self.task == "regression":
            refuse_non_finite(path, y_name, y)
        return x, y


def numpy_targets(y: np.ndarray, task: str, what: str) -> labels.Targets:
    """y (N,) of classes or numbers, or (N, m) of numbers or one-hot classes; `what` names it in sentences."""
    if y.ndim == 1:
        return labels.encode_targets(y, task, what)
    one_hot = is_one_hot(y)
    if task == "classification" and not one_hot:
        raise UserError(
            f"{what} has the shape {y.shape}, but data.task=classification takes ({len(y)},), or "
            f"one-hot rows: a single 1 among 0s, or any two numbers in their places"
        )
    if task == "auto" and one_hot:
        advice = one_hot_advice(y, what, "data.task=regression")
        advise(advice)
    elif task == "auto" and ((y == 0) | (y == 1)).all():
        advise(_not_one_hot_advice(what, y))
    if task == "regression" or not one_hot:
        return labels.Targets(y.astype(np.float64))
    return labels.encode_targets(y.argmax(1), "classification", f"{what}, one-hot,")


def _array_names(path: Path, existing: list[str]) -> list[str]:
    """The names of X, y, X_test and y_test in the file; the default name of an absent one.

    Raises `UserError` where two names differ only in capitals: either may be meant.
    """
    lower = [name.lower() for name in existing]
    default_names = next((names for names in ARRAY_NAMES if names[0].lower() in lower), ARRAY_NAMES[0])
    matches = {name: [other for other in existing if other.lower() == name.lower()] for name in default_names}
    for same_name in matches.values():
        if len(same_name) > 1:
            raise UserError(f"{path} has both {' and '.join(same_name)}: leave out or rename one of them")
    return [next(iter(same_name), name) for name, same_name in matches.items()]


def _refuse_without(path: Path, needed: tuple[str, ...], existing: list[str]) -> None:
    """Raise `UserError` if X or y is not there."""
    for name in needed:
        if name not in existing:
            has = f"it has {list_names(existing, 6)}" if existing else "it has none"
            hint = nearest(name, existing) if existing and "mean" in nearest(name, existing) else ""
            raise UserError(
                f"{path} has no array {name}: {has}; expected X and y, or X_train and y_train{hint}"
            )


def _advise_unused(path: Path, names: list[str]) -> None:
    if names:
        shown_names = ", ".join(names[:5])
        if len(names) > 5:
            shown_names += ", ..."
        advise(f"{path}: of no use here, and not read: {shown_names}")


def _refuse_mismatch(path: Path, name: str, train: np.ndarray, test: np.ndarray) -> None:
    """Raise `UserError` unless examples of both have the same shape and kind."""
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"{path}: {name} has the shape {train.shape} and its test set {test.shape}: they differ in more "
            f"than the number of examples"
        )
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise UserError(f"{path}: of {name} and its test set one is text and the other numbers")


def advise_test_only_class(path: Path, y: np.ndarray, classes: tuple[str, ...], test: np.ndarray) -> None:
    """Advice, if a class occurs in the test set alone."""
    counts = np.bincount(np.delete(y, test), minlength=len(classes))
    for c in np.flatnonzero(counts == 0)[:1]:
        advice = f"{path}: class '{classes[c]}' is in the test set alone: no network can learn it"
        advise(advice)


def is_one_hot(y: np.ndarray) -> bool:
    """Whether every row of y (N, m), m > 1, has one high value and else low ones, the same two in all rows.

    They are 1 and 0 or, in more than a few rows, any two: 1 and -1, 255 and 0, 14/15 and 1/30 (smoothing).
    """
    if y.shape[1] < 2:
        return False
    low, high = y.min(), y.max()
    if (low, high) != (0, 1) and len(y) < FEWEST_ONE_HOT_ROWS:
        return False
    if y.dtype.kind == "f":
        rounding = ROUNDING_SHARE * (float(high) - float(low))
        is_high, is_low = y >= high - rounding, y <= low + rounding
    else:
        # Whole numbers are exact.
        is_high, is_low = y == high, y == low
    return bool((is_high.sum(1) == 1).all() and (is_high | is_low).all() and low < high)


def one_hot_advice(y: np.ndarray, name: str, otherwise: str) -> str:
    """Advice that y is read as one-hot classes; `otherwise` is the setting that keeps its numbers."""
    low, high = float(y.min()), float(y.max())
    code = "" if (low, high) == (0, 1) else f" in {low:.4g} and {high:.4g}"
    keep = f"{otherwise} trains its numbers as they are"
    return f"{name} is one-hot{code} and is read as classes, a column each; {keep}"


def _not_one_hot_advice(name: str, y: np.ndarray) -> str:
    return (
        f"{name} has {y.shape[1]} columns of 0s and 1s, but not exactly one 1 in every row, so they are "
        f"trained as numbers, not as classes; data.task=regression says so, and ends this advice"
    )


def refuse_non_finite(path: Path, name: str, values: np.ndarray) -> None:
    """Raise `UserError` unless all values are real and finite."""
    if values.dtype.kind not in labels.NUMERIC_DTYPE_KINDS:
        raise UserError(f"{path}: {name} has the dtype {values.dtype}, expected real numbers")
    if values.dtype.kind == "f":
        for index in np.argwhere(~np.isfinite(values))[:1]:
            where = ", ".join(map(str, index))
            raise UserError(f"{path}: {name}[{where}] is {values[tuple(index)]:g}, expected a finite number")
