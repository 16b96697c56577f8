"""Networks as scikit-learn's estimators. Whoever imports this module waits for scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from nnlab.arguments import typed
from nnlab.choices import short_repr
from nnlab.data.dataset import Data
from nnlab.data.in_memory import Arrays
from nnlab.data.splits import SPLITS, RandomSplit
from nnlab.errors import UserError, advise, nearest
from nnlab.experiment import Experiment
from nnlab.plugins import lookup
from nnlab.prediction.loading import load
from nnlab.prediction.model import TrainedModel
from nnlab.tables.mixed_frames import is_mixed, mixed_data, raw_inputs
from nnlab.training.fit import fit as make_fit

SHORTCUTS = {
    "hidden": ("model", "hidden"),
    "activation": ("model", "activation"),
    "lr": ("optimizer", "lr"),
    "l2": ("regularizer", "l2"),
    "dropout": ("regularizer", "dropout"),
}  # parameter -> the part of an experiment, and the field of it, that it sets


@dataclass(frozen=True)
class DataNotKept(Data):
    """In the place of the data that an estimator was fitted to: pickled, it does not take them along."""

    name: ClassVar[str] = "arrays"

    def read(self):
        raise UserError("an estimator does not keep the data that it was fitted to")


class NetworkEstimator(BaseEstimator):
    """Base class of the two estimators: parameters to experiment, experiment to trained model."""

    task: ClassVar[str]

    def __init__(
        self,
        hidden=None,
        activation=None,
        lr=None,
        l2=None,
        dropout=None,
        model="mlp",
        init="auto",
        regularizer=None,
        optimizer="adam",
        schedule="constant",
        stopping="none",
        loss="auto",
        metric=None,
        metrics=(),
        epochs=200,
        batch_size=64,
        class_weight=None,
        calibrate="none",
        threshold=0.5,
        split="none",
        refit=False,
        seed=0,
        seeds=1,
        normalization="robust",
        device="auto",
        dtype="float32",
        precision="float32",
        threads="auto",
    ):
        # Only kept here, as scikit-learn wants it: `fit` checks them.
        self.hidden, self.activation, self.lr, self.l2, self.dropout = hidden, activation, lr, l2, dropout
        self.model, self.init, self.regularizer, self.optimizer = model, init, regularizer, optimizer
        self.schedule, self.stopping, self.loss, self.metric = schedule, stopping, loss, metric
        self.metrics = metrics
        self.epochs, self.batch_size, self.split, self.refit = epochs, batch_size, split, refit
        self.class_weight, self.calibrate, self.threshold = class_weight, calibrate, threshold
        self.seed, self.seeds, self.normalization = seed, seeds, normalization
        self.device, self.dtype, self.precision, self.threads = device, dtype, precision, threads

    def experiment(self, X, y, sample_weight=None) -> Experiment:
        """What `fit` trains on these arrays. Raises `UserError` for parameters that are not allowed."""
        for name, value in self.get_params(deep=False).items():
            if getattr(value, "ndim", 0):  # the parts of a stack have arrays, an estimator's do not
                raise UserError(f"{name} = {short_repr(value)}: expected a value, not an array of them")
        settings = {f.name: getattr(self, f.name) for f in fields(Experiment) if f.name in vars(self)}
        settings["data"] = self._data(X, y, sample_weight)
        settings["split"] = split = _resolve_split(self.split)
        if self.metric is None:
            settings["metric"] = "val_loss" if getattr(split, "validates", True) else "last"
        e = Experiment(**settings)
        for name, (group, field) in SHORTCUTS.items():
            value = getattr(self, name)
            if value is not None:
                e = replace(e, **{group: _replace_field(getattr(e, group), field, value, name)})
        return e

    def _validated(self, X, y, **checks):
        """X and y as scikit-learn checks them; a frame of mixed columns stays one."""
        if not is_mixed(X):
            return validate_data(self, X, y, allow_nd=True, **checks)
        validate_data(self, X, y, skip_check_array=True)
        check_consistent_length(X, y)
        dtype = "numeric" if checks.get("y_numeric") else None
        return X, check_array(y, ensure_2d=False, dtype=dtype, input_name="y")

    def _data(self, X, y, sample_weight) -> Data:
        if is_mixed(X):
            return mixed_data(X, y, sample_weight, task=self.task, normalization=self.normalization)
        names = tuple(getattr(self, "feature_names_in_", ()))
        is_signal = getattr(X, "ndim", 0) == 3 and X.shape[1] == 1
        return Arrays(
            X, y, task=self.task, normalization=self.normalization, features=names, weights=sample_weight,
            channels="first" if is_signal else "auto",
        )  # fmt: skip

    def _train(self, X, y, sample_weight) -> NetworkEstimator:
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        fit = make_fit(self.experiment(X, y, sample_weight)).run()
        diverged = sum(result.status == "diverged" for result in fit.results)
        if diverged == len(fit.results):
            raise UserError(f"the loss was not finite in {_rows(diverged)}: lower lr, or scale y")
        if diverged:
            advise(f"{diverged} of {_rows(len(fit.results))} diverged and are left out")
        self.results_, self.history_ = list(fit.results), fit.history
        model = load(fit)
        data = DataNotKept(normalization=self.normalization)
        self.model_ = TrainedModel(replace(model.experiment, data=data), model.spec, model.rows)
        return self

    def _inputs(self, X) -> np.ndarray:
        """X as numbers. Raises `NotFittedError` before `fit`, ValueError for another width or other names."""
        check_is_fitted(self)
        columns = self.model_.spec.columns
        if len(self.model_.spec.shape) > 1:  # images, which the model takes in several shapes
            return check_array(X, allow_nd=True)
        if not columns:
            return validate_data(self, X, reset=False)
        validate_data(self, X, reset=False, skip_check_array=True)
        return raw_inputs(X, columns)


@typed
class Classifier(ClassifierMixin, NetworkEstimator):
    """A neural network, or several, as a scikit-learn classifier.

    Its parameters are those of `Experiment`, with the same names, values and errors: parts are names or
    objects (`optimizer=nnlab.Adam(lr=0.01)`), numbers are numbers.

    hidden, activation    of the model; None: its defaults, (64,) and relu
    lr                    of the optimizer; None: its default
    l2, dropout           of the regularizer; None: its defaults
    model, init, regularizer, optimizer, schedule, stopping, loss, batch_size, device, dtype, precision,
    threads               of the experiment
    epochs                200
    class_weight          None, "balanced" or {label: number}: factors on the losses of the classes
    calibrate             "temperature": probabilities are calibrated on the validation examples of `split`
    threshold             of two classes: the rarer one is predicted above this probability, or above that
                          with the largest "f1", "balanced_accuracy", ... on the validation examples
    split                 "none": all examples train, and the last epoch counts. "holdout" keeps back a fifth,
                          and the epoch with the lowest loss on it counts (`metric`); stopping="patience" and
                          such schedules need it, and refit=True trains once more on everything. "kfold": five
                          folds, each of which validates a row. A name takes no test set from X; a
                          `nnlab.Holdout(...)` is used as it is
    seed, seeds           rows that train together, of the seeds `seed`, `seed` + 1, ...: what they predict is
                          averaged, over folds too
    normalization         of the inputs: robust, standard, minmax, maxabs, none. Nothing else need scale them

    X may be images (n, rows, columns), (n, channels, rows, columns) or (n, rows, columns, channels), or
    signals (n, 1, length), as `nnlab.Arrays` reads them; or a data frame of pandas, polars or pyarrow with
    words, dates, categories and missing cells: see `nnlab.Frame`.

    classes_, n_features_in_, feature_names_in_  as scikit-learn has them
    model_    the `TrainedModel`: model_.predict_proba(X, row=3) is one row
    results_  the `Result` of each row; history_: all epochs, as columns for a data frame

    `fit` twice gives the same bits, on a CPU. It raises `UserError`, a ValueError.

    >>> import nnlab
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> x, y = load_iris(return_X_y=True)
    >>> bool(cross_val_score(nnlab.Classifier(lr=0.01, epochs=30, seeds=2), x, y, cv=3).mean() > 0.9)
    True
    """

    task: ClassVar[str] = "classification"

    def fit(self, X, y, sample_weight=None) -> Classifier:
        """Train on X (n, d) and the labels y (n,); sample_weight (n,) are factors on the losses."""
        X, y = self._validated(X, y, ensure_min_samples=2)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise UserError(f"y has only one class, '{self.classes_[0]}': there is nothing to classify")
        return self._train(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """(n,) labels."""
        X = self._inputs(X)
        return self.classes_[self.model_.class_numbers(X)]

    def predict_proba(self, X) -> np.ndarray:
        """(n, classes) probabilities, in the order of `classes_`."""
        X = self._inputs(X)
        return self.model_.predict_proba(X)


@typed
class Regressor(RegressorMixin, NetworkEstimator):
    """A neural network, or several, as a scikit-learn regressor of one target or more.

    Parameters and attributes are those of `Classifier`, without `classes_`. Targets are standardised in
    training, and predicted in their own units.

    >>> import nnlab
    >>> from sklearn.datasets import load_diabetes
    >>> x, y = load_diabetes(return_X_y=True)
    >>> estimator = nnlab.Regressor(split="kfold", optimizer="nesterov", lr=0.01, epochs=20).fit(x, y)
    >>> estimator.predict(x[:3]).shape, estimator.score(x, y) > 0.4, len(estimator.model_.rows)
    ((3,), True, 5)
    """

    task: ClassVar[str] = "regression"

    def fit(self, X, y, sample_weight=None) -> Regressor:
        """Train on X (n, d) and the numbers y, (n,) or (n, m); sample_weight (n,) are factors on losses."""
        X, y = self._validated(X, y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return self._train(X, y.astype(np.float64), sample_weight)

    def predict(self, X) -> np.ndarray:
        """(n,) or (n, m) numbers."""
        X = self._inputs(X)
        return self.model_.predict(X)

    def predict_interval(self, X, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper), each (n,) or (n, m): see `TrainedModel.predict_interval`. It needs `split`."""
        X = self._inputs(X)
        return self.model_.predict_interval(X, coverage)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _resolve_split(split):
    """A split by its name takes no test set from X: whoever calls `fit` has held theirs back already."""
    if not isinstance(split, str):
        return split
    choice = lookup(SPLITS, "split", split)
    return choice(test=0.0) if isinstance(choice, type) and issubclass(choice, RandomSplit) else choice()


def _replace_field(part, field: str, value, name: str):
    """The part with another value of a field, which the parameter `name` asks for."""
    known = [f.name for f in fields(part)]
    if field not in known:
        raise UserError(f"{name} = {value!r}: {part.group} '{part.name}' has no {field}{nearest('', known)}")
    return replace(part, **{field: value})


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
