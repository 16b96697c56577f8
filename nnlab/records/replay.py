"""The records of a run that is resumed, from its metrics.jsonl: whoever sees a whole run needs them again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.run_folder import METRICS_FILE
from nnlab.training.fit_state import FitState
from nnlab.training.results import Record
from nnlab.untrusted import is_count, is_number, lines_of_json

PLACE_KEYS = ("epoch", "row", "refit")


def replayed(folder: Path, state: FitState, first: int, rows: int) -> Iterator[Record]:
    """What was recorded of a run before the `state` of its fit, in which its `rows` are those from `first`.

    Of a row's improvements only the latest is marked, and there are no histograms. Raises `UserError`.
    """
    endings = {
        (is_refit, r.row - first, r.epochs): r.status
        for is_refit, results in ((False, state.results), (True, state.refits))
        for r in results
    }
    best_epochs, seconds = state.best_epochs(), state.seconds
    lines = (_checked(where, line, rows) for where, line in lines_of_json(folder / METRICS_FILE))
    for (epoch, refit, *names), group in itertools.groupby(lines, key=_kind):
        same = list(group)
        numbers = [line["row"] for line in same]
        yield Record(
            epoch=epoch,
            rows=np.array(numbers),
            metrics={name: np.array([_value(line[name]) for line in same]) for name in names},
            improved=np.array([not refit and best_epochs.get(first + row) == epoch for row in numbers]),
            ended={row: endings[refit, row, epoch] for row in numbers if (refit, row, epoch) in endings},
            seconds=seconds,
            refit=refit,
        )


def _kind(line: dict) -> tuple:
    """Lines of one kind that follow each other may be one record."""
    names = (name for name in line if name not in PLACE_KEYS)
    return line["epoch"], line.get("refit", False), *names


def _value(value) -> float:
    return np.nan if value is None else float(value)


def _checked(where: str, line: dict, rows: int) -> dict:
    """Raises `UserError` for a line that this run has not written."""
    row, epoch = line.get("row"), line.get("epoch")
    if not (is_count(row) and row < rows) or not (is_count(epoch) and 0 < epoch < 2**31):
        raise UserError(f"{where}: expected an epoch, and a row below {rows}")
    if not isinstance(line.get("refit", False), bool):
        raise UserError(f"{where}: refit is true or false")
    if wrong := [n for n, v in line.items() if n not in PLACE_KEYS and v is not None and not is_number(v)]:
        raise UserError(f"{where}: {wrong[0]!r:.50} is neither a number nor null")
    if "train_loss" not in line or "train_error" not in line:
        raise UserError(f"{where}: expected train_loss and train_error")
    return line
