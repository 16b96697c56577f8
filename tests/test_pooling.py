"""Poolings beside torch's own, stochastic pooling by its distribution, and flattening in both layouts."""

import numpy as np
import pytest
import torch
from networks import assert_near, one_thread  # noqa: F401
from scipy import stats
from torch.nn import functional as F

from nnlab import UserError
from nnlab.autodiff.pooling import AveragePool, GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.reshaping import Flatten, Reshape
from nnlab.autodiff.stochastic_pooling import StochasticPool
from nnlab.prediction.onnx_operators import IR_VERSION, OPSET, OnnxOperators, Value
from nnlab.runtime.layout import has_channels_last
from nnlab.streams import uniforms
from nnlab.testing.numeric import bind, in_rows

ROWS, CHANNELS, BATCH = 2, 3, 5
IMAGES = {  # image: size, stride, padding
    "pairs": ((6, 8), 2, None, 0),
    "what is left": ((7, 5), 2, None, 0),
    "overlapping": ((9, 9), 3, 2, 0),
    "padded": ((5, 7), 3, 2, 1),
    "unequal": ((8, 9), (3, 2), (1, 3), (1, 0)),
    "gaps": ((9, 8), 2, 3, 0),
    "one window": ((4, 4), 4, None, 0),
    "points": ((3, 3), 1, 2, 0),
}
every_image = pytest.mark.parametrize("image, size, stride, padding", IMAGES.values(), ids=IMAGES)
both_layouts = pytest.mark.parametrize("channels_last", [False, True], ids=["examples last", "channels last"])


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_torch_has_it(x):
    """(K, C, H, W, B) as (K B, C, H, W), with a gradient."""
    return x.movedim(-1, 1).flatten(0, 1).clone().requires_grad_()


def assert_equals_torch(box, function, image, channels_last):
    x = normal(ROWS, CHANNELS, *image, BATCH)
    leaf = as_torch_has_it(x)
    expected = function(leaf)
    b = bind(box, [(CHANNELS, *image)], ROWS, BATCH, channels_last=channels_last)
    y = b.fprop(in_rows(x, channels_last))
    dy = normal(*y.shape, seed=1)
    expected.backward(dy.movedim(-1, 1).reshape(expected.shape))
    assert_near(y, expected.detach().reshape(ROWS, BATCH, *y.shape[1:-1]).movedim(1, -1), 13)
    dx = leaf.grad.unflatten(0, (ROWS, BATCH)).movedim(1, -1)
    assert_near(b.bprop(in_rows(dy, channels_last))[0], dx, 13)


@both_layouts
@every_image
def test_poolings_are_those_of_torch(image, size, stride, padding, channels_last):
    how = {"size": size, "stride": stride, "padding": padding}
    of_torch = dict(kernel_size=size, stride=stride, padding=padding)
    assert_equals_torch(MaxPool(**how), lambda x: F.max_pool2d(x, **of_torch), image, channels_last)
    for counts in (False, True):
        box = AveragePool(**how, count_padding=counts)
        average = dict(of_torch, count_include_pad=counts)
        assert_equals_torch(box, lambda x, kind=average: F.avg_pool2d(x, **kind), image, channels_last)
    if not padding:  # torch's has none
        assert_equals_torch(L2Pool(**how), lambda x: F.lp_pool2d(x, 2.0, size, stride), image, channels_last)


@both_layouts
def test_global_average_pooling_is_the_mean_of_an_image(channels_last):
    def mean(x):
        return F.adaptive_avg_pool2d(x, 1).flatten(1)

    assert_equals_torch(GlobalAveragePool(), mean, (5, 4), channels_last)


