"""The data that a run was trained on, read again as its settings say, if they are still the same."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from functools import cached_property

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.encoders import fit_inputs
from nnlab.data.splits import Fold
from nnlab.errors import Advice, UserError
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.trained_rows import TrainedRow
from nnlab.records.stored_run import StoredRun
from nnlab.training.data_cache import DataCache

CHANGED = "the data have changed since the run was trained"
ROUNDING = 1e-9  # of statistics, relative: another machine sums in another order


class TrainingData:
    """The examples of a run, and which of them trained, validated and tested a row.

    Raises `UserError` where they cannot be read any more, or have changed: where they have not the run's
    `spec`, or another number of examples, or where the training examples of its first usable row have not
    the statistics that its inputs were normalised by. (Data in files that are too large for memory are not
    gone through.)
    """

    def __init__(self, stored: StoredRun, model: TrainedModel, cache: DataCache | None = None):
        self._stored, self._model, self._cache = stored, model, cache or DataCache()

    @cached_property
    def dataset(self) -> Dataset:
        """All examples."""
        dataset, spec = self._read(), self._model.spec
        if dataset.spec != spec:
            raise UserError(f"{CHANGED}: they are {dataset.spec.size} now, and were {spec.size}")
        if spec.examples not in (None, len(dataset.x)):
            raise UserError(
                f"{CHANGED}: they have {len(dataset.x):,} examples now, and had {spec.examples:,}"
            )
        if isinstance(dataset.x, np.ndarray):
            self._refuse_other_statistics(dataset, self._model.rows_for(None)[0])
        return dataset

    def fold(self, row: TrainedRow) -> Fold:
        """The examples of a row; after a refit those that validated it have trained it too."""
        _ = self.dataset  # which refuses data that have changed
        return self._fold(row)

    def _fold(self, row: TrainedRow) -> Fold:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Advice)
            folds = {fold.key: fold for fold in self._cache.folds(self._stored.experiment)}
        if (fold := folds.get((row.repeat, row.fold))) is None:
            raise UserError(
                f"'{self._stored.path}': row {row.number} has a fold that its split does not have"
            )
        refit = next((r.get("refit") for r in self._stored.rows if r["row"] == row.number), None)
        if not isinstance(refit, dict) or refit.get("status") == "diverged":
            return fold
        return replace(fold, train=fold.refit_examples)

    def _read(self) -> Dataset:
        e = self._stored.experiment
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Advice)  # which was given when the run was trained
                return self._cache.load_data(e)
        except UserError as error:
            path = getattr(e.data, "path", None)
            is_relative = isinstance(path, str) and not os.path.isabs(os.path.expanduser(path))
            where = ", as seen from the folder in which the run was started" if is_relative else ""
            raise UserError(f"the data cannot be read again: {error}{where}") from error

    def _refuse_other_statistics(self, dataset: Dataset, row: TrainedRow) -> None:
        data, spec = self._model.experiment.data, self._model.spec
        groups = data.statistics_groups(spec)
        fitted = fit_inputs(
            dataset.x, spec.encoding, data.normalization, self._fold(row).train, data.rare, groups
        )
        for name, array in fitted.items():
            if not np.allclose(array, row.normalizer[name], rtol=ROUNDING, atol=ROUNDING):
                raise UserError(f"{CHANGED}: the {name} of an input on its training examples is another now")
