"""What dropout does to one example in both passes: with the masks that a trained row drew for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Node
from nnlab.autodiff.network import Network
from nnlab.data.batches import Batches, training_order
from nnlab.data.examples import Examples
from nnlab.experiment import Experiment, Row, stack_graph
from nnlab.pictures.base import ShownRun
from nnlab.pictures.last_training import last_training
from nnlab.runtime.threads import computing
from nnlab.training.population import Population, leaf_views
from nnlab.training.step import Noise

MOST_EPOCHS = 100  # over which masks are averaged


@dataclass
class MaskedValue:
    """What a box of dropout reads and gives in one pass: x, mask, y = x mask; and dy, dx = dy mask.

    The mask has 0 where a unit is dropped and 1 / (1 - p) where it is kept. Of an input, which needs no
    gradient, dy and dx are None; so are those of a pass that is no training.
    """

    x: np.ndarray
    mask: np.ndarray
    y: np.ndarray
    dy: np.ndarray | None = None
    dx: np.ndarray | None = None

    def arrays(self) -> list[np.ndarray | None]:
        return [self.x, self.mask, self.y, self.dy, self.dx]


@dataclass(frozen=True)
class MaskedBox:
    """A box of dropout in the network of a run: what it drops, how often, and its passes.

    name    of the value that it drops
    kind    inputs, units or weights
    shape   of one value: that of the image where inputs are one
    passes  one for each drawn epoch, then the mean over `ShownPasses.epochs`, then the pass of a test
    """

    name: str
    kind: str
    p: float
    shape: tuple[int, ...]
    passes: list[MaskedValue] = field(default_factory=list)


@dataclass(frozen=True)
class ShownPasses:
    """The boxes of dropout of a row, and what passed them of one example."""

    boxes: list[MaskedBox]
    drawn: tuple[int, ...]  # epochs
    epochs: int  # of the mean
    seed: int
    label: str  # of the example; "" where it has no class


def dropout_rates(e: Experiment, nodes: list[Node]) -> dict[int, float]:
    """The number of each node with a box of dropout that drops something, and its p."""
    boxes = {n: node.box for n, node in enumerate(nodes) if isinstance(node.box, Dropout)}
    rates = {
        n: getattr(e.regularizer, box.rate) if isinstance(box.rate, str) else box.rate
        for n, box in boxes.items()
    }
    return {n: p for n, p in rates.items() if p > 0}


def shown_passes(run: ShownRun) -> ShownPasses:
    """The passes of the first training example of the first row of a run, on its trained weights.

    The masks are those that the row drew for this example: its network is bound as in training, and its boxes
    draw from the row's streams, by its seed, the epoch and the step that had the example. (On a GPU a row
    draws other numbers; these are a CPU's.)
    """
    with computing():
        passes = _Passes(run)
        example, epochs = int(passes.row.fold.train[0]), passes.epochs
        drawn = tuple(range(1, min(epochs, 2) + 1))
        lines = [passes.at(epoch, example) for epoch in drawn]
        total = lines[0]
        for epoch in range(2, epochs + 1):
            total = [_added(a, b) for a, b in zip(total, passes.at(epoch, example), strict=True)]
        lines += [[_divided(value, epochs) for value in total], passes.test(example)]
    boxes = [MaskedBox(*passes.described(n), [line[i] for line in lines]) for i, n in enumerate(passes.nodes)]
    spec, dataset = passes.examples.spec, run.dataset
    label = spec.label(int(dataset.targets()[example])) if spec.classes else ""
    return ShownPasses(boxes, drawn, epochs, passes.row.seed, str(label))


class _Passes:
    """A trained row bound for training, a batch at a time."""

    def __init__(self, run: ShownRun):
        trained = run.model.rows_for(None)[0]
        self.e = run.stored.experiment.for_data(run.model.spec)
        fold, epochs = last_training(run, trained.number)
        self.row, self.epochs = Row(self.e, trained.seed, fold), max(1, min(epochs, MOST_EPOCHS))
        template = torch.empty(0, dtype=getattr(torch, self.e.dtype))
        self.examples = Examples(self.e.data, run.dataset, template)
        self.batches = Batches(self.examples, [self.row])
        self.graph = stack_graph([self.row], self.examples.spec)
        self.population = Population.create([self.row], self.graph, template)
        for name, view in leaf_views(self.graph, self.population.state).items():
            view[0] = torch.from_numpy(trained.weights[name])
        self.network = self._bind(training=True)
        steps = self.batches.chunk_steps
        self.noise = [Noise(name, ctx, self.population, steps) for name, ctx in self.network.stochastic]
        self.rates = dropout_rates(self.e, self.graph.nodes)
        self.nodes = {n: node for n, node in enumerate(self.graph.nodes) if n in self.network.bound_boxes}
        self.nodes = {n: node for n, node in self.nodes.items() if n in self.rates}
        self.loss = self.e.loss_for(self.examples.spec)

    def _bind(self, training: bool) -> Network:
        state, rates = self.population.state, self.population.experiment.regularizer.rates()
        site = Site(1, self.batches.batch, training, state.theta, rates)
        return self.graph.bind(state.theta, torch.zeros_like(state.theta), site, state.buffers.clone())

    def described(self, n: int) -> tuple[str, str, float, tuple[int, ...]]:
        """The name, kind, p and shape of a masked value."""
        node, spec, read = self.graph.nodes[n], self.examples.spec, self.network.operands[n][0]
        name = self.graph.nodes[read].name
        if isinstance(node.box, DropConnect):
            return name.removesuffix(".weight"), "weights", self.rates[n], node.shape
        if self.network.needs_grad[read]:
            return name, "units", self.rates[n], node.shape
        is_image = math.prod(spec.shape) == math.prod(node.shape)
        return name, "inputs", self.rates[n], spec.shape if is_image else node.shape

    def at(self, epoch: int, example: int) -> list[MaskedValue]:
        """Both passes in the step of the epoch that had the example."""
        (position,) = np.flatnonzero(training_order(self.row, epoch) == example)
        step, place = divmod(int(position), self.batches.batch)
        first = step - step % self.batches.chunk_steps  # of the chunk
        count = min(self.batches.chunk_steps, self.batches.steps - first)
        for noise in self.noise:
            s = step - first
            noise.draw(epoch, first, s - s % noise.steps_per_draw, count)
            noise.provide(s)
        chunk, network = next(self.batches.epoch(epoch, step)).step(0), self.network
        for ctx in network.masked:
            ctx.valid, ctx.padded = chunk.valid[0][:, None], step in self.batches.padded_steps
        z = network.fprop(chunk.x[0])
        t = self.population.experiment.regularizer.smooth(chunk.t)[0]
        weight = chunk.weight[0]
        gradients = network.bprop(self.loss.bprop(z, t, weight, out=torch.empty_like(z)), weight)
        values, masked = network.values(), []
        for n, node in self.nodes.items():
            ctx, x = network.bound_boxes[n].ctx, values[network.operands[n][0]]
            arrays = [x, ctx.mask, values[n]]
            arrays += [gradients[n], ctx.dx[0]] if network.needs_grad[n] else [None, None]
            masked.append(MaskedValue(*(_of_example(a, place, node) for a in arrays)))
        return masked

    def test(self, example: int) -> list[MaskedValue]:
        """The pass without dropout: every mask is 1, which is its expected value."""
        network = self._bind(training=False)
        x, _ = self.examples.gather(self.row.fold, np.full(self.batches.batch, example))
        network.fprop(x[None])
        values, masked = network.values(), []
        for n, node in self.nodes.items():
            y = _of_example(values[n], 0, node)
            masked.append(MaskedValue(y, np.ones_like(y), y))
        return masked


def _of_example(value: torch.Tensor | None, place: int, node: Node) -> np.ndarray | None:
    """A copy of the value of the only row, of one example where it has examples."""
    if value is None:
        return None
    value = value[0, ..., place] if node.per_example else value[0]
    return value.double().numpy().copy()


def _added(a: MaskedValue, b: MaskedValue) -> MaskedValue:
    pairs = zip(a.arrays(), b.arrays(), strict=True)
    return MaskedValue(*(None if one is None else one + other for one, other in pairs))


def _divided(value: MaskedValue, count: int) -> MaskedValue:
    return MaskedValue(*(None if array is None else array / count for array in value.arrays()))
