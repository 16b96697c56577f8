"""The history of a fit: all its records as one table for a data frame, and as curves to plot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.errors import UserError, nearest
from nnlab.training.results import Record


class UnknownCurve(UserError, KeyError):
    """A metric that no record has."""

    __str__ = ValueError.__str__  # a `KeyError` puts its sentence into quotes


class History:
    """All records so far, epoch by epoch and stack by stack."""

    def __init__(self):
        self.records: list[Record] = []
        self.epoch = 0  # the latest with a record

    def add(self, record: Record) -> None:
        """Keep the record without its histograms, which are large."""
        self.records.append(replace(record, histograms={}))
        self.epoch = max(self.epoch, record.epoch)

    def table(self, rows: list, experiment_of_row: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of equal length: a line for each row and epoch, row after row. A metric that a row does
        not have is NaN."""
        names = dict.fromkeys(name for record in self.records for name in record.metrics)
        row_of_line = self._column(lambda r: r.rows).astype(int)
        row_columns = {"experiment": experiment_of_row, "row": np.arange(len(rows))}
        row_columns |= {
            "seed": np.array([row.seed for row in rows]),
            "repeat": np.array([row.fold.repeat for row in rows]),
            "fold": np.array([row.fold.number for row in rows]),
        }
        table = {name: values[row_of_line] for name, values in row_columns.items()}
        table["epoch"] = self._column(lambda r: np.full(len(r.rows), r.epoch)).astype(int)
        table["refit"] = self._column(lambda r: np.full(len(r.rows), r.refit)).astype(bool)
        table |= {name: self._column(lambda r, name=name: _metric(r, name)) for name in names}
        order = np.lexsort([table["epoch"], table["refit"], row_of_line])
        return {name: values[order] for name, values in table.items()}

    def curves(self, name: str, rows: int) -> np.ndarray:
        """A metric as (rows, epochs), NaN after a row has ended; of the first training, without a refit."""
        records = [record for record in self.records if not record.refit]
        values = np.full((rows, max((record.epoch for record in records), default=0)), np.nan)
        for record in records:
            if name not in record.metrics:
                raise UnknownCurve(f"no curve '{name}'{nearest(name, record.metrics)}")
            values[record.rows, record.epoch - 1] = record.metrics[name]
        return values

    def _column(self, values_of) -> np.ndarray:
        return np.concatenate([values_of(record) for record in self.records]) if self.records else np.empty(0)


def _metric(record: Record, name: str) -> np.ndarray:
    return record.metrics.get(name, np.full(len(record.rows), np.nan))