@both_layouts
def test_of_equal_numbers_the_first_has_the_gradient(channels_last):
    x = torch.zeros(1, 1, 4, 4, 1, dtype=torch.float64)
    x[0, 0, 1, 1] = x[0, 0, 0, 3] = x[0, 0, 1, 2] = 2
    b = bind(MaxPool(), [(1, 4, 4)], 1, 1, channels_last=channels_last)
    b.fprop(x)
    (dx,) = b.bprop(torch.ones(1, 1, 2, 2, 1, dtype=torch.float64))
    assert dx[0, 0, :, :, 0].tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_l2_pooling_at_zero_has_the_gradient_0():
    b = bind(L2Pool(), [(1, 2, 4)], 1, 1)
    x = torch.tensor([[0.0, 0, 3, 0], [0, 0, 0, -4]], dtype=torch.float64).view(1, 1, 2, 4, 1)
    assert b.fprop(x).flatten().tolist() == [0, 5]
    (dx,) = b.bprop(torch.ones(1, 1, 1, 2, 1, dtype=torch.float64))
    assert_near(dx[0, 0, :, :, 0], torch.tensor([[0, 0, 0.6, 0], [0, 0, 0, -0.8]], dtype=torch.float64), 15)


# ---- stochastic pooling


def drawn(window: list[list[float]], count: int, **how):
    """How often each number of a window is drawn, of `count` times with the uniforms of a stream; and y."""
    x = torch.tensor(window, dtype=torch.float64)[None, None, :, :, None].expand(1, 1, -1, -1, count)
    b = bind(StochasticPool(size=x.shape[2:4], **how), [x.shape[1:4]], 1, count)
    b.ctx.uniforms = uniforms((1, *b.ctx.noise_shape), x, 0, "test")
    y = b.fprop(in_rows(x)).clone()
    return b.bprop(torch.ones_like(y))[0].sum(-1).flatten(), y.flatten()


@pytest.mark.parametrize("window", [
    [[1, 2], [3, 4]], [[0, 5], [0.1, 0]], [[1, 1, 1], [1, 1, 1]], [[-3, 2], [0, 1]], [[1e-6, 1], [1, 1e-6]],
    [[7]], [[0.5, 0, 0, 0, 0.25, 0, 0, 0, 8]],
])  # fmt: skip
def test_each_number_is_drawn_with_a_probability_proportional_to_it(window):
    count = 20_000
    observed, y = drawn(window, count)
    a = np.maximum(np.array(window, float), 0).ravel()
    expected = count * a / a.sum()
    assert (observed.numpy()[expected == 0] == 0).all()
    if (expected > 0).sum() > 1:
        test = stats.chisquare(observed.numpy()[expected > 5], expected[expected > 5], sum_check=False)
        assert test.pvalue > 0.001
    # Each number is as often the output as it has the gradient.
    assert [int((y == v).sum()) for v in set(a[a > 0])] == [observed[a == v].sum() for v in set(a[a > 0])]


def test_windows_and_examples_are_drawn_independently():
    b = bind(StochasticPool(), [(2, 4, 4)], 1, 500, dtype=torch.float32)
    x = torch.arange(1.0, 17).view(1, 1, 4, 4, 1).expand(1, 2, 4, 4, 500)
    b.ctx.uniforms = uniforms((1, *b.ctx.noise_shape), x, 0, "test")
    y = b.fprop(x).flatten(0, 3)
    assert abs(np.corrcoef(y.numpy()) - np.eye(8)).max() < 0.2  # 8 windows; 4.5 standard deviations


def test_nothing_is_drawn_where_nothing_is_above_zero():
    for window in ([[0, 0], [0, 0]], [[-1, -2], [0, -3]]):
        observed, y = drawn(window, 10)
        assert not observed.any() and not y.any()
        b = bind(StochasticPool(), [(1, 2, 2)], 1, 1, training=False)
        assert not b.fprop(torch.tensor(window, dtype=torch.float64).view(1, 1, 2, 2, 1)).any()


