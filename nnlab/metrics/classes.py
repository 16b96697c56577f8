"""Formulas of classification: functions of `ClassAnswers`, which are N predicted and true classes with what
the metrics need of their probabilities.

0 / 0 is undefined, NaN, and left out of means over classes. An example whose outputs have a NaN has no
prediction: it counts as wrong, and leaves metrics of probabilities undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# A confusion matrix of 10,000 classes has 100 million cells, and 10,000 examples have as many probabilities.
MAX_MATRIX_CLASSES = 100
BINS = 15  # of the calibration error, as in Guo et al. 2017
TOP = 5
UNBALANCED_RATIO = 4  # from which on accuracy alone misleads


@dataclass(frozen=True)
class ProbabilityScores:
    """What metrics need of probabilities p (..., m, N): four numbers an example; and p, where there are few.

    per_example  (..., 4, N): the probability of the true class, the largest one, the squared distance from
                 the one-hot target, and how many classes come before the true one
    """

    per_example: np.ndarray
    probabilities: np.ndarray | None

    @staticmethod
    def of(p: np.ndarray, true: np.ndarray, keep: bool = False) -> ProbabilityScores:
        """Of probabilities p (..., m, N) and true classes (..., 1, N); p of many classes only to `keep`."""
        keep |= p.shape[-2] <= MAX_MATRIX_CLASSES
        of_true = np.take_along_axis(p, true, -2)
        is_true = np.arange(p.shape[-2])[:, None] == true
        before = (p > of_true) | ((p == of_true) & (np.arange(p.shape[-2])[:, None] < true))
        each = of_true[..., 0, :], p.max(-2), ((p - is_true) ** 2).sum(-2), before.sum(-2)
        return ProbabilityScores(np.stack(each, -2), p if keep else None)

    @staticmethod
    def join(parts: Sequence[ProbabilityScores]) -> ProbabilityScores:
        """Those of several batches, one after another."""
        p = None if parts[0].probabilities is None else [part.probabilities for part in parts]
        return ProbabilityScores(
            np.concatenate([part.per_example for part in parts], -1), p and np.concatenate(p, -1)
        )

    def row(self, k: int, count: int) -> ProbabilityScores:
        """Those of one row, of its first `count` examples."""
        p = None if self.probabilities is None else self.probabilities[k, :, :count]
        return ProbabilityScores(self.per_example[k, :, :count], p)


@dataclass(frozen=True)
class ClassAnswers:
    """Predicted and true classes (N,) among m `classes`; predicted is -1 where there is no prediction.

    positive  of two classes, the one that F1 and average precision are about
    scores    of the probabilities; None where only classes are known
    """

    predicted: np.ndarray
    true: np.ndarray
    classes: int
    positive: int = 1
    scores: ProbabilityScores | None = None

    @cached_property
    def correct(self) -> np.ndarray:
        """(m,) how many examples of each class are predicted as such."""
        return np.bincount(self.true[self.predicted == self.true], minlength=self.classes)

    @cached_property
    def true_count(self) -> np.ndarray:
        """(m,) how many examples each class has."""
        return np.bincount(self.true, minlength=self.classes)

    @cached_property
    def predicted_count(self) -> np.ndarray:
        """(m,) how often each class is predicted."""
        return np.bincount(self.predicted[self.predicted >= 0], minlength=self.classes)

    @cached_property
    def threshold_counts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For the positive class of two, or for each of more: true and false positives (thresholds,) where
        its probability is at least a threshold; the thresholds are its probabilities, from high to low."""
        ranked = [self.positive] if self.classes == 2 else range(self.classes)
        return [_threshold_counts(self.scores.probabilities[c], self.true == c) for c in ranked]


def _threshold_counts(p: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-p)
    last_of_equals = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    true_positives = np.cumsum(is_positive[order])[last_of_equals]
    return true_positives, 1 + last_of_equals - true_positives


# ---- of predicted classes


def accuracy(a: ClassAnswers) -> float:
    return float(a.correct.sum() / len(a.true))


def recalls(a: ClassAnswers) -> np.ndarray:
    return ratio(a.correct, a.true_count)


