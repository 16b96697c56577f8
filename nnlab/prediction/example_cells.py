"""Examples as cells of text for people: numbers in the data's units, categories by their names."""

from __future__ import annotations

import math

import numpy as np

from nnlab.arguments import typed
from nnlab.data.columns import FIRST_CODE, MISSING_CODE, Column
from nnlab.data.dataset import Dataset
from nnlab.data.encoding import Encoding

UNKNOWN_TEXT = "(unknown)"
MOST_PLAIN = 1e9  # a whole number below it is written out


@typed
def example_cells(dataset: Dataset, examples: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """(headings, lines) of these examples, a cell for each column of a table or each input; n-grams are
    left out. The column that identifies examples comes first."""
    x, encoding = np.asarray(dataset.x[examples]), dataset.spec.encoding
    if encoding.columns:
        columns = _table_columns(encoding, x)
    else:
        names = dataset.spec.features or [f"input {i}" for i in range(x.shape[1])]
        columns = {name: [_number(v) for v in values] for name, values in zip(names, x.T, strict=True)}
    if dataset.keys is not None:
        columns = {dataset.key_name: dataset.keys[examples].tolist()} | columns
    return list(columns), [list(line) for line in zip(*columns.values(), strict=True)]


def _table_columns(encoding: Encoding, x: np.ndarray) -> dict[str, list[str]]:
    """The cells of each column of a table, from raw examples (n, d_raw)."""
    values, columns = dict(zip((name for name, _ in encoding.raw), x.T, strict=True)), {}
    for column in encoding.columns:
        if column.type == "date" and "days" in column.parts:
            columns[column.name] = [_date(v) for v in values[f"{column.name} days"]]
        elif column.type in ("number", "date"):
            columns |= {name: [_number(v) for v in values[name]] for name, _ in column.raw}
        elif column.type in ("category", "boolean"):
            columns[column.name] = [_category(column, int(v)) for v in values[column.name]]
    return columns


def _number(value) -> str:
    value = float(value)
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value.is_integer() and abs(value) < MOST_PLAIN else f"{value:.5g}"


def _date(days) -> str:
    """A day by its number since 1970-01-01."""
    return "" if math.isnan(days) else str(np.datetime64(int(days), "D"))


def _category(column: Column, code: int) -> str:
    if code == MISSING_CODE:
        return ""
    return column.categories[code - FIRST_CODE] if code >= FIRST_CODE else UNKNOWN_TEXT
