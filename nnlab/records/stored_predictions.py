"""Reads which examples a run held out, and what it predicted for those that test it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.csv_text import label_of_cell
from nnlab.runtime.machine import available_memory
from nnlab.untrusted import is_count, read_json_lines, read_text

LONGEST_SPLIT = 2**26  # bytes in a line of splits.jsonl
CELL_MEMORY = 16  # bytes in memory per byte of CSV: the text, its cells, their columns


def read_splits(file: Path) -> list[dict]:
    """A dict for each fold: repeat, fold, and the example numbers that validate and test it, and those that
    are unused if there are some, as arrays.

    Raises `UserError` for other content.
    """
    return [_split(where, line) for where, line in read_json_lines(file, LONGEST_SPLIT)]


def _split(where: str, line: dict) -> dict:
    for key in ("repeat", "fold"):
        if not is_count(line.get(key)):
            raise UserError(f"{where} has no {key}, a whole number")
    sets = {}
    for key in ("validation", "test", *(["unused"] if "unused" in line else [])):
        numbers = line.get(key)
        if not isinstance(numbers, list) or not all(is_count(n) and n < 2**63 for n in numbers):
            raise UserError(f"{where} has no {key}, a list of example numbers")
        sets[key] = np.array(numbers, np.int64)
    return {"repeat": line["repeat"], "fold": line["fold"], **sets}


def read_columns(file: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV file by their names: whole numbers, numbers with NaN for an empty cell, or text.

    Raises `UserError` for anything but a table.
    """
    text = read_text(file, max(2**20, (available_memory() or 0) // CELL_MEMORY))
    try:
        names, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        columns = list(zip(*lines, strict=True)) if lines else [()] * len(names)
    except (csv.Error, ValueError) as e:
        raise UserError(f"'{file}' is not a table: {' '.join(str(e).split())[:200]}") from e
    if len(columns) != len(names) or len({*names}) < len(names):
        raise UserError(f"'{file}' is not a table: its lines do not have the cells that its first line names")
    return {label_of_cell(name): _array(column) for name, column in zip(names, columns, strict=True)}


def _array(column: tuple[str, ...]) -> np.ndarray:
    try:
        values = np.array([float(cell) if cell else np.nan for cell in column])
    except ValueError:
        return np.array([label_of_cell(cell) for cell in column], str)
    if len(values) and np.isfinite(values).all() and all(cell.lstrip("-").isdigit() for cell in column):
        return values.astype(np.int64) if np.abs(values).max() < 2**53 else values
    return values
