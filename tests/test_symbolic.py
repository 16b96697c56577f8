"""Gradient graphs of networks: equal to bprop and torch.autograd, and differentiated again to torch.func."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from networks import DOUBLE, assert_near, one_thread  # noqa: F401
from test_graph import graphs, random_graphs

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS, SiLU, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box, Site
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.combine import Add, Concatenate, Multiply
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.gradient_boxes import GRADIENT_BOXES
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.pooling import GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.reshaping import Flatten
from nnlab.autodiff.stochastic_pooling import StochasticPool
from nnlab.autodiff.symbolic import add_gradients, gradient_graph, objective_graph
from nnlab.checks.references import reference_output
from nnlab.errors import UserError
from nnlab.losses import LOSSES, CrossEntropy, Loss, SquaredError
from nnlab.models import MLP
from nnlab.streams import uniforms
from nnlab.testing.numeric import in_rows

ROWS, BATCH = 2, 6


class Job:
    """A graph and a loss on random weights, inputs and targets, with rates of dropout."""

    def __init__(self, graph: Graph, loss: Loss, rate: float = 0.0):
        self.graph, self.loss, self.layout = graph, loss, graph.layout()
        random = torch.Generator().manual_seed(len(graph.nodes))

        def normal(*shape):
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        self.theta, self.v = 0.5 * normal(ROWS, self.layout.size), normal(ROWS, self.layout.size)
        self.x = normal(ROWS, *graph.nodes[0].shape, BATCH)
        self.w = torch.rand(1, 1, BATCH, generator=random, dtype=torch.float64)
        m = graph.nodes[-1].shape[0]
        targets = 2 if m == 1 == loss.outputs(2) else m
        self.t = normal(ROWS, targets, BATCH)
        if loss.needs_classes:
            self.t = torch.softmax(self.t, 1)
        rates = torch.full((ROWS, 1), rate, dtype=torch.float64)
        columns = dict.fromkeys(("dropout", "input_dropout", "dropconnect"), rates)
        self.site = Site(ROWS, BATCH, True, DOUBLE, columns)

    def by_name(self, matrix):
        return {name: leaf_slice.view(matrix) for name, leaf_slice in self.layout.parameters.items()}

    def bind(self, graph, grad=None, real=None):
        """With `real`, only so many examples of the batch are real, and the others padding."""
        grad = torch.zeros_like(self.theta) if grad is None else grad
        network = graph.bind(self.theta, grad, self.site, self.buffers())
        for name, ctx in network.stochastic:
            ctx.uniforms = uniforms((1, *ctx.noise_shape), self.site.template, 0, "test", name)
        for ctx in network.masked:
            ctx.valid = self.site.template.new_ones(1, 1, self.site.batch)
            ctx.valid[..., self.site.batch if real is None else real :], ctx.padded = 0, real is not None
        return network

    def by_bprop(self, real=None):
        grad = torch.zeros_like(self.theta)
        network = self.bind(self.graph, grad, real)
        z = network.fprop(self.x)
        network.bprop(self.loss.bprop(z, self.t, self.w, out=torch.empty_like(z)))
        return self.by_name(grad)

    def buffers(self):
        buffers = self.site.template.new_zeros(self.site.rows, self.layout.buffers_size)
        for leaf_slice in self.layout.buffers.values():
            leaf_slice.view(buffers).fill_(leaf_slice.leaf.start)
        return buffers

    def by_graph(self, order=1, real=None):
        network = self.bind(gradient_graph(self.graph, self.loss, order), real=real)
        network.feed({"target": self.t, "example weight": self.w})
        if order > 1:
            network.feed({f"v {name}": v for name, v in self.by_name(self.v).items()})
        network.fprop(self.x)
        return network.results()

    def objective(self, leaves):
        """L of all rows together by torch's own functions, for `leaves` by name."""
        network = self.bind(self.graph)
        network.fprop(self.x)  # the masks of dropout
        buffers = {name: leaf_slice.view(self.buffers()) for name, leaf_slice in self.layout.buffers.items()}
        losses = self.loss.reference(reference_output(network, leaves | buffers, self.x), self.t)
        return (losses[:, None] * self.w).sum()

    def by_autograd(self):
        leaves = {name: value.clone().requires_grad_() for name, value in self.by_name(self.theta).items()}
        gradients = torch.autograd.grad(
            self.objective(leaves), list(leaves.values()), create_graph=True, materialize_grads=True
        )
        return {name: g.detach() for name, g in zip(leaves, gradients, strict=True)}

    def hessian_product(self):
        """H v, which is v' H: the vjp of the gradient."""
        leaves, v = self.by_name(self.theta), self.by_name(self.v)
        return torch.func.vjp(torch.func.grad(self.objective), leaves)[1](v)[0]


