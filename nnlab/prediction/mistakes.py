"""The test examples that a run predicts worst: the surest wrong classes, or the largest residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.arguments import typed
from nnlab.data.dataset import Dataset
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.prediction.training_data import CHANGED
from nnlab.records.prediction_columns import prediction_names, probability_names, target_names
from nnlab.records.run_folder import TEST_PREDICTIONS_FILE
from nnlab.records.stored_run import StoredRun


@dataclass(frozen=True)
class TestPredictions:
    """What a run predicted for its n test examples, by test_predictions.csv.

    examples       (n,) their numbers in the data
    targets        (n,) class numbers, -1 for a text that is no class; or (n, m) numbers
    predictions    likewise; -1 or NaN where there is none
    probabilities  (n, classes); (n, 0) in a regression
    """

    examples: np.ndarray
    targets: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray

    @property
    def is_wrong(self) -> np.ndarray:
        """(n,) whether another class was predicted."""
        return self.targets != self.predictions

    @property
    def confidence(self) -> np.ndarray:
        """(n,) the probability of the predicted class; NaN where there is none."""
        lines = np.arange(len(self.examples))
        return np.where(self.predictions < 0, np.nan, self.probabilities[lines, self.predictions])

    @property
    def residuals(self) -> np.ndarray:
        """(n, m) how far the predicted numbers are above the true ones."""
        return self.predictions - self.targets

    def worst(self, count: int) -> np.ndarray:
        """The lines of the `count` worst, worst first: wrong classes by their probability; numbers by the
        largest residual in units of the target's standard deviation."""
        if self.probabilities.shape[1]:
            lines = np.flatnonzero(self.is_wrong & ~np.isnan(self.confidence))
            badness = self.confidence[lines]
        else:
            sizes = self._sizes()
            lines = np.flatnonzero(~np.isnan(sizes).any(1))
            badness = sizes[lines].max(1, initial=0)
        return lines[np.argsort(-badness, kind="stable")[:count]]

    def worst_target(self, line: int) -> int:
        """The number of the target with the largest residual in a line, in the same units."""
        return int(np.argmax(self._sizes()[line]))

    def _sizes(self) -> np.ndarray:
        """(n, m): residuals in units of their targets' standard deviations, without their signs."""
        spread = self.targets.std(0)
        return abs(self.residuals) / np.where(spread > 0, spread, 1)


@typed
def test_predictions(stored: StoredRun, spec: DataSpec) -> TestPredictions:
    """What the run predicted for its test examples. Raises `UserError` where it has not been written, or is
    not of these classes or targets."""
    columns = stored.test_predictions
    where = f"'{stored.path / TEST_PREDICTIONS_FILE}'"
    targets, predictions = target_names(spec), prediction_names(spec)
    for name in ("example", *targets, *predictions, *probability_names(spec)):
        if name not in columns:
            raise UserError(f"{where} has no column '{name}'")
    numbers = [*probability_names(spec), *(() if spec.classes else (*targets, *predictions))]
    if columns["example"].dtype.kind != "i" or any(columns[name].dtype.kind not in "if" for name in numbers):
        raise UserError(f"{where} has text where there should be numbers")

    def joined(names: list[str]) -> np.ndarray:
        return np.array([columns[name].astype(float) for name in names]).reshape(len(names), -1).T

    if not spec.classes:
        no_probabilities = np.empty((len(columns["example"]), 0))
        return TestPredictions(columns["example"], joined(targets), joined(predictions), no_probabilities)
    true, predicted = (class_numbers(columns[names[0]], spec.classes) for names in (targets, predictions))
    return TestPredictions(columns["example"], true, predicted, joined(probability_names(spec)))


def class_numbers(column: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(n,) the numbers of the classes in a column of CSV, which has become numbers where all are; -1 where a
    cell is none of them."""
    if column.dtype.kind == "U":
        numbers: dict = {name: number for number, name in enumerate(classes)}
    else:
        numbers = {_as_number(name): number for number, name in enumerate(classes)}
    return np.array([numbers.get(cell, -1) for cell in column.tolist()], np.int64)


def _as_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@typed
def places_in(dataset: Dataset, predictions: TestPredictions) -> np.ndarray:
    """(n,) the indices of the test examples in data that were read again. Raises `UserError` if these have
    others, or other targets."""
    numbers = dataset.number(np.arange(len(dataset.x)))
    places = np.searchsorted(numbers, predictions.examples)
    known = np.minimum(places, len(numbers) - 1)
    if (numbers[known] != predictions.examples).any():
        raise UserError(f"{CHANGED}: they do not have all examples that tested it")
    targets = dataset.y[places].astype(float)
    if not np.allclose(targets, predictions.targets, rtol=1e-6, atol=0):
        raise UserError(f"{CHANGED}: examples that tested it have other targets now")
    return places
