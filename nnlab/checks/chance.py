"""What chance gives on the validation sets, or on the training examples where nothing is held back: the best
answer that does not look at the inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SURE = 2.0  # standard errors


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
    t, examples = dataset.targets(noisy=True), sum(len(_seen(fold)) for fold in different.values())
    losses = [_loss(t, fold, loss) for fold in different.values()]
    return Chance(error, SURE * math.sqrt(error * (1 - error) / examples), float(np.mean(losses)))


def chance_error(dataset, folds) -> float:
    """The error on the validation sets of answering the most frequent class, or the mean; mean over folds."""
    t, different = dataset.targets(noisy=True), {fold.key: fold for fold in folds}
    return float(np.mean([_error(t, fold, bool(dataset.classes)) for fold in different.values()]))


def _error(t: np.ndarray, fold, classes: bool) -> float:
    train, validation = t[fold.train].mean(0), t[_seen(fold)]
    if classes:
        return float(1 - validation[:, train.argmax()].mean())
    return float(np.sqrt(((validation - train) ** 2).mean()))


def _loss(t: np.ndarray, fold, loss) -> float:
    """The loss of outputs that say how frequent each class is in training."""
    import torch

    p, t = np.clip(t[fold.train].mean(0), 1e-12, 1 - 1e-12), torch.from_numpy(t[_seen(fold)].T)
    z = {"softmax": np.log(p), "sigmoid": np.log(p / (1 - p))}.get(loss.map, p)[-loss.outputs(len(p)) :]
    return float(loss.fprop(torch.from_numpy(z)[:, None].expand(-1, t.shape[1]), t).mean())


def _seen(fold) -> np.ndarray:
    return getattr(fold, fold.monitor)