def mlp(activation="tanh", outputs=3, output="identity", hidden=(4, 3), **settings):
    return MLP(hidden=hidden, activation=activation, **settings).graph((5,), outputs, output)


def images():
    """Convolutions, normalisations and poolings, one of which draws."""
    graph = Graph((2, 6, 5))
    h = graph.add("conv1", Convolution(4, padding="same"), graph.input)
    h = graph.add("pool1", StochasticPool(), graph.add("silu1", SiLU(), graph.add("norm1", BatchNorm(), h)))
    h = graph.add("conv2", Convolution(3, kernel=2, groups=1, bias=False), h, weight=DropConnect())
    h = graph.add("norm2", LayerNorm(), graph.add("drop", Dropout(), h))
    both = [graph.add("l2", L2Pool((2, 1)), h), graph.add("max", MaxPool((2, 1)), h)]
    flat = graph.add("flat", Flatten(), graph.add("both", Concatenate(), *both))
    graph.add(
        "output", Affine(3), graph.add("all", Concatenate(), flat, graph.add("mean", GlobalAveragePool(), h))
    )
    return graph


JOBS = {
    **{activation: (mlp(activation), "cross_entropy", 0.0) for activation in ACTIVATIONS},
    **{f"{loss}": (mlp(outputs=4), loss, 0.0) for loss in LOSSES},
    **{f"squared_error of {output}": (mlp(output=output), "squared_error", 0.0) for output in OUTPUTS},
    "two classes, one output": (mlp(outputs=1), "binary_cross_entropy", 0.0),
    "one number": (mlp(outputs=1), "squared_error", 0.0),
    "images": (images(), "cross_entropy", 0.4),
    "normalised": (mlp("tanh", hidden=(4, 4), normalization="batch", residual=True), "cross_entropy", 0.0),
    "dropout": (mlp(), "cross_entropy", 0.4),
    "no hidden layer": (MLP(hidden=()).graph((5,), 3), "cross_entropy", 0.0),
}


@pytest.fixture(params=JOBS.values(), ids=JOBS)
def job(request):
    graph, loss, rate = request.param
    return Job(graph, LOSSES[loss](), rate)


def test_the_gradient_graph_gives_what_bprop_and_autograd_give(job):
    results = job.by_graph()
    for expected in (job.by_bprop(), job.by_autograd()):
        for name, gradient in expected.items():
            assert_near(results[f"d {name}"], gradient, 12, name)
    leaves = job.by_name(job.theta)
    assert float(results["objective"].sum()) == pytest.approx(float(job.objective(leaves)), rel=1e-13)


def test_its_gradient_is_the_hessian_vector_product(job):
    results = job.by_graph(order=2)
    for name, expected in job.hessian_product().items():
        assert_near(results[f"d2 {name}"], expected, 11, name)
    v = job.by_name(job.v)
    inner = sum((results[f"d {name}"] * v[name]).flatten(1).sum(1) for name in v)
    assert_near(results["derivative along v"][:, 0, 0], inner, 12)


def test_every_box_and_loss_of_nnlab_has_a_vjp():
    """Which the contracts compare with bprop and torch.autograd; but a module of torch, which is no boxes."""
    without = [p.name for p in (*BOXES.values(), *GRADIENT_BOXES.values(), *LOSSES.values()) if p.vjp is None]
    assert without == ["module"]


def test_what_fills_a_short_batch_has_no_gradient():
    """Two of six examples are padding: batch normalisation counts the others, as if there were no more."""
    job = Job(mlp(normalization="batch"), SquaredError())
    real = 4
    job.w[..., real:] = 0
    padded = job.by_graph(order=2, real=real)
    job.x, job.t, job.w = job.x[..., :real], job.t[..., :real], job.w[..., :real]
    job.site = replace(job.site, batch=real)
    for name, expected in job.by_graph(order=2).items():
        assert_near(padded[name], expected, 12, name)


