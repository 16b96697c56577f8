"""Errors that people read: while training, one number a row; of the test set, everything.

Outputs z and targets t are (..., m, B) as in `losses`.
"""

import numpy as np
import torch


class Classification:
    """The class with the largest output is predicted; the error is the share of wrong classes."""

    name = "classification"

    def per_example(self, z, t, unit):
        """1 where the predicted class is wrong, (..., B)."""
        return (first_largest(z) != first_largest(t)).to(z.dtype)

    def finish(self, mean):
        return mean

    def test(self, z: np.ndarray, t: np.ndarray, classes) -> dict:
        """Accuracy, error, precision and recall per class, confusion matrix (true, predicted).

        z and t are (m, N). A class that is never predicted has precision 0, as scikit-learn has it. An
        example whose outputs have a NaN has no prediction: it is wrong, and in no cell of the matrix.
        """
        m, said = len(classes), ~np.isnan(z).any(0)
        true, predicted = t.argmax(0), z.argmax(0)
        confusion = np.bincount((true * m + predicted)[said], minlength=m * m).reshape(m, m)
        right = np.diag(confusion)
        accuracy = right.sum() / len(true)
        return {
            "accuracy": float(accuracy),
            "error": float(1 - accuracy),
            "precision": (right / np.maximum(confusion.sum(0), 1)).tolist(),
            "recall": (right / np.maximum(np.bincount(true, minlength=m), 1)).tolist(),
            "confusion_matrix": confusion.tolist(),
            "classes": list(classes),
        }


class Regression:
    """The error is the root of the mean squared error, in the target's own unit."""

    name = "regression"

    def per_example(self, z, t, unit):
        """Squared error in the target's unit, mean over the outputs; unit (..., 1, 1) undoes scaling."""
        return ((z - t) * unit).square_().mean(-2)

    def finish(self, mean):
        return mean**0.5

    def test(self, z: np.ndarray, t: np.ndarray, classes=None) -> dict:
        """RMSE, MAE and R2 = 1 - residual / total sum of squares; z and t (m, N) in the target's unit."""
        residual = ((z - t) ** 2).sum()
        total = ((t - t.mean(1, keepdims=True)) ** 2).sum()
        return {
            "rmse": float(np.sqrt(((z - t) ** 2).mean())),
            "mae": float(np.abs(z - t).mean()),
            "r2": float(1 - residual / total) if total > 0 else float("nan"),
        }


def first_largest(z):
    """m - argmax over the m units, (..., B); 0 where there is none, that is where z has a NaN.

    `torch.argmax` over any axis but the last is ten times slower.
    """
    rank = torch.arange(z.shape[-2], 0, -1, dtype=z.dtype, device=z.device)[:, None]
    hit = torch.eq(z, z.amax(-2, keepdim=True), out=torch.empty_like(z))
    return hit.mul_(rank).amax(-2)


TASKS = {task.name: task for task in (Classification, Regression)}
