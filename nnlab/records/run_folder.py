"""A run's folder: its configuration, a line per epoch and row, at the end results and weights."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import math
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nnlab.errors import UserError

METRICS = "metrics.jsonl"
WEIGHTS = "model.safetensors"
RESERVED = ".reserved"  # room for the weights, while it trains


class RunFolder:
    """Writes the files of one run.

        with RunFolder(path) as folder:
            folder.start(config, command)       config.yaml, command.txt
            folder.reserve(count)               room for the weights
            folder.record(record)               metrics.jsonl, each epoch
            folder.close(summary, results)      model.safetensors, rows.json, summary.json
            folder.picture(png)                 curves.png

    Every file but metrics.jsonl appears complete or not at all. summary.json is the last, so a
    folder that has it is a run that ended; one that failed keeps all lines that metrics.jsonl had, and
    with `keep` the weights of its best epochs so far.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.closed = False  # whether the results are written
        self._identity, self._begin = _identity(self.path), ({}, "")
        self._metrics = None

    def start(self, config: dict, command: str) -> None:
        """Write the resolved configuration as YAML, and the line that repeats the run."""
        self._begin = config, command
        write_begin(self.path, config, command)

    def reserve(self, count: int) -> None:
        """Take so many bytes of the disk, which `close` and `keep` give back for what they write: a disk
        that fills up while it trains does not cost the weights. Raises `OSError` if there are not so many."""
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        with open(self.path / RESERVED, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, count))
            except AttributeError:
                pass  # not on this system
            except OSError as e:
                if e.errno in full:
                    raise OSError(e.errno, e.strerror, str(self.path)) from e

    def record(self, record) -> None:
        """Append a line for each row of a `Record`: epoch, row, metrics; NaN and inf are null."""
        if self._metrics is None:
            self._metrics = open_to_append(self.path / METRICS)
        columns = [np.asarray(values).tolist() for values in record.metrics.values()]
        lines = []
        for row, *values in zip(np.asarray(record.rows).tolist(), *columns, strict=True):
            line = {"epoch": record.epoch, "row": row} | ({"refit": True} if record.refit else {})
            line |= zip(record.metrics, map(_finite, values), strict=True)
            lines.append(json.dumps(line, allow_nan=False) + "\n")
        self._check()
        self._metrics.write("".join(lines).encode())
        self._metrics.flush()

    def close(self, summary: dict, results: list) -> None:
        """Write the weights of every row, rows.json and summary.json; `results` are `Result`s."""
        self._check()
        self._write(results)
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
        """Whether the folder was removed or exchanged, perhaps for a link to elsewhere. (The number of one
        that was removed may be given to the next, but its files then have no name any more.)"""
        try:
            there = _identity(self.path) == self._identity
        except OSError:
            return True
        return not there or (self._metrics is not None and os.fstat(self._metrics.fileno()).st_nlink == 0)

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
            (self.path / METRICS).write_bytes(self._metrics.read())

    def _write(self, results: list) -> None:
        from safetensors.numpy import save_file

        (self.path / RESERVED).unlink(missing_ok=True)
        self._stop()
        with replacing(self.path / WEIGHTS) as aside:
            save_file(_tensors(results), aside)
        write_json(self.path / "rows.json", [_row(r) for r in results])

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
            (self.path / RESERVED).unlink(missing_ok=True)
        self._stop()

    def _stop(self):
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            with contextlib.suppress(OSError):  # every line was flushed: what is left is one that failed
                metrics.close()


def load_weights(path) -> dict[int, dict[str, np.ndarray]]:
    """The weights in a run folder (or in the file itself): row -> name -> array.

    What belongs to the normaliser is named `normalizer/<name>`. Raises UserError if there are none.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = Path(path)
    file = file / WEIGHTS if file.is_dir() else file
    if not file.exists():
        raise UserError(f"there are no weights at {file}: give the folder of a run that has ended")
    try:
        tensors = load_file(file)
        rows: dict[int, dict[str, np.ndarray]] = {}
        for key in tensors:
            _, row, name = key.split("/", 2)
            rows.setdefault(int(row), {})[name] = tensors[key]
    except (SafetensorError, ValueError) as e:
        raise UserError(f"{file} does not hold the weights of a run: {e}") from e
    return dict(sorted(rows.items()))


def _tensors(results: list) -> dict[str, np.ndarray]:
    tensors = {}
    for r in results:
        named = r.weights | {f"normalizer/{name}": a for name, a in r.normalizer.items()}
        # safetensors keeps no strides: a view of the flat weights has to become an array of its own
        tensors |= {f"rows/{r.row}/{n}": np.asarray(a, order="C") for n, a in named.items()}
    return tensors


def _row(r) -> dict:
    keys = ("row", "seed", "repeat", "fold", "status", "epochs", "best_epoch", "best", "test")
    row = {key: getattr(r, key) for key in keys}
    row |= {"reason": r.reason} if r.reason else {}
    return row | ({"refit": asdict(r.refit)} if r.refit else {})


def plain(value):
    """The same as JSON knows it: no numpy, no tuples, None for NaN and the infinities."""
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return _finite(value)


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def made_new(folder: Path, first: int = 1) -> Path:
    """Make `folder`, or `folder-2`, `folder-3`, ...: `mkdir` decides who of several was first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for n in itertools.count(first):
        candidate = folder if n == 1 else folder.with_name(f"{folder.name}-{n}")
        with contextlib.suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("unreachable")


def _identity(folder: Path) -> tuple[int, int]:
    """What tells the folder from another one of its name."""
    there = os.stat(folder)
    return there.st_dev, there.st_ino


def write_begin(path: Path, config: dict, command: str) -> None:
    """Write config.yaml and command.txt into the folder `path`."""
    import yaml

    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    try:
        with replacing(path / "config.yaml") as there:
            there.write_text(text, encoding="utf-8")
        with replacing(path / "command.txt") as there:
            there.write_text(command.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as e:  # that of a full disk names no file
        raise OSError(e.errno, e.strerror, str(path)) from e


def write_json(path: Path, value) -> None:
    """Write a file of JSON, which appears complete or not at all; NaN and the infinities are null."""
    with replacing(path) as aside:
        text = json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def open_to_append(path: Path):
    """Open for appending, without the half line that a killed process may have left at the end."""
    if path.exists():
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
    return open(path, "ab+")


@contextlib.contextmanager
def replacing(path: Path):
    """A path to write to; it then becomes `path` at one stroke, or is gone if writing failed."""
    there = aside(path, os.getpid())
    try:
        there.touch()
        mode = there.stat().st_mode
        yield there
        there.chmod(mode)  # safetensors makes files that only their owner can read
        with open(there, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(there, path)
        _sync_folder(path.parent)
    finally:
        there.unlink(missing_ok=True)


def aside(path: Path, process: int) -> Path:
    """Where a process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{process}")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where folders can be opened at all."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
