"""The records of a fit as whole arrays: a table for a data frame, and curves to draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.errors import UserError, nearest
from nnlab.training.results import Record


class NoCurve(UserError, KeyError):
    """A metric that no record has."""

    __str__ = ValueError.__str__  # a `KeyError` puts its sentence into quotes


class History:
    """What the records said, epoch by epoch and stack by stack."""

    def __init__(self):
        self.records: list[Record] = []
        self.epoch = 0  # the last one of which there is a record

    def add(self, record: Record) -> None:
        """Keep all of it but the histograms, which are large."""
        self.records.append(replace(record, histograms={}))
        self.epoch = max(self.epoch, record.epoch)

    def table(self, rows: list, owner: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of equal length: a line for each row and epoch, row after row; `owner[row]` is the place of
        its experiment. What a row does not measure is NaN."""
        names = dict.fromkeys(name for record in self.records for name in record.metrics)
        number = self._column(lambda r: r.rows).astype(int)
        about = {"experiment": owner, "row": np.arange(len(rows))}
        about |= {
            "seed": np.array([row.seed for row in rows]),
            "repeat": np.array([row.fold.repeat for row in rows]),
            "fold": np.array([row.fold.number for row in rows]),
        }
        lines = {name: values[number] for name, values in about.items()}
        lines["epoch"] = self._column(lambda r: np.full(len(r.rows), r.epoch)).astype(int)
        lines["refit"] = self._column(lambda r: np.full(len(r.rows), r.refit)).astype(bool)
        lines |= {name: self._column(lambda r, name=name: _metric(r, name)) for name in names}
        order = np.lexsort([lines["epoch"], lines["refit"], number])
        return {name: values[order] for name, values in lines.items()}

    def curves(self, name: str, rows: int) -> np.ndarray:
        """A metric as (rows, epochs), NaN after a row has ended; of the first training, without a refit."""
        first = [record for record in self.records if not record.refit]
        values = np.full((rows, max((record.epoch for record in first), default=0)), np.nan)
        for record in first:
            if name not in record.metrics:
                raise NoCurve(f"no curve '{name}'{nearest(name, record.metrics)}")
            values[record.rows, record.epoch - 1] = record.metrics[name]
        return values

    def _column(self, of) -> np.ndarray:
        return np.concatenate([of(record) for record in self.records]) if self.records else np.empty(0)


def _metric(record: Record, name: str) -> np.ndarray:
    return record.metrics.get(name, np.full(len(record.rows), np.nan))
