"""Rebuilds the records of a resumed run from its metrics.jsonl, for recorders that need the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.run_folder import METRICS_FILE
from nnlab.training.fit_state import FitState
from nnlab.training.results import Record
from nnlab.untrusted import is_count, is_number, read_json_lines

INDEX_KEYS = ("epoch", "row", "refit")


def replay_records(folder: Path, state: FitState, first_row: int, rows: int) -> Iterator[Record]:
    """The records of a run up to the `state` of its fit, where its `rows` begin at `first_row`.

    Of a row's improvements only the latest is marked, and there are no histograms. Raises `UserError`.
    """
    endings = {
        (is_refit, r.row - first_row, r.epochs): r.status
        for is_refit, results in ((False, state.results), (True, state.refits))
        for r in results
    }
    best_epochs, seconds = state.best_epochs(), state.seconds
    lines = (_validate_line(where, line, rows) for where, line in read_json_lines(folder / METRICS_FILE))
    for (epoch, refit, *names), group in itertools.groupby(lines, key=_record_key):
        record_lines = list(group)
        numbers = [line["row"] for line in record_lines]
        yield Record(
            epoch=epoch,
            rows=np.array(numbers),
            metrics={name: np.array([_nan_for_null(line[name]) for line in record_lines]) for name in names},
            improved=np.array([not refit and best_epochs.get(first_row + row) == epoch for row in numbers]),
            ended={row: endings[refit, row, epoch] for row in numbers if (refit, row, epoch) in endings},
            seconds=seconds,
            refit=refit,
        )


def _record_key(line: dict) -> tuple:
    """What lines of one record have in common; consecutive lines with the same key are one record."""
    names = (name for name in line if name not in INDEX_KEYS)
    return line["epoch"], line.get("refit", False), *names


def _nan_for_null(value) -> float:
    return np.nan if value is None else float(value)


def _validate_line(where: str, line: dict, rows: int) -> dict:
    """The line itself. Raises `UserError` for one that this run cannot have written."""
    row, epoch = line.get("row"), line.get("epoch")
    if not (is_count(row) and row < rows) or not (is_count(epoch) and 0 < epoch < 2**31):
        raise UserError(f"{where}: expected an epoch, and a row below {rows}")
    if not isinstance(line.get("refit", False), bool):
        raise UserError(f"{where}: refit is true or false")
    if wrong := [n for n, v in line.items() if n not in INDEX_KEYS and v is not None and not is_number(v)]:
        raise UserError(f"{where}: {wrong[0]!r:.50} is neither a number nor null")
    if "train_loss" not in line or "train_error" not in line:
        raise UserError(f"{where}: expected train_loss and train_error")
    return line
