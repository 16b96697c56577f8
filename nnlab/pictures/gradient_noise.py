"""The noise of mini-batches' gradients: how far they lie from the gradient of all training examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.network import Network
from nnlab.checks.noise import draw_once, zero_rates
from nnlab.data.examples import Examples
from nnlab.errors import UserError
from nnlab.pictures.base import ShownRun
from nnlab.runtime.layout import aligned
from nnlab.runtime.threads import computing
from nnlab.streams import stream
from nnlab.training.population import stack_experiments

DRAWS, LEAST_DRAWS = 100, 8  # batches of each size
MOST_EXAMPLES = 4096  # training examples, of which the batches are drawn
WORK = 2e10  # multiply-adds forward, of all batches together: fewer draws of large networks


@dataclass(frozen=True)
class GradientNoise:
    """noise[B] = sqrt(E |g_B - g|^2), where g_B is the gradient of the mean loss of B examples, drawn without
    replacement, and g that of all N: its standard deviation, over all parameters together.

    It is sigma / sqrt(B) sqrt((N - B) / (N - 1)), where sigma = noise[1] is that of single examples.
    """

    examples: int  # N
    norm: float  # |g|
    noise: dict[int, float]


def measure(run: ShownRun, sizes: list[int], row: int = 0) -> GradientNoise:
    """The noise at a row's stored weights, without dropout and penalties, in float64."""
    with computing(), torch.no_grad():
        subject = Gradients(run, row)
        g = subject.of(subject.train)
        noise = {}
        for size in sorted({min(size, len(subject.train)) for size in sizes}):
            if size < len(subject.train) and subject.takes(size):
                noise[size] = _distance(subject, g, size)
        return GradientNoise(len(subject.train), float(torch.linalg.vector_norm(g)), noise)


def _distance(subject: Gradients, g: torch.Tensor, size: int) -> float:
    squares = [float((subject.of(batch) - g).square().sum()) for batch in _drawn(subject, size)]
    return float(np.sqrt(np.mean(squares)))


def _drawn(subject: Gradients, size: int) -> list[np.ndarray]:
    """Batches of so many training examples, as many as the work allows; of single ones all there are."""
    affordable = int(WORK / (size * subject.graph.work))
    if size == 1:
        order = stream(0, "gradient noise").permutation(subject.train)
        return [order[i : i + 1] for i in range(min(len(order), max(LEAST_DRAWS, affordable)))]
    draws = max(LEAST_DRAWS, min(DRAWS, affordable))
    return [
        stream(0, "gradient noise", size, draw).choice(subject.train, size, replace=False)
        for draw in range(draws)
    ]


class Gradients:
    """The gradient of the mean loss of any examples, at the weights of one row of a run."""

    def __init__(self, run: ShownRun, row: int):
        stored = run.stored
        self.fold = run.fold(row)
        template = torch.empty(0, dtype=torch.float64)
        self.examples = Examples(stored.experiment.data, run.dataset, template)
        spec = self.examples.spec
        self.experiment = replace(stored.experiment.for_data(spec), precision="float32", device="cpu")
        self.loss, self.graph = self.experiment.loss_for(spec), self.experiment.graph(spec)
        self.train = self.fold.train
        if len(self.train) > MOST_EXAMPLES:
            chosen = stream(0, "gradient noise").choice(self.train, MOST_EXAMPLES, replace=False)
            self.train = np.sort(chosen)
        layout = self.graph.layout()
        self.theta, self.grad = (aligned(1, (layout.size,), template) for _ in range(2))
        self.buffers = torch.zeros(1, layout.buffers_size, dtype=torch.float64)
        for leaves, memory in ((layout.parameters, self.theta), (layout.buffers, self.buffers)):
            for name, leaf_slice in leaves.items():
                leaf_slice.view(memory)[0] = torch.from_numpy(stored.weights[row][name].astype(np.float64))
        self._networks: dict[int, Network] = {}

    def takes(self, size: int) -> bool:
        """Whether the network trains on batches of so few examples."""
        try:
            self.graph.refuse_batch(size)
        except UserError:
            return False
        return True

    def of(self, examples: np.ndarray) -> torch.Tensor:
        """(P,) the gradient of the mean loss of these examples."""
        count = len(examples)
        x, t = self.examples.gather(self.fold, examples)
        network = self._network(count)
        z = network.fprop(x[None])
        weight = z.new_full((1, 1, count), 1 / count)
        network.bprop(self.loss.bprop(z, t[None], weight, out=torch.empty_like(z)))
        return self.grad[0].clone()

    def _network(self, batch: int) -> Network:
        if batch not in self._networks:
            self._networks[batch] = _bind(self, self.graph, batch)
        return self._networks[batch]


def _bind(of: Gradients, graph: Graph, batch: int) -> Network:
    """The network of training, whose dropout and augmentation are off."""
    columns = zero_rates(stack_experiments([of.experiment]))
    site = Site(1, batch, training=True, template=of.theta[:, :0], columns=columns)
    network = graph.bind(of.theta, of.grad, site, of.buffers.clone())
    draw_once(network)  # for boxes that are random whatever the rates
    return network
