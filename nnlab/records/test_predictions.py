"""The lines of test_predictions.csv, a run's predictions for its test sets, and of splits.jsonl, the sets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.identifiers import key_column
from nnlab.data.spec import DataSpec
from nnlab.data.splits import Fold
from nnlab.experiment import DEFAULT_THRESHOLD
from nnlab.metrics.tasks import Classification
from nnlab.records.prediction_columns import (
    plain_numbers,
    prediction_cells,
    prediction_names,
    probability_cells,
    probability_names,
    target_cells,
    target_names,
)
from nnlab.training.thresholds import above_threshold

MAX_SPLIT_INDICES = 2**20  # example indices in splits.jsonl, up to which predictions=auto writes it


def splits(folds: list[Fold], dataset: Dataset) -> Iterator[dict]:
    """Of each fold, the numbers of the examples that validate and test, and in windows of time of those that
    are `unused`, since they come later; all others train."""
    for fold in folds:
        sets = {part: getattr(fold, part) for part in ("validation", "test")}
        used = np.concatenate([fold.train, *sets.values()])
        if len(used) < len(dataset.x):
            sets["unused"] = np.setdiff1d(np.arange(len(dataset.x)), used)
        numbers = {part: dataset.number(examples).tolist() for part, examples in sets.items()}
        yield {"repeat": fold.repeat, "fold": fold.number, **numbers}


def split_index_count(folds: list[Fold]) -> int:
    """How many example indices `splits` lists."""
    most = max(len(fold.train) + len(fold.validation) for fold in folds)
    return sum(most - len(fold.train) + len(fold.test) for fold in folds)


def test_predictions(results: list, dataset: Dataset) -> Iterator[list]:
    """The lines of test_predictions.csv, names first: one for each example of a test set.

    What several rows predict for an example is averaged: probabilities, of which the largest is then the
    prediction, or the predicted numbers. Columns:

        example       its number in the data, from 0
        target        the true label or number; of several targets a column each, target_<name>
        prediction    the predicted one; likewise
        (a column that identifies the examples, by its name)
        rows          how many rows were averaged, if the run has several
        repeats       in which repeats of the split it was tested, if not all lines have the same
        folds         in which folds, likewise
        probability_<class>   of each class
    """
    results = [result for result in results if result.predictions and result.status != "diverged"]
    if not results:
        return
    spec = dataset.spec
    examples, classes, values, counts = average_predictions(results, spec)
    optional_columns = list(_columns_between(results, dataset, examples, counts))
    names = ["example", *target_names(spec), *prediction_names(spec), *(name for name, _ in optional_columns)]
    yield names + probability_names(spec)
    parts = (
        ([number] for number in dataset.number(examples).tolist()),
        target_cells(spec, dataset.y[examples]),
        prediction_cells(spec, classes, values),
        map(list, zip(*(cells for _, cells in optional_columns), strict=True))
        if optional_columns
        else ([] for _ in examples),
        probability_cells(spec, values),
    )
    for line in zip(*parts, strict=True):
        yield [cell for cells in line for cell in cells]


def average_predictions(
    results: list, spec: DataSpec
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Of n examples that were tested: their numbers in the data set, the predicted classes (None in a
    regression), the means of the values (n, m), and of how many rows."""
    examples = np.unique(np.concatenate([result.predictions["examples"] for result in results]))
    counts, single_row_classes = np.zeros(len(examples), np.int64), np.zeros(len(examples), np.int64)
    sums = np.zeros((len(examples), results[0].predictions["values"].shape[1]))
    thresholds, has_threshold = np.zeros(len(examples)), any("threshold" in r.calibration for r in results)
    for result in results:
        positions = np.searchsorted(examples, result.predictions["examples"])
        sums[positions] += result.predictions["values"]
        counts[positions] += 1
        single_row_classes[positions] = result.predictions.get("classes", 0)
        thresholds[positions] += result.calibration.get("threshold", DEFAULT_THRESHOLD)
    means = sums / counts[:, None]
    if "classes" not in results[0].predictions:
        return examples, None, means, counts
    # A row's own answer is that of its outputs, of which several may have probabilities that round to 1.
    scores = above_threshold(means.T, thresholds / counts, spec) if has_threshold else means.T
    classes = np.where(counts == 1, single_row_classes, Classification().to_prediction(scores)[0])
    return examples, classes, means, counts


def _columns_between(results: list, dataset: Dataset, examples, counts) -> Iterator[tuple[str, list]]:
    """(name, cells) of the optional columns, between predictions and probabilities."""
    spec = dataset.spec
    column = key_column(spec.features[: spec.encoding.numbers])
    if dataset.keys is not None:
        yield dataset.key_name, dataset.keys[examples].tolist()
    elif column is not None:
        yield spec.features[column], plain_numbers(dataset.number_inputs[examples, column])
    if len(results) > 1:
        yield "rows", counts.tolist()
    for name in ("repeat", "fold"):
        cells = _tested_in(results, examples, name)
        if len({*cells}) > 1:
            yield f"{name}s", cells


def _tested_in(results: list, examples: np.ndarray, name: str) -> list[str]:
    """The numbers of the repeats or folds in which each example was tested, with blanks between."""
    numbers = sorted({getattr(result, name) for result in results})
    is_tested = np.zeros((len(examples), len(numbers)), bool)
    for result in results:
        positions = np.searchsorted(examples, result.predictions["examples"])
        is_tested[positions, numbers.index(getattr(result, name))] = True
    return [" ".join(str(numbers[i]) for i in np.flatnonzero(line)) for line in is_tested]
