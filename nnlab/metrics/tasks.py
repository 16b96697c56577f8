"""The two tasks: the error of a batch while training, in torch, and the report of a test set.

Outputs z and targets t are (..., m, B) as in `losses`.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.metrics import classes as of_classes
from nnlab.metrics.classes import MAX_MATRIX_CLASSES, ClassAnswers, ProbabilityScores
from nnlab.metrics.numbers import NumberAnswers
from nnlab.metrics.table import METRICS


class Classification:
    """The class with the largest output is predicted; the error is the share of wrong classes."""

    name = "classification"

    def per_example(self, z, t, unit):
        """1 where the predicted class is wrong, (..., B)."""
        return (first_largest(z) != first_largest(t)).to(z.dtype)

    def finish(self, mean):
        return mean

    def to_prediction(self, z: np.ndarray) -> np.ndarray:
        """(..., 1, B): the index of the class with the largest output; -1 where an output is NaN."""
        return np.where(np.isnan(z).any(-2, keepdims=True), -1, z.argmax(-2, keepdims=True))

    def answers(self, z, t, classes, scores=None, positive=None) -> ClassAnswers:
        """What the formulas of metrics take; see `test`."""
        (predicted,), (true,) = z, t
        return ClassAnswers(predicted, true, len(classes), 1 if positive is None else positive, scores)

    def test(
        self,
        z: np.ndarray,
        t: np.ndarray,
        classes,
        scores: ProbabilityScores | None = None,
        positive: int | None = None,
    ) -> dict:
        """Every metric of classes; precision, recall, F1 and the number of examples (`support`) per class;
        the confusion matrix (true, predicted). With `scores`, every metric of probabilities too.

        z and t (1, N) are the predicted and the true classes. More than 100 classes get no matrix, no ROC AUC
        and no average precision. Of two classes, `positive` is the one that F1 and average precision are
        about, and the report names it (`positive_class`); by default the second.

        0 / 0 is undefined, NaN: the recall of a class that the test set lacks, and the precision of such a
        class if it is never predicted. A class that the test set has and that is never predicted has
        precision 0. An example whose outputs have a NaN has no prediction: it counts as wrong, is in no cell
        of the matrix, and metrics of probabilities are undefined.
        """
        a, m = self.answers(z, t, classes, scores, positive), len(classes)
        predicted, true = a.predicted, a.true
        accuracy = of_classes.accuracy(a)
        report = {
            "accuracy": accuracy,
            "error": 1 - accuracy,
            "precision": of_classes.precisions(a).tolist(),
            "recall": of_classes.recalls(a).tolist(),
            "classes": list(classes),
        }
        if m <= MAX_MATRIX_CLASSES:
            has_prediction = predicted >= 0
            cells = np.bincount((true * m + predicted)[has_prediction], minlength=m * m)
            report["confusion_matrix"] = cells.reshape(m, m).tolist()
        report |= {"f1_each": of_classes.f1_each(a).tolist(), "support": a.true_count.tolist()}
        if m == 2:
            report["positive_class"] = classes[a.positive]
        return report | {
            name: metric.formula(a)
            for name, metric in METRICS.items()
            if metric.task == self.name and metric.fits(m) and (scores or not metric.scores)
            and name not in report
        }  # fmt: skip


class Regression:
    """The error is the root of the mean squared error, in the target's own unit."""

    name = "regression"

    def per_example(self, z, t, unit):
        """Squared error in a row's own unit, mean over the outputs; unit (..., m, 1) undoes scaling."""
        return ((z - t) * unit).square_().mean(-2)

    def finish(self, mean):
        return mean**0.5

    def to_prediction(self, z: np.ndarray) -> np.ndarray:
        return z

    def answers(self, z, t, classes=None, scores=None, positive=None) -> NumberAnswers:
        """What the formulas of metrics take; see `test`."""
        return NumberAnswers(z, t)

    def test(self, z: np.ndarray, t: np.ndarray, classes=None, scores=None, positive=None) -> dict:
        """Every metric of numbers; z and t (m, N) in the target's unit.

        RMSE and MAE are means over all outputs. R2 of an output is 1 - residual / total sum of squares,
        undefined (NaN) where all its targets are equal, as those of a single example are; R2 of several
        outputs is the unweighted mean over those that have one (scikit-learn's uniform average). So is MAPE,
        which is undefined where a target is 0. Several outputs also have a list of each metric, such as
        `rmse_each`, since their units may differ.
        """
        a = self.answers(z, t)
        report = {name: metric.formula(a) for name, metric in METRICS.items() if metric.task == self.name}
        if len(t) > 1:
            report |= {f"{name}_each": METRICS[name].each(a).tolist() for name in report}
        return report


def first_largest(z):
    """(..., B): m - argmax over the m units, the first of equal ones; 0 where z has a NaN."""
    # `torch.argmax` over any axis but the last is ten times slower.
    rank = torch.arange(z.shape[-2], 0, -1, dtype=z.dtype, device=z.device)[:, None]
    is_largest = torch.eq(z, z.amax(-2, keepdim=True), out=torch.empty_like(z))
    return is_largest.mul_(rank).amax(-2)


TASKS = {task.name: task for task in (Classification, Regression)}
