"""The values that dots are drawn of: of each arm its seeds, or splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnlab.errors import UserError
from nnlab.records.arm_scores import rows_by_key, scores
from nnlab.records.compared_quantity import LARGEST_DRAWN
from nnlab.records.stored_run import StoredRun


def arm_units(runs: Mapping[str, Sequence[StoredRun]], measure: str) -> dict[str, np.ndarray]:
    """Arm -> its units (n,), NaN where one diverged or is too large for an axis; empty where the rows of some
    arm cannot be read."""
    try:
        rows = {arm: rows_by_key(of_arm) for arm, of_arm in runs.items()}
        if not rows or not all(rows.values()):
            return {}
        table = scores(rows, measure)
    except (UserError, KeyError, TypeError, AttributeError):  # a folder of somebody else
        return {}
    units = {arm: table.units_of(arm) for arm in rows}
    return {arm: np.where(np.abs(of_arm) < LARGEST_DRAWN, of_arm, np.nan) for arm, of_arm in units.items()}
