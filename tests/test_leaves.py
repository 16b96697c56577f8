"""Leaves of a graph: parameters shared by boxes or computed by other boxes, and buffers of a row."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from networks import assert_near, central, forward, one_thread  # noqa: F401
from test_graph import Net

import nnlab
from nnlab.autodiff.activations import Sigmoid, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box, Buffer
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.graph import Graph
from nnlab.hyperparameters import static
from nnlab.models import Model
from nnlab.testing import BoxContract
from nnlab.testing.rows import Bumps, trained


def tied():
    """One matrix in two layers, in one of them through a box."""
    graph = Graph((5,))
    h = graph.add("first", Affine(5), graph.input)
    graph.add("second", Affine(5), h, weight=graph["first.weight"])
    graph.add("output", Affine(5), 3, weight=graph.add("tanh", Tanh(), graph["first.weight"]))
    return graph


def own_box():
    graph = Graph((5,))
    graph.add("output", Affine(3), graph.add("h", Affine(4), graph.input, weight=Tanh()), bias=Sigmoid())
    return graph


def sum_of_leaves():
    """W = U + V, and a bias that is multiplied by itself: gradients that are no room of the box's own."""
    graph = Graph((5,))
    h = graph.add("u", Affine(5), graph.input)
    v = graph.add("v", Affine(5), h)
    W = graph.add("sum", Add(), graph["u.weight"], graph["v.weight"])
    b = graph.add("square", Multiply(), graph["v.bias"], graph["v.bias"])
    graph.add("output", Affine(5), v, weight=W, bias=b)
    return graph


def lone_sum():
    """Leaves that are read by an `Add` alone, which gives its own dy."""
    graph = Graph((4,))
    one = graph.add("one", Affine(3), graph.input)
    W = graph.add("sum", Add(), graph["one.weight"], graph["one.weight"])
    dead = graph.add("dead", Affine(3), one)
    b = graph.add("biases", Add(), graph["dead.bias"], graph["one.bias"])
    assert dead
    graph.add("output", Affine(3), graph.input, weight=W, bias=b)
    return graph


GRAPHS = {"tied": tied, "own_box": own_box, "sum_of_leaves": sum_of_leaves, "lone_sum": lone_sum}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("rows", [1, 3])
def test_gradients_of_shared_leaves_are_summed(graph, rows):
    net = Net(graph(), rows, 6, fill=7.0)
    assert_near(net.bound.fprop(net.x), forward(net.graph, net.weights, net.x), 12)
    for _ in range(2):
        net.bound.fprop(net.x)
        net.bound.bprop(net.dy)
        net.assert_gradients(net.autograd(), 11)
    net.assert_gradients({name: central(net.objective, w) for name, w in net.weights.items()}, 5)


def test_a_shared_leaf_is_one_parameter():
    graph = tied()
    assert list(graph.parameters) == ["first.weight", "first.bias", "second.bias", "output.bias"]


@pytest.mark.parametrize("given, message", [
    (dict(wieght=Tanh()), "box 'new' has no leaf wieght: it has weight, bias"),
    (dict(weight=0), r"new.weight is \(2, 5\), but value 0 is \(5,\)"),
])  # fmt: skip
def test_leaves_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        tied().add("new", Affine(2), 0, **given)


# ---- buffers


@dataclass(frozen=True)
class Centred(Box):
    """y = x - m: in training m is the mean of the batch, and `running` its moving average; else m is that."""

    name: ClassVar[str] = "centred"
    needs_valid: ClassVar[bool] = True
    start: float = static(0.0)

    def leaves(self, shape):
        return {"running": Buffer((*shape, 1), self.start)}

    def settle(self, ctx, shape):
        ctx.masked, ctx.mean = ctx.zeros(), ctx.zeros(*shape, 1)

    def fprop(self, ctx, x, running):
        if not ctx.training:
            return torch.sub(x, running, out=ctx.y)
        ctx.n = ctx.valid.sum(2, keepdim=True)
        torch.mul(x, ctx.valid, out=ctx.masked)
        torch.sum(ctx.masked, 2, keepdim=True, out=ctx.mean).div_(ctx.n)
        running.lerp_(ctx.mean, 0.1)
        return torch.sub(x, ctx.mean, out=ctx.y)

    def bprop(self, ctx, dy):
        dx = ctx.dx[0]
        torch.sum(dy, 2, keepdim=True, out=ctx.mean).div_(ctx.n)
        torch.mul(ctx.mean, ctx.valid, out=dx)
        return torch.sub(dy, dx, out=dx), None


