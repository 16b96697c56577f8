"""All that is written of one run: its folder, its curves in TensorBoard, its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.data.splits import Fold
from nnlab.equation import Equation, equation
from nnlab.experiment import Experiment, Row
from nnlab.records import formula
from nnlab.records.curves import Curves
from nnlab.records.run_folder import RunFolder
from nnlab.records.summary import summarize
from nnlab.records.tensorboard import TensorBoard, row_names
from nnlab.records.test_predictions import (
    MOST_SPLIT_NUMBERS,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    split_numbers,
    splits,
    test_predictions,
)
from nnlab.records.titles import about, how_computed, title
from nnlab.training.fit import Fit
from nnlab.training.predictions import Keep
from nnlab.training.stacks import theta_width

CELL_BYTES = 16  # of a number in test_predictions.csv
REPORT_BYTES = 2**14  # in rows.json, of each row; and in headers and names of weights


@dataclass(frozen=True)
class Order:
    """What is to be run, and where it goes: the settings, and the line that repeats them."""

    folder: Path
    settings: dict  # of the command, written to config.yaml
    hparams: dict  # of the experiment, for TensorBoard
    command: str
    picture: bool
    predictions: Keep = "auto"  # of the test sets, and which examples these are: as `Fit` has it
    differ: tuple[str, ...] = ()  # hyperparameters that tell it from other runs


class Run:
    """Writes what concerns one experiment of a fit, its rows numbered from 0.

    with Run(order, fit, place) as run:
        run.record(record)           each record of the fit
        summary = run.close()        when its rows have ended
    """

    def __init__(self, order: Order, fit: Fit, place: int = 0):
        self.fit, self.place, self.order = fit, place, order
        self.experiment: Experiment = fit.experiments[place]
        self.rows: list[Row] = [
            row for row, owner in zip(fit.rows, fit.experiment_of_row, strict=True) if owner == place
        ]
        self.first = self.rows[0].number
        self.title = title(self.experiment, fit, len(self.rows))
        self.dataset = fit.datasets[self.experiment.data]
        self.spec = self.dataset.spec
        self.about = about(self.experiment, self.spec)
        self.task = self.about["task"]
        names = row_names([(row.seed, row.fold.repeat, row.fold.number) for row in self.rows])
        self.equation: Equation | None = None  # known when it is closed
        self.closed = False  # whether all of it is written
        self.lost = False  # whether its folder was, so that `keep` had to take another
        self.folder = RunFolder(order.folder)
        try:
            self.folder.start(order.settings, order.command, self.spec)
            self._write_splits()
            self.folder.reserve(self._size_of_weights())
            self.board = TensorBoard(
                order.folder, order.hparams, len(self.rows), names, self.task, order.differ
            )
        except BaseException:  # also a Ctrl-C: the reserved room is given back
            self.folder.__exit__()
            raise
        self.curves = Curves(len(self.rows)) if order.picture else None

    def _folds(self) -> list[Fold]:
        return list({row.fold.key: row.fold for row in self.rows}.values())

    def _write_splits(self) -> None:
        folds, keep = self._folds(), self.order.predictions
        if split_numbers(folds) <= MOST_SPLIT_NUMBERS if keep == "auto" else keep:
            self.folder.write_lines(SPLITS_FILE, splits(folds, self.dataset))

    def record(self, record):
        """Take in what a record of the fit says of this run's rows; that part of it, None if nothing."""
        part = record.select(self.first, len(self.rows))
        if part is None:
            return None
        self.folder.record(part)
        # Curves end with the search for the best epoch: what a refit validates on, it trains on.
        if not part.refit:
            self.board.record(part)
            if self.curves:
                self.curves.record(part)
        return part

    def keep(self) -> int:
        """Write what there is of a run that ended early: the best weights so far; of how many rows."""
        # A row that finished no epoch well has no best weights yet.
        results = [r for r in self._results() if r.best_epoch]
        self.lost = self.folder.keep(results)
        return len(results)

    def _size_of_weights(self) -> int:
        """Bytes that the weights will take, with their normalisers, rows.json and the test predictions."""
        bytes_per_number = 8 if self.experiment.dtype == "float64" else 4
        weights = bytes_per_number * theta_width(self.rows[0], self.fit.datasets)
        normalizer = 2 * 8 * (self.spec.inputs + self.spec.outputs)  # means and scales, in float64
        tested = sum(len(fold.test) for fold in self._folds()) if self.rows[0].keeps_predictions else 0
        predictions = CELL_BYTES * tested * (self.spec.outputs + 3)
        return len(self.rows) * (weights + normalizer + REPORT_BYTES) + REPORT_BYTES + predictions

    @property
    def over(self) -> bool:
        """Whether all its rows have ended for good, so that it can be closed."""
        return len(self._results()) == len(self.rows) and not self.experiment.refit

    def close(self) -> dict:
        """Write the results; the summary."""
        results = self._results()
        summary = {"title": self.title} | self.about | how_computed(self.fit) | summarize(results)
        self.equation = self._equation(results)
        if self.equation:
            self.folder.write(formula.EQUATION_FILE, formula.as_json(self.equation))
        self.folder.close(summary, results, {PREDICTIONS_FILE: test_predictions(results, self.dataset)})
        if self.curves:
            from nnlab.records.picture import draw  # matplotlib, half a second that most runs do without

            _, _, target = self.about["loss_is"].partition(" of the ")
            png = draw(self.curves, self.title, self.task, target)
            self.folder.picture(png)
            self.board.picture(self.curves.epochs, png)
        self.board.close(summary, results)
        self.closed = True
        return summary

    def _equation(self, results: list):
        """That of the first row that has one: of a small model without hidden layers."""
        equations = (equation(self.fit, self.rows[r.row], r) for r in results if r.status != "diverged")
        return next(equations, None)

    @property
    def units(self) -> tuple[str, str]:
        """In what its loss and its error are measured: means over runs need them to be the same."""
        if self.task == "regression":
            return self.about["loss_is"], self.about["data"]
        return self.about["loss_is"], "share"

    def _results(self) -> list:
        numbers = range(self.first, self.first + len(self.rows))
        results = [r.numbered_from(self.first) for r in self.fit.results if r.row in numbers]
        return sorted(results, key=lambda r: r.row)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.__exit__()
        try:
            self.board.__exit__()
        except OSError:
            if self.closed:  # else there was a fault before, perhaps this full disk, and it is reported
                raise
