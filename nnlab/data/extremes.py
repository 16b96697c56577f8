"""Refuses data whose values would overflow or underflow in the dtype that trains on them."""

import numpy as np

from nnlab.data.streamed_statistics import row_blocks
from nnlab.errors import UserError

# Sums over a column stay finite below these; in float64 even squares do.
LARGEST_VALUE = {"float32": 1e37, "float64": 1e150}
# The loss squares a target that is not normalised, so its square must fit as well.
LARGEST_SQUARED = {"float32": 1e18, "float64": 1e150}
# A column whose largest absolute value is smaller counts as all zeros.
SMALLEST_MAXIMUM = {"float32": 1e-30, "float64": 1e-150}


def refuse_extremes(data, dataset, dtype: str) -> None:
    """Raise `UserError` if inputs or targets are too large for `dtype`, or a column of inputs too small."""
    is_unscaled_target = not dataset.classes and data.target_scaling == "none"
    if dataset.x.dtype.kind == "f":
        x = dataset.number_inputs
        blocks = [x] if isinstance(x, np.ndarray) else row_blocks(x)
        maxima = np.maximum.reduce([_column_maxima(block) for block in blocks])
        _refuse_large(f"data '{data.name}': the input", maxima.max(initial=0), dtype, squared=False)
        _refuse_small(f"data '{data.name}'", maxima, dtype)
    if dataset.y.dtype.kind == "f":
        maxima = _column_maxima(dataset.y)
        _refuse_large(f"data '{data.name}': the target", maxima.max(), dtype, squared=is_unscaled_target)


def _column_maxima(values: np.ndarray) -> np.ndarray:
    """The largest absolute value of each column, without the copy of the table that `abs` makes; 0 of one in
    which all are missing."""
    high, low = (pick.reduce(values, 0).astype(float) for pick in (np.fmax, np.fmin))
    return np.atleast_1d(np.nan_to_num(np.maximum(high, -low), nan=0, posinf=np.inf))


def _refuse_large(what: str, largest: float, dtype: str, squared: bool) -> None:
    limits = LARGEST_SQUARED if squared else LARGEST_VALUE
    if largest <= limits[dtype]:
        return
    if squared and largest <= LARGEST_VALUE[dtype]:
        operation, remedy = "squares numbers", "data.target_normalization=standard"
    else:
        operation, remedy = "computes with numbers", "divide it by a constant"
    wider = "set dtype=float64, or " if largest < limits["float64"] else ""
    raise UserError(
        f"{what} has numbers up to {largest:.2g}, and dtype={dtype} {operation} up to {limits[dtype]:g}; "
        f"{wider}{remedy}"
    )


def _refuse_small(what: str, column_maxima: np.ndarray, dtype: str) -> None:
    smallest = column_maxima[column_maxima > 0].min(initial=np.inf)
    if smallest >= SMALLEST_MAXIMUM[dtype]:
        return
    wider = "set dtype=float64, or " if smallest > SMALLEST_MAXIMUM["float64"] else ""
    raise UserError(
        f"{what}: an input has no number above {smallest:.2g}, and dtype={dtype} cannot distinguish such "
        f"small numbers from 0; {wider}multiply it by a constant"
    )
