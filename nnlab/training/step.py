"""One training step of a population, on buffers that are allocated once and never move.

A step is: data gradient, penalty, clipping, decay, update, projection. Everything is (K, ...): all rows of
the stack at once. Within a step no value is read on the host, so that on a GPU its calls are captured once
in a CUDA graph and replayed.
"""

from __future__ import annotations

import math
from functools import partial

import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.data.batches import CHUNK_ELEMENTS, Batches, Chunk
from nnlab.losses import Loss
from nnlab.runtime.cuda_graphs import CudaGraphs, copy_from_host
from nnlab.runtime.layout import ALIGNED_FLOATS, aligned, shape_in_memory
from nnlab.runtime.shares import Share
from nnlab.streams import uniforms
from nnlab.training.activity_sum import ActivitySum
from nnlab.training.further_curves import FurtherCurves
from nnlab.training.population import Population
from nnlab.training.tail import BIASES_PREFIX, FusedTail, Tail, columns_of_step


class Step:
    """The training step of `population` on its `batches`; `run` trains on a chunk of them.

    `network`, `grad` (K, P) and `grad_norm` (K,) are those of the last step; `activity` has the penalty of
    activations, None where no row has one.
    """

    def __init__(
        self, graph: Graph, population: Population, loss: Loss, batches: Batches, threads: int, fused: bool
    ):
        self.population, self.loss = population, loss
        rows, e, theta = len(population), population.experiment, population.state.theta
        steps, batch = batches.chunk_steps, batches.batch
        self.padded_steps, self.share = batches.padded_steps, batches.share
        layout = graph.layout()
        self.grad = aligned(rows, (layout.size,), theta)
        self.grad_norm = torch.zeros(rows, dtype=theta.dtype, device=theta.device)
        self.weights = theta[:, : layout.weights_end]
        self.layers = [leaf_slice.view_of_units(theta) for leaf_slice in layout.weights.values()]
        site = Site(
            rows, batch, True, theta, e.regularizer.rates(), threads, e.precision, overwrites=True,
            share=self.share,
        )  # fmt: skip
        self.network = graph.bind(theta, self.grad, site, population.state.buffers)
        self.noise = [Noise(name, ctx, population, steps) for name, ctx in self.network.stochastic]
        self.activity = None if self.network.penalty is None else ActivitySum(self.network, steps)
        self.cuda_graphs = CudaGraphs(theta, self.network.captured and self.share.captured)
        self.draws_ahead = self.cuda_graphs.capturing  # a CUDA graph draws nothing
        self.steps_per_call = self._steps_per_call(steps)
        targets = batches.examples.outputs
        self.smoothed = theta.new_empty(steps if e.regularizer.smooths else 0, rows, targets, batch)
        output_shape = loss.outputs(targets), batch
        self.outputs = aligned(steps * rows, output_shape, theta).unflatten(0, (steps, rows))  # (S, K, m, B)
        self.dz = aligned(rows, output_shape, theta)
        self.columns = Columns(population, steps, batches.steps)
        make_tail = partial(Tail, graph, population, self.grad, self.grad_norm, threads)
        self.further_curves = FurtherCurves(e.recorded_curves, layout, theta)
        if fused:
            names, unused = self.columns.names, self.columns.unused
            self.tail = FusedTail(graph, population, self.grad, self.grad_norm, names, unused, make_tail)
        else:
            self.tail = make_tail()

    @property
    def compiled(self) -> bool:
        """Whether its tail is compiled."""
        return isinstance(self.tail, FusedTail) and self.tail.fallback is None

    def held(self) -> list:
        """What a step needs beside the state of the population: gradients and the network's values. Without
        what is gathered for many steps at once, to save calls."""
        return [self.grad, self.dz, self.network]

    def run(self, chunk: Chunk, epoch: int, lr: torch.Tensor) -> torch.Tensor:
        """Train on a chunk of the epoch's batches, at rates lr (K, S). Returns the network's outputs before
        each step, (S, K, m, B); the next chunk overwrites them."""
        count = len(chunk.x)
        self.columns.fill(lr, count, epoch, chunk.first)
        t = self.population.experiment.regularizer.smooth(chunk.t, self.smoothed[:count])
        z, columns = self.outputs[:count], self.columns.steps[:count]
        inputs = list(zip(chunk.x, t, chunk.weight, chunk.valid, chunk.count, z, columns, strict=True))
        is_padded = chunk.first + count - 1 in self.padded_steps
        addresses = chunk.x.data_ptr(), t.data_ptr(), chunk.weight.data_ptr(), count, is_padded
        for s in range(0, count, self.steps_per_call):
            position = epoch, chunk.first
            if self.draws_ahead:
                for noise in self.noise:
                    noise.draw(*position, s, count)
            steps = partial(self._steps, inputs[s : s + self.steps_per_call], position, s, count)
            self.cuda_graphs.run((*addresses, s), steps)
        self.population.state.t += count
        if self.activity:
            self.activity.add(chunk)
        return z

    def _steps_per_call(self, steps: int) -> int:
        """How many steps of a chunk are made in one call; on a GPU, where that is captured, those between two
        draws.

        There every box draws as often as the one that needs the most memory. On a CPU each box draws as it
        goes, so that its random numbers do not depend on other boxes.
        """
        if not self.noise or not self.draws_ahead:
            return steps
        steps_per_draw = min(noise.steps_per_draw for noise in self.noise)
        for noise in self.noise:
            noise.steps_per_draw = steps_per_draw
        return steps_per_draw

    def _steps(self, inputs: list, position: tuple[int, int], first: int, count: int) -> None:
        """Steps of a chunk of `count`, from `first` on; `position` is its epoch and its first step there."""
        for s, (x, t, weight, valid, examples, z, columns) in enumerate(inputs, first):
            for noise in self.noise:
                if not self.draws_ahead:
                    noise.draw(*position, s, count)
                noise.provide(s)
            for ctx in self.network.masked:
                ctx.valid, ctx.padded = valid[:, None], position[1] + s in self.padded_steps
                ctx.count = examples[:, None] if self.share.ranks else None
            self(x, t, weight, z, columns, last=s == count - 1)
            if self.activity:
                self.activity.keep(s)

    def __call__(self, x, t, weight, z, columns, last: bool) -> None:
        """One step on inputs x (K, d, B), targets t (K, m, B), weights of the examples (1 or K, 1, B) and the
        `columns`; the outputs go into z. The norms of the gradient and, if recorded, of the update are
        computed in the last step of a chunk.

        The gradient is that of the examples here; with the others', all ranks make the same update of it."""
        self.network.fprop(x, out=z)
        self.network.bprop(self.loss.bprop(z, t, weight, out=self.dz), weight)
        self.share.sum_in_place(self.grad)
        if last:
            self.further_curves.before_update()
        self.tail(columns, want_norm=last)
        if last:
            self.further_curves.after_update()


