"""What data say of each example beside x and y: its weight, group and time, and its part of a split."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError

PARTS = ("train", "validation", "test")  # 0, 1, 2 in `Dataset.parts`
EXAMPLE_ARRAYS = ("weights", "groups", "times", "parts")  # fields of a `Dataset`
REAL_DTYPE_KINDS = "iuf"


def refuse_wrong_arrays(dataset) -> None:
    """Raise `UserError` where such an array does not fit the examples or has a value that is not allowed, or
    where no example is left to train on."""
    if not len(dataset.x):
        raise UserError("there are no examples")
    for name in EXAMPLE_ARRAYS:
        values = getattr(dataset, name)
        if values is None:
            continue
        if values.shape != (len(dataset.x),):
            raise UserError(
                f"{name} has the shape {values.shape}, expected ({len(dataset.x)},): one for each example"
            )
        if values.dtype.kind not in REAL_DTYPE_KINDS:
            raise UserError(f"{name} has the dtype {values.dtype}, expected numbers")
        for i in np.flatnonzero(~np.isfinite(values))[:1]:
            raise UserError(f"{name}[{i}] is {values[i]:g}, expected a finite number")
    if dataset.groups is not None and dataset.groups.dtype.kind == "f":
        raise UserError(f"groups has the dtype {dataset.groups.dtype}, expected whole numbers")
    if dataset.parts is not None:
        _refuse_wrong_parts(dataset)
    given = [dataset.given(part) for part in PARTS[1:]]
    if sum(len(indices) for indices in given if indices is not None) == len(dataset.x):
        raise UserError("no example trains: all validate or test")
    if dataset.weights is not None:
        _refuse_wrong_weights(dataset.weights)


def _refuse_wrong_parts(dataset) -> None:
    for i in np.flatnonzero(~np.isin(dataset.parts, range(len(PARTS))))[:1]:
        allowed = ", ".join(f"{number} ({part})" for number, part in enumerate(PARTS))
        raise UserError(f"parts[{i}] is {dataset.parts[i]}; allowed: {allowed}")
    tests = dataset.parts == PARTS.index("test")
    if dataset.test is not None:
        if tests.any() and not np.array_equal(np.flatnonzero(tests), dataset.test):
            raise UserError("the data have a test set of their own, and other examples whose part is test")
        tests[dataset.test] = True
    validates = dataset.parts == PARTS.index("validation")
    if (tests & validates).any():
        raise UserError("the data have a test set of their own, and in it examples whose part is validation")


def _refuse_wrong_weights(weights: np.ndarray) -> None:
    for i in np.flatnonzero(weights < 0)[:1]:
        raise UserError(f"weights[{i}] is {weights[i]:g}, expected a number at least 0")
    if not weights.any():
        raise UserError("weights are 0 for all examples, so that there is nothing to train on")
