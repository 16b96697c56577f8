"""The true labels or numbers of new examples, in a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nnlab.data.columns import Column
from nnlab.tables.cells import as_text, can_be_numbers, without_missing_numbers
from nnlab.tables.numerals import PLAIN_NOTATION, find_notation


def labels_of(cells: pa.Array, markers: tuple[str, ...]) -> np.ndarray:
    """(n,) texts; None where there is none."""
    if pa.types.is_boolean(cells.type):  # labels that are truth values are called 0 and 1
        cells = cells.cast(pa.int8())
    return np.array(as_text(cells, markers).to_pylist(), object)


def target_column(name: str, cells: pa.Array, decimal: str, markers: tuple[str, ...]) -> Column:
    """How the numbers of a target are written, by the first of its cells."""
    notation = PLAIN_NOTATION
    if not can_be_numbers(cells.type):
        distinct = without_missing_numbers(as_text(cells, markers)).drop_null().unique()
        reading = find_notation(distinct, decimal)
        notation = reading.notation if reading else PLAIN_NOTATION
    return Column(
        name, "number", decimal=notation.decimal, thousands=notation.thousands, form=notation.sign,
        markers=markers,
    )  # fmt: skip
