"""The chance level: error and loss of the best constant prediction, which ignores the inputs.

The prediction is chosen on the training examples: the most frequent class, or the mean. It is measured on the
validation sets, or on the training examples if nothing is held back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.loss_weights import NO_CLASS_WEIGHT, is_weighted, loss_weights

STANDARD_ERRORS = 2.0  # luck rarely gets an error rate farther below chance
MAX_TARGET_ELEMENTS = 2**22  # elements of one-hot targets in memory at once


@dataclass(frozen=True)
class Chance:
    """The chance level, mean over the folds."""

    error: float  # of always predicting the most frequent class, or the targets' mean
    margin: float = 0.0  # how far luck may get below: STANDARD_ERRORS of an error rate; 0 in regression
    loss: float = math.nan  # of predicting the classes' frequencies; NaN in regression, where error suffices
    measure: str = "error"  # what the error is called: RMSE in regression


def measure_chance(dataset, folds, loss, class_weight=NO_CLASS_WEIGHT) -> Chance:
    """The chance level on these folds of the data set, for the loss and class weights of the experiment."""
    folds = _distinct_folds(folds)
    error = chance_error(dataset, folds)
    if not dataset.classes:
        return Chance(error, measure="RMSE")
    examples = sum(len(_monitored_indices(fold)) for fold in folds)
    margin = STANDARD_ERRORS * math.sqrt(error * (1 - error) / examples)
    losses = [_chance_loss(*_class_counts(dataset, fold, class_weight), loss) for fold in folds]
    return Chance(error, margin, float(np.mean(losses)))


def chance_error(dataset, folds) -> float:
    """The validation error of predicting the most frequent class, or the mean; averaged over folds."""
    return float(np.mean([_chance_error(dataset, fold) for fold in _distinct_folds(folds)]))


def _distinct_folds(folds) -> list:
    """Each fold once: rows with different seeds share folds."""
    return list({fold.key: fold for fold in folds}.values())


def _class_counts(dataset, fold, class_weight=None) -> tuple[np.ndarray, np.ndarray]:
    """The number of training and of validation examples in each class; or their weight in the losses."""
    y, m = dataset.targets(noisy=True), len(dataset.classes)
    weights = np.ones(len(y), np.int64)
    if class_weight is not None and is_weighted(dataset, class_weight):
        weights = loss_weights(dataset, class_weight, fold)
    return tuple(
        np.bincount(y[indices], weights[indices], m) for indices in (fold.train, _monitored_indices(fold))
    )


def _chance_error(dataset, fold) -> float:
    if dataset.classes:
        train, validation = _class_counts(dataset, fold)
        return float(1 - validation[train.argmax()] / validation.sum())
    t = dataset.targets()
    return float(np.sqrt(((t[_monitored_indices(fold)] - t[fold.train].mean(0)) ** 2).mean()))


def _chance_loss(train: np.ndarray, validation: np.ndarray, loss) -> float:
    """The validation loss of predicting each class with its training frequency, from the counts (m,)."""
    m = len(train)
    p = np.clip(train / train.sum(), 1e-12, 1 - 1e-12)
    z = loss.inverse_map(torch.from_numpy(p))[
        -loss.outputs(m) :, None
    ]  # the outputs that the output map turns into p
    present_classes, total = np.flatnonzero(validation), 0.0
    # All examples of a class have the same loss, so one of each is enough.
    for classes in np.array_split(present_classes, -(-len(present_classes) * m // MAX_TARGET_ELEMENTS)):
        t = torch.zeros(m, len(classes), dtype=torch.float64)
        t.scatter_(0, torch.from_numpy(classes)[None], 1)
        losses = loss.fprop(z.expand(-1, len(classes)), t).numpy()
        total += float(losses @ validation[classes])
    return total / float(validation.sum())


def _monitored_indices(fold) -> np.ndarray:
    return getattr(fold, fold.monitor)
