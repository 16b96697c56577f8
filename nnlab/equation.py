"""What a model without hidden layers has learnt, as an equation: z = W x + b, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.experiment import Row
from nnlab.training.fit import Fit
from nnlab.training.results import Result

OUTPUTS, EXAMPLES = 3, 1000  # the most outputs that a screen has room for; training examples answered
SAME = 1e-4  # of the outputs' size: so near, the equation in the data's own units says the same


@dataclass(frozen=True)
class Equation:
    """W (m, d) and b (m,) of one row, and its answers to the first training examples."""

    seed: int
    weight: np.ndarray
    bias: np.ndarray
    own_units: bool  # x and y as they are in the data; else as the network sees them, normalised
    features: tuple[str, ...]
    classes: tuple[str, ...]  # none in regression
    map: str | None  # what makes probabilities of z: softmax, sigmoid, sparsemax
    examples: np.ndarray  # (n,) their numbers
    answers: np.ndarray  # (m, n): probabilities, or numbers in the target's unit
    targets: np.ndarray  # (n,) class numbers, or (m, n) numbers

    @property
    def outputs(self) -> list[str]:
        """A name for each row of W."""
        m = len(self.bias)
        names = self.classes[-m:] if self.classes else tuple(f"y{i}" for i in range(m)) if m > 1 else ("y",)
        return list(names)


def equation(fit: Fit, row: Row, result: Result) -> Equation | None:
    """That of a finished row; None if it has hidden layers, many outputs, or never had a best epoch."""
    dataset, e = fit.datasets[row.experiment.data], row.experiment
    if set(result.weights) != {"output.weight", "output.bias"} or not result.best_epoch:
        return None
    if e.graph(dataset.spec).nodes[-1].name != "output" or len(result.weights["output.weight"]) > OUTPUTS:
        return None
    W = result.weights["output.weight"].astype(np.float64)
    b = result.weights["output.bias"].astype(np.float64).reshape(-1)
    fold = row.again([]).fold if e.refit else row.fold
    fold, some = replace(fold, repeat=-1), fold.train[:EXAMPLES]  # a fold of its own: a refit has other means
    x, t = (v.double().cpu().numpy() for v in fit.cache.examples(row).elsewhere().gather(fold, some))
    z, loss, n = W @ x + b[:, None], e.loss_for(dataset.spec), result.normalizer
    m = len(b)
    unit, middle = (np.ones(m), np.zeros(m)) if dataset.classes else (n["target_scale"], n["target_mean"])
    own_W = unit[:, None] * W / n["scale"]
    own_b = unit * (b - W @ (n["mean"] / n["scale"])) + middle
    there = unit[:, None] * z + middle[:, None]
    own = np.abs(own_W @ dataset.x[some].T + own_b[:, None] - there).max() <= SAME * np.abs(there).max()
    answers = loss.predict(torch.from_numpy(z)).numpy() if dataset.classes else there
    targets = t.argmax(0) if dataset.classes else dataset.y[some].T
    W, b = (own_W, own_b) if own else (W, b)
    features = dataset.features or tuple(f"x{i}" for i in range(W.shape[1]))
    return Equation(
        row.seed, W, b, bool(own), features, dataset.classes, loss.map, some, answers, targets
    )  # fmt: skip
