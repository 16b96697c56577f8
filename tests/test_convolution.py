"""Convolutions: both kernels, both layouts, what is refused; a row's bits. (The contract: test_contracts.)"""

import math
import random

import numpy as np
import pytest
import torch
from image_bits import convolutions, data_of, passes
from networks import assert_near, bind, one_thread  # noqa: F401
from torch.nn import functional as F

import nnlab
from nnlab.autodiff import elementwise
from nnlab.autodiff.activations import ACTIVATIONS, ReLU
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Site
from nnlab.autodiff.combine import Add
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.network import BoundBox
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.pooling import MaxPool
from nnlab.errors import UserError
from nnlab.runtime.layout import aligned_values, has_channels_last
from nnlab.runtime.threads import computing
from nnlab.testing.fake_cuda import fake_gpu

EMPTY = torch.empty(0)


def cnn(shape=(1, 28, 28), channels=(32, 64), units=10) -> Graph:
    graph, last = Graph(shape), 0
    for n, count in enumerate(channels):
        last = graph.add(f"convolution{n}", Convolution(count, activation="relu"), last)
        last = graph.add(f"relu{n}", ACTIVATIONS["relu"](), last)
    graph.add("output", Affine(units), last)
    return graph


# ---- what is computed


@pytest.mark.parametrize("channels_last", [False, True], ids=["examples last", "channels last"])
@pytest.mark.parametrize("dtype, digits", [(torch.float32, 4), (torch.float64, 12)], ids=str)
def test_a_network_of_mnist_is_that_of_torch(dtype, digits, channels_last):
    """Blocks of examples, large products and blocks of elements, with images that rows share."""
    graph, batch = cnn(channels=(4, 8)), 70
    theta, x, dz = data_of(graph, 2, batch, dtype, True, 0)
    with computing():
        z, grad = passes(graph, (theta, x, dz), [0, 1], 2, channels_last)
    slices = graph.layout().parameters
    for k in range(2):
        leaves = {name: s.view(theta)[k].clone().requires_grad_() for name, s in slices.items()}
        h = x[0].T.reshape(batch, 1, 28, 28)
        for n in range(2):
            W, b = leaves[f"convolution{n}.weight"], leaves[f"convolution{n}.bias"]
            h = F.conv2d(h, W, b.flatten()).relu()
        expected = F.linear(h.flatten(1), leaves["output.weight"], leaves["output.bias"][:, 0]).T
        expected.backward(dz[k])
        assert_near(z[k : k + 1], expected.detach()[None], digits, "z")
        for name, s in slices.items():
            assert_near(s.view(grad)[k : k + 1], leaves[name].grad[None], digits, name)


def test_flat_examples_and_images_are_the_same_input():
    graph = cnn((2, 5, 4), (3,), 2)
    theta, x, _ = data_of(graph, 3, 7, torch.float64, False, 1)
    net = graph.bind(theta, torch.zeros_like(theta), Site(3, 7, False, theta))
    flat = net.fprop(x).clone()
    assert torch.equal(net.fprop(x.unflatten(1, (2, 5, 4))), flat)
    assert torch.equal(net.fprop(x[:1])[0], flat[0])


