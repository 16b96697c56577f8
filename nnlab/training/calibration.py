"""What is fitted on a row's validation examples once it is trained: temperature, threshold, residuals.

A row's `Calibration` has some of these arrays, all in float64:

    temperature  ()      T, by which its outputs are divided: softmax(z / T) are its probabilities
    threshold    ()      of two classes, the positive one is predicted where its probability is above it
    residuals    (n, m)  target - prediction of n validation examples, in the targets' units

Nothing here sees a test example, nor, as in test reports, a weight of examples or classes. After a refit the
values of the first training stay, since then there is no example left that was not trained on.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.data.spec import DataSpec
from nnlab.experiment import DEFAULT_THRESHOLD, Experiment, Row
from nnlab.losses import Loss
from nnlab.training.thresholds import best_threshold, positive_class

Calibration = dict[str, np.ndarray]
# Of a test report: what a temperature changes, so that both values are reported.
CALIBRATED_METRICS = ("loss", "log_loss", "brier_score", "calibration_error")

LARGEST_TEMPERATURE = 1e4  # and the smallest is 1 over it


def is_calibrated(row: Row) -> bool:
    """Whether the row has a calibration."""
    e = row.experiment
    return e.calibrate != "none" or e.threshold != DEFAULT_THRESHOLD or row.keeps_residuals > 0


def set_threshold(e: Experiment) -> Calibration:
    """The threshold of an experiment that says it itself."""
    is_set = isinstance(e.threshold, float) and e.threshold != DEFAULT_THRESHOLD
    return {"threshold": np.array(e.threshold)} if is_set else {}


def calibrate(row: Row, loss: Loss, spec: DataSpec, z, t, weight, target_scale: np.ndarray) -> Calibration:
    """Fitted on the row's validation examples: outputs z (m, N), targets t (., N), and weights (1, N), which
    are 0 for the padding at the end; `target_scale` (m,) is that of its normaliser."""
    e, count = row.experiment, len(row.fold.validation)
    fitted: dict[str, float | np.ndarray] = {**set_threshold(e)}
    if e.calibrate == "temperature":
        fitted["temperature"] = fit_temperature(loss, z, t, weight)
    if isinstance(e.threshold, str):
        positive = positive_class(spec)
        p = loss.probabilities(z / fitted.get("temperature", 1.0))[positive, :count].numpy()
        fitted["threshold"] = best_threshold(p, t[positive, :count].numpy() > 0, e.threshold)
    if row.keeps_residuals and torch.isfinite(z).all():
        fitted["residuals"] = (t - z).numpy()[:, spread(count, row.keeps_residuals)].T * target_scale
    return {name: np.array(value, np.float64) for name, value in fitted.items()}


def fit_temperature(loss: Loss, z: torch.Tensor, t: torch.Tensor, weight: torch.Tensor) -> float:
    """The temperature T > 0 that minimises sum_n weight_n loss(z_n / T, t_n), of outputs z (m, N).

    The loss is convex in the outputs and so in 1 / T, where its derivative is sum_n weight_n g_n . z_n, with
    the loss's gradient g at z / T: it has one zero. It has none where every example is right, and the loss
    falls for ever as T falls; T is then 1. Guo et al. 2017, "On calibration of modern neural networks".
    """
    from scipy.optimize import brentq  # imported late: few runs are calibrated

    if not torch.isfinite(z).all():
        return 1.0
    gradient = torch.empty_like(z)

    def slope(log_inverse: float) -> float:
        loss.bprop(z * np.exp(log_inverse), t, weight, gradient)
        return float((gradient * z).sum())

    farthest = np.log(LARGEST_TEMPERATURE)
    if slope(farthest) <= 0:
        return 1.0
    if slope(-farthest) >= 0:  # worse than chance, so equal probabilities are the best
        return LARGEST_TEMPERATURE
    return float(np.exp(-brentq(slope, -farthest, farthest, xtol=1e-12)))


def temperatures(calibrations: list[Calibration]) -> np.ndarray | None:
    """(K, 1, 1): each row's temperature, 1 where it has none; None if no row has one."""
    if not any("temperature" in calibration for calibration in calibrations):
        return None
    return np.array([c.get("temperature", 1.0) for c in calibrations], np.float64)[:, None, None]


def with_uncalibrated(calibrated: dict, before: dict) -> dict:
    """A test report, with the values that its metrics of probabilities had before calibration."""
    report = {}
    for name, value in calibrated.items():
        report[name] = value
        if name in CALIBRATED_METRICS:
            report[f"{name}_uncalibrated"] = before[name]
    return report


def spread(count: int, most: int) -> np.ndarray:
    """The indices of all of `count` examples, or of `most` at equal distances."""
    kept = min(count, most)
    return np.arange(kept) * count // max(1, kept)


def calibration_fault(calibration: Calibration, spec: DataSpec) -> str:
    """Why these arrays, which a stranger may have written, cannot be a row's; empty if they can."""
    known = ("temperature", "threshold") if spec.classes else ("residuals",)
    for name, array in calibration.items():
        if name not in known:
            return f"the array '{name:.80}', which its experiment does not"
        is_right = (
            array.ndim == 2 and array.shape[1] == spec.outputs if name == "residuals" else not array.ndim
        )
        if not is_right or array.dtype != np.float64:
            return f"a {name} of the shape {array.shape} and the type {array.dtype}"
        if not np.isfinite(array).all():
            return f"a {name} that is not finite"
    temperature, threshold = (calibration.get(name) for name in ("temperature", "threshold"))
    if temperature is not None and not 1 / LARGEST_TEMPERATURE <= temperature <= LARGEST_TEMPERATURE:
        return f"the temperature {float(temperature):g}, far from 1"
    if threshold is not None and not (len(spec.classes) == 2 and 0 <= threshold <= 1):
        return f"the threshold {float(threshold):g}, expected a probability of one of two classes"
    return ""
