"""Reads the curves in metrics.jsonl of a run folder as matrices (rows, epochs)."""

from __future__ import annotations

import json
import math
import os
import re
from array import array
from pathlib import Path

import numpy as np

from nnlab.allowed import MAX_ROWS
from nnlab.errors import UserError, nearest
from nnlab.runtime.machine import in_bytes, refuse_too_large
from nnlab.untrusted import is_count, is_number, plain_file, read_json_lines

INDEX_KEYS = ("epoch", "row", "refit")  # the keys of a line that are not metrics
EPOCH_PATTERN = re.compile(rb'\{"epoch": ([0-9]{1,10}), ')  # begins a line
TAIL_BYTES = 2**16  # at the end of a file, with its last line


class StoredCurves:
    """Metrics as (rows, epochs), NaN where a row did not train, or the metric was not finite.

    Lines are read one by one, into 16 bytes per value: a run of 1,000 rows and epochs has a million lines.
    Where a row has an epoch twice, the later line counts. With `most_epochs` only every so manieth epoch of a
    long run is parsed, the first and the last among them: those in `epochs`, some `most_epochs` of them.
    """

    def __init__(self, file: Path, most_epochs: int | None = None):
        self.file = file
        self._last = last_epoch(file) if most_epochs else 0
        self._step = math.ceil(self._last / most_epochs) if most_epochs else 1
        is_wanted = self._is_wanted if self._step > 1 else None
        self._rows, self._epochs, self._refit = array("q"), array("q"), array("b")  # of every line
        self._metrics: dict[str, tuple[array, array]] = {}  # name -> (line indices, values)
        for where, line in read_json_lines(file, is_wanted=is_wanted):
            self._add_index(where, line)
            self._add_metrics(where, line)
        self._refuse_impossible_epochs()

    @property
    def names(self) -> list[str]:
        return list(self._metrics)

    def curve(self, name: str, refit: bool = False) -> np.ndarray:
        """A metric (rows, epochs) of the first training, or of the `refit`, in the epochs of `epochs`."""
        if name not in self._metrics:
            hint = nearest(name, self.names) if self.names else ": no epoch has ended"
            raise UserError(f"'{self.file}' has no curve '{name}'{hint}")
        rows, epochs, is_refit = (np.asarray(column) for column in (self._rows, self._epochs, self._refit))
        lines, values = (np.asarray(column) for column in self._metrics[name])
        kept = self.epochs(refit)
        shape = int(rows.max(initial=-1)) + 1, len(kept)
        bytes_of_all = 8 * math.prod(shape)
        what = f"{shape[0]:,} rows of {shape[1]:,} epochs, {in_bytes(bytes_of_all)} each curve"
        refuse_too_large(f"'{self.file}' has {what}", bytes_of_all)
        selected = is_refit[lines] == refit
        curves = np.full(shape, np.nan)
        columns = np.searchsorted(kept, epochs[lines[selected]])
        curves[rows[lines[selected]], columns] = values[selected]
        return np.where(np.isfinite(curves), curves, np.nan)

    def epochs(self, refit: bool = False) -> np.ndarray:
        """The epochs of the curves, from 1: all, unless some were left out."""
        epochs = np.asarray(self._epochs)[np.asarray(self._refit) == refit]
        return np.unique(epochs) if self._step > 1 else np.arange(1, epochs.max(initial=0) + 1)

    def _is_wanted(self, line: bytes) -> bool:
        """Whether a line is of an epoch that is kept; one that begins otherwise is."""
        match = EPOCH_PATTERN.match(line)
        return not match or int(match[1]) % self._step == 1 or int(match[1]) == self._last

    def _add_index(self, where: str, line: dict) -> None:
        row, epoch, refit = line.get("row"), line.get("epoch"), line.get("refit", False)
        if not (is_count(row) and row < MAX_ROWS):
            raise UserError(f"{where}: expected a row, a whole number from 0 to {MAX_ROWS - 1:,}")
        if not (is_count(epoch) and 1 <= epoch < 2**31):
            raise UserError(f"{where}: expected an epoch, a whole number from 1")
        if not isinstance(refit, bool):
            raise UserError(f"{where}: refit is true or false")
        for column, value in ((self._rows, row), (self._epochs, epoch), (self._refit, refit)):
            column.append(value)

    def _add_metrics(self, where: str, line: dict) -> None:
        number = len(self._rows) - 1
        for name, value in line.items():
            # Nearly all values are floats, and a run may have a million, so only the rest is checked.
            if type(value) is not float:
                if name in INDEX_KEYS:
                    continue
                if value is not None and not is_number(value):
                    raise UserError(f"{where}: {name!r:.50} is neither a number nor null")
                value = np.nan if value is None else float(value)
            if name not in self._metrics:
                self._metrics[name] = array("q"), array("d")
            lines, values = self._metrics[name]
            lines.append(number)
            values.append(value)

    def _refuse_impossible_epochs(self) -> None:
        """A row that reached an epoch must have lines for the epochs before it."""
        last, count = max(self._epochs, default=0), len(self._epochs)
        if last > count * self._step:
            raise UserError(f"'{self.file}' has an epoch {last:,}, but no more than {count:,} lines")


def last_epoch(file: Path) -> int:
    """The epoch in the last line of metrics.jsonl; 0 where that is none. Other rows may have trained on."""
    with plain_file(file) as opened:
        opened.seek(-min(TAIL_BYTES, os.fstat(opened.fileno()).st_size), os.SEEK_END)
        lines = opened.read().split(b"\n")
    try:
        epoch = json.loads(lines[-2])["epoch"]  # what is behind the last newline is half a line
    except (ValueError, RecursionError, LookupError, TypeError):
        return 0
    return epoch if is_count(epoch) else 0
