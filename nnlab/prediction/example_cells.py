"""Examples as cells of text for people: numbers in the data's units, categories by their names."""

from __future__ import annotations

import math

import numpy as np

from nnlab.arguments import typed
from nnlab.data.columns import FIRST_CODE, MISSING_CODE, Column
from nnlab.data.dataset import Dataset

UNKNOWN_TEXT = "(unknown)"


@typed
def example_cells(dataset: Dataset, examples: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """(headings, lines) of these examples, a cell for each column of a table or each input; a date is its
    parts, and n-grams are left out. The column that identifies examples comes first."""
    x, encoding = np.asarray(dataset.x[examples]), dataset.spec.encoding
    if not encoding.columns:
        names = dataset.spec.features or [f"input {i}" for i in range(x.shape[1])]
        columns = {name: [_number(v) for v in values] for name, values in zip(names, x.T, strict=True)}
    else:
        column_of = {column.name: column for column in encoding.code_columns}
        columns = {}
        for (name, kind), values in zip(encoding.raw, x.T, strict=True):
            if kind == "number":
                columns[name] = [_number(v) for v in values]
            elif kind == "code":
                columns[name] = [_category(column_of[name], int(v)) for v in values]
    if dataset.keys is not None:
        columns = {dataset.key_name: dataset.keys[examples].tolist()} | columns
    return list(columns), [list(line) for line in zip(*columns.values(), strict=True)]


def _number(value) -> str:
    value = float(value)
    return "" if math.isnan(value) else f"{value:.5g}"


def _category(column: Column, code: int) -> str:
    if code == MISSING_CODE:
        return ""
    return column.categories[code - FIRST_CODE] if code >= FIRST_CODE else UNKNOWN_TEXT
