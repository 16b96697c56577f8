"""The threshold of two classes: the positive one is predicted where its probability is above it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnlab.data.spec import DataSpec
from nnlab.experiment import DEFAULT_THRESHOLD

ROUNDING = 1e-12  # scores that differ by less are equal


def accuracy(tp, fp, fn, tn):
    """The share of right predictions."""
    return (tp + tn) / (tp + fp + fn + tn)


def balanced_accuracy(tp, fp, fn, tn):
    """The mean recall of the two classes."""
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def f1(tp, fp, fn, tn):
    """Of the positive class: the harmonic mean of precision and recall."""
    return _ratio(2 * tp, 2 * tp + fp + fn)


def mcc(tp, fp, fn, tn):
    """The correlation of predicted and true classes (Matthews 1975)."""
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _ratio(part, whole):
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


# Each of how many examples of the positive and the other class are above the threshold (tp, fp) or below
# (fn, tn); as nnlab.metrics has them, but for many thresholds at once.
THRESHOLD_METRICS: dict[str, Callable] = {
    metric.__name__: metric for metric in (accuracy, balanced_accuracy, f1, mcc)
}


def best_threshold(p: np.ndarray, is_positive: np.ndarray, metric: str) -> float:
    """The threshold with the largest metric, of probabilities p (N,) of the positive class, and of
    which examples are in it (N,).

    It lies halfway between two probabilities, since only their order counts. Of equally good ones it is that
    nearest to 0.5; where there is only one class, it is 0.5.
    """
    if not np.isfinite(p).all() or is_positive.all() or not is_positive.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(p, kind="stable")
    values, true = p[order], is_positive[order]
    last = np.append(np.flatnonzero(values[1:] > values[:-1]), len(p) - 1)  # of each probability
    below = np.append(0.0, last + 1.0)  # examples below the first threshold, the second, ...
    fn = np.append(0.0, np.cumsum(true)[last])
    tn = below - fn
    ends = np.concatenate([[0.0], values[last], [1.0]])
    thresholds = (ends[:-1] + ends[1:]) / 2
    scores = THRESHOLD_METRICS[metric](fn[-1] - fn, tn[-1] - tn, fn, tn)
    if values[0] == 0:  # nothing is below the first threshold, nor above it
        scores[0] = -np.inf
    best = thresholds[scores >= scores.max() - ROUNDING]
    return float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()])


def positive_class(spec: DataSpec) -> int:
    """The number of the class that a threshold is about: the rarer of two, or the second."""
    return 1 if spec.positive is None else spec.positive


def thresholds_of_classes(threshold: float | np.ndarray, spec: DataSpec) -> np.ndarray:
    """(2, 1), or (2, N) of N thresholds: the positive class is predicted where its probability is above the
    threshold, so the other one where its own is above 1 - threshold."""
    of_positive = np.reshape(threshold, (1, -1)).astype(np.float64)
    if positive_class(spec):
        return np.concatenate([1 - of_positive, of_positive])
    # A little higher, since of two equal numbers the first class is predicted: at its threshold it is not.
    return np.concatenate([np.nextafter(of_positive, np.inf), 1 - of_positive])


def above_threshold(p: np.ndarray, threshold: float | np.ndarray, spec: DataSpec) -> np.ndarray:
    """Numbers (2, N) of which the predicted class has the largest, from probabilities p (2, N): how far each
    is above its threshold. The two are opposite, since probabilities sum to 1."""
    return p - thresholds_of_classes(threshold, spec)