def test_the_ends_of_the_unit_interval_draw_the_first_and_the_last():
    for dtype in (torch.float32, torch.float64):
        b = bind(StochasticPool(), [(1, 2, 2)], 1, 400, dtype=dtype)
        x = in_rows(normal(1, 1, 2, 2, 400).abs().to(dtype) * 10.0 ** torch.arange(-8, 8, 0.04).to(dtype))
        for u, which in ((0.0, (0, 0)), (1 - torch.finfo(dtype).eps / 2, (1, 1))):
            b.ctx.uniforms = torch.full((1, 1, 1, 1, 400), u, dtype=dtype)
            y = b.fprop(x)
            assert ((y == x[:, :, which[0], which[1], None, None].squeeze(2)).sum() > 380) and (y > 0).all()


def test_without_training_it_is_the_mean_of_what_would_be_drawn():
    window, count = [[1.0, 2, 0], [4, -3, 0.5]], 40_000
    _, y = drawn(window, count)
    b = bind(StochasticPool(size=(2, 3)), [(1, 2, 3)], 1, 1, training=False)
    mean = float(b.fprop(torch.tensor(window, dtype=torch.float64).view(1, 1, 2, 3, 1)))
    assert mean == pytest.approx((1 + 4 + 16 + 0.25) / 7.5)
    assert abs(float(y.mean()) - mean) < 4 * float(y.std()) / count**0.5


@both_layouts
def test_what_is_drawn_by_hand(channels_last):
    x = (
        torch.tensor([[1.0, 2, 0, 3], [3, 4, 0, 1]], dtype=torch.float64)
        .view(1, 1, 2, 4, 1)
        .expand(1, 1, 2, 4, 4)
    )
    b = bind(StochasticPool(), [(1, 2, 4)], 1, 4, channels_last=channels_last)
    u = [[0.0, 0.1, 0.599, 0.6], [0.0, 0.74, 0.75, 0.99]]  # sums 1, 3, 6, 10, and 0, 3, 3, 4
    b.ctx.uniforms = torch.tensor(u, dtype=torch.float64).view(1, 1, 1, 2, 4)
    assert b.fprop(in_rows(x, channels_last)).flatten(0, 3).tolist() == [[1, 2, 3, 4], [3, 3, 1, 1]]


@both_layouts
def test_padding_is_never_drawn(channels_last):
    x = normal(2, 2, 5, 4, 50)
    b = bind(StochasticPool(size=3, stride=2, padding=1), [(2, 5, 4)], 2, 50, channels_last=channels_last)
    y = b.fprop(in_rows(x, channels_last))
    dx = b.bprop(torch.ones_like(y))[0]
    assert dx.sum() == (y > 0).sum() and (x[dx > 0] > 0).all()
    assert torch.allclose((dx * x).sum((2, 3)), y.sum((2, 3)))


