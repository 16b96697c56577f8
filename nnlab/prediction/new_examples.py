"""Converts new examples to a model's arrays: input columns matched by name, labels to class indices."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from nnlab.data.encoders import wrong_raw_value
from nnlab.data.encoding import Encoding
from nnlab.data.image_shapes import in_shape
from nnlab.data.labels import class_name
from nnlab.data.numpy_files import is_one_hot
from nnlab.data.other_libraries import TEXT_DTYPE_KINDS, refuse_text, to_numpy
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, advise, nearest, quote_names, shortened
from nnlab.suggestions import hint

EXPECTED_NUMBER = "a number: the model was trained on numbers there"


class WrongExample(UserError):
    """An example that a model does not take: `name[example]`, an argument and its index, and the fault."""

    def __init__(self, name: str, example: int, fault: str):
        super().__init__(f"{name}[{example}]{fault}")
        self.name, self.example, self.fault = name, example, fault


def validate_inputs(x, spec: DataSpec, channels: str = "auto") -> np.ndarray:
    """x as an array (n, d) of finite numbers; of a spec with columns raw (n, d_raw), with NaN where a number
    is missing, from such an array or from a data frame with the columns of training.

    Images (n, *shape) may have their channels at the end; where both may be, `channels` of the training data
    decides. A table whose columns have names is matched by them; further columns are ignored with one
    `Advice`, the targets' without. Raises `UserError`.
    """
    if spec.columns:
        return _raw_of_frame(x, spec) if _is_frame(x) else _raw_inputs(x, spec.encoding)
    x = _select_columns(x, spec.features, "x", ignored=spec.targets)
    values, names = to_numpy(x, "x", EXPECTED_NUMBER)
    shape = " x ".join(map(str, spec.shape))
    if values.ndim == 1:
        instead = "x.reshape(-1, 1)" if spec.inputs == 1 else "x.reshape(1, -1)"
        raise UserError(
            f"x has the shape {values.shape}, expected (examples, {shape}); one example is {instead}"
            if spec.inputs > 1
            else f"x has the shape {values.shape}, expected (examples, 1): {instead}"
        )
    refuse_text(values, "x", names, EXPECTED_NUMBER)
    examples = in_shape(values, spec.shape, channels)
    if examples is None:
        raise UserError(
            f"x has the shape {values.shape}, and an example {math.prod(values.shape[1:]):,} numbers; the "
            f"model was trained on examples of {shape}"
        )
    return examples


def _is_frame(x) -> bool:
    """Whether it is a data frame, or a dict of columns, and not an array."""
    return isinstance(x, dict) or any(hasattr(x, name) for name in ("columns", "column_names"))


def _raw_of_frame(x, spec: DataSpec) -> np.ndarray:
    """The raw numbers (n, d_raw) of a data frame whose columns are those of training."""
    from nnlab.tables.data_frames import arrow_table  # imports pyarrow
    from nnlab.tables.new_rows import NewRows

    table = arrow_table(x, "x")
    rows = NewRows(spec.columns, table.column_names, "x", ignored=spec.targets)
    raw = rows.raw(table, lambda row: f"x[{row}]")
    rows.advise()
    return raw


def _raw_inputs(x, encoding: Encoding) -> np.ndarray:
    """x as an array (n, d_raw) of numbers and codes; see `Column.raw`."""
    values, names = to_numpy(x, "x", EXPECTED_NUMBER, missing=True)
    refuse_text(values, "x", names, EXPECTED_NUMBER)
    if values.ndim != 2 or values.shape[1] != encoding.raw_width:
        raise UserError(f"x has the shape {values.shape}, expected (examples, {encoding.raw_width})")
    values = values.astype(np.float64)
    if wrong := wrong_raw_value(values, encoding):
        raise WrongExample("x", *wrong)
    return values


def validate_targets(y, spec: DataSpec) -> np.ndarray:
    """y as (n,) numbers of classes or (n, m) real targets. Raises `UserError`, also for unknown classes."""
    if not spec.classes:
        y = _select_columns(y, spec.targets, "y")
    values, names = to_numpy(y, "y", EXPECTED_NUMBER)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if not spec.classes:
        return _numbers(values, spec, names)
    if values.ndim == 2 and values.shape[1] == spec.outputs and values.dtype.kind not in TEXT_DTYPE_KINDS:
        if is_one_hot(values):
            return values.argmax(1)
    if values.ndim != 1:
        raise UserError(f"y has the shape {values.shape}, expected (examples,): a class for each")
    return _class_numbers(values, spec)


def _numbers(values: np.ndarray, spec: DataSpec, names: tuple[str, ...]) -> np.ndarray:
    refuse_text(values, "y", names, EXPECTED_NUMBER)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != spec.outputs:
        expected = "(examples,)" if spec.outputs == 1 else f"(examples, {spec.outputs})"
        raise UserError(f"y has the shape {values.shape}, expected {expected}")
    return values.astype(np.float64)


def _class_numbers(values: np.ndarray, spec: DataSpec) -> np.ndarray:
    class_indices = {name: number for number, name in enumerate(spec.classes)}
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    numbers = np.zeros(len(unique), np.int64)
    for i, label in enumerate(unique.tolist()):
        name = _class_name(label, spec)
        if name not in class_indices:
            known = nearest(name, spec.classes).replace("; allowed:", "; it knows")
            fault = f" is '{shortened(name)}', a class that the model does not know{known}"
            raise WrongExample("y", int(first[i]), fault)
        numbers[i] = class_indices[name]
    return numbers[inverse]


def _class_name(label, spec: DataSpec) -> str:
    """The name of the class with this label: 1, 1.0 and "1.0" are one class where the labels are numbers."""
    if not isinstance(label, str):
        return class_name(label)
    if spec.labels == "text" or label in spec.classes:
        return label
    try:
        return class_name(float(label))
    except ValueError:
        return label


def _select_columns(table, wanted: tuple[str, ...], what: str, ignored: tuple[str, ...] = ()):
    """The wanted columns of a table, in their order; anything whose columns have no names as it is."""
    columns = getattr(table, "columns", None)
    if not wanted or columns is None or callable(columns):
        return table
    columns = list(columns)
    by_name = {str(column): column for column in columns}
    missing = [name for name in wanted if name not in by_name]
    if missing and not any(isinstance(column, str) for column in columns):
        return table  # the numbers that pandas gives to columns without names
    if missing:
        raise UserError(_describe_missing(missing, list(by_name), what))
    counts = Counter(map(str, columns))
    for name in [name for name in wanted if counts[name] > 1][:1]:
        raise UserError(f"{what} has two columns '{shortened(name)}'")
    further = [name for name in by_name if name not in {*wanted, *ignored}]
    if further:
        advise(
            f"{what}: the model does not know the column{'s' * (len(further) > 1)} {quote_names(further)}, "
            f"and ignores {'them' if len(further) > 1 else 'it'}"
        )
    return table[[by_name[name] for name in wanted]]


def _describe_missing(missing: list[str], names: list[str], what: str) -> str:
    near = hint(shortened(missing[0]), names) or f"; it has {quote_names(names)}"
    more = f", nor {len(missing) - 1:,} others that the model needs" if len(missing) > 1 else ""
    return f"{what} has no column '{shortened(missing[0])}'{more}{near}"