def test_a_single_example_is_normalised_by_running_statistics():
    job = Job(mlp(normalization="batch"), SquaredError())
    job.w[..., 1:] = 0
    results = job.by_graph(order=2, real=1)
    for name, expected in job.by_bprop(real=1).items():
        assert_near(results[f"d {name}"], expected, 12, name)


def test_third_derivatives():
    """The gradient of v' H v."""
    job = Job(mlp("sigmoid"), LOSSES["cross_entropy"]())
    leaves, v = job.by_name(job.theta), job.by_name(job.v)

    def curvature(leaves):
        (product,) = torch.func.vjp(torch.func.grad(job.objective), leaves)[1](v)
        return sum((product[name] * v[name]).sum() for name in v)

    expected = torch.func.grad(curvature)(leaves)
    results = job.by_graph(order=3)
    for name in leaves:
        assert_near(results[f"d3 {name}"], expected[name], 10, name)


@settings(random_graphs, max_examples=20)
@given(graph=graphs())
def test_random_graphs(graph):
    """Shared values, fan-out, dead branches: parameters that nothing reads have the gradient 0."""
    assume(graph.parameters)
    job = Job(graph, SquaredError())
    results = job.by_graph(order=2)
    for name, expected in job.by_bprop().items():
        assert_near(results[f"d {name}"], expected, 12, name)
    for name, expected in job.hessian_product().items():
        assert_near(results[f"d2 {name}"], expected, 10, name)


# ---- what the graph looks like


def shared_weight():
    """x W W' ..., a weight that two boxes read, and a value that three read."""
    graph = Graph((4,))
    h = graph.add("hidden", Affine(4), graph.input)
    again = graph.add("again", Affine(4), h, weight=graph["hidden.weight"])
    total = graph.add("total", Add(), again, h, graph.add("square", Multiply(), h, h))
    graph.add("output", Affine(2), total)
    return graph


def test_gradients_are_named_after_their_values():
    graph = gradient_graph(mlp(), LOSSES["cross_entropy"]())
    names = [node.name for node in graph.nodes]
    assert [names[n] for n in graph.outputs] == ["objective", *(f"d {name}" for name in mlp().parameters)]
    assert {"d output", "d tanh1", "d hidden1"} <= set(names)
    assert names[: len(mlp().nodes)] == [node.name for node in mlp().nodes]  # the network comes first
    for name, parameter in mlp().parameters.items():
        node = graph.nodes[graph[f"d {name}"]]
        assert (node.shape, node.per_example) == (parameter.shape, False)


def test_every_value_leads_to_an_output():
    for order in (1, 2, 3):
        graph = gradient_graph(mlp(), LOSSES["squared_error"](), order)
        read = {i for node in graph.nodes for i in node.operands} | set(graph.outputs)
        network = {n for n, node in enumerate(graph.nodes) if node.name in [n.name for n in mlp().nodes]}
        assert set(range(len(graph.nodes))) - read - network == set()


def test_the_gradient_of_cross_entropy_begins_with_p_minus_t():
    graph = gradient_graph(mlp(), LOSSES["cross_entropy"]())
    boxes = [node.box and node.box.name for node in graph.nodes[graph["objective"] :]]
    assert boxes[:5] == ["loss", "softmax", "subtract", "repeat", "multiply"]


def test_fan_out_is_an_add():
    job = Job(shared_weight(), SquaredError())
    graph = gradient_graph(job.graph, job.loss)
    assert isinstance(graph.nodes[graph["d hidden"]].box, Add)
    assert isinstance(graph.nodes[graph["d hidden.weight"]].box, Add)
    for name, expected in job.by_bprop().items():
        assert_near(job.by_graph()[f"d {name}"], expected, 12, name)
    for name, expected in job.hessian_product().items():
        assert_near(job.by_graph(2)[f"d2 {name}"], expected, 10, name)


def test_a_value_computed_already_is_not_computed_again():
    """The derivative of tanh is of its output; softmax at the end of the network is p."""
    graph = gradient_graph(mlp("sigmoid"), SquaredError(), order=2)
    seen = [(node.box, node.operands) for node in graph.nodes if node.box and not node.box.random]
    assert len(seen) == len(set(seen))


