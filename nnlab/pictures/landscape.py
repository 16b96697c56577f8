"""The training objective of a model with two parameters, over the plane of these, and paths in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.autodiff.graph import Graph
from nnlab.data.examples import Examples
from nnlab.experiment import Row
from nnlab.pictures.base import ShownRun
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping
from nnlab.training.evaluation import Evaluator
from nnlab.training.further_curves import theta_names
from nnlab.training.population import Population, initial_theta

POINTS_AT_ONCE = 2048


@dataclass(frozen=True)
class Path:
    """Where a row of a run went: `theta` (epochs + 1, 2), from its initial parameters on, NaN after its end;
    and the mean training `loss` (epochs,) of each epoch."""

    theta: np.ndarray
    loss: np.ndarray


def paths(run: ShownRun, most_rows: int) -> list[Path]:
    """The paths of the first rows of a run that recorded theta."""
    e, stored = run.stored.experiment.for_data(run.stored.spec), run.stored
    graph = e.graph(stored.spec)
    curves = np.stack([stored.curves(name) for name in theta_names(graph.layout())], axis=2)
    loss = stored.curves("train_loss")
    drawn = []
    for result in stored.rows[:most_rows]:
        number = result["row"]
        start = _parameters(graph, initial_theta([Row(e, result["seed"], run.fold(number))], graph))
        drawn.append(Path(np.concatenate([start, curves[number]]), loss[number]))
    return drawn


def objective(run: ShownRun, points: np.ndarray) -> np.ndarray:
    """The objective that the run's first row lowers, mean loss and penalty of all its training examples, with
    the parameters `points` (n, 2); float64.

    Each point is a row of a stack, whose validation set are the training examples.
    """
    e = run.stored.experiment.for_data(run.stored.spec)
    e = replace(e, metric="last", metrics=(), stopping=Stopping(), schedule=Constant(), device="cpu")
    result, graph = run.stored.rows[0], e.graph(run.stored.spec)
    fold = run.fold(result["row"])
    row = Row(e, result["seed"], replace(fold, validation=fold.train))
    values = []
    with computing():
        template = torch.empty(0, dtype=torch.float64)
        examples = Examples(e.data, run.dataset, template)
        for block in np.array_split(points, -(-len(points) // POINTS_AT_ONCE)):
            population = Population.create([row] * len(block), graph, template)
            theta, first = population.state.theta, 0
            for leaf_slice in graph.layout().parameters.values():
                size = leaf_slice.leaf.size
                columns = torch.from_numpy(block[:, first : first + size])
                leaf_slice.view(theta).copy_(columns.view(len(block), *leaf_slice.leaf.shape))
                first += size
            loss = Evaluator(graph, population, population.state, examples, 1).validate()["val_loss"]
            weights = theta[:, : graph.layout().weights_end]
            values.append(loss + population.experiment.regularizer.penalty(weights).numpy())
    return np.concatenate(values)


def _parameters(graph: Graph, theta: torch.Tensor) -> np.ndarray:
    """(K, parameters): a row's parameters without the padding between them."""
    leaves = graph.layout().parameters.values()
    return torch.cat([leaf_slice.view(theta).flatten(1) for leaf_slice in leaves], 1).numpy()
