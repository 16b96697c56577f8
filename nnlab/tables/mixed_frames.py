"""Data frames with words, dates or holes, which the estimators take beside arrays of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnlab.data.labels import encode_targets
from nnlab.errors import UserError
from nnlab.tables.frames import Frame

if TYPE_CHECKING:
    from nnlab.data.columns import Column


def is_mixed(X) -> bool:
    """Whether it is a data frame that is not numbers alone: words, dates, categories, or missing cells."""
    if isinstance(X, np.ndarray) or not hasattr(X, "columns"):
        return False
    import narwhals

    try:
        frame = narwhals.from_native(X, eager_only=True)
    except TypeError:
        return False
    return any(not _is_complete_number_column(frame[:, i]) for i in range(frame.shape[1]))


def _is_complete_number_column(column) -> bool:
    import narwhals

    if not (column.dtype.is_numeric() or column.dtype == narwhals.Boolean):
        return False
    has_nan = column.dtype.is_float() and bool(column.is_nan().any())
    return not has_nan and not column.is_null().any()


def mixed_data(X, y: np.ndarray, sample_weight, task: str, normalization: str) -> Frame:
    """A frame and its targets as data; the order of classes is that of `numpy.unique`."""
    import pyarrow as pa

    from nnlab.tables.data_frames import arrow_table

    if y.ndim != 1:
        raise UserError(f"y has the shape {y.shape}: a frame of mixed columns takes one target")
    numbers, classes, labels = encode_targets(y, task, "y")
    table = arrow_table(X, "X")
    target, weight = (_free_name(name, table.column_names) for name in ("y", "sample_weight"))
    table = table.append_column(target, pa.array(numbers.reshape(-1)))
    if sample_weight is None:
        weight = None
    else:
        table = table.append_column(weight, pa.array(sample_weight))
    data = Frame(table, target, task=task, normalization=normalization, weight=weight)
    return data.with_classes(classes, labels) if classes else data


def raw_inputs(X, columns: tuple[Column, ...]) -> np.ndarray:
    """(n, d_raw) of a frame with the columns of a model."""
    from nnlab.tables.data_frames import arrow_table
    from nnlab.tables.new_rows import NewRows

    table = arrow_table(X, "X")
    rows = NewRows(columns, table.column_names, "X")
    raw = rows.raw(table, lambda row: f"X, row {row}")
    rows.advise()
    return raw


def _free_name(name: str, names: list[str]) -> str:
    while name in names:
        name = f"{name}_"
    return name
