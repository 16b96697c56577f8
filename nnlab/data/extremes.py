"""Numbers in data that a dtype cannot compute with."""

import numpy as np

from nnlab.errors import UserError

LARGEST = {"float32": 1e37, "float64": 1e150}  # they fit, and in float64 their squares do
SQUARED = {"float32": 1e18, "float64": 1e150}  # of targets that nothing normalises: their squares fit
SMALLEST = {"float32": 1e-30, "float64": 1e-150}  # the largest of a column: else all of it is as good as 0


def refuse_extremes(data, dataset, dtype: str) -> None:
    """Raises `UserError` if inputs or targets of the data set are too large for dtype, or a column of inputs
    too small."""
    raw = not dataset.classes and getattr(data, "target_normalization", "none") == "none"
    for what, values, most in (
        ("input", dataset.x, LARGEST),
        ("target", dataset.y, SQUARED if raw else LARGEST),
    ):
        if values.dtype.kind != "f":
            continue
        of_columns = np.atleast_1d(np.maximum(values.max(0).astype(float), -values.min(0).astype(float)))
        largest, small = float(of_columns.max()), of_columns[of_columns > 0].min(initial=np.inf)
        if largest > most[dtype]:
            wider = "take dtype=float64, or " if largest < most["float64"] else ""
            why = (
                "squares numbers"
                if most is SQUARED and largest <= LARGEST[dtype]
                else "computes with numbers"
            )
            instead = "data.target_normalization=standard" if why[0] == "s" else "divide it by a constant"
            raise UserError(
                f"data '{data.name}': the {what} has numbers up to {largest:.2g}, and dtype={dtype} {why} up "
                f"to {most[dtype]:g}; {wider}{instead}"
            )
        if what == "input" and small < SMALLEST[dtype]:
            wider = "take dtype=float64, or " if small > SMALLEST["float64"] else ""
            raise UserError(
                f"data '{data.name}': an input has no number above {small:.2g}, and dtype={dtype} tells such "
                f"small ones from 0 no more; {wider}multiply it by a constant"
            )
