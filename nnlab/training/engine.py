"""The one training loop. No files, no printing: it yields a `Record` each epoch.

A step is: data gradient, penalty, clipping, decay, update, projection. Everything is (K, ...): all rows of
the stack at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType, SimpleNamespace

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.data.batches import CHUNK, Batches, Examples
from nnlab.experiment import Row
from nnlab.optimizers.parts import in_parts
from nnlab.runtime.layout import ALIGN, aligned
from nnlab.runtime.threads import computing
from nnlab.schedules import Progress
from nnlab.streams import uniforms
from nnlab.training.evaluation import Evaluator, Measure, results
from nnlab.training.population import Population
from nnlab.training.results import Ending, Record, Result

HELD_BACK = ("val_loss", "val_error")  # metrics of the validation set, which say nothing in a refit


def train(
    rows: list[Row],
    examples: Examples,
    threads: int,
    finished: list[Result],
    leaving: Mapping[int, str] = MappingProxyType({}),
) -> Iterator[Record]:
    """Train `rows`, of one structure, in lockstep: yields a `Record` an epoch, and appends each row's
    `Result` to `finished` as it ends.

    `leaving` says how rows end, by their numbers, which are to leave before the next epoch: pruned,
    interrupted. The caller may fill it between two records.
    """
    graph = rows[0].experiment.graph(examples.spec)
    start, epoch, staying = time.perf_counter(), 0, np.arange(len(rows))
    every = rows[0].experiment.histograms
    with computing():
        population = Population.create(rows, graph, examples.like)
        previous = population.state  # as the previous epoch left it, to go back to
    while len(staying):
        epoch += 1
        with computing():
            if epoch == 1 or len(staying) < len(population):
                population, previous = population.select(staying), previous.select(staying)
                trainer = Trainer(graph, population, examples, threads)
            population.recall(epoch)
            metrics = trainer.epoch(epoch) | trainer.evaluator.validate()
            histograms = trainer.evaluator.histograms() if every and epoch % every == 0 else {}
            heard = population.heard(metrics)
            back = population.listen(epoch, heard)
            improved = population.keep_best(epoch, metrics, back)
            if population.experiment.schedule.goes_back:
                population.state.copy_rows(torch.from_numpy(back), previous)
                previous.copy_rows(torch.from_numpy(~back), population.state)
            stop = population.experiment.stopping.observe(population.stopping, heard)
            ended = endings(population, epoch, population.lost(metrics) & ~back, stop)
            seconds, refit = time.perf_counter() - start, rows[0].refit > 0
            said = metrics | dict.fromkeys(HELD_BACK, np.full(len(population), np.nan)) if refit else metrics
            how = {row: ending.status for row, ending in ended.items()}
            record = Record(epoch, numbers(population), said, improved, how, seconds, refit, histograms)
            finished += leave(population, graph, examples, threads, epoch, ended)
        yield record
        cut = {int(n): Ending(leaving[n]) for n in record.rows if n in leaving and n not in ended}
        if cut:
            with computing():
                finished += leave(population, graph, examples, threads, epoch, cut)
        staying = np.flatnonzero(~np.isin(record.rows, [*ended, *cut]))


def leave(
    population: Population, graph: Graph, examples, threads: int, epoch: int, how: dict[int, Ending]
) -> list[Result]:
    """The results of the rows that leave after this epoch: `how` they ended, by their numbers."""
    if not how:
        return []
    leaving = np.isin(numbers(population), list(how))
    gone = population if leaving.all() else population.select(np.flatnonzero(leaving))
    return results(gone, graph, examples, threads, epoch, how)


def numbers(population: Population) -> np.ndarray:
    """The rows' numbers in the fit."""
    return np.array([row.number for row in population.rows])


def endings(population: Population, epoch: int, lost, stop) -> dict[int, Ending]:
    """The rows that end with this epoch, and how. One that was never sound has diverged, however it ends."""
    e, none = population.experiment, np.zeros(len(population), bool)
    refit = np.array([row.refit for row in population.rows])
    last, over = epoch >= np.where(refit, refit, e.epochs), e.schedule.over(population.schedule)
    stop = none if stop is None else stop
    over = none if over is None or refit.any() else over
    ended = {}
    for k, row in enumerate(numbers(population).tolist()):
        if lost[k] or ((last[k] or stop[k] or over[k]) and not population.best_epoch[k]):
            ended[row] = Ending("diverged")
        elif last[k]:
            ended[row] = Ending("finished")
        elif stop[k]:
            ended[row] = Ending("stopped", f"stopping={e.stopping.name}")
        elif over[k]:
            ended[row] = Ending("stopped", f"schedule={e.schedule.name}, whose rate became too small")
    return ended


