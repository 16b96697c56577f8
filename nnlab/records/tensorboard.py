"""Writes a run's TensorBoard events: curves, histograms, hyperparameters, the graph and the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnlab.interruption import signals_deferred
from nnlab.means import mean_of_finite
from nnlab.metrics import METRICS, recorded_name
from nnlab.records.events import EventFile
from nnlab.records.files import EVENT_FILE_PREFIX
from nnlab.records.hparams import flatten, move_to_front

ROW_FOLDERS = 20  # at most; TensorBoard slows down with a few hundred runs
METRIC_TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_error": "error/train",
    "val_error": "error/validation",
    "lr": "learning_rate",
    "lr_lowered": "schedule/lowered",
    "went_back": "schedule/went_back",
    "grad_norm": "gradient_norm",
    "best_val_loss": "best/validation_loss",
    "best_val_error": "best/validation_error",
}
TABLE_TAGS = {f"val_{name}": f"{name}/validation" for name in METRICS}
TABLE_TAGS |= {f"best_val_{name}": f"best/validation_{name}" for name in METRICS}
DIVERGED_TAG = "rows/diverged"  # how many rows are left out of the means


class TensorBoard:
    """Writes one run's event files: scalars and histograms, hyperparameters (the HParams tab), a picture.

    One row: its curves are the run's. Several rows: the run's curves are means over the rows that
    trained in the epoch (`rows_training` says how many; see `EpochMeans`), and the first 20 rows have
    separate curves in subfolders `rows/<name>`; `names[i]` names row i (`row_names`).

    The HParams tab has one line for the run. `hparams` may be nested. Its columns are those of the
    first run that TensorBoard reads, so give a key that only other runs have as None: it makes a column.
    The keys in which runs `differ` come first.

    `make_graph()` gives the network for the Graphs tab (graph_tensorboard.py).

    Of a run that is resumed, `sizes` says what belongs to it of each event file; `replay` then takes in the
    records that it has already. Call `close` at the end; without it, the run is marked as failed.
    """

    def __init__(
        self, folder, hparams: dict, rows: int, names: list[str] | None = None, task: str = "classification",
        differ: tuple[str, ...] = (), sizes: dict[str, int] | None = None, make_graph=None,
    ):  # fmt: skip
        self._rows, self._tags = rows, metric_tags(task)
        self._hparams = move_to_front(dict(flatten(hparams)), differ)
        self._differ = differ
        self._folder, self._row_files = Path(folder), []
        self._means = EpochMeans(rows)
        self._closed = False
        with signals_deferred():  # an interrupt between would leave files open
            self._run_file, is_new = self._event_file("", sizes)
            try:
                self._begin(is_new, names, sizes, make_graph)
            except BaseException:
                self._close_files()
                raise

    def _begin(self, is_new: bool, names, sizes, make_graph) -> None:
        """Write what stands at the beginning of the run's file, and open those of rows."""
        if is_new:
            self._run_file.start_session(self._hparams)
            if make_graph:
                self._run_file.graph(make_graph())
        if self._rows > 1:
            for folder in row_folders(names or row_names([(row, 0, 0) for row in range(self._rows)])):
                self._row_files.append(self._event_file(folder, sizes)[0])
        if is_new and 0 < len(self._row_files) < self._rows:
            last = len(self._row_files) - 1
            self._run_file.text("rows", f"Rows 0 to {last} of {self._rows} have curves of their own.")

    def record(self, record) -> None:
        """Write a `Record`; a diverged row's NaN is written as NaN and left out of the mean."""
        metrics = {self._tags.get(name, name): values for name, values in record.metrics.items()}
        if self._rows == 1:
            _write_row(self._run_file, record, metrics, 0)
            return
        for epoch, means in self._means.add(record, metrics):
            self._run_file.scalars(epoch, means)
        for i, row in enumerate(record.rows):
            if row < len(self._row_files):
                _write_row(self._row_files[row], record, metrics, i)

    def replay(self, record) -> None:
        """Take in a `Record` that was written before the run was resumed."""
        if self._rows > 1:
            metrics = {self._tags.get(name, name): values for name, values in record.metrics.items()}
            self._means.add(record, metrics)

    def sizes(self) -> dict[str, int]:
        """The bytes of each event file, all of which are on the disk; of this run resumed, `sizes`."""
        files = (self._run_file, *self._row_files)
        return {file.path.relative_to(self._folder).as_posix(): file.sync() for file in files}

    def _event_file(self, below: str, sizes: dict[str, int] | None) -> tuple[EventFile, bool]:
        """The event file in the folder `below` the run's; and whether it is a new one, and none of `sizes`,
        which somebody may have removed."""
        folder, prefix = self._folder / below, f"{below}{EVENT_FILE_PREFIX}"
        for name, size in (sizes or {}).items():
            file_name = name.removeprefix(below)
            if name.startswith(prefix) and "/" not in file_name and (folder / file_name).exists():
                return EventFile(folder, file_name, size), False
        return EventFile(folder), True

    def picture(self, epoch: int, png: bytes) -> None:
        """Write the picture of the curves up to this epoch."""
        self._run_file.image(epoch, "curves", png)

    def close(self, summary: dict, results: list) -> None:
        """Write best and test metrics (means, if there are several rows), and close the files."""
        means = {name: metric["mean"] for name, metric in summary["metrics"].items()}
        final = _final_metrics(means, self._tags)
        if final:
            if self._rows == 1:
                step = results[0].best_epoch
            else:
                step = max(r.epochs for r in results)
                final[DIVERGED_TAG] = summary["rows"]["diverged"]
            self._run_file.scalars(step, final)
            self._run_file.experiment(self._hparams, list(final), self._differ)
        self._close(succeeded=summary["rows"]["diverged"] < summary["rows"]["total"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._closed:
            self._close(succeeded=False)

    def _close(self, succeeded: bool) -> None:
        for epoch, means in self._means.remaining():
            self._run_file.scalars(epoch, means)
        self._run_file.end_session(succeeded)
        self._close_files()
        self._closed = True

    def _close_files(self) -> None:
        for file in (self._run_file, *self._row_files):
            file.close()


class EpochMeans:
    """Means over the rows in each epoch, over finite values only.

    Stacks may train one after another, each from epoch 1: an epoch's mean is ready once every row has either
    trained in it or ended before.
    """

    def __init__(self, rows: int):
        self._rows = rows
        self._ended: dict[int, int] = {}  # row -> its last epoch
        self._pending: dict[int, dict[str, list[np.ndarray]]] = {}  # epoch -> tag -> values

    def add(self, record, metrics: dict) -> list[tuple[int, dict[str, float]]]:
        """Take in a `Record`, whose arrays are `metrics` by tag; return the epochs that are now ready."""
        values = self._pending.setdefault(record.epoch, {tag: [] for tag in metrics})
        for tag, column in metrics.items():
            values[tag].append(np.asarray(column, dtype=float))
        trained = sum(map(len, next(iter(values.values()))))
        ended_before = sum(last < record.epoch for last in self._ended.values())
        self._ended |= dict.fromkeys(record.ended, record.epoch)
        return [self._pop(record.epoch)] if trained + ended_before == self._rows else []

    def remaining(self) -> list[tuple[int, dict[str, float]]]:
        """The epochs that some rows never reached, with the means of the others."""
        return [self._pop(epoch) for epoch in sorted(self._pending)]

    def _pop(self, epoch: int) -> tuple[int, dict[str, float]]:
        columns = {tag: np.concatenate(v) for tag, v in self._pending.pop(epoch).items()}
        means = {tag: mean_of_finite(column) for tag, column in columns.items()}
        return epoch, means | {"rows_training": max(map(len, columns.values()))}


def row_names(row_keys: list[tuple[int, int, int]]) -> list[str]:
    """A name for each row from its (seed, repeat, fold): those of the three that vary among the rows.

    If these do not distinguish the rows, they are numbered.

    >>> row_names([(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)])
    ['seed0_fold0', 'seed0_fold1', 'seed1_fold0', 'seed1_fold1']
    """
    columns = []
    # What all rows share would only make the names longer.
    for word, numbers in zip(("seed", "repeat", "fold"), zip(*row_keys, strict=True), strict=True):
        if len(set(numbers)) > 1:
            width = len(str(max(numbers)))  # zero-padded, so that names sort as numbers do
            columns.append([f"{word}{number:0{width}d}" for number in numbers])
    names = ["_".join(words) for words in zip(*columns, strict=True)]
    return names if len(set(names)) == len(row_keys) else [f"row{i}" for i in range(len(row_keys))]


def row_folders(names: list[str]) -> list[str]:
    """The subfolders with the event files of the first rows, of these names."""
    return [f"rows/{name}/" for name in names[:ROW_FOLDERS]]


def _write_row(file: EventFile, record, metrics: dict, i: int) -> None:
    """Write the `i`th row's scalars, from `metrics` by tag, and its histograms."""
    file.scalars(record.epoch, {tag: float(column[i]) for tag, column in metrics.items()})
    file.histograms(record.epoch, {tag: (h.counts[i], h.edges[i]) for tag, h in record.histograms.items()})


def metric_tags(task: str) -> dict[str, str]:
    """Metric -> TensorBoard tag; the error of a regression is an RMSE."""
    error = "rmse" if task == "regression" else "error"
    return {name: tag.replace("error", error) for name, tag in METRIC_TAGS.items()} | TABLE_TAGS


def objective_tag(name: str, tags: dict[str, str]) -> str:
    """The tag of a sweep's objective: the same as in runs, where runs have it."""
    return tags.get(f"best_{recorded_name(name)}", f"objective/{name}")


def _final_metrics(metrics: dict, tags: dict[str, str]) -> dict[str, float]:
    """The best and test metrics that the HParams tab shows, by tag."""
    best = {tags[f"best_{name}"]: value for name, value in metrics.items() if f"best_{name}" in tags}
    test = {f"test/{k[5:]}": v for k, v in metrics.items() if k.startswith("test_")}
    return best | test
