"""`RunFolder`: writes a run's folder of configuration, metrics per epoch and row, results and weights."""

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
from nnlab.records.files import (
    EVENT_FILE_PREFIX,
    atomic_write,
    finite_or_none,
    make_unique_folder,
    open_cut,
    open_to_append,
    refuse_links,
    remove_temporaries,
    synced_size,
    write_json,
)
from nnlab.records.locking import open_locked

METRICS_FILE = "metrics.jsonl"
WEIGHTS_FILE = "model.safetensors"
TEST_PREDICTIONS_FILE = "test_predictions.csv"
SPLITS_FILE = "splits.jsonl"
CHECKPOINT_FILE = "checkpoint.safetensors"
NORMALIZER_PREFIX = "normalizer/"  # of the normaliser's tensors in that file
CALIBRATION_PREFIX = "calibration/"  # and of those fitted on validation examples
RESERVED_FILE = ".reserved"  # reserves disk space for the weights during training


class RunFolder:
    """Writes the files of one run.

        with RunFolder(path) as folder:
            folder.reserve(count)               disk space for the weights
            folder.start(config, command, spec) config.yaml, command.txt, spec.json
            folder.resume(sizes)                the curves of a run that is resumed, as they were
            folder.record(record)               metrics.jsonl, each epoch
            folder.write_results(results, tables)  model.safetensors, rows.json, tables
            folder.picture(png)                 curves.png
            folder.close(summary)               summary.json

    Every file but metrics.jsonl appears complete or not at all. summary.json is the last, so a
    folder that has it is a run that ended; one that failed keeps all lines that metrics.jsonl had, and
    with `save_partial` the weights of its best epochs so far.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.closed = False  # whether the results are written
        self._identity = _identity(self.path)
        self._start_arguments = {}, "", None
        self._metrics = self._reserved = None

    def start(self, config: dict, command: str, spec: DataSpec | None = None) -> None:
        """Write the resolved configuration, the command that repeats the run, and the data's spec.

        A folder without weights needs no spec.
        """
        self._start_arguments = config, command, spec
        write_start_files(self.path, *self._start_arguments)

    def resume(self, sizes: dict[str, int]) -> None:
        """Cut metrics.jsonl back to its size in `sizes`, to append to it; without one, remove all curves."""
        remove_temporaries(self.path)
        if METRICS_FILE in sizes:
            self._metrics = open_cut(self.path / METRICS_FILE, sizes[METRICS_FILE])
        else:
            remove_records(self.path)

    def sync(self) -> dict[str, int]:
        """Force metrics.jsonl to the disk, and return its size in bytes, if an epoch was recorded."""
        self._refuse_if_lost()
        return {} if self._metrics is None else {METRICS_FILE: synced_size(self._metrics)}

    def reserve(self, count: int) -> None:
        """Reserve `count` bytes of disk space, which `close` and `save_partial` free for what they write.

        So a disk that fills up during training does not cost the weights. The file is locked meanwhile, so
        that nobody else can resume the run. Raises `OSError` if there is not enough space, `UserError` if the
        file is locked.
        """
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        self._reserved = open_locked(self.path / RESERVED_FILE, "nnlab train")
        try:
            os.posix_fallocate(self._reserved.fileno(), 0, max(1, count))
        except AttributeError:
            pass  # not available on this system
        except OSError as e:  # other errors mean that the file system cannot reserve space
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
            line |= zip(record.metrics, map(finite_or_none, values), strict=True)
            lines.append(json.dumps(line, allow_nan=False) + "\n")
        self._refuse_if_lost()
        self._metrics.write("".join(lines).encode())
        self._metrics.flush()

    def write_results(self, results: list, tables: dict[str, Iterable] | None = None) -> None:
        """Write the weights of every row, rows.json, and the lines of the `tables`, by their names; `results`
        are `Result`s."""
        self._refuse_if_lost()
        self._write_results(results)
        for name, lines in (tables or {}).items():
            self._table(name, lines)

    def close(self, summary: dict) -> None:
        """Write summary.json."""
        self._refuse_if_lost()
        write_json(self.path / "summary.json", summary)
        self.closed = True

    def save_partial(self, results: list) -> bool:
        """Write rows.json and the weights of these rows, all that is left of an unfinished run.

        If the folder was removed or replaced, they go into a new one beside it; returns whether it was.
        """
        lost = self._is_lost()
        if lost:
            self._recreate()
        self._write_results(results)
        return lost

    def _is_lost(self) -> bool:
        """Whether the folder was removed or replaced, perhaps by a link."""
        try:
            is_same = _identity(self.path) == self._identity
        except OSError:
            return True
        if not is_same:
            return True
        # The inode of a removed folder may be reused, but then our open file has no links.
        return self._metrics is not None and os.fstat(self._metrics.fileno()).st_nlink == 0

    def _refuse_if_lost(self) -> None:
        if self._is_lost():
            raise OSError(errno.ENOENT, "the folder was removed or replaced while it trained", str(self.path))

    def _recreate(self) -> None:
        """Make a new folder beside the lost one, with the same settings and metrics."""
        self.path = make_unique_folder(self.path, first=2)
        self._identity = _identity(self.path)
        write_start_files(self.path, *self._start_arguments)
        if self._metrics is not None:
            self._metrics.seek(0)
            (self.path / METRICS_FILE).write_bytes(self._metrics.read())

    def _write_results(self, results: list) -> None:
        from safetensors.numpy import save_file  # imported late, since a check's folder has no weights

        self._free_reserved()
        self._close_metrics()
        with atomic_write(self.path / WEIGHTS_FILE) as temporary:
            save_file(_named_tensors(results), temporary)
        write_json(self.path / "rows.json", [_row_json(r) for r in results])

    def _table(self, name: str, lines: Iterable) -> None:
        """Write a file of CSV, or none if there are no lines."""
        lines = iter(lines)
        for first in itertools.islice(lines, 1):
            with (
                atomic_write(self.path / name) as aside,
                open(aside, "w", newline="", encoding="utf-8") as file,
            ):
                CsvTable(file).lines(itertools.chain([first], lines))

    def write_lines(self, name: str, values: Iterable) -> None:
        """Write another file of JSON, a value a line."""
        self._refuse_if_lost()
        with atomic_write(self.path / name) as aside:
            aside.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")

    def write(self, name: str, value) -> None:
        """Write another JSON file."""
        self._refuse_if_lost()
        write_json(self.path / name, value)

    def write_text(self, name: str, text: str) -> None:
        """Write another file of text."""
        self._refuse_if_lost()
        with atomic_write(self.path / name) as aside:
            aside.write_text(text, encoding="utf-8")

    def picture(self, png: bytes, name: str = "curves") -> None:
        """Write a picture, by default curves.png."""
        self._refuse_if_lost()
        with atomic_write(self.path / f"{name}.png") as temporary:
            temporary.write_bytes(png)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._refuse_if_lost()
            self._free_reserved()
        self._close_metrics()

    def _free_reserved(self) -> None:
        """Free the reserved disk space, and the lock."""
        if self._reserved is not None:
            (self.path / RESERVED_FILE).unlink(missing_ok=True)
            self._reserved.close()
            self._reserved = None

    def _close_metrics(self):
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            with contextlib.suppress(OSError):  # all complete lines are flushed already
                metrics.close()


def remove_records(path: Path) -> None:
    """Remove the curves of a run that begins again: metrics.jsonl and event files."""
    events = (*path.glob(f"{EVENT_FILE_PREFIX}*"), *path.glob(f"rows/*/{EVENT_FILE_PREFIX}*"))
    for file in (path / METRICS_FILE, *events):
        refuse_links(file)
        file.unlink(missing_ok=True)


def _named_tensors(results: list) -> dict[str, np.ndarray]:
    tensors = {}
    for r in results:
        named = r.weights | {f"{NORMALIZER_PREFIX}{name}": a for name, a in r.normalizer.items()}
        named |= {f"{CALIBRATION_PREFIX}{name}": a for name, a in r.calibration.items()}
        # safetensors stores no strides, so views of the flat weights must become contiguous
        tensors |= {f"rows/{r.row}/{name}": np.asarray(a, order="C") for name, a in named.items()}
    return tensors


def _row_json(r) -> dict:
    keys = ("row", "seed", "repeat", "fold", "status", "epochs", "best_epoch", "best", "test", "examples")
    row = {key: getattr(r, key) for key in keys}
    if r.reason:
        row["reason"] = r.reason
    row |= {name: float(array) for name, array in r.calibration.items() if not array.ndim}
    if r.refit:
        row["refit"] = asdict(r.refit)
    return row


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode, which distinguish the folder from another of the same name."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def write_start_files(path: Path, config: dict, command: str, spec: DataSpec | None = None) -> None:
    """Write config.yaml, command.txt and, if given, spec.json into the folder `path`."""
    import yaml  # takes longer to import than the rest of this module

    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    try:
        _write_text(path / "command.txt", command.rstrip("\n") + "\n")
        _write_text(path / "config.yaml", text)  # by which the folder is that of a run
        if spec is not None:
            write_json(path / SPEC_FILE, spec.to_json())
    except OSError as e:  # the error of a full disk names no file
        raise OSError(e.errno, e.strerror, str(path)) from e


def _write_text(path: Path, text: str) -> None:
    """Write a file of text, unless it has that text already: to wait for the disk takes milliseconds."""
    content = text.encode()
    if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
