"""Numbers in data that a dtype cannot compute with."""

import numpy as np

from nnlab.errors import UserError

# Sums over a column stay finite below these; in float64 even squares do.
LARGEST_NUMBER = {"float32": 1e37, "float64": 1e150}
# A target that is not normalised is squared by the loss, and its square must fit as well.
LARGEST_SQUARED = {"float32": 1e18, "float64": 1e150}
# A column whose largest number is smaller counts as all zeros.
SMALLEST_MAXIMUM = {"float32": 1e-30, "float64": 1e-150}


def refuse_extremes(data, dataset, dtype: str) -> None:
    """Raise `UserError` if inputs or targets are too large for `dtype`, or a column of inputs too small."""
    is_raw = not dataset.classes and getattr(data, "target_normalization", "none") == "none"
    if dataset.x.dtype.kind == "f":
        largest = _largest_of_columns(dataset.x)
        _refuse_large(f"data '{data.name}': the input", largest.max(), dtype, squared=False)
        _refuse_small(f"data '{data.name}'", largest, dtype)
    if dataset.y.dtype.kind == "f":
        largest = _largest_of_columns(dataset.y).max()
        _refuse_large(f"data '{data.name}': the target", largest, dtype, squared=is_raw)


def _largest_of_columns(values: np.ndarray) -> np.ndarray:
    """The largest absolute value of each column; two extremes cost no copy of the table, as `abs` does."""
    high, low = values.max(0).astype(float), values.min(0).astype(float)
    return np.atleast_1d(np.maximum(high, -low))


def _refuse_large(what: str, largest: float, dtype: str, squared: bool) -> None:
    limits = LARGEST_SQUARED if squared else LARGEST_NUMBER
    if largest <= limits[dtype]:
        return
    if squared and largest <= LARGEST_NUMBER[dtype]:
        use, remedy = "squares numbers", "data.target_normalization=standard"
    else:
        use, remedy = "computes with numbers", "divide it by a constant"
    wider = "set dtype=float64, or " if largest < limits["float64"] else ""
    raise UserError(
        f"{what} has numbers up to {largest:.2g}, and dtype={dtype} {use} up to {limits[dtype]:g}; "
        f"{wider}{remedy}"
    )


def _refuse_small(what: str, largest_of_columns: np.ndarray, dtype: str) -> None:
    smallest = largest_of_columns[largest_of_columns > 0].min(initial=np.inf)
    if smallest >= SMALLEST_MAXIMUM[dtype]:
        return
    wider = "set dtype=float64, or " if smallest > SMALLEST_MAXIMUM["float64"] else ""
    raise UserError(
        f"{what}: an input has no number above {smallest:.2g}, and dtype={dtype} cannot distinguish such "
        f"small numbers from 0; {wider}multiply it by a constant"
    )
