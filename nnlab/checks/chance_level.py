"""The chance level: what an answer that does not look at the inputs achieves.

It is the best one in training, the most frequent class or the mean, and it is measured on the validation
sets, or on the training examples where nothing is held back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

STANDARD_ERRORS = 2.0  # of a share of wrong answers: luck rarely gets farther below chance
TARGETS_AT_ONCE = 2**22  # numbers of one-hot targets in memory


@dataclass(frozen=True)
class Chance:
    """Means over the folds."""

    error: float  # of always answering the most frequent class, or the targets' mean
    doubt: float = 0.0  # how far luck may get below it: STANDARD_ERRORS of a share; 0 in regression
    loss: float = math.nan  # of the classes' frequencies; NaN in regression, where the error says it all
    measure: str = "error"  # what the error is called: RMSE in regression


def of(dataset, folds, loss) -> Chance:
    """The chance level on these folds of the data set, for the loss of the experiment."""
    folds = _different(folds)
    error = chance_error(dataset, folds)
    if not dataset.classes:
        return Chance(error, measure="RMSE")
    examples = sum(len(_monitored(fold)) for fold in folds)
    doubt = STANDARD_ERRORS * math.sqrt(error * (1 - error) / examples)
    losses = [_loss(*_counts(dataset, fold), loss) for fold in folds]
    return Chance(error, doubt, float(np.mean(losses)))


def chance_error(dataset, folds) -> float:
    """The error on the validation sets of answering the most frequent class, or the mean; mean over folds."""
    return float(np.mean([_error(dataset, fold) for fold in _different(folds)]))


def _different(folds) -> list:
    """Each fold once: rows of several seeds share theirs."""
    return list({fold.key: fold for fold in folds}.values())


def _counts(dataset, fold) -> tuple[np.ndarray, np.ndarray]:
    """How many training and validation examples each class has."""
    y, m = dataset.targets(noisy=True), len(dataset.classes)
    return tuple(np.bincount(y[numbers], minlength=m) for numbers in (fold.train, _monitored(fold)))


def _error(dataset, fold) -> float:
    if dataset.classes:
        train, validation = _counts(dataset, fold)
        return float(1 - validation[train.argmax()] / validation.sum())
    t = dataset.targets()
    return float(np.sqrt(((t[_monitored(fold)] - t[fold.train].mean(0)) ** 2).mean()))


def _loss(train: np.ndarray, validation: np.ndarray, loss) -> float:
    """The validation loss of outputs that give each class its frequency in training, from the counts (m,)."""
    m = len(train)
    p = np.clip(train / train.sum(), 1e-12, 1 - 1e-12)
    z = loss.raw(torch.from_numpy(p))[-loss.outputs(m) :, None]  # what the output map takes to p
    present, total = np.flatnonzero(validation), 0.0
    # All examples of a class have the same loss, so one of each is enough.
    for classes in np.array_split(present, -(-len(present) * m // TARGETS_AT_ONCE)):
        t = torch.zeros(m, len(classes), dtype=torch.float64)
        t.scatter_(0, torch.from_numpy(classes)[None], 1)
        losses = loss.fprop(z.expand(-1, len(classes)), t).numpy()
        total += float(losses @ validation[classes])
    return total / float(validation.sum())


def _monitored(fold) -> np.ndarray:
    return getattr(fold, fold.monitor)
