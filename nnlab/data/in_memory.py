"""Arrays of a Python session as a data set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from nnlab.allowed import Allowed
from nnlab.choices import short_repr
from nnlab.data.dataset import Data, Dataset
from nnlab.data.example_arrays import refuse_wrong_arrays
from nnlab.data.given_arrays import read_example_arrays
from nnlab.data.image_shapes import CHANNEL_AXES, NORMALIZED_PER, ExampleAxes, example_axes
from nnlab.data.labels import MOST_INFERRED_CLASSES, TASK_CHOICES, Targets, encode_targets
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.numpy_files import is_one_hot, one_hot_advice
from nnlab.data.other_libraries import TEXT_DTYPE_KINDS, refuse_different_indexes, refuse_text, to_numpy
from nnlab.errors import UserError, advise
from nnlab.hyperparameters import static

FILE_DATA_SETS = "nnlab.Csv(path, target), nnlab.Npz(path) or nnlab.Idx(folder)"


@dataclass(frozen=True, repr=False)
class Arrays(Data):
    """Inputs x (N, d) and targets y (N,) or (N, m): numpy arrays, tensors, data frames, series, lists.

    An example with several dimensions may be an image: see `channels`. With `task: auto`

        text, truth values, whole numbers with at most 20 values  are classes
        several columns, of which one is 1 and the others are 0   are classes, one-hot
        other whole numbers                                       are refused: say which
        floats                                                    are numbers: a regression

    x_test, y_test  the data's own test set: none is then drawn from x
    weights         (N,) at least 0: factors on the losses of the examples of x
    groups          (N,) of any values, such as patients: none is then in two parts of a split
    times           (N,) numbers or dates: the past trains, what follows validates, the last tests
    features        names of the inputs; by default those of the columns of a data frame
    task            auto, classification, regression
    target_normalization  of numbers: standard, robust, minmax, maxabs, none
    targets         names of the targets; by default those of y's columns, or that of a series
    channels        which axis of an example has the channels: auto takes (N, rows, columns) for grey
                    images, (N, 1, length) for signals, and of (N, a, b, c) the axis a or c that has 1 to 4;
                    first, and then (N, length) are signals of one channel; last; none: examples are vectors

    The arrays are copied, and two `Arrays` with equal content are equal. Raises `UserError` for values that
    are missing, infinite or not numbers, and for ragged lists.

    >>> Arrays([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["a", "b", "a"])
    Arrays(3 x 2, 2 classes)
    """

    name: ClassVar[str] = "arrays"
    x: np.ndarray = field(compare=False)
    y: np.ndarray = field(compare=False)
    x_test: np.ndarray | None = field(default=None, compare=False)
    y_test: np.ndarray | None = field(default=None, compare=False)
    features: tuple[str, ...] = static(())
    task: str = static("auto", choices=TASK_CHOICES)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    targets: tuple[str, ...] = static(())
    weights: np.ndarray | None = field(default=None, compare=False)
    groups: np.ndarray | None = field(default=None, compare=False)
    times: np.ndarray | None = field(default=None, compare=False)
    channels: str = static("auto", choices=CHANNEL_AXES)
    normalization_per: str = static("auto", choices=NORMALIZED_PER)
    content: str = field(init=False, default="", metadata={"kind": "static", "allowed": Allowed()})

    def __post_init__(self):
        super().__post_init__()
        dataset, arrays = self._validate()
        # Two ways of saying the same must be equal, so `auto` and absent names are written out.
        canonical = {
            "features": dataset.features,
            "targets": dataset.target_names,
            "task": dataset.spec.task,
            "channels": "first" if len(dataset.shape) > 1 else "none",
            "content": f"{dataset.fingerprint()} {dataset.labels} {dataset.shape}",
            "_dataset": dataset,
        }
        for key, value in (arrays | canonical).items():
            object.__setattr__(self, key, value)

    def _validate(self) -> tuple[Dataset, dict[str, np.ndarray | None]]:
        """The data set, and the arrays by name as copies that nobody changes; raises `UserError`."""
        refuse_different_indexes(self.x, self.y, "x", "y")
        images, names = _read_inputs(self.x, "x")
        axes = self._axes(images, "x")
        x = axes.flat(images)
        if isinstance(self.y, str) and self.y in names:
            raise UserError(f"y = '{self.y}': that is a column of x; write x.drop(columns=y) and x[y]")
        y, target_names = _read_targets(self.y, "y", self.task)
        _refuse_different_lengths(x, y, "x", "y")
        features = self.features or names
        if len(features) not in (0, x.shape[1]):
            raise UserError(f"features has {len(features)} names, and x has {x.shape[1]} columns")
        test = x_test = y_test = None
        if self.x_test is not None or self.y_test is not None:
            test = x_test, y_test = self._read_test_set(x, y, names, axes)
        tests = 0 if test is None else len(x_test)
        given = read_example_arrays(self.weights, self.groups, self.times, len(x), tests)
        arrays = {"y": y, "y_test": y_test}
        # In the shape of an example, so that a copy with other settings knows it.
        arrays |= {
            name: None if array is None else array.reshape(-1, *axes.shape)
            for name, array in (("x", x), ("x_test", x_test))
        }
        arrays |= {name: array[: len(x)] for name, array in given.items()}
        for array in arrays.values():
            if array is not None:
                array.flags.writeable = False  # data are keys of a cache, so they must not change
        dataset = replace(_dataset(x, y, test, features, self.task), shape=axes.shape, **given)
        refuse_wrong_arrays(dataset)
        return replace(dataset, target_names=self.targets or target_names), arrays

    def __repr__(self):
        if self.x_test is None:
            return f"Arrays({self._dataset.spec.size})"
        return f"Arrays({self._dataset.spec.size}, {len(self.x_test)} of them to test)"

    def read(self):
        return self._dataset

    def _axes(self, x: np.ndarray, name: str) -> ExampleAxes:
        return example_axes(x.shape[1:], self.channels, f"{name} has the shape {x.shape}", "channels=")

    def _read_test_set(self, x, y, names, axes: ExampleAxes) -> tuple[np.ndarray, np.ndarray]:
        for name, value in (("x_test", self.x_test), ("y_test", self.y_test)):
            if value is None:
                raise UserError(f"{name} is missing: a test set is x_test and y_test, both or neither")
        refuse_different_indexes(self.x_test, self.y_test, "x_test", "y_test")
        test_x, test_names = _read_inputs(self.x_test, "x_test")
        if len(axes.axes) > 1:
            if test_x.shape[1:] != axes.axes:
                raise UserError(f"x_test has the shape {test_x.shape}, and an example of x {axes.axes}")
            test_x = axes.flat(test_x)
        test_x = test_x.reshape(len(test_x), -1)
        test_y, _ = _read_targets(self.y_test, "y_test", self.task)
        _refuse_different_lengths(test_x, test_y, "x_test", "y_test")
        if test_x.shape[1] != x.shape[1]:
            raise UserError(f"x_test has {test_x.shape[1]} inputs, and x has {x.shape[1]}")
        if names and test_names and names != test_names:
            differs = next(i for i, (a, b) in enumerate(zip(names, test_names, strict=True)) if a != b)
            raise UserError(
                f"x_test has the column {test_names[differs]!r} where x has {names[differs]!r}: expected the "
                f"same columns in the same order"
            )
        if test_y.shape[1:] != y.shape[1:]:
            raise UserError(f"y_test has the shape {test_y.shape}, expected that of y, {y.shape}")
        if (test_y.dtype.kind in TEXT_DTYPE_KINDS) != (y.dtype.kind in TEXT_DTYPE_KINDS):
            kind, test_kind = (_text_or_numbers(values) for values in (y, test_y))
            raise UserError(f"y_test has {test_kind}, and y has {kind}")
        return test_x, test_y


def arrays_from(value) -> Arrays | None:
    """(x, y), or (x, y, x_test, y_test), as data; None for anything else.

    Raises `UserError` for what a user may take for data, such as x alone or the name of a file.
    """
    if isinstance(value, tuple) and len(value) in (2, 4):
        return Arrays(*value)
    if isinstance(value, type):  # a class of data with a setting `shape` is not an array
        return None
    if isinstance(value, Dataset) or hasattr(value, "shape") or isinstance(value, (list, tuple)):
        raise UserError(f"data = {short_repr(value)}: write nnlab.Arrays(x, y), inputs and targets")
    if isinstance(value, str) and ("." in value or "/" in value):
        raise UserError(f"data = '{value}': data in a file are {FILE_DATA_SETS}")
    return None


def _text_or_numbers(values: np.ndarray) -> str:
    return "text" if values.dtype.kind in TEXT_DTYPE_KINDS else "numbers"


def _read_inputs(value, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """x (N, d) or (N, ...) and its columns' names."""
    x, names = to_numpy(value, name)
    if x.ndim == 1:
        raise UserError(
            f"{name} has the shape {x.shape}, expected (examples, inputs); one input is {name}.reshape(-1, 1)"
        )
    refuse_text(x, name, names)
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    return x, names


def _read_targets(value, name: str, task: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """y (N,) or (N, m), one-hot classes as (N,) names; and the names of the targets, if any."""
    y, names = to_numpy(value, name)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1:
        return y, names
    if y.ndim > 2:
        raise UserError(f"{name} has the shape {y.shape}, expected (examples,) or (examples, outputs)")
    refuse_text(y, name, names)
    one_hot = is_one_hot(y)
    if task == "classification" and not one_hot:
        raise UserError(
            f"{name} has the shape {y.shape}, but task='classification' takes ({len(y)},), or one-hot rows: "
            f"a single 1 among 0s, or any two numbers in their places"
        )
    if one_hot and task != "regression":
        # Names of equal length keep the order of the columns when they are sorted.
        if task == "auto" and (y.min(), y.max()) != (0, 1):
            advise(one_hot_advice(y, name, "task='regression'"))
        labels = names or [str(i).rjust(len(str(y.shape[1] - 1)), "0") for i in range(y.shape[1])]
        return np.array(labels)[y.argmax(1)], ()
    return y.astype(np.float64), names


def _refuse_different_lengths(x, y, *names: str) -> None:
    if len(x) != len(y):
        raise UserError(f"{names[0]} has {len(x)} examples, and {names[1]} has {len(y)}")


def _dataset(x, y, test, features, task: str) -> Dataset:
    """All examples, those of a test set last."""
    count = len(x)
    if test is not None:
        x, y = (np.concatenate(pair) for pair in zip((x, y), test, strict=True))
    if y.ndim == 2:
        y, classes, labels = Targets(y.astype(np.float64))
    else:
        y, classes, labels = encode_targets(y, _infer_task(y, task), "y")
    if test is None:
        return Dataset(x, y, classes, features, labels=labels)
    if classes:
        unseen = np.setdiff1d(y[count:], y[:count])
        if len(unseen):
            raise UserError(f"y_test has the class '{classes[unseen[0]]}', which y does not have")
    return Dataset(x, y, classes, features, np.arange(count, len(x)), labels=labels)


def _infer_task(y: np.ndarray, task: str) -> str:
    """What `auto` means for a column y (N,)."""
    kind = y.dtype.kind
    if kind in TEXT_DTYPE_KINDS and task == "regression":
        raise UserError(f"y is text, {str(y[0])!r}, and task='regression' takes numbers")
    if task != "auto":
        return task
    if kind in TEXT_DTYPE_KINDS or kind == "b":
        return "classification"
    values = np.unique(y)
    are_few = len(values) <= MOST_INFERRED_CLASSES
    if kind == "f":
        # Few values that come again and again: numbers are rarely so.
        if are_few and (values == np.floor(values)).all() and len(values) < math.sqrt(len(y)):
            _advise_classes(values)
        return "regression"
    if not are_few:
        raise UserError(
            f"y has {len(values)} different whole numbers, which may be classes or amounts: say "
            f"task='classification' or task='regression' to nnlab.Arrays, or give amounts as floats"
        )
    return "classification"


def _advise_classes(values: np.ndarray) -> None:
    shown_values = ", ".join(f"{v:g}" for v in values[:3])
    if len(values) > 3:
        shown_values += ", ..."
    advise(
        f"y has only the floats {shown_values} and is trained as numbers; if they are classes, give them as "
        f"whole numbers or say task='classification'"
    )