def test_a_kernel_of_one_channel_by_hand():
    """[1 2 3] with the kernel [1 -1], padding 1, stride 1 and 2: a correlation, as in every library."""
    for stride, expected in ((1, [-1, -1, -1, 3]), (2, [-1, -1])):
        b = bind(Convolution(1, kernel=2, stride=stride, padding=1), [(1, 3)], 1, 1)
        b.theta["weight"].copy_(torch.tensor([1.0, -1]).view(1, 1, 1, 2))
        b.theta["bias"].zero_()
        y = b.fprop(torch.tensor([1.0, 2, 3], dtype=torch.float64).view(1, 1, 3, 1))
        assert y.flatten().tolist() == expected


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel, dilation", [(1, 1), (2, 1), (3, 1), (4, 2), (5, 1)])
def test_same_padding(length, stride, kernel, dilation):
    """As many outputs as the stride leaves of the image; at stride 1 torch's own."""
    box = Convolution(1, kernel=kernel, stride=stride, dilation=dilation, padding="same")
    assert box.output_shape((1, length)) == (1, -(-length // stride))
    if stride == 1:
        b = bind(box, [(1, length)], 1, 1)
        x = torch.randn(1, 1, length, 1, dtype=torch.float64)
        weight, bias = b.theta["weight"][0], b.theta["bias"][0].flatten()
        expected = F.conv1d(x[..., 0], weight, bias, padding="same", dilation=dilation)
        assert_near(b.fprop(x)[..., 0], expected, 12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_fans_are_those_of_a_point(groups):
    """He's weights keep the variance of relu's outputs: with groups, where a unit reads fewer channels."""
    graph = Graph((8, 9, 9))
    graph.add("convolution", Convolution(256, groups=groups, activation="relu"), 0)
    leaf = graph.parameters["convolution.weight"]
    assert (leaf.fan_in, leaf.fan_out) == (8 // groups * 9, 256 // groups * 9)
    W = nnlab.HeNormal().weights(np.random.default_rng(0), leaf.shape, leaf.fan_in, leaf.fan_out, "relu")
    assert W.shape == (256, 8 // groups, 3, 3)
    assert W.std() == pytest.approx((2 / leaf.fan_in) ** 0.5, rel=0.05)


def test_a_leaf_of_a_convolution_is_replaced():
    """DropConnect on its kernels; and two convolutions that share them."""
    graph = Graph((2, 6, 6))
    first = graph.add("first", Convolution(2), 0, weight=DropConnect())
    graph.add("second", Convolution(2), first, weight=graph["first.weight"])
    rates = {"dropconnect": torch.full((3, 1), 0.5, dtype=torch.float64)}
    for channels_last in (False, True):
        theta, x, dz = data_of(graph, 3, 4, torch.float64, False, 2)
        grad = torch.zeros_like(theta)
        net = graph.bind(theta, grad, Site(3, 4, True, theta, rates, channels_last=channels_last))
        ((_, ctx),) = net.stochastic
        ctx.uniforms = torch.rand(3, *ctx.noise_shape, dtype=torch.float64)
        net.fprop(x)
        net.bprop(dz.view(3, 2, 2, 2, 4))
        leaves = [s.view(theta).clone().requires_grad_() for s in graph.layout().parameters.values()]
        kernels, *biases = leaves
        for k in range(3):
            dropped = kernels[k] * (ctx.uniforms[k] >= 0.5) * 2
            h = F.conv2d(x[k].T.reshape(4, 2, 6, 6), dropped, biases[0][k].flatten())
            z = F.conv2d(h, kernels[k], biases[1][k].flatten())
            z.backward(dz[k].view(2, 2, 2, 4).movedim(-1, 0))
        assert_near(graph.layout().parameters["first.weight"].view(grad), kernels.grad, 12)


# ---- wrong settings


@pytest.mark.parametrize(
    "shape, settings, words",
    [
        ((1, 5, 5), dict(kernel=7), "kernel takes 7 x 7 points, and the image with its padding has 5 x 5"),
        ((1, 5, 5), dict(kernel=7, padding=[1, 0]), "7 x 7 points, and the image with its padding has 7 x 5"),
        ((1, 5, 5), dict(kernel=3, dilation=3), "takes 7 x 7 points"),
        ((3, 4), dict(kernel=5), "takes 5 points, and the image with its padding has 4"),
        ((1, 5, 5), dict(kernel=[3]), "kernel = [3] has 1 numbers, and the image 2 axes, 5 x 5"),
        ((1, 5), dict(stride=[1, 2]), "stride = [1, 2] has 2 numbers, and the image 1 axes, 5"),
        ((64,), dict(), "reads images (channels, height, width) or sequences (channels, length), and "
                        "gets values of shape (64,)"),
        ((3, 5, 5), dict(groups=2), "in 2 groups: expected a multiple of 2 channels, and there are 3"),
        ((2, 5, 5), dict(units=3, groups=2), "in 2 groups: expected a multiple of 2 units, and there are 3"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(shape, settings, words):
    graph = Graph(shape)
    with pytest.raises(UserError) as error:
        graph.add("convolution", Convolution(**{"units": 4} | settings), 0)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert len(graph.nodes) == 1


@pytest.mark.parametrize(
    "settings", [dict(kernel=0), dict(stride=0), dict(padding=-1), dict(padding="valid"), dict(units=0),
                 dict(kernel=2.5), dict(groups=0), dict(dilation=0), dict(kernel=[3, 0])], ids=str,
)  # fmt: skip
def test_wrong_values_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        Convolution(**{"units": 4} | settings)


# ---- the layout of memory


def test_the_layout_is_decided_by_graph_and_batch_alone():
    def layout(graph, batch, rows=1, training=True, device="cpu"):
        theta = torch.zeros(rows, graph.layout().size, device=device)
        site = Site(rows, batch, training, theta, threads=rows)
        return graph.bind(theta, torch.zeros_like(theta), site).site.channels_last

    large, small, vectors = cnn(channels=(8,)), cnn((1, 8, 8), (8,)), Graph((64,))
    vectors.add("output", Affine(10), 0)
    for rows in (1, 3):
        for training in (True, False):
            assert layout(large, 128, rows, training) and not layout(large, 2, rows, training)
            assert not layout(small, 128, rows, training) and not layout(vectors, 128, rows, training)
    with fake_gpu():
        assert not layout(large, 128, device="cuda")


@pytest.mark.parametrize("channels_last", [False, True], ids=["examples last", "channels last"])
def test_images_lie_in_memory_as_the_network_says(channels_last):
    graph = Graph((3, 6, 5))
    last = graph.add("first", Convolution(4), 0)
    last = graph.add("dropout", Dropout(), graph.add("tanh", ACTIVATIONS["tanh"](), last))
    graph.add("second", Convolution(2), last)
    theta, x, dz = data_of(graph, 2, 4, torch.float32, False, 0)
    rates = {"dropout": torch.full((2, 1), 0.5, dtype=torch.float64)}
    net = graph.bind(
        theta, torch.zeros_like(theta), Site(2, 4, True, theta, rates, channels_last=channels_last)
    )
    net.stochastic[0][1].uniforms = torch.rand(2, *net.stochastic[0][1].noise_shape)
    net.fprop(x)
    gradients = net.bprop(dz.view(2, 2, 2, 1, 4).contiguous())
    values = [v for n, v in enumerate(net.values()) if n and graph.nodes[n].per_example]
    values += [gradients[graph[name]] for name in ("first", "tanh", "dropout")]
    assert all(has_channels_last(v) == channels_last for v in values)
    assert all((v.stride(-1) == 1) != channels_last for v in values)


@pytest.mark.parametrize("name", [name for name, box in ACTIVATIONS.items() if box.elementwise])
@pytest.mark.parametrize("channels_last", [False, True], ids=["examples last", "channels last"])
def test_elementwise_boxes_in_blocks_have_the_bits_of_the_whole(name, channels_last, monkeypatch):
    """Whatever the stack, the threads, and the memory of what is given; a batch that fills no vector."""
    monkeypatch.setattr(elementwise, "BLOCK_ELEMENTS", 256)
    box, shape = ACTIVATIONS[name](), (3, 7, 5, 13)
    random = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(3, *shape, generator=random) for _ in range(2))

    def results(cls, rows, threads, layout):
        site = Site(len(rows), shape[-1], True, EMPTY, threads=threads, channels_last=channels_last)
        dx = aligned_values(len(rows), shape, EMPTY, channels_last)
        arguments = (box, site, [shape[:-1]], shape, (dx,)) if cls is BoundBox else (box, site, shape, (dx,))
        bound = cls(*arguments)
        given = [aligned_values(len(rows), shape, EMPTY, layout).copy_(v[rows]) for v in (x, dy)]
        for scale in (2, 1):  # a second time as the first
            y = bound.fprop(given[0] * scale if scale == 2 else given[0])
            (gradient,) = bound.bprop(given[1])
        return torch.stack([y, gradient])

    with computing():
        whole = results(BoundBox, [0, 1, 2], 1, channels_last)
        for rows in ([0, 1, 2], [1]):
            for threads in (1, 3):
                for layout in (channels_last, not channels_last):
                    blocks = results(elementwise.ElementwiseBlocks, rows, threads, layout)
                    assert torch.equal(blocks, whole[:, rows]), (rows, threads, layout)


def test_an_elementwise_box_is_one():
    """y_i depends on x_i alone: numbers in another order give theirs in that order, but for rounding."""
    x = torch.randn(1, 200, 1, dtype=torch.float64)
    for name, box in ACTIVATIONS.items():
        b = bind(box(), [(200,)], 1, 1)
        if b.bound is not None:
            assert box.elementwise, name
            y = b.fprop(x).clone()
            assert_near(b.fprop(x.flip(1)), y.flip(1), 14, name)


@pytest.mark.parametrize("batch", [2, 64])
def test_the_memory_of_a_network_is_counted(batch):
    """Four for each unit and example: not less than is allocated, and not more than three times that."""
    graph, rows = cnn(), 2
    theta = torch.zeros(rows, graph.layout().size)
    net = graph.bind(theta, torch.zeros_like(theta), Site(rows, batch, True, theta))
    assert net.site.channels_last == (batch == 64)
    storages = {}

    def collect(value, depth=0):
        if isinstance(value, torch.Tensor):
            storages[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes() / 4
        elif isinstance(value, dict | list | tuple):
            for part in value.values() if isinstance(value, dict) else value:
                collect(part, depth)
        elif depth < 4 and type(value).__module__.startswith("nnlab"):
            for part in vars(value).values():
                collect(part, depth + 1)

    for bound in net.bound_boxes.values():
        collect(vars(bound))
    allocated = sum(size for size in storages.values()) - 2 * theta.numel()
    counted = 4 * graph.unit_count(batch, is_on_gpu=False) * rows * batch
    assert allocated < counted + 2 * theta.numel() and counted < 3 * allocated


# ---- a row's bits


@pytest.mark.parametrize("seed", range(8))
def test_rows_of_random_networks_equal_themselves_alone(seed):
    for compared, what, same in convolutions(random.Random(seed), large=False):
        assert same, (compared, what)


def test_rows_of_a_large_network_equal_themselves_alone():
    """MNIST's, in blocks of examples that threads share."""
    graph = cnn(channels=(8, 16))
    data = data_of(graph, 3, 67, torch.float32, True, 0)
    with computing():
        alone = passes(graph, data, [2], 1, None)
        for rows, threads in (([2], 2), ([0, 2], 1), ([0, 1, 2], 4)):
            together = passes(graph, data, rows, threads, None)
            for a, t in zip(alone, together, strict=True):
                assert torch.equal(a[0], t[-1]), (rows, threads)
    assert math.isfinite(alone[0].sum())


@pytest.mark.parametrize("channels_last", [False, True], ids=["examples last", "channels last"])
def test_activations_that_overwrite_what_they_read_change_no_bit(channels_last, monkeypatch):
    """Of a convolution or batch normalisation that one box reads; not what two boxes read."""
    monkeypatch.setattr(elementwise, "BLOCK_ELEMENTS", 256)
    graph = Graph((2, 9, 8))
    first = graph.add("overwritten", ReLU(), graph.add("first", Convolution(4, padding=1), 0))
    shared = graph.add("normalized", BatchNorm(), graph.add("second", Convolution(4, padding=1), first))
    branch = graph.add("branch", MaxPool(3, 1, 1), graph.add("kept", ReLU(), shared))
    last = graph.add("both", Add(), shared, branch)
    last = graph.add("last", BatchNorm(), last)
    graph.add("output", Affine(3), graph.add("pool", MaxPool(2), graph.add("relu", ReLU(), last)))
    theta, x, dz = data_of(graph, 2, 5, torch.float32, False, 3)
    found = []
    for overwrites in (False, True):
        grad, buffers = torch.zeros_like(theta), torch.ones(2, graph.layout().buffers_size)
        site = Site(2, 5, True, theta, channels_last=channels_last, overwrites=overwrites)
        net = graph.bind(theta, grad, site, buffers)
        for factor in (2, 1):
            z = net.fprop(x * factor)
            gradients = net.bprop(dz)
        values, pairs = net.values(), [("first", "overwritten"), ("normalized", "kept"), ("last", "relu")]
        same = [values[graph[x]].data_ptr() == values[graph[y]].data_ptr() for x, y in pairs]
        assert same == [overwrites, False, overwrites]
        dx, dy = (gradients[graph[name]] for name in pairs[0])
        assert (dx.data_ptr() == dy.data_ptr()) == overwrites
        found.append([z.clone(), grad, buffers])
    for kept, overwritten in zip(*found, strict=True):
        assert kept.abs().sum() > 0
        assert torch.equal(kept, overwritten)


@pytest.mark.parametrize("units", [1, 7, 40])
@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 9), (16, 24, 24)])
def test_an_affine_box_reads_images_of_either_layout(units, shape):
    """Its outputs and gradients are torch's, whatever the memory of its input."""
    box, batch, random = Affine(units), 70, torch.Generator().manual_seed(2)
    shapes = (*shape, batch), (units, math.prod(shape)), (units, 1), (units, batch)
    x, W, b, dz = (torch.randn(2, *s, generator=random, dtype=torch.float64) for s in shapes)
    for given in (False, True):
        dx = (
            aligned_values(2, (*shape, batch), x, True), torch.zeros_like(W), torch.zeros_like(b),
        )  # fmt: skip
        bound = BoundBox(box, Site(2, batch, True, x, channels_last=True), [shape], (units, batch), dx)
        value = aligned_values(2, (*shape, batch), x, given)
        for factor in (3, 1):  # the same memory with other numbers
            y = bound.fprop(value.copy_(factor * x), W, b)
        leaves = [v.clone().requires_grad_() for v in (x, W, b)]
        expected = box.reference(bound.ctx, *leaves)
        expected.backward(dz)
        torch.testing.assert_close(y, expected.detach())
        for mine, leaf in zip(bound.bprop(dz), leaves, strict=True):
            torch.testing.assert_close(mine, leaf.grad)
