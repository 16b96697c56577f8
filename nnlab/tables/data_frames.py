"""Data frames of other libraries as tables of pyarrow: pandas, polars and others that narwhals knows."""

from __future__ import annotations

from collections import Counter

import narwhals
import narwhals.exceptions
import pyarrow as pa

from nnlab.choices import short_repr
from nnlab.errors import UserError, shortened


def arrow_table(frame, what: str) -> pa.Table:
    """A data frame as a table, the names of its columns as text; `what` it is called in a `UserError`."""
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    if isinstance(frame, dict):
        frame = _from_columns(frame, what)
    names = [str(name) for name in getattr(frame, "columns", ())] if hasattr(frame, "iloc") else []
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"{what} has {count} columns '{shortened(name)}': rename them")
    try:
        known = narwhals.from_native(frame)
    except (TypeError, narwhals.exceptions.NarwhalsError) as e:
        raise UserError(
            f"{what} = {short_repr(frame)}: expected a data frame, such as one of pandas, polars or pyarrow"
        ) from e
    if isinstance(known, narwhals.LazyFrame):
        known = known.collect()
    native, names = known.to_native(), names or known.columns
    if not len(names) or not len(known):
        raise UserError(f"{what} is empty: it has {len(known):,} rows and {len(names):,} columns")
    if not known.implementation.is_pandas_like():
        return known.to_arrow()
    return pa.table({name: _from_series(native.iloc[:, i], name, what) for i, name in enumerate(names)})


def _from_columns(columns: dict, what: str) -> pa.Table:
    try:
        return pa.table({str(name): values for name, values in columns.items()})
    except (pa.ArrowException, ValueError, TypeError) as e:
        raise UserError(f"{what}: its columns cannot be read as a table: {' '.join(str(e).split())}") from e


def _from_series(series, name: str, what: str) -> pa.Array:
    """A column of pandas; one of several types of objects as text."""
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError) as e:
        if series.dtype != object:
            raise UserError(f"{what}, column '{shortened(name)}': {' '.join(str(e).split())}") from e
        missing = series.isna()
        return pa.array([None if gone else str(value) for value, gone in zip(series, missing, strict=True)])
