"""What flows through trained networks on examples: activations forward and gradients backward, by layer."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.arguments import typed
from nnlab.autodiff.box import Site
from nnlab.autodiff.layers import activations
from nnlab.checks.flow import Flow
from nnlab.checks.noise import draw_once, zero_rates
from nnlab.data.dataset import Dataset
from nnlab.data.splits import Fold
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.row_stack import RowInputs, stacked_weights
from nnlab.prediction.scoring import network_targets
from nnlab.prediction.trained_rows import TrainedRow
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.population import stack_experiments

FLOW_EXAMPLES, FEWEST_EXAMPLES = 256, 32
FLOW_ROWS = 10  # at most, whose medians are taken
FLOW_WORK = 2e10  # multiply-adds of the forward pass, at most
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # the quantiles of an activation's outputs


@typed
def layer_flow(model: TrainedModel, dataset: Dataset, fold: Fold) -> dict:
    """How large activations, gradients and weights of the trained networks are, on training examples of the
    data: those of the rows of this fold, or of the first ten of them, without dropout.

        examples     how many
        rows         the numbers of the rows, whose medians follow
        layers       name -> variance of its outputs over the examples, RMS of the gradient of an example's
                     loss with respect to them, RMS of its weights, None if it has none
        activations  name -> share of its units that are stuck, whether it is bounded, the share of its
                     outputs that are 0, and their quantiles, at `SHARES`

    See `nnlab.checks.saturation` for what a stuck unit is. Raises `UserError` where no row of the fold is
    usable.
    """
    rows = [row for row in model.rows_for(None) if (row.repeat, row.fold) == fold.key]
    work = model.graph.work
    rows = rows[: max(1, min(FLOW_ROWS, int(FLOW_WORK / (work * FLOW_EXAMPLES))))]
    affordable = max(FEWEST_EXAMPLES, int(FLOW_WORK / (work * len(rows))))
    count = min(FLOW_EXAMPLES, affordable, len(fold.train))
    chosen = fold.train[np.linspace(0, len(fold.train) - 1, count).round().astype(int)]
    with computing():
        flow = _flow(model, rows, np.asarray(dataset.x[chosen]), dataset.targets(noisy=True)[chosen])
        measured = flow.measure()
    nodes, graph = model.graph.nodes, model.graph
    for name, layer in measured["layers"].items():
        if not any(weight.startswith(f"{name}.") for weight in graph.layout().weights):
            layer["weights"] = None  # as of a normalisation, whose factors are no weights
    for n in activations(graph):
        if (name := nodes[n].name) in measured["activations"]:
            outputs = flow.values[n].double().cpu().numpy().reshape(len(rows), -1)
            measured["activations"][name]["zeros"] = float(np.median((outputs == 0).mean(1)))
            measured["activations"][name]["quantiles"] = np.median(
                np.quantile(outputs, SHARES, axis=1), axis=1
            ).tolist()
    return {"examples": count, "rows": [row.number for row in rows], **measured}


def _flow(model: TrainedModel, rows: list[TrainedRow], x: np.ndarray, targets: np.ndarray) -> Flow:
    """Both passes of these rows, as a training step of the examples without dropout has them."""
    spec, template = model.spec, model.template
    weights = stacked_weights(model.graph, rows, template)
    columns = zero_rates(stack_experiments([model.experiment] * len(rows)))
    site = Site(len(rows), len(x), True, weights.theta, columns, thread_count("auto"))
    network = model.graph.bind(weights.theta, torch.zeros_like(weights.theta), site, weights.buffers)
    draw_once(network)  # for boxes that are random whatever the rates
    t = torch.stack([network_targets(targets, spec, row.normalizer, template) for row in rows])
    return Flow.through(network, model.loss, weights.theta, RowInputs(spec, rows, template)(x, len(x)), t)
