"""What chance gives on the validation sets, or on the training examples where nothing is held back: the best
answer that does not look at the inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SURE = 2.0  # standard errors
BLOCK = 2**22  # numbers of one-hot targets at a time


@dataclass(frozen=True)
class Chance:
    """Means over the folds."""

    error: float  # of always answering the most frequent class, or the targets' mean
    doubt: float = 0.0  # how far below luck may get: SURE standard errors of a share; 0 in regression
    loss: float = (
        math.nan
    )  # of the classes' frequencies; not known in regression, where the error says it all
    measure: str = "error"  # what the error is called: RMSE in regression


def of(dataset, folds, loss) -> Chance:
    """Chance on these folds of the data set; `loss` as the experiment has it."""
    error, different = chance_error(dataset, folds), {fold.key: fold for fold in folds}
    if not dataset.classes:
        return Chance(error, measure="RMSE")
    examples = sum(len(_seen(fold)) for fold in different.values())
    losses = [_loss(*_counts(dataset, fold), loss) for fold in different.values()]
    return Chance(error, SURE * math.sqrt(error * (1 - error) / examples), float(np.mean(losses)))


def chance_error(dataset, folds) -> float:
    """The error on the validation sets of answering the most frequent class, or the mean; mean over folds."""
    different = {fold.key: fold for fold in folds}
    return float(np.mean([_error(dataset, fold) for fold in different.values()]))


def _counts(dataset, fold) -> tuple[np.ndarray, np.ndarray]:
    """How many training and validation examples each class has."""
    y, m = dataset.targets(noisy=True), len(dataset.classes)
    return tuple(np.bincount(y[numbers], minlength=m) for numbers in (fold.train, _seen(fold)))


def _error(dataset, fold) -> float:
    if dataset.classes:
        train, validation = _counts(dataset, fold)
        return float(1 - validation[train.argmax()] / validation.sum())
    t = dataset.targets()
    return float(np.sqrt(((t[_seen(fold)] - t[fold.train].mean(0)) ** 2).mean()))


def _loss(train: np.ndarray, validation: np.ndarray, loss) -> float:
    """The loss of outputs that say how frequent each class is in training; of the counts in both sets."""
    import torch

    p, m = np.clip(train / train.sum(), 1e-12, 1 - 1e-12), len(train)
    z = loss.raw(torch.from_numpy(p))[-loss.outputs(m) :]
    present, total = np.flatnonzero(validation), 0.0
    for some in np.array_split(present, -(-len(present) * m // BLOCK)):
        t = torch.zeros(m, len(some), dtype=torch.float64).scatter_(0, torch.from_numpy(some)[None], 1)
        each = loss.fprop(z[:, None].expand(-1, len(some)), t).numpy()
        total += float(each @ validation[some])
    return total / float(validation.sum())


def _seen(fold) -> np.ndarray:
    return getattr(fold, fold.monitor)
