"""`RunWriter`: writes everything about one run, its folder, TensorBoard events and picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.data.splits import Fold
from nnlab.equation import Equation, equation
from nnlab.experiment import Experiment, Row
from nnlab.records import equation_text
from nnlab.records.curves import Curves
from nnlab.records.graph_nodes import shown_graph
from nnlab.records.graph_tensorboard import graph_def
from nnlab.records.rate_course import RateCourse
from nnlab.records.run_folder import SPLITS_FILE, TEST_PREDICTIONS_FILE, RunFolder
from nnlab.records.speed import SPEED_FILE, Speed
from nnlab.records.summary import summarize
from nnlab.records.tensorboard import TensorBoard, row_names
from nnlab.records.test_predictions import (
    MAX_SPLIT_INDICES,
    split_index_count,
    splits,
    test_predictions,
)
from nnlab.records.titles import describe_computation, describe_run, run_title
from nnlab.records.weight_summary import summarize_weights
from nnlab.training.fingerprints import fingerprints
from nnlab.training.fit import Fit
from nnlab.training.predictions import KeepPredictions, residuals_bytes
from nnlab.training.stacks import theta_width

CELL_BYTES = 16  # per cell of test_predictions.csv
REPORT_BYTES = 2**14  # per row in rows.json; and for the headers and names of weights


@dataclass(frozen=True)
class RunRequest:
    """What a run folder is written from: where it is, its settings, and the command that repeats it."""

    folder: Path
    settings: dict  # the resolved configuration, for config.yaml
    hparams: dict  # the experiment's settings, for TensorBoard
    command: str
    picture: bool
    predictions: KeepPredictions = "auto"  # whether to write test_predictions.csv and splits.jsonl
    differ: tuple[str, ...] = ()  # the hyperparameters in which this run differs from the others


class RunWriter:
    """Writes the run folder of one experiment of a fit; its rows are numbered from 0.

    with RunWriter(request, fit, index) as run:
        run.record(record)           each record of the fit
        summary = run.close()        when its rows have ended

    For a run that is resumed, `sizes` are those that `sync` has returned, or empty if it begins again;
    `replay` then takes in the records before them. A run that had ended before that `is_closed`.
    """

    def __init__(
        self,
        request: RunRequest,
        fit: Fit,
        index: int = 0,
        sizes: dict[str, int] | None = None,
        is_closed: bool = False,
    ):
        self.fit, self.index, self.request = fit, index, request
        self.experiment: Experiment = fit.experiments[index]
        self.rows: list[Row] = [
            row for row, owner in zip(fit.rows, fit.experiment_of_row, strict=True) if owner == index
        ]
        self.first_row = self.rows[0].number
        self.title = run_title(self.experiment, fit, len(self.rows))
        self.dataset = fit.datasets[self.experiment.data]
        self.spec = self.dataset.spec
        self.description = describe_run(self.experiment, self.spec, self.dataset.weights is not None)
        self.task = self.description["task"]
        names = row_names([(row.seed, row.fold.repeat, row.fold.number) for row in self.rows])
        self.equation: Equation | None = None  # set by close
        self.closed = is_closed  # whether everything is written
        self.folder_lost = False  # whether the folder was lost, so that `save_partial` made another
        self.folder, self.tensorboard = RunFolder(request.folder), None
        self.curves = Curves(len(self.rows)) if request.picture else None
        self.rates = RateCourse(len(self.rows))
        self.speed = Speed([len(row.fold.train) for row in self.rows])
        if is_closed:
            self.folder.closed = True
            return
        try:
            self.folder.reserve(self._weights_bytes())
            self.folder.start(request.settings, request.command, self.spec)
            if sizes is not None:
                self.folder.resume(sizes)
            self._write_splits()
            self.tensorboard = TensorBoard(
                request.folder, request.hparams, len(self.rows), names, self.task, request.differ, sizes,
                make_graph=lambda: graph_def(shown_graph(self.experiment, self.spec)),
            )  # fmt: skip
        except BaseException:  # also a Ctrl-C: free the reserved disk space
            self.folder.__exit__()
            raise

    def _folds(self) -> list[Fold]:
        return list({row.fold.key: row.fold for row in self.rows}.values())

    def _write_splits(self) -> None:
        folds, wanted = self._folds(), self.request.predictions
        if wanted == "auto":
            wanted = split_index_count(folds) <= MAX_SPLIT_INDICES
        if wanted:
            self.folder.write_lines(SPLITS_FILE, splits(folds, self.dataset))

    def record(self, record):
        """Write the part of a fit's record that concerns this run's rows; return it, or None."""
        part = record.select(self.first_row, len(self.rows))
        if part is None:
            return None
        self.folder.record(part)
        # Curves end before the refit, which trains on the validation examples.
        if not part.refit:
            self.tensorboard.record(part)
            self.rates.record(part)
            self.speed.record(part)
            if self.curves:
                self.curves.record(part)
        return part

    def replay(self, record) -> None:
        """Take in a record of this run that was written before it was resumed."""
        if not record.refit:
            self.tensorboard.replay(record)
            self.rates.record(record)
            if self.curves:
                self.curves.record(record)

    def sync(self) -> dict[str, int]:
        """Force what was recorded to the disk; returns the size of each file in bytes, by its name."""
        return self.folder.sync() | self.tensorboard.sizes()

    def save_partial(self) -> int:
        """Write the best weights so far of a run that ended early; return the number of rows written."""
        # A row without a completed epoch has no best weights yet.
        results = [r for r in self._results() if r.best_epoch]
        self.folder_lost = self.folder.save_partial(results)
        return len(results)

    def _weights_bytes(self) -> int:
        """The size of weights, normalisers, residuals, rows.json and test predictions in bytes."""
        bytes_per_element = 8 if self.experiment.dtype == "float64" else 4
        weights = bytes_per_element * theta_width(self.rows[0], self.fit.datasets)
        spec, codes = self.spec, sum(column.codes for column in self.spec.encoding.code_columns)
        normalizer = 8 * (4 * spec.inputs + 3 * spec.outputs + codes)  # fill, mean, scale, center; slots
        tested = sum(len(fold.test) for fold in self._folds()) if self.rows[0].keeps_predictions else 0
        predictions = CELL_BYTES * tested * (self.spec.outputs + 3)
        residuals = sum(residuals_bytes(row, self.spec.outputs) for row in self.rows)
        rows = len(self.rows) * (weights + normalizer + REPORT_BYTES)
        return rows + residuals + REPORT_BYTES + predictions

    @property
    def all_ended(self) -> bool:
        """Whether all rows have ended for good, so that the run can be closed."""
        return len(self._results()) == len(self.rows) and not self.experiment.refit

    def close(self) -> dict:
        """Write the results; return the summary."""
        results = self._results()
        summary = {"title": self.title} | self.description
        summary |= describe_computation(self.fit) | summarize(results)
        summary["fingerprints"] = fingerprints(self.experiment, self.fit.cache)
        if rates := self.rates.summary(self.experiment.schedule.remedy):
            summary["learning_rate"] = rates
        weights = self.experiment.graph(self.spec).layout().weights
        if entry := summarize_weights(results, weights, self.experiment.regularizer):
            summary["weights"] = entry
        self.equation = self._equation(results)
        if self.equation:
            self.folder.write(equation_text.EQUATION_FILE, equation_text.to_json(self.equation))
        self.folder.write(SPEED_FILE, self.speed.to_json())
        self.folder.write_results(results, {TEST_PREDICTIONS_FILE: test_predictions(results, self.dataset)})
        try:
            if self.curves:
                self._draw()
            self.tensorboard.close(summary, results)
        finally:
            # The last file, so that a run which was killed before it is resumed; but no picture that fails
            # costs the summary.
            self.folder.close(summary)
        self.closed = True
        return summary

    def _draw(self) -> None:
        from nnlab.records.picture import draw  # imports matplotlib, half a second

        _, _, target = self.description["loss_is"].partition(" of the ")
        png = draw(self.curves, self.title, self.task, target)
        self.folder.picture(png)
        self.tensorboard.picture(self.curves.epochs, png)

    def _equation(self, results: list):
        """The learnt equation of the first row, if the model is small and has no hidden layers."""
        equations = (equation(self.fit, self.rows[r.row], r) for r in results if r.status != "diverged")
        return next(equations, None)

    def _results(self) -> list:
        numbers = range(self.first_row, self.first_row + len(self.rows))
        results = [r.numbered_from(self.first_row) for r in self.fit.results if r.row in numbers]
        return sorted(results, key=lambda r: r.row)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.__exit__()
        try:
            if self.tensorboard:
                self.tensorboard.__exit__()
        except OSError:
            if self.closed:  # otherwise an earlier error is being reported already
                raise