def precisions(a: ClassAnswers) -> np.ndarray:
    """0 for a class that has examples and is never predicted, as in scikit-learn: leaving it out of means
    would reward a network that gives it up."""
    return ratio(a.correct, np.where(a.true_count > 0, np.maximum(a.predicted_count, 1), a.predicted_count))


def f1_each(a: ClassAnswers) -> np.ndarray:
    return ratio(2 * a.correct, a.true_count + a.predicted_count)


def balanced_accuracy(a: ClassAnswers) -> float:
    return mean_of_defined(recalls(a))


def f1(a: ClassAnswers) -> float:
    return float(f1_each(a)[a.positive])


def f1_macro(a: ClassAnswers) -> float:
    return mean_of_defined(f1_each(a))


def mcc(a: ClassAnswers) -> float:
    """0 where all examples are of one class, or all predictions, as in scikit-learn."""
    n, c = len(a.true), float(a.correct.sum())
    t, p = a.true_count.astype(float), np.append(a.predicted_count, (a.predicted < 0).sum()).astype(float)
    product = (n**2 - t @ t) * (n**2 - p @ p)
    return float((c * n - t @ p[:-1]) / product**0.5) if product > 0 else 0.0


# ---- of probabilities


def roc_auc(a: ClassAnswers) -> float:
    return _mean_over_classes(a, _area_under_roc)


def average_precision(a: ClassAnswers) -> float:
    return _mean_over_classes(a, _average_precision)


def _mean_over_classes(a: ClassAnswers, formula) -> float:
    if np.isnan(a.scores.probabilities).any():
        return float("nan")
    return mean_of_defined(np.array([formula(*counts) for counts in a.threshold_counts]))


def _area_under_roc(tp: np.ndarray, fp: np.ndarray) -> float:
    """By trapezoids, so that equal probabilities count one half."""
    tp, fp = np.append(0, tp), np.append(0, fp)
    pairs = tp[-1] * fp[-1]
    return float((np.diff(fp) * (tp[1:] + tp[:-1])).sum() / (2 * pairs)) if pairs else float("nan")


def _average_precision(tp: np.ndarray, fp: np.ndarray) -> float:
    """The sum over thresholds of precision times the gain in recall, without interpolation."""
    return float((np.diff(tp, prepend=0) * tp / (tp + fp)).sum() / tp[-1]) if tp[-1] else float("nan")


def log_loss(a: ClassAnswers) -> float:
    """A probability counts as 2e-16 at least, as in scikit-learn: sparsemax gives exactly 0."""
    return float(-np.log(np.maximum(a.scores.per_example[0], np.finfo(float).eps)).mean())


def brier_score(a: ClassAnswers) -> float:
    """Of two classes half of the sum, which is the squared error of one of their probabilities."""
    return float(a.scores.per_example[2].mean() / (2 if a.classes == 2 else 1))


def calibration_error(a: ClassAnswers) -> float:
    """Over bins of equal width, open below: sum_b n_b / N |accuracy_b - mean confidence_b|.

    Confidence is the largest probability, and accuracy that of the class which has it, even where a threshold
    predicts the other one.
    """
    confidence, is_correct = a.scores.per_example[1], a.scores.per_example[3] == 0
    if np.isnan(confidence).any():
        return float("nan")
    bins = confidence_bins(confidence)
    return float(np.abs(np.bincount(bins, is_correct - confidence)).sum() / len(bins))


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """(n,) the bin of each confidence: `BINS` of equal width, open below."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)


def top5_accuracy(a: ClassAnswers) -> float:
    """Of equally likely classes the first ones count as the likelier, as in a prediction."""
    return float(((a.scores.per_example[3] < TOP) & (a.predicted >= 0)).mean())


# ---- helpers


def is_unbalanced(support: Sequence[int]) -> bool:
    """Whether a class has several times the examples of another; `support` has those of each, perhaps 0."""
    counts = [count for count in support if count]
    return bool(counts) and max(counts) >= UNBALANCED_RATIO * min(counts)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def mean_of_defined(values: np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