# ---- in ONNX's operators


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("box, shape", [
    (MaxPool(), (3, 6, 7)), (MaxPool(size=[3, 2], stride=2, padding=1), (2, 6, 7)), (MaxPool(3), (2, 7)),
    (AveragePool(), (3, 6, 7)), (AveragePool(3, 2, 1), (2, 6, 7)), (AveragePool(3, 2, 1, True), (2, 6, 7)),
    (L2Pool(3, 2, 1), (2, 6, 7)), (StochasticPool(3, 2, 1), (2, 6, 7)), (StochasticPool(), (2, 8)),
    (GlobalAveragePool(), (3, 6, 7)), (Flatten(), (3, 6, 7)), (Reshape((2, 3, -1)), (6, 4)),
], ids=str)  # fmt: skip
def test_onnxruntime_gives_the_same(box, shape, dtype):
    """For any number of examples."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    op = OnnxOperators()
    op.shapes, op.rows = (shape,), ROWS
    output = box.onnx(op, Value("x", np.dtype(dtype).name))
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [
        onnx.helper.make_tensor_value_info(name, kind, (ROWS, *sizes, "B"))
        for name, sizes in (("x", shape), (output.name, box.output_shape(shape)))
    ]
    graph = onnx.helper.make_graph(op.nodes, "box", ends[:1], ends[1:], op.initializers)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for batch in (1, BATCH):
        x = normal(ROWS, *shape, batch).to(getattr(torch, np.dtype(dtype).name))
        b = bind(box, [shape], ROWS, batch, training=False, dtype=x.dtype)
        (y,) = session.run(None, {"x": x.numpy()})
        assert_near(torch.from_numpy(y), b.fprop(in_rows(x)), 5 if dtype == np.float32 else 13)


# ---- shapes


@both_layouts
@pytest.mark.parametrize("box, shape", [
    (Flatten(), (3, 4, 5)), (Flatten(), (3, 5)), (Flatten(), (1, 4, 5)), (Flatten(), (3, 1, 1)),
    (Flatten(), (7,)), (Reshape((2, -1)), (4, 3, 2)), (Reshape((2, 3, 4)), (24,)),
    (Reshape((4, 3, -1)), (2, 6, 2)), (Reshape(), (3, 4)),
], ids=str)  # fmt: skip
def test_numbers_keep_their_order(box, shape, channels_last):
    b = bind(box, [shape], ROWS, BATCH, channels_last=channels_last)
    x = normal(ROWS, *shape, BATCH)
    y = b.fprop(in_rows(x, channels_last))
    expected = x.numpy().transpose(0, *range(x.ndim - 1, x.ndim), *range(1, x.ndim - 1))
    expected = np.moveaxis(expected.reshape(ROWS, BATCH, *box.output_shape(shape)), 1, -1)
    assert np.array_equal(y.numpy(), expected)
    dy = normal(*y.shape, seed=1)
    dx = b.bprop(in_rows(dy, channels_last))[0]
    assert dx.shape == x.shape and torch.equal(dx.reshape(ROWS, -1, BATCH), dy.reshape(ROWS, -1, BATCH))


def test_flattening_with_examples_last_copies_nothing():
    b = bind(Flatten(), [(3, 4, 5)], ROWS, BATCH)
    x = in_rows(normal(ROWS, 3, 4, 5, BATCH))
    assert b.fprop(x).data_ptr() == x.data_ptr()
    b = bind(Flatten(), [(3, 4, 5)], ROWS, BATCH, channels_last=True)
    assert has_channels_last(b.bprop(normal(ROWS, 60, BATCH))[0])


@pytest.mark.parametrize("box, shape, said", [
    (lambda: MaxPool(), (7,), "max_pool reads images"),
    (lambda: MaxPool(size=5), (3, 4, 9), "max_pool: its size takes 5 x 5 points"),
    (lambda: L2Pool(size=[2, 2, 2]), (3, 4, 4), "l2_pool: size = [2, 2, 2] has 3 numbers"),
    (lambda: AveragePool(padding=[1, 2]), (3, 4, 4), "padding = [1, 2] is more than half of size = 2"),
    (lambda: MaxPool(size=0), (3, 4, 4), "box.size = 0: expected"),
    (lambda: StochasticPool(stride=[1]), (3, 4, 4), "stochastic_pool: stride = [1] has 1 numbers"),
    (lambda: GlobalAveragePool(), (7,), "global_average_pool reads images"),
    (lambda: Reshape([5, -1]), (3, 4), "shape = [5, -1] does not fit the 12 numbers of a value of shape"),
    (lambda: Reshape([3, 5]), (3, 4), "reshape: shape = [3, 5] does not fit the 12 numbers"),
    (lambda: Reshape([-1, -1]), (3, 4), "reshape: shape = [-1, -1]: expected whole numbers above 0"),
    (lambda: Reshape([0, 4]), (3, 4), "reshape: shape = [0, 4]: expected whole numbers above 0"),
])  # fmt: skip
def test_what_does_not_fit_is_one_sentence(box, shape, said):
    with pytest.raises(UserError) as error:
        box().output_shape(shape)
    assert said in str(error.value) and "\n" not in str(error.value)
