"""The equation z = W x + b that a model without hidden layers has learnt, and its predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.autodiff.affine import Affine
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.reshaping import Flatten
from nnlab.data.encoders import inputs_in_units
from nnlab.experiment import Row
from nnlab.training.fit import Fit
from nnlab.training.results import Result

MAX_OUTPUTS = 3  # of an equation that still fits a screen
MAX_EXAMPLES = 1000  # training examples for which predictions are kept
# Relative to the largest output. The equation in the data's units is shown if it predicts the same up to
# this; else, where inputs are far out and normalisation is not linear, the equation of normalised inputs.
ROUNDING_TOLERANCE = 1e-4
LINEAR_BOXES = (Affine, Dropout, Flatten)  # all that a network with an equation may have


@dataclass(frozen=True)
class Equation:
    """W (m, d) and b (m,) of one row, and its predictions for the first training examples."""

    seed: int
    weight: np.ndarray
    bias: np.ndarray
    in_data_units: bool  # whether x and y are in the data's units, or normalised, as the network sees them
    features: tuple[str, ...]
    classes: tuple[str, ...]  # none in regression
    map: str | None  # from z to probabilities: softmax, sigmoid, sparsemax
    examples: np.ndarray  # (n,) indices of those examples in the data
    predictions: np.ndarray  # (m, n): probabilities, or numbers in the target's unit
    targets: np.ndarray  # (n,) class indices, or (m, n) numbers

    @property
    def outputs(self) -> list[str]:
        """A name for each row of W."""
        m = len(self.bias)
        if self.classes:
            return list(self.classes[-m:])  # with two classes the only output is that of the second
        if m == 1:
            return ["y"]
        return [f"y{i}" for i in range(m)]


def equation(fit: Fit, row: Row, result: Result) -> Equation | None:
    """The equation of a finished row; None if it has hidden layers, many outputs, or no best epoch."""
    dataset, e = fit.datasets[row.experiment.data], row.experiment
    if set(result.weights) != {"output.weight", "output.bias"} or not result.best_epoch:
        return None
    nodes = e.graph(dataset.spec).nodes
    if nodes[-1].name != "output" or not all(isinstance(n.box, LINEAR_BOXES) for n in nodes if n.box):
        return None
    if len(result.weights["output.weight"]) > MAX_OUTPUTS:
        return None
    W = result.weights["output.weight"].astype(np.float64)  # (m, d)
    b = result.weights["output.bias"].astype(np.float64).reshape(-1)  # (m,)
    temperature = result.calibration.get("temperature", 1.0)
    W, b = W / temperature, b / temperature  # the outputs are divided by it
    examples, x, t = _normalized_examples(fit, row)
    z = W @ x + b[:, None]  # (m, n)
    loss, normalizer = e.loss_for(dataset.spec), result.normalizer
    scale, mean = np.ones(len(b)), np.zeros(len(b))
    if not dataset.classes:
        scale, mean = normalizer["target_scale"], normalizer["target_mean"]
    predictions = scale[:, None] * z + mean[:, None]
    # x and y in the data's own units: y = scale (W (x - mean_x) / scale_x + b) + mean
    W_in_units = scale[:, None] * W / normalizer["scale"]
    b_in_units = scale * (b - W @ (normalizer["mean"] / normalizer["scale"])) + mean
    x_in_units = inputs_in_units(dataset.x[examples], dataset.spec.encoding, normalizer)
    error = np.abs(W_in_units @ x_in_units.T + b_in_units[:, None] - predictions).max()
    in_data_units = bool(error <= ROUNDING_TOLERANCE * np.abs(predictions).max())
    if in_data_units:
        W, b = W_in_units, b_in_units
    if dataset.classes:
        predictions, targets = loss.predict(torch.from_numpy(z)).numpy(), t.argmax(0)
    else:
        targets = dataset.y[examples].T
    features = dataset.spec.features or tuple(f"x{i}" for i in range(W.shape[1]))
    return Equation(
        seed=row.seed,
        weight=W,
        bias=b,
        in_data_units=in_data_units,
        features=features,
        classes=dataset.classes,
        map=loss.map,
        examples=examples,
        predictions=predictions,
        targets=targets,
    )


def _normalized_examples(fit: Fit, row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(indices, x, t) of the first training examples, normalised as the network sees them."""
    fold = row.refit_row([]).fold if row.experiment.refit else row.fold
    # Under another key in the cache, since a refit normalises the same fold by other means.
    fold = replace(fold, repeat=-1)
    examples = fold.train[:MAX_EXAMPLES]
    gathered = fit.cache.examples(row).without_caches().gather(fold, examples)
    x, t = (values.double().cpu().numpy() for values in gathered)
    return examples, x, t