def test_the_objective_alone():
    job = Job(mlp(), SquaredError())
    graph = objective_graph(job.graph, job.loss)
    grad = torch.zeros_like(job.theta)
    network = job.bind(graph, grad)
    network.feed({"target": job.t, "example weight": job.w})
    L = network.fprop(job.x)
    assert L.shape == (ROWS, 1, 1)
    network.bprop(torch.ones_like(L))
    for name, expected in job.by_bprop().items():
        assert torch.equal(job.by_name(grad)[name], expected), name


def test_the_gradient_with_respect_to_inputs():
    graph = objective_graph(mlp(), SquaredError())
    (d_input,) = add_gradients(graph, graph["objective"], [graph.input])
    assert graph.nodes[d_input].shape == (5,) and graph.nodes[d_input].per_example
    job = Job(mlp(), SquaredError())
    graph.outputs = (d_input,)
    network = job.bind(graph)
    network.feed({"target": job.t, "example weight": job.w})
    x = job.x.clone().requires_grad_()
    z = reference_output(job.bind(job.graph), job.by_name(job.theta), x)
    (job.loss.reference(z, job.t)[:, None] * job.w).sum().backward()
    assert_near(network.fprop(job.x), x.grad, 12)


# ---- what has none


class Cube(Box):
    name = "cube"

    def fprop(self, ctx, x):
        return x**3


class Mine(SquaredError):
    name = "mine"
    vjp = None


def test_a_box_without_vjp_is_one_sentence():
    graph = Graph((3,))
    graph.add("output", Affine(2), graph.add("mine", Cube(), graph.add("h", Affine(3), graph.input)))
    sentence = "box 'cube' has no vjp, so a network with it, here as 'mine', has no gradient graph"
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        gradient_graph(graph, SquaredError())


def test_a_box_without_vjp_on_inputs_needs_none():
    graph = Graph((3,))
    graph.add("output", Affine(2), graph.add("mine", Cube(), graph.input))
    assert "d output.weight" in [node.name for node in gradient_graph(graph, SquaredError()).nodes]


def test_a_network_without_parameters():
    graph = Graph((3,))
    graph.add("tanh", Tanh(), graph.input)
    with pytest.raises(UserError, match="^the network has no parameter to differentiate by$"):
        gradient_graph(graph, SquaredError())


def test_a_loss_without_vjp_is_one_sentence():
    with pytest.raises(
        UserError, match="^loss 'mine' has no vjp, so a network with it has no gradient graph$"
    ):
        gradient_graph(mlp(), Mine())


# ---- the page of the lecture


def test_the_example_of_the_lecture(capsys):
    text = (Path(__file__).parent.parent / "docs" / "lecture.md").read_text()
    section = text.partition("### Two kinds of differentiation")[2].partition("\n### ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    names = {}
    exec(code, names)
    printed = capsys.readouterr().out
    assert "objective softmax" in printed and "d hidden1.weight" in printed
    assert names["bound"].results()["d hidden1.weight"].shape == (1, 8, 4)
    assert "d2 hidden1.weight" in [node.name for node in names["again"].nodes]


def test_images_with_channels_last():
    job = Job(images(), CrossEntropy(), 0.3)
    expected, second = job.by_bprop(), job.hessian_product()
    job.site = replace(job.site, channels_last=True)
    results = job.by_graph(order=2)
    for name in expected:
        assert_near(results[f"d {name}"], expected[name], 12, name)
        assert_near(results[f"d2 {name}"], second[name], 11, name)


def test_a_row_of_the_gradient_graph_equals_itself_alone():
    """Bit for bit, in float32."""
    job = Job(images(), CrossEntropy(), 0.3)
    for name in ("theta", "v", "x", "t", "w"):
        setattr(job, name, getattr(job, name).float())
    job.site = replace(job.site, template=torch.empty(0))
    together = job.by_graph(order=2)
    for name in ("theta", "v", "x", "t"):
        setattr(job, name, in_rows(getattr(job, name)[1:]))
    columns = {name: column[1:] for name, column in job.site.columns.items()}
    job.site = replace(job.site, rows=1, columns=columns)
    for name, alone in job.by_graph(order=2).items():
        assert torch.equal(alone, together[name][1:]), name


def test_a_loss_at_the_end_of_a_graph_is_printed_by_its_name():
    graph = gradient_graph(MLP(hidden=(3,)).graph((2,), outputs=2), CrossEntropy())
    assert "LossBox(loss=CrossEntropy())" in {str(node.box) for node in graph.nodes}