class Columns:
    """The columns of each step of a chunk, computed in float64 from the hyperparameters and cast once.

    `steps[s]` has those of step s (`columns_of_step`); None for what no row uses. They are views of one
    table: filling it for another chunk makes no tensors, and is one copy to a GPU. `recorded` has the values
    of the last step by the names of their curves, (K,) each.
    """

    def __init__(self, population: Population, steps: int, steps_of_epoch: int):
        self.population, theta = population, population.state.theta
        self.steps_of_epoch = steps_of_epoch
        self.planned = torch.from_numpy(population.experiment.epochs)[:, None] * steps_of_epoch  # (K, 1)
        self.scales_biases = population.experiment.optimizer.scales_biases
        columns = self._columns(population.experiment.optimizer.lr.expand(-1, ALIGNED_FLOATS), 0)
        self.names = [name for name, column in columns.items() if column is not None]
        # The columns of every step begin on an aligned address.
        width = -(-len(theta) // ALIGNED_FLOATS) * ALIGNED_FLOATS
        self.table = torch.zeros(steps, len(self.names), width, dtype=theta.dtype)
        self.device_table = self.table.to(theta.device)  # on a CPU the table itself
        self.unused = columns.keys() - set(self.names)
        views = self._views(len(theta))
        self.steps = [columns_of_step(dict.fromkeys(self.unused) | each) for each in views]

    def fill(self, lr: torch.Tensor, count: int, epoch: int, first: int) -> None:
        """Compute the columns of `count` steps, from step `first` of the epoch on, at rates lr (K, S).

        A row's steps are padded to whole lines, since a power's last bit depends on its place in a vector.
        """
        done = (epoch - 1) * self.steps_of_epoch + first
        columns = self._columns(torch.nn.functional.pad(lr, (0, -count % ALIGNED_FLOATS)), done)
        for i, name in enumerate(self.names):
            rows = columns[name][:, :count].T  # (S, K), or (1, K) for all steps
            self.table[:count, i, : rows.shape[1]] = rows
        self.recorded = {
            curve: columns[name][:, min(count, columns[name].shape[1]) - 1].numpy()
            for curve, name in self.population.experiment.optimizer.recorded_columns.items()
        }
        copy_from_host(self.table, self.device_table)

    def _columns(self, lr: torch.Tensor, done: int) -> dict[str, torch.Tensor | None]:
        """Every column by name, (K, 1) or (K, steps) float64, after `done` updates of the plan. (Rows that
        went back have had fewer: t.)"""
        e, steps = self.population.experiment, torch.arange(lr.shape[1])
        t = self.population.state.t + 1 + steps  # (K, S)
        left = self.planned - done - steps
        columns = e.optimizer.factors_in_run(lr, t, left) | e.optimizer.limits() | e.regularizer.factors(lr)
        if self.scales_biases:
            of_biases = e.optimizer.factors_in_run(lr * e.optimizer.bias_lr_factor, t, left)
            columns |= {f"{BIASES_PREFIX}{name}": column for name, column in of_biases.items()}
        return columns

    def _views(self, rows: int) -> list[dict[str, torch.Tensor]]:
        """For each step, its columns (K, 1) by name, and all of them as one `table`."""
        steps = [(step, step[:, :rows].unsqueeze(2).unbind(0)) for step in self.device_table.unbind(0)]
        return [{"table": step} | dict(zip(self.names, columns, strict=True)) for step, columns in steps]


class Noise:
    """Uniform random numbers for one box, (K or 1, *shape) a step, drawn for as many steps at once as fit in
    the size of a chunk. Rows with the same seed share them. They are drawn for the whole batch: ranks that
    share it take the numbers of their own examples."""

    def __init__(self, name: str, ctx, population: Population, steps: int):
        self.name, self.ctx = name, ctx
        seeds = [row.seed for row in population.rows]
        self.seeds = seeds if len(set(seeds)) > 1 else seeds[:1]
        site, whole = ctx.site, ctx.noise_shape
        self.share = site.share if site.share and ctx.per_example else Share(site.batch)
        if self.share.ranks:
            whole = (*whole[:-1], self.share.batch)
        self.steps_per_draw = min(steps, max(1, CHUNK_ELEMENTS // math.prod(whole)))
        theta = population.state.theta
        self.shape = shape_in_memory(whole, site.channels_last)
        self.examples_axis = -1 if self.shape == whole else 1  # of what is drawn for some steps
        shape = list(self.shape)
        if self.share.ranks:
            shape[0 if self.examples_axis == 1 else -1] = self.share.width
        shape = self.steps_per_draw, len(self.seeds), *shape
        self.buffer = torch.empty(shape, dtype=theta.dtype, device=theta.device)
        self.steps = [
            step if self.examples_axis == -1 else step.transpose(1, -1) for step in self.buffer.unbind(0)
        ]

    def draw(self, epoch: int, first: int, s: int, count: int) -> None:
        """Draw from step s of a chunk on, if that is due. The chunk has `count` steps, the first of which is
        step `first` of the epoch."""
        if s % self.steps_per_draw == 0:
            self._draw(min(self.steps_per_draw, count - s), "noise", self.name, epoch, first + s)

    def provide(self, s: int) -> None:
        """Give the box its numbers for step s."""
        self.ctx.uniforms = self.steps[s % self.steps_per_draw]

    def _draw(self, steps: int, *key) -> None:
        shape = steps, *self.shape
        drawn = {seed: uniforms(shape, self.buffer, seed, *key) for seed in dict.fromkeys(self.seeds)}
        for k, seed in enumerate(self.seeds):
            self.buffer[:steps, k] = self.share.of(drawn[seed], self.examples_axis)
