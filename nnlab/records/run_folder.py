"""A run's folder: its configuration, a line per epoch and row, at the end results and weights."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nnlab.data.spec import SPEC_FILE, DataSpec
from nnlab.records.csv_text import CsvTable
from nnlab.records.files import finite, made_new, open_to_append, replacing, write_json

METRICS_FILE = "metrics.jsonl"
WEIGHTS_FILE = "model.safetensors"
NORMALIZER_PREFIX = "normalizer/"  # in it, of the names of what is not trained
RESERVED_FILE = ".reserved"  # room for the weights, while it trains


class RunFolder:
    """Writes the files of one run.

        with RunFolder(path) as folder:
            folder.start(config, command, spec) config.yaml, command.txt, spec.json
            folder.reserve(count)               room for the weights
            folder.record(record)               metrics.jsonl, each epoch
            folder.close(summary, results, tables)  model.safetensors, rows.json, tables, summary.json
            folder.picture(png)                 curves.png

    Every file but metrics.jsonl appears complete or not at all. summary.json is the last, so a
    folder that has it is a run that ended; one that failed keeps all lines that metrics.jsonl had, and
    with `keep` the weights of its best epochs so far.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.closed = False  # whether the results are written
        self._identity = _identity(self.path)
        self._begin = {}, "", None
        self._metrics = None

    def start(self, config: dict, command: str, spec: DataSpec | None = None) -> None:
        """Write the resolved configuration as YAML, the line that repeats the run, and what its data are
        like, which a folder without weights does not need."""
        self._begin = config, command, spec
        write_begin(self.path, *self._begin)

    def reserve(self, count: int) -> None:
        """Take so many bytes of the disk, which `close` and `keep` give back for what they write: a disk
        that fills up while it trains does not cost the weights. Raises `OSError` if there are not so many."""
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        with open(self.path / RESERVED_FILE, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, count))
            except AttributeError:
                pass  # not on this system
            except OSError as e:  # others say that the file system cannot reserve: then it goes without
                if e.errno in full:
                    raise OSError(e.errno, e.strerror, str(self.path)) from e

    def record(self, record) -> None:
        """Append a line for each row of a `Record`: epoch, row, metrics; NaN and inf are null."""
        if self._metrics is None:
            self._metrics = open_to_append(self.path / METRICS_FILE)
        columns = [np.asarray(values).tolist() for values in record.metrics.values()]
        lines = []
        for row, *values in zip(np.asarray(record.rows).tolist(), *columns, strict=True):
            line = {"epoch": record.epoch, "row": row}
            if record.refit:
                line["refit"] = True
            line |= zip(record.metrics, map(finite, values), strict=True)
            lines.append(json.dumps(line, allow_nan=False) + "\n")
        self._check()
        self._metrics.write("".join(lines).encode())
        self._metrics.flush()

    def close(self, summary: dict, results: list, tables: dict[str, Iterable] | None = None) -> None:
        """Write the weights of every row, rows.json, the lines of the `tables`, by their names, and
        summary.json; `results` are `Result`s."""
        self._check()
        self._write(results)
        for name, lines in (tables or {}).items():
            self._table(name, lines)
        write_json(self.path / "summary.json", summary)
        self.closed = True

    def keep(self, results: list) -> bool:
        """Write the weights of these rows, and rows.json: all that there is of a run that did not end.

        If the folder is gone, or another one has its name, into a new one beside it; whether that is so.
        """
        lost = self._is_lost()
        if lost:
            self._begin_anew()
        self._write(results)
        return lost

    def _is_lost(self) -> bool:
        """Whether the folder was removed or replaced, perhaps by a link to elsewhere."""
        try:
            same = _identity(self.path) == self._identity
        except OSError:
            return True
        if not same:
            return True
        # The number of a folder that was removed may be given to the next, but its files then have no name.
        return self._metrics is not None and os.fstat(self._metrics.fileno()).st_nlink == 0

    def _check(self) -> None:
        if self._is_lost():
            raise OSError(errno.ENOENT, "the folder was removed or replaced while it trained", str(self.path))

    def _begin_anew(self) -> None:
        """A new folder beside the one that was lost, with what that had of the settings and the curves."""
        self.path = made_new(self.path, first=2)
        self._identity = _identity(self.path)
        write_begin(self.path, *self._begin)
        if self._metrics is not None:
            self._metrics.seek(0)
            (self.path / METRICS_FILE).write_bytes(self._metrics.read())

    def _write(self, results: list) -> None:
        from safetensors.numpy import save_file  # a check's folder has no weights

        (self.path / RESERVED_FILE).unlink(missing_ok=True)
        self._stop()
        with replacing(self.path / WEIGHTS_FILE) as aside:
            save_file(_tensors(results), aside)
        write_json(self.path / "rows.json", [_row(r) for r in results])

    def _table(self, name: str, lines: Iterable) -> None:
        """Write a file of CSV, or none if there are no lines."""
        lines = iter(lines)
        for first in itertools.islice(lines, 1):
            with (
                replacing(self.path / name) as aside,
                open(aside, "w", newline="", encoding="utf-8") as file,
            ):
                CsvTable(file).lines(itertools.chain([first], lines))

    def write_lines(self, name: str, values: Iterable) -> None:
        """Write another file of JSON, a value a line."""
        self._check()
        with replacing(self.path / name) as aside:
            aside.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")

    def write(self, name: str, value) -> None:
        """Write another file of JSON."""
        self._check()
        write_json(self.path / name, value)

    def picture(self, png: bytes, name: str = "curves") -> None:
        """Write a picture: that of the curves, if no other name is given."""
        self._check()
        with replacing(self.path / f"{name}.png") as aside:
            aside.write_bytes(png)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._check()
            (self.path / RESERVED_FILE).unlink(missing_ok=True)
        self._stop()

    def _stop(self):
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            with contextlib.suppress(OSError):  # every line was flushed: what is left is one that failed
                metrics.close()


def _tensors(results: list) -> dict[str, np.ndarray]:
    tensors = {}
    for r in results:
        named = r.weights | {f"{NORMALIZER_PREFIX}{name}": a for name, a in r.normalizer.items()}
        # safetensors keeps no strides: a view of the flat weights has to become an array of its own
        tensors |= {f"rows/{r.row}/{name}": np.asarray(a, order="C") for name, a in named.items()}
    return tensors


def _row(r) -> dict:
    keys = ("row", "seed", "repeat", "fold", "status", "epochs", "best_epoch", "best", "test", "examples")
    row = {key: getattr(r, key) for key in keys}
    if r.reason:
        row["reason"] = r.reason
    if r.refit:
        row["refit"] = asdict(r.refit)
    return row


def _identity(folder: Path) -> tuple[int, int]:
    """What tells the folder from another one of its name."""
    there = os.stat(folder)
    return there.st_dev, there.st_ino


def write_begin(path: Path, config: dict, command: str, spec: DataSpec | None = None) -> None:
    """Write config.yaml, command.txt and, of what is given, spec.json into the folder `path`."""
    import yaml  # which takes longer than the rest of this module

    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    try:
        with replacing(path / "config.yaml") as there:
            there.write_text(text, encoding="utf-8")
        with replacing(path / "command.txt") as there:
            there.write_text(command.rstrip("\n") + "\n", encoding="utf-8")
        if spec is not None:
            write_json(path / SPEC_FILE, spec.to_json())
    except OSError as e:  # that of a full disk names no file
        raise OSError(e.errno, e.strerror, str(path)) from e