@dataclass(frozen=True)
class WithCentred(Model):
    name: ClassVar[str] = "with_centred"
    start: float = static(0.0)

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        h = graph.add("hidden", Affine(6), graph.input)
        h = graph.add("tanh", Tanh(), graph.add("centred", Centred(start=self.start), h))
        graph.add("output", Affine(outputs), h)
        return graph


JOB = nnlab.Experiment(
    data=Bumps(), model=WithCentred(), epochs=6, batch_size=16, optimizer=nnlab.SGD(lr=0.3)
)


class OfCentred(BoxContract):
    box = Centred

    def reference(self, box, ctx, x, running):
        return x - (x.mean(2, keepdim=True) if ctx.training else running)


@pytest.mark.parametrize("test", OfCentred.properties())
def test_a_box_with_a_buffer_keeps_to_the_contract(test):
    nnlab.testing.run(OfCentred, test)


def test_buffers_start_where_they_say_and_are_a_results_weights():
    (result,) = nnlab.fit(replace(JOB, model=WithCentred(start=3.0), epochs=1)).run().results
    assert result.weights["centred.running"].shape == (6, 1)
    steps, remaining = 3, 0.9**3
    assert steps == -(-result.examples["train"] // 16)
    average = (result.weights["centred.running"] - 3 * remaining) / (1 - remaining)
    assert np.abs(average).max() < 3  # what is left of 3 after as many updates as an epoch has


def test_only_what_is_real_in_a_short_batch_counts():
    """In one epoch of batches of 16, of which the last is short, beside the same by hand."""
    e = replace(JOB, epochs=1, optimizer=nnlab.SGD(lr=1e-300), dtype="float64")
    fit = nnlab.fit(e)
    examples, (row,) = fit.cache.examples(fit.rows[0]), fit.rows
    (result,) = fit.run().results
    order = nnlab.streams.stream(row.seed, "order", 1).permutation(row.fold.train)
    W, b = result.weights["hidden.weight"], result.weights["hidden.bias"]
    running = np.zeros((6, 1))
    for first in range(0, len(order), 16):
        x, _ = examples.gather(row.fold, order[first : first + 16])
        running += 0.1 * ((W @ x.numpy() + b).mean(1, keepdims=True) - running)
    assert len(order) % 16 and np.allclose(result.weights["centred.running"], running, rtol=1e-12)


def test_the_best_weights_have_the_buffers_of_their_epoch():
    """At the best epoch, the last of a run that ends there has the same ones, and the same test report."""
    rows = nnlab.fit(replace(JOB, epochs=12, optimizer=nnlab.SGD(lr=2.0))).run().results
    best = rows[0].best_epoch
    (ended,) = nnlab.fit(replace(JOB, epochs=best, optimizer=nnlab.SGD(lr=2.0), metric="last")).run().results
    assert best < 12
    assert all(np.array_equal(rows[0].weights[name], ended.weights[name]) for name in ended.weights)
    assert rows[0].test == ended.test


def test_a_step_back_takes_the_buffers_back():
    """Of a rate so large that every epoch is worse than the first: the rows end where they then stood."""
    schedule = nnlab.HalveAndGoBack(tolerance=0.0)
    e = replace(JOB, epochs=2, optimizer=nnlab.SGD(lr=50.0), schedule=schedule, metric="last")
    once = nnlab.fit(replace(e, epochs=1)).run().results[0]
    back = nnlab.fit(e).run()
    if back.curves("val_loss")[0, 1] > back.curves("val_loss")[0, 0]:
        assert np.array_equal(back.results[0].weights["centred.running"], once.weights["centred.running"])
    else:
        pytest.fail("the second epoch was no worse: choose another rate")


@pytest.mark.parametrize("split", [nnlab.Holdout(), nnlab.KFold(k=3)])
def test_a_row_with_buffers_equals_itself_alone(split):
    experiments = [
        replace(JOB, optimizer=nnlab.SGD(lr=lr), split=split, seed=s) for lr in (0.1, 1.0) for s in (0, 1)
    ]
    together = trained(experiments)
    alone = [row for e in experiments for row in trained([e])]
    assert sorted(map(str, together)) == sorted(map(str, alone))


def test_refit_and_checks_know_buffers():
    (result,) = nnlab.fit(replace(JOB, refit=True)).run().results
    assert result.refit.status == "finished" and "centred.running" in result.weights
    verdicts = nnlab.check(JOB)
    assert {v.rung: v.status for v in verdicts}["gradients"] == "pass"
