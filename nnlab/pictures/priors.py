"""The weights of a run, and the density of the prior that its penalty stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.errors import visible
from nnlab.optimizers import SGD
from nnlab.pictures.base import ShownRun
from nnlab.regularizers import Regularizer

CUT_RATIO = 3  # weights further out than so many times the 99.9% quantile are cut off
QUANTILE = 0.999
MOST_WEIGHTS = 20_000_000  # of a run: those of its first rows
GRID_POINTS, SCALES = 8001, 40  # of the integral of a density: how many, and up to how many of its scales


@dataclass(frozen=True)
class RunWeights:
    """What is drawn of a run.

    values    (W,) float64, the weights of all its rows that did not diverge, one after another
    rows      how many rows these are, of `all_rows`: the first ones, as many as are `MOST_WEIGHTS`
    examples  N, how many examples train a row, on average; 0 where an old folder does not say it
    l2, l1    of the penalty; 0 where it is another one
    other     what else shrinks weights, and stands for no prior here; "" where nothing does
    """

    name: str
    values: np.ndarray
    rows: int
    examples: float
    l2: float
    l1: float
    other: str = ""
    all_rows: int = 1

    @property
    def share_of_zeros(self) -> float:
        return 1 - np.count_nonzero(self.values) / max(1, len(self.values))

    @property
    def norm(self) -> float:
        """The root of the mean of the rows' squared norms."""
        return float(np.sqrt(np.square(self.values).sum() / max(1, self.rows)))

    def prior(self, w: np.ndarray) -> np.ndarray | None:
        """Its prior's density at w; None without a penalty: then all weights are as likely."""
        a, b = self.examples * self.l2, self.examples * self.l1
        if not (a or b):
            return None
        return density(w, a, b)

    def fitted(self, w: np.ndarray) -> np.ndarray | None:
        """The density of the prior's family that fits the weights best; a Laplacian's times the share of the
        weights that are not 0. None without a penalty, or with both."""
        others = self.values[self.values != 0]
        if bool(self.l2) == bool(self.l1) or not len(others):
            return None
        if self.l2:
            return density(w, 1 / np.mean(np.square(self.values)), 0.0)
        return (1 - self.share_of_zeros) * density(w, 0.0, 1 / np.mean(np.abs(others)))


def density(w: np.ndarray, a: float, b: float) -> np.ndarray:
    """exp(-a w^2 / 2 - b |w|) / Z: a Gaussian of variance 1 / a, a Laplacian of scale 1 / b, or their
    product."""
    scale = min(1 / np.sqrt(a) if a else np.inf, 1 / b if b else np.inf)
    grid = np.linspace(0, SCALES * scale, GRID_POINTS)
    Z = 2 * np.trapezoid(np.exp(-a / 2 * np.square(grid) - b * grid), grid)
    return np.exp(-a / 2 * np.square(w) - b * np.abs(w)) / Z


def weights_of_run(run: ShownRun) -> RunWeights:
    """The weights of a run's rows, from its folder."""
    layout = run.stored.experiment.graph(run.stored.spec).layout()
    usable, names = [row for row in run.model.rows if row.is_usable], layout.weights
    rows = usable[: max(1, MOST_WEIGHTS // layout.weights_end)]
    pieces = [row.weights[name].ravel() for row in rows for name in names]
    e = run.stored.experiment
    l2, l1, other = e.regularizer.l2, e.regularizer.l1, ""
    if type(e.regularizer).penalty is not Regularizer.penalty:  # of an installed package
        l2, l1, other = 0.0, 0.0, f"penalty of {type(e.regularizer).__name__}"
    elif e.optimizer.decays:
        other = f"{e.optimizer.name} decays them"
    elif l1 and e.regularizer.proximal and not isinstance(e.optimizer, SGD):
        # Its step of lr l1 stands beside a step that is not lr times the gradient.
        l1, other = 0.0, f"l1's step beside {e.optimizer.name}"
    return RunWeights(
        visible(run.name), np.concatenate([np.zeros(0), *pieces]).astype(np.float64), len(rows),
        training_examples(run), l2, l1, visible(other), len(usable),
    )  # fmt: skip


def training_examples(run: ShownRun) -> float:
    """N: how many examples train a row; after a refit, those of the second training. 0 if it is not known."""
    counts = [row.get("examples") or {} for row in run.stored.rows]
    numbers = [count.get("refit", count.get("train", 0)) for count in counts]
    return float(np.mean(numbers)) if numbers else 0.0


def limit(panels: list[RunWeights]) -> float:
    """Half the width of the common axis: all weights, but for a few that lie far out."""
    sizes = [np.abs(panel.values) for panel in panels if len(panel.values)]
    if not sizes:
        return 1.0
    return min(max(s.max() for s in sizes), CUT_RATIO * max(np.quantile(s, QUANTILE) for s in sizes)) or 1.0