class Trainer:
    """A population bound to its data: the buffers of a step for this number of rows."""

    def __init__(self, graph: Graph, population: Population, examples: Examples, threads: int):
        self.population, like = population, examples.like
        rows, experiment = len(population), population.experiment
        layout, theta = graph.layout(), population.state.theta
        self.weights_end = layout.weights_end
        self.grad, self.scratch = (aligned(rows, (layout.size,), like) for _ in range(2))
        self.layers = [slot.view(theta) for slot in layout.slots.values() if slot.leaf.kind == "weight"]
        self.batches = Batches(examples, population.rows)
        site = Site(rows, self.batches.batch, True, like, experiment.regularizer.rates(), threads)
        self.network = graph.bind(theta, self.grad, site, population.state.buffers)
        self.evaluator = Evaluator(graph, population, population.state, examples, threads)
        self.measure = Measure(population, examples)
        self.outputs = self.measure.loss.outputs(examples.spec.outputs)
        self.update = in_parts(
            experiment.optimizer, theta, self.grad, population.state.slots, self.scratch, threads
        )

    def epoch(self, epoch: int) -> dict[str, np.ndarray]:
        """One pass over every row's training examples; the metrics of the training side, (K,) each."""
        p, e, sums = self.population, self.population.experiment, 0
        for chunk in self.batches.epoch(epoch):
            lr = self.learning_rate(epoch, chunk)
            trace = self.steps(chunk, epoch, lr)
            sums = sums + self.measure(trace, chunk.t, chunk.valid)
        loss, error = (sums / self.batches.count).cpu().numpy()
        weights = p.state.theta[:, : self.weights_end]
        of_weights = e.regularizer.metrics(weights, self.layers)
        return {
            "train_loss": loss,
            "train_error": self.measure.error(error),
            "lr": lr[:, -1].numpy(),
            "grad_norm": self.grad_norm.double().cpu().numpy(),
            **{name: value.cpu().numpy() for name, value in of_weights.items()},
        }

    def learning_rate(self, epoch: int, chunk) -> torch.Tensor:
        """(K, S) float64: the rate of every step of the chunk."""
        e, steps = self.population.experiment, np.arange(chunk.first, chunk.first + len(chunk.x))
        progress = Progress(epoch, steps, self.batches.steps, e.epochs[:, None])
        factor = e.schedule.rate(progress, self.population.schedule)
        return e.optimizer.lr * torch.from_numpy(factor * np.ones(len(steps)))

    def steps(self, chunk, epoch: int, lr) -> torch.Tensor:
        """Train on the batches of a chunk; the outputs before each step, (S, K, m, B)."""
        network, grad, scratch = self.network, self.grad, self.scratch
        experiment, state = self.population.experiment, self.population.state
        regularizer, optimizer, loss = experiment.regularizer, experiment.optimizer, self.measure.loss
        theta, end = state.theta, self.weights_end
        weights, weights_grad, spare = theta[:, :end], grad[:, :end], scratch[:, :end]
        count, outputs = len(chunk.x), (self.outputs, chunk.t.shape[-1])
        trace = aligned(count * len(theta), outputs, theta).unflatten(0, (count, -1))
        dz = aligned(len(theta), outputs, theta)
        targets = regularizer.smooth(chunk.t)
        columns = self.factors(count, lr)
        batches = zip(chunk.x, targets, chunk.weight, chunk.valid, trace, columns, strict=True)
        last, noise, counting = columns[-1], self.noise(chunk, epoch), network.counting
        for x, t, weight, valid, z, f in batches:
            for ctx, draws in noise:
                ctx.uniforms = next(draws)
            for ctx in counting:
                ctx.valid = valid[:, None]
            z.copy_(network.fprop(x))
            loss.bprop(z, t, weight, out=dz)
            network.bprop(dz)
            regularizer.add_gradient(weights, weights_grad, f, spare)
            if f is last:
                self.grad_norm = torch.linalg.vector_norm(grad, dim=1)
            optimizer.clip(grad, f)
            optimizer.decay(weights, f)
            self.update(f)
            regularizer.project(weights, self.layers, f, spare)
        state.t += count
        return trace

    def factors(self, steps: int, lr) -> list[SimpleNamespace]:
        """What each step multiplies by, from the columns: computed in float64 and cast once.

        A row's steps are computed in one padded line, since a power's last bit depends on its place.
        """
        e, padding = self.population.experiment, -steps % ALIGN
        lr = torch.nn.functional.pad(lr, (0, padding))
        t = self.population.state.t + torch.arange(1, steps + padding + 1)  # (K, S)
        columns = e.optimizer.factors(lr, t) | e.optimizer.limits() | e.regularizer.factors(lr)
        each = {name: self._per_step(c, steps) for name, c in columns.items()}
        return [SimpleNamespace(**{name: column[s] for name, column in each.items()}) for s in range(steps)]

    def _per_step(self, c, steps: int):
        """A column (K, 1) or (K, S) as one (K, 1) tensor a step; None as Nones."""
        if c is None:
            return [None] * steps
        if c.shape[1] == 1:
            return [c.to(self.grad)] * steps
        return c[:, :steps].T.contiguous().to(self.grad).unsqueeze(2).unbind(0)

    def noise(self, chunk, epoch: int) -> list[tuple]:
        """The context of every box that wants random numbers, with those of one step after another."""
        return [(ctx, self._draws(name, ctx, chunk, epoch)) for name, ctx in self.network.stochastic]

    def _draws(self, name: str, ctx, chunk, epoch: int) -> Iterator[torch.Tensor]:
        """Uniforms (K or 1, *noise_shape), drawn for as many steps at once as fit in a chunk's size."""
        seeds = [row.seed for row in self.population.rows]
        seeds = seeds if len(set(seeds)) > 1 else seeds[:1]
        shape, steps = ctx.noise_shape, len(chunk.x)
        at_once = max(1, CHUNK // math.prod(shape))
        for first in range(0, steps, at_once):
            block = (min(at_once, steps - first), *shape)
            key = ("noise", name, epoch, chunk.first + first)
            own = {seed: uniforms(block, self.grad, seed, *key) for seed in dict.fromkeys(seeds)}
            yield from torch.stack([own[seed] for seed in seeds], 1).unbind(0)
