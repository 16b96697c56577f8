"""Metrics that people read: one error per row while training, all metrics on the test set.

Outputs z and targets t are (..., m, B) as in `losses`.
"""

import numpy as np
import torch

# A confusion matrix of 10,000 classes would have 100 million cells.
MAX_MATRIX_CLASSES = 100


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

    def test(self, z: np.ndarray, t: np.ndarray, classes) -> dict:
        """Accuracy, error, precision and recall per class, confusion matrix (true, predicted).

        z and t (1, N) are the predicted and the true classes. More than 100 classes get no matrix.

        0 / 0 is undefined, NaN: the recall of a class that the test set lacks, and the precision of such a
        class if it is never predicted. A class that the test set has and that is never predicted has
        precision 0, as in scikit-learn: leaving it out of means would reward a network that gives it up.
        An example whose outputs have a NaN has no prediction: it counts as wrong, and is in no cell of the
        matrix.
        """
        m, (predicted,), (true,) = len(classes), z, t
        has_prediction = predicted >= 0
        correct = np.bincount(true[predicted == true], minlength=m)
        true_count = np.bincount(true, minlength=m)
        predicted_count = np.bincount(predicted[has_prediction], minlength=m)
        accuracy = correct.sum() / len(true)
        precision_denominator = np.where(true_count > 0, np.maximum(predicted_count, 1), predicted_count)
        report = {
            "accuracy": float(accuracy),
            "error": float(1 - accuracy),
            "precision": _ratio(correct, precision_denominator).tolist(),
            "recall": _ratio(correct, true_count).tolist(),
            "classes": list(classes),
        }
        if m <= MAX_MATRIX_CLASSES:
            cells = np.bincount((true * m + predicted)[has_prediction], minlength=m * m)
            report["confusion_matrix"] = cells.reshape(m, m).tolist()
        return report


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

    def test(self, z: np.ndarray, t: np.ndarray, classes=None) -> dict:
        """RMSE, MAE and R2; z and t (m, N) in the target's unit.

        RMSE and MAE are means over all outputs. R2 of an output is 1 - residual / total sum of squares,
        undefined (NaN) where all its targets are equal, as those of a single example are; R2 of several
        outputs is the unweighted mean over those that have one (scikit-learn's uniform average). Several
        outputs also have the lists `rmse_each`, `mae_each` and `r2_each`, since their units may differ.
        """
        varies = t.max(1) > t.min(1)
        with np.errstate(over="ignore", invalid="ignore"):  # of a target of 1e308
            residual = z - t
            rmse = _root_mean_square(residual)
            deviation = _root_mean_square(t - t.mean(1, keepdims=True))
            r2 = 1 - np.divide(rmse, deviation, out=np.full(len(t), np.nan), where=varies) ** 2
            mae = np.abs(residual).mean(1)
        report = {
            "rmse": float(_root_mean_square(rmse[None])[0]),
            "mae": float(mae.mean()),
            "r2": float(r2[varies].mean()) if varies.any() else float("nan"),
        }
        if len(t) > 1:
            report |= {"rmse_each": rmse.tolist(), "mae_each": mae.tolist(), "r2_each": r2.tolist()}
        return report


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _root_mean_square(v: np.ndarray) -> np.ndarray:
    """(m,): the root mean square over the examples of v (m, N)."""
    # Divided by the largest, squares neither overflow nor vanish, whatever the unit.
    largest = np.abs(v).max(1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(over="ignore"):
        return scale[:, 0] * np.sqrt(((v / scale) ** 2).mean(1))


def first_largest(z):
    """(..., B): m - argmax over the m units, the first of equal ones; 0 where z has a NaN."""
    # `torch.argmax` over any axis but the last is ten times slower.
    rank = torch.arange(z.shape[-2], 0, -1, dtype=z.dtype, device=z.device)[:, None]
    is_largest = torch.eq(z, z.amax(-2, keepdim=True), out=torch.empty_like(z))
    return is_largest.mul_(rank).amax(-2)


TASKS = {task.name: task for task in (Classification, Regression)}
