"""Networks on a GPU: every box, leaves shared by boxes, and buffers of a row."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from gpu_runs import (
    SHORT,
    TOLERANCE,
    assert_same_numbers,
    curves,
    gpu,
    on_gpu,
    same_draws,  # noqa: F401
)
from hypothesis import given, settings
from networks import one_thread, rates  # noqa: F401
from test_graph import graphs, residual
from test_leaves import GRAPHS, JOB

from nnlab import SGD, HalveAndGoBack, KFold, NoSplit, Patience, Regularizer
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Site
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.graph import Graph
from nnlab.hyperparameters import static
from nnlab.models import Model
from nnlab.runtime.layout import aligned

# ---- passes of a graph


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def passes(graph, device, rows, batch, dtype=torch.float64, training=True):
    """What the boxes put out, the gradients of all values and parameters, and the buffers; on the host."""
    layout, like = graph.layout(), torch.empty(0, dtype=dtype, device=device)
    theta, buffers = drawn((rows, layout.size), 0).to(like), drawn((rows, layout.buffers_size), 1).to(like)
    grad = torch.full_like(theta, 7.0)
    site = Site(rows, batch, training, like, rates(rows))
    network = graph.bind(theta, grad, site, buffers)
    for seed, (_, ctx) in enumerate(network.stochastic):
        ctx.uniforms = drawn((rows, *ctx.noise_shape), 9 + seed).sigmoid().to(like)
    x = aligned(rows, (*graph.nodes[0].shape, batch), like).copy_(
        drawn((rows, *graph.nodes[0].shape, batch), 2)
    )
    y = network.fprop(x)
    made = {"output": y.clone(), "buffers": buffers, **network.outputs()}
    if training:
        gradients = network.bprop(drawn(y.shape, 3).to(like))
        made |= {f"gradient {n}": g for n, g in gradients.items()}
        made |= {name: leaf_slice.view(grad) for name, leaf_slice in layout.parameters.items()}
    assert all(v.device.type == like.device.type for v in made.values())
    return {name: v.to("cpu", torch.float64) for name, v in made.items()}


def assert_same_passes(graph, **how):
    for rows, batch in ((1, 1), (3, 6)):
        here = passes(graph, "cpu", rows, batch, **how)
        with gpu():
            there = passes(graph, "cuda", rows, batch, **how)
        assert there.keys() == here.keys()
        for name, numbers in here.items():
            torch.testing.assert_close(there[name], numbers, msg=lambda m, n=name: f"{n}: {m}", **TOLERANCE)


# Of a box in the table; one if nothing is said.
INPUTS = {"add": 2, "multiply": 2, "concatenate": 2, "subtract": 2}
ARGUMENTS = {"affine": {"units": 4}, "slice": {"start": 0, "stop": 4}}
# What reads images, takes a module, or has a buffer that is positive, is tried on a GPU by its contract
# alone; inputs of an embedding are numbers of slots (test_embedding.py has it on a GPU).
ELSEWHERE = {
    "embedding", "module", "matrix_product", "convolution", "max_pool", "average_pool", "l2_pool",
    "stochastic_pool", "global_average_pool", "random_shift", "random_flip", "cutout", "batch_norm",
}  # fmt: skip
NUMERIC = sorted(set(BOXES) - ELSEWHERE)
# Leaves have no examples, by which boxes with leaves of their own mix units; others change their shape.
OF_EXAMPLES = {"layer_norm", "flatten", "reshape", "noise"}
OF_LEAVES = sorted(set(NUMERIC) - {"affine", "scale", "periodic", "concatenate"} - OF_EXAMPLES)


def made(name: str):
    return BOXES[name](**ARGUMENTS.get(name, {}))


def on_values(name: str) -> Graph:
    """The box behind affine boxes, read twice."""
    graph = Graph((5,))
    below = [graph.add(f"below{n}", Affine(4), graph.input) for n in range(INPUTS.get(name, 1))]
    box = graph.add("box", made(name), *below)
    graph.add("output", Affine(3), graph.add("twice", BOXES["add"](), box, box))
    return graph


def on_leaves(name: str) -> Graph:
    """The box on weights and biases of two others, one of them shared."""
    graph = Graph((4,))
    first = graph.add("first", Affine(4), graph.input)
    leaves = {"weight": graph["first.weight"], "bias": graph["first.bias"]}
    of = {leaf: graph.add(leaf, made(name), *(i,) * INPUTS.get(name, 1)) for leaf, i in leaves.items()}
    graph.add("second", Affine(4), first, **of)
    return graph


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NUMERIC)
def test_every_box_on_values(name, training, dtype):
    assert_same_passes(on_values(name), training=training, dtype=dtype)


@pytest.mark.parametrize("name", OF_LEAVES)
def test_every_box_on_leaves(name):
    assert_same_passes(on_leaves(name))


@pytest.mark.parametrize("graph", [*GRAPHS.values(), residual], ids=[*GRAPHS, "residual"])
def test_graphs_with_shared_leaves(graph):
    assert_same_passes(graph())
    assert_same_passes(graph(), training=False)


@pytest.mark.parametrize("training", [True, False])
def test_a_box_that_counts_where_nobody_says_which_examples_do(training):
    assert_same_passes(JOB.model.graph((5,), 3), training=training)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(graph=graphs())
def test_random_graphs(graph):
    assert_same_passes(graph)


# ---- networks of them that train


@dataclass(frozen=True)
class OfBox(Model):
    name: ClassVar[str] = "of_box"
    box: str = static("tanh")
    on: str = static("values", choices=("values", "leaves"))

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        below = [graph.add(f"below{n}", Affine(4), graph.input) for n in range(INPUTS.get(self.box, 1))]
        if self.on == "values":
            graph.add("output", Affine(outputs), graph.add("box", made(self.box), *below))
        else:
            leaves = [graph["below0.weight"]] * INPUTS.get(self.box, 1)
            h = graph.add("h", Affine(4), graph.input, weight=graph.add("box", made(self.box), *leaves))
            graph.add("output", Affine(outputs), graph.add("sum", BOXES["add"](), h, below[0]))
        return graph


@pytest.mark.parametrize("name", NUMERIC)
def test_a_network_of_every_box_trains(name, same_draws):  # noqa: F811
    places = ["values"] + ["leaves"] * (name in OF_LEAVES)
    noise = Regularizer(l2=0.01, dropout=0.3, dropconnect=0.3)
    rows = [
        replace(SHORT, model=OfBox(box=name, on=on), regularizer=r, seed=k, histograms=2)
        for on in places
        for k, r in enumerate((Regularizer(), noise))
    ]
    assert_same_numbers(on_gpu(rows), curves(rows, "cpu"))


# ---- buffers

FAST = replace(JOB, optimizer=SGD(lr=2.0), epochs=8)
BUFFERS = {
    "rows-that-leave": [replace(JOB, epochs=1 + k, seed=k) for k in range(4)],
    "stopping": [replace(FAST, stopping=Patience(patience=k)) for k in (1, 2)],
    "folds-of-other-sizes": [replace(JOB, split=KFold(k=5), batch_size=size) for size in (7, "full")],
    "going-back": [
        replace(JOB, optimizer=SGD(lr=lr), schedule=HalveAndGoBack(tolerance=0.0), metric="last")
        for lr in (0.3, 50.0)
    ],
    "refit": [replace(JOB, refit=True, seeds=2, epochs=3)],
    "none-held-back": [replace(JOB, split=NoSplit(), metric="last", histograms=2, epochs=2)],
    "float64": [replace(JOB, dtype="float64", epochs=2)],
}


@pytest.mark.parametrize("rows", BUFFERS.values(), ids=BUFFERS)
def test_boxes_with_buffers_that_count(rows):
    there, here = on_gpu(rows), curves(rows, "cpu")
    assert_same_numbers(there, here)
    assert all("centred.running" in r.weights for r in there[0])
