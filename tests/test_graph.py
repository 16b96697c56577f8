"""Gradients of random graphs against torch.autograd and central differences; the layout of theta."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import DOUBLE, assert_near, central, forward, one_thread  # noqa: F401

from nnlab.autodiff.activations import Identity, ReLU, Sigmoid, Softmax, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box, Parameter, Site
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.graph import Graph
from nnlab.runtime.layout import ALIGNED_FLOATS

KINDS = {  # name: (a box for a drawn width, how many inputs it may take)
    "affine": (Affine, [1]),
    "identity": (lambda width: Identity(), [1]),
    "relu": (lambda width: ReLU(), [1]),
    "sigmoid": (lambda width: Sigmoid(), [1]),
    "tanh": (lambda width: Tanh(), [1]),
    "softmax": (lambda width: Softmax(), [1]),
    "add": (lambda width: Add(), [2, 3]),
    "multiply": (lambda width: Multiply(), [2]),
}
WIDTHS = st.sampled_from([1, 3, 5])

random_graphs = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def graphs(draw):
    """Up to nine boxes that read any earlier ones: shared inputs, fan-in, fan-out, and dead branches."""
    graph = Graph((draw(WIDTHS),))
    for n in range(draw(st.integers(1, 9))):
        make, arities = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        values = [i for i, node in enumerate(graph.nodes) if node.per_example]
        first = draw(st.sampled_from(values))
        alike = [i for i in values if graph.nodes[i].shape == graph.nodes[first].shape]
        others = [draw(st.sampled_from(alike)) for _ in range(draw(st.sampled_from(arities)) - 1)]
        graph.add(f"box{n}", make(draw(WIDTHS)), first, *others)
    return graph


class Net:
    """A graph on random weights, with an input and a gradient at its output."""

    def __init__(self, graph, rows, batch, fill=0.0):
        random = torch.Generator().manual_seed(len(graph.nodes))
        self.graph, layout = graph, graph.layout()
        self.leaf_slices = layout.parameters
        self.theta, self.grad = torch.zeros(2, rows, layout.size, dtype=torch.float64)
        self.weights = {name: leaf_slice.view(self.theta) for name, leaf_slice in self.leaf_slices.items()}
        self.gradients = {name: leaf_slice.view(self.grad) for name, leaf_slice in self.leaf_slices.items()}
        for name in self.leaf_slices:
            numbers = torch.randn(self.weights[name].shape, generator=random, dtype=torch.float64)
            self.weights[name][:] = numbers / numbers.shape[-1] ** 0.5
            self.gradients[name][:] = fill
        self.x = torch.randn(rows, *graph.nodes[0].shape, batch, generator=random, dtype=torch.float64)
        self.dy = torch.randn(rows, *graph.nodes[-1].shape, batch, generator=random, dtype=torch.float64)
        self.bound = graph.bind(self.theta, self.grad, Site(rows, batch, True, DOUBLE))

    def objective(self):
        return (self.bound.fprop(self.x) * self.dy).flatten(1).sum(1)

    def autograd(self):
        """Every parameter's gradient by torch; zero where the output does not depend on it."""
        leaves = {name: w.clone().requires_grad_() for name, w in self.weights.items()}
        y = forward(self.graph, leaves, self.x)
        if not y.requires_grad:
            return {name: torch.zeros_like(w) for name, w in leaves.items()}
        y.backward(self.dy)
        return {name: w.grad if w.grad is not None else torch.zeros_like(w) for name, w in leaves.items()}

    def assert_gradients(self, expected, digits):
        for name, gradient in expected.items():
            assert_near(self.gradients[name], gradient, digits)


@random_graphs
@given(graph=graphs(), rows=st.sampled_from([1, 3]), batch=st.sampled_from([1, 5]))
def test_output_and_gradients_equal_torch(graph, rows, batch):
    net = Net(graph, rows, batch)
    assert_near(net.bound.fprop(net.x), forward(graph, net.weights, net.x), 12)
    dy, expected = net.dy.clone(), net.autograd()
    for _ in range(2):  # the second pass must not see what the first one left
        net.bound.fprop(net.x)
        net.bound.bprop(net.dy)
        net.assert_gradients(expected, 11)
    assert torch.equal(net.dy, dy)
    gaps = torch.ones(net.grad.shape[1], dtype=torch.bool)
    for leaf_slice in net.leaf_slices.values():
        gaps[leaf_slice.start : leaf_slice.start + leaf_slice.leaf.size] = False
    assert not net.grad[:, gaps].any()


@random_graphs
@given(graph=graphs(), rows=st.sampled_from([1, 3]), batch=st.sampled_from([1, 5]))
def test_gradients_equal_central_differences(graph, rows, batch):
    net = Net(graph, rows, batch)
    net.objective()
    net.bound.bprop(net.dy)
    net.assert_gradients({name: central(net.objective, w) for name, w in net.weights.items()}, 5)


@random_graphs
@given(graph=graphs(), rows=st.sampled_from([1, 3]))
def test_bprop_overwrites_whatever_grad_held(graph, rows):
    """As after a step, when grad still holds the last batch's gradient and penalty."""
    net = Net(graph, rows, 5, fill=7.0)
    net.bound.fprop(net.x)
    net.bound.bprop(net.dy)
    net.assert_gradients(net.autograd(), 11)


def residual():
    """x is read three times and box `h` twice; `dead` is read by nobody."""
    graph = Graph((5,))
    h = graph.add("h", Affine(5), graph.input)
    gate = graph.add("gate", Sigmoid(), graph.add("g", Affine(5), graph.input))
    graph.add("dead", Affine(2), h)
    skip = graph.add("skip", Add(), graph.add("times", Multiply(), h, gate), h, graph.input)
    graph.add("output", Affine(2), skip)
    return graph


@pytest.mark.parametrize("rows", [1, 3])
def test_an_input_shared_by_all_rows(rows):
    net = Net(residual(), rows, 5)
    y = net.bound.fprop(net.x[:1].expand(rows, -1, -1)).clone()
    assert torch.equal(net.bound.fprop(net.x[:1]), y)


def test_a_bound_copy_leaves_the_graph_alone():
    graph = residual()
    first, second = Net(graph, 3, 5), Net(graph, 1, 2)
    first.objective(), second.objective()
    first.bound.bprop(first.dy)
    second.bound.bprop(second.dy)
    first.assert_gradients(first.autograd(), 12)
    second.assert_gradients(second.autograd(), 12)


# ---- layout


class Bias(Box):
    """y = x + b, a box with a bias alone."""

    def leaves(self, shape):
        return {"bias": Parameter((*shape, 1), "bias")}


def biases_alone():
    graph = Graph((70,))
    graph.add("output", Bias(), graph.add("shift", Bias(), graph.input))
    return graph


def odd_sizes():
    graph, last = Graph((7,)), 0
    for n, width in enumerate([1, 64, 65, 3]):
        last = graph.add(f"layer{n}", Affine(width), last)
    return graph


LAYOUTS = {"residual": residual, "odd-sizes": odd_sizes, "biases-alone": biases_alone,
           "nothing": lambda: Graph((3,))}  # fmt: skip


@pytest.mark.parametrize("graph", LAYOUTS.values(), ids=LAYOUTS)
def test_layout(graph):
    graph = graph()
    layout = graph.layout()
    leaf_slices, weights_end, size = layout.parameters, layout.weights_end, layout.size
    assert set(leaf_slices) == set(graph.parameters)
    owner = np.full(size, -1)
    for number, (name, leaf_slice) in enumerate(leaf_slices.items()):
        place = slice(leaf_slice.start, leaf_slice.start + leaf_slice.leaf.size)
        assert leaf_slice.start % ALIGNED_FLOATS == 0
        assert (owner[place] == -1).all() and len(owner[place]) == leaf_slice.leaf.size, name
        owner[place] = number
        before = leaf_slice.start + leaf_slice.leaf.size <= weights_end
        assert before if leaf_slice.leaf.kind == "weight" else leaf_slice.start >= weights_end, name
        matrix = torch.arange(2 * size).view(2, size)
        assert torch.equal(leaf_slice.view(matrix).flatten(1), matrix[:, place])
    assert size % ALIGNED_FLOATS == 0 and weights_end % ALIGNED_FLOATS == 0
    assert (owner == -1).sum() < ALIGNED_FLOATS * max(1, len(leaf_slices))


def test_layout_by_hand():
    layout = odd_sizes().layout()
    assert {name: leaf_slice.start for name, leaf_slice in layout.parameters.items()} == {
        "layer0.weight": 0, "layer1.weight": 64, "layer2.weight": 128, "layer3.weight": 128 + 4160,
        "layer0.bias": 4544, "layer1.bias": 4608, "layer2.bias": 4672, "layer3.bias": 4800,
    }  # fmt: skip
    assert (layout.weights_end, layout.size) == (4544, 4864)


# ---- errors


@pytest.mark.parametrize("name", ["input", "h"])
def test_two_boxes_of_one_name(name):
    with pytest.raises(ValueError, match=f"two values with the name '{name}'"):
        residual().add(name, ReLU(), 0)


@pytest.mark.parametrize("inputs", [(), (-1,), (16,), (0, 99)], ids=str)
def test_inputs_that_do_not_exist(inputs):
    graph = residual()
    with pytest.raises(ValueError, match=r"box 'new' reads .* but values 0 to 15 exist"):
        graph.add("new", Add(), *inputs)
    assert "new" not in [node.name for node in graph.nodes]
