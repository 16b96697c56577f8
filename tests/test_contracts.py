"""The contracts of nnlab.testing, for every part in nnlab's own tables."""

import pytest
import torch
from model_cases import EXAMPLES, OF_IMAGES
from modules import Attention, Bilinear, Gate
from networks import rates
from optimizer_cases import CASES as CASES_OF_OPTIMIZERS

from nnlab.autodiff import boxes, gradient_boxes
from nnlab.autodiff.activations import ACTIVATIONS, GELU, OUTPUTS, ReLU, Softmax, Sparsemax, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.augmentation import Cutout, Noise, RandomFlip, RandomShift
from nnlab.autodiff.batch_means import BatchMean, BatchShare, RunningStatistic
from nnlab.autodiff.combine import Add, Concatenate, Multiply, Pad, Slice
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.convolution_gradient import ConvolutionKernels, ConvolutionTransposed
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.elementary import (
    Cos,
    Exp,
    NormalDensity,
    NormalDistribution,
    OneMinus,
    Plus,
    Power,
    Sin,
    Subtract,
    Times,
)
from nnlab.autodiff.embedding import Embedding, EmbeddingGradient
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.linear_maps import Linear, LinearTransposed, OuterProduct
from nnlab.autodiff.matrix_product import MatrixProduct
from nnlab.autodiff.module import Module
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.objective import Constant, InnerProduct, LossBox, ScalarTimes
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.piecewise import Abs, NegativePart, Sign, Step
from nnlab.autodiff.pooling import AveragePool, GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.pooling_gradient import Repool, Unpool
from nnlab.autodiff.reductions import (
    Repeat,
    RepeatChannels,
    RepeatExamples,
    Sum,
    SumChannels,
    SumExamples,
)
from nnlab.autodiff.reshaping import Flatten, Reshape
from nnlab.autodiff.scale import Scale
from nnlab.autodiff.stochastic_pooling import StochasticPool
from nnlab.data.sources import SOURCES
from nnlab.data.splits import SPLITS
from nnlab.initializers import INITIALIZERS
from nnlab.losses import LOSSES
from nnlab.models import MODELS, Tabular
from nnlab.optimizers import OPTIMIZERS
from nnlab.regularizers import Regularizer
from nnlab.schedules import SCHEDULES
from nnlab.search.pruners import PRUNERS
from nnlab.search.samplers import SAMPLERS
from nnlab.stopping import RULES
from nnlab.testing import (
    BoxContract,
    DataContract,
    InitContract,
    LossContract,
    ModelContract,
    OptimizerContract,
    PrunerContract,
    RegularizerContract,
    RowIndependence,
    SamplerContract,
    ScheduleContract,
    SplitContract,
    StoppingContract,
    run,
)  # fmt: skip
from nnlab.testing.pruners import TRIAL_EPOCHS

POOLINGS = {box.name: box for box in (MaxPool, AveragePool, L2Pool, StochasticPool)}
LINEAR_POOLINGS = {name: box for name, box in POOLINGS.items() if box is not L2Pool}
BOXES = {  # name: a box, the shapes of its inputs; behind "-": a further one of a box that is there
    **{name: (box(), [(7,)]) for name, box in (ACTIVATIONS | OUTPUTS).items()},
    "affine": (Affine(5), [(7,)]),
    "affine-to one": (Affine(1), [(7,)]),
    "affine-from one": (Affine(3), [(1,)]),
    "affine-wide": (Affine(67), [(3,)]),
    "affine-of images": (Affine(5), [(2, 3, 4)]),
    "relu-of a table": (ReLU(), [(3, 5)]),
    "tanh-13": (Tanh(), [(13,)]),
    "gelu-of images": (GELU(), [(2, 3, 2)]),
    "softmax-of images": (Softmax(), [(3, 2, 2)]),
    "sparsemax-of images": (Sparsemax(), [(3, 2, 2)]),
    "dropout-of images": (Dropout(), [(2, 3, 2)]),
    "add-of images": (Add(), [(2, 3, 2)] * 2),
    "softmax-of one": (Softmax(), [(1,)]),
    "sparsemax-of one": (Sparsemax(), [(1,)]),
    "dropout": (Dropout(), [(7,)]),
    "dropconnect": (DropConnect(), [(5, 7)]),
    "dropconnect-to one": (DropConnect(), [(1, 7)]),
    "add": (Add(), [(7,)] * 2),
    "add-of tables": (Add(), [(3, 5)] * 2),
    "add-of three": (Add(), [(5,)] * 3),
    "abs": (Abs(), [(7,)]),
    "subtract": (Subtract(), [(3, 5)] * 2),
    "multiply": (Multiply(), [(7,)] * 2),
    "matrix_product": (MatrixProduct(), [(3, 5), (5, 2)]),
    "matrix_product-transposed": (
        MatrixProduct(transpose_first=True, transpose_second=True),
        [(5, 3), (2, 5)],
    ),
    "matrix_product-of keys": (MatrixProduct(transpose_second=True), [(9, 17), (11, 17)]),
    "matrix_product-of vectors": (MatrixProduct(), [(1, 5), (5, 1)]),
    "module": (Module(Gate), [(7,)]),
    "module-of sequences": (Module(Attention), [(3, 4)]),
    "module-of two": (Module(Bilinear), [(3,), (5,)]),
    "slice": (Slice(2, 5), [(7,)]),
    "slice-of a table": (Slice(0, 2), [(3, 5)]),
    "slice-of columns": (Slice(1, 3, axis=2), [(2, 3, 4)]),
    "slice-of positions": (Slice(0, 2, axis=1), [(3, 5)]),
    "concatenate-rows": (Concatenate(axis=1), [(2, 3, 4), (2, 1, 4)]),
    "concatenate-columns": (Concatenate(axis=2), [(2, 3, 4), (2, 3, 1)]),
    "multiply-of images": (Multiply(), [(2, 3, 4)] * 2),
    "concatenate": (Concatenate(), [(7,), (3,), (1,)]),
    "concatenate-of tables": (Concatenate(), [(3, 5), (1, 5)]),
    "convolution": (Convolution(4), [(2, 5, 4)]),
    "convolution-of sequences": (Convolution(3, kernel=2, stride=2, padding=1), [(2, 7)]),
    "convolution-same, groups": (Convolution(4, kernel=[2, 3], padding="same", groups=2), [(2, 3, 4)]),
    "convolution-by strides": (Convolution(2, stride=[2, 3], padding=[0, 2], dilation=[1, 2]), [(1, 4, 6)]),
    "convolution-depthwise": (
        Convolution(3, kernel=2, padding=1, dilation=2, groups=3, bias=False),
        [(3, 4, 3)],
    ),
    "convolution-of points": (Convolution(5, kernel=1), [(3, 2, 2)]),
    "convolution-of one point": (Convolution(1, kernel=3, padding=2, stride=3), [(1, 1, 1)]),
    "dropconnect-of kernels": (DropConnect(), [(3, 2, 2, 3)]),
    "embedding": (Embedding((3, 1, 5), units=4), [(3,)]),
    "scale": (Scale(), [(7,)]),
    "scale-of a table": (Scale(gain=20.0), [(3, 5)]),
    "periodic": (PeriodicEmbedding(units=3, waves=5), [(4,)]),
    "periodic-of one": (PeriodicEmbedding(units=2, waves=1), [(1,)]),
    "periodic-wide": (PeriodicEmbedding(), [(3,)]),
    "batch_norm": (BatchNorm(), [(7,)]),
    "batch_norm-wide": (BatchNorm(momentum=0.3, epsilon=0.01), [(67,)]),
    "batch_norm-of images": (BatchNorm(), [(3, 4, 5)]),
    "batch_norm-of lines": (BatchNorm(), [(1, 6)]),
    "layer_norm": (LayerNorm(), [(7,)]),
    "layer_norm-of images": (LayerNorm(epsilon=0.01), [(3, 4, 5)]),
    "layer_norm-of lines": (LayerNorm(), [(1, 6)]),
    **{name: (box(), [(3, 4, 6)]) for name, box in POOLINGS.items()},
    **{
        f"{name}-overlapping": (box(size=(3, 2), stride=(2, 1), padding=1), [(2, 5, 4)])
        for name, box in POOLINGS.items()
    },
    "max_pool-of sequences": (MaxPool(size=3, padding=1), [(2, 8)]),
    "stochastic_pool-of sequences": (StochasticPool(size=3, padding=1), [(2, 8)]),
    "global_average_pool": (GlobalAveragePool(), [(3, 4, 5)]),
    "global_average_pool-of sequences": (GlobalAveragePool(), [(3, 5)]),
    "random_shift": (RandomShift(), [(2, 4, 5)]),
    "random_shift-of vectors": (RandomShift(image=(1, 3, 4)), [(12,)]),
    "random_flip": (RandomFlip(), [(2, 4, 5)]),
    "random_flip-of sequences": (RandomFlip(), [(2, 7)]),
    "cutout": (Cutout(), [(2, 4, 5)]),
    "cutout-of vectors": (Cutout(image=(2, 3, 2)), [(12,)]),
    "noise": (Noise(), [(2, 4, 5)]),
    "noise-of some": (Noise(numbers=3), [(7,)]),
    "flatten": (Flatten(), [(2, 3, 4)]),
    "flatten-of sequences": (Flatten(), [(3, 5)]),
    "reshape": (Reshape((3, -1, 2)), [(4, 2, 3)]),
    "reshape-to an image": (Reshape((2, 2, 3)), [(12,)]),
    "embedding-of one": (Embedding((4,), units=1), [(1,)]),
}
GRADIENT_BOXES = {  # name: a box, the shapes of its inputs, which of them have examples
    "constant": (Constant(2.5), [(7,)], True),
    "constant-of a leaf": (Constant(2.5), [(7, 1)], False),
    "cos": (Cos(), [(7,)], True),
    "exp": (Exp(), [(7,)], True),
    "negative_part": (NegativePart(), [(7,)], True),
    "normal_density": (NormalDensity(), [(7,)], True),
    "normal_distribution": (NormalDistribution(), [(7,)], True),
    "one_minus": (OneMinus(), [(3, 5)], True),
    "plus": (Plus(-1.5), [(7,)], True),
    "power": (Power(), [(7,)], True),
    "power-of a third": (Power(3.0), [(3, 5)], True),
    "power-inverse": (Power(-1.0), [(5, 3)], False),
    "sign": (Sign(), [(7,)], True),
    "sin": (Sin(), [(7,)], True),
    "step": (Step(), [(7,)], True),
    "step-down": (Step(1.0, -0.25), [(7,)], False),
    "times": (Times(-2.5), [(7,)], True),
    "sum": (Sum(), [(7,)], True),
    "sum-of columns": (Sum((1,)), [(3, 5)], True),
    "sum-of images": (Sum((0, 1, 2)), [(2, 3, 5)], True),
    "sum-of leaves": (Sum((1,)), [(3, 5)], False),
    "repeat": (Repeat((4,)), [(1,)], True),
    "repeat-of columns": (Repeat((3, 4)), [(3, 1)], True),
    "repeat-as an image": (Repeat((3, 4, 2)), [(1, 4, 1)], True),
    "repeat-once": (Repeat((3,)), [(3,)], True),
    "repeat-of a leaf": (Repeat((3, 4)), [(3, 1)], False),
    "sum_channels": (SumChannels(3), [(2, 3, 4)], True),
    "sum_channels-of vectors": (SumChannels(1), [(7,)], True),
    "sum_channels-of lines": (SumChannels(1), [(3, 5)], True),
    "repeat_channels": (RepeatChannels((2, 3, 4)), [(2, 1, 1, 1)], False),
    "repeat_channels-as vectors": (RepeatChannels((7,)), [(7, 1)], False),
    "repeat_channels-as lines": (RepeatChannels((3, 5)), [(3, 1)], False),
    "sum_examples": (SumExamples(), [(7,)], True),
    "sum_examples-of images": (SumExamples(), [(2, 3, 4)], True),
    "repeat_examples": (RepeatExamples(), [(7, 1)], False),
    "batch_mean": (BatchMean(), [(7,)], True),
    "batch_mean-of images": (BatchMean(), [(2, 3, 4)], True),
    "batch_share": (BatchShare((7,)), [(7, 1)], False),
    "batch_share-as images": (BatchShare((2, 3, 4)), [(2, 1, 1, 1)], False),
    "running_statistic": (RunningStatistic((7,)), [(7, 1)], False),
    "embedding_gradient": (EmbeddingGradient((3, 1, 5), 4), [(3,), (12,)], True),
    "inner_product": (InnerProduct(), [(3, 5)] * 4, (True, True, False, False)),
    "scalar_times": (ScalarTimes(), [(1, 1), (7,)], (False, True)),
    "scalar_times-of leaves": (ScalarTimes(), [(1, 1), (3, 5)], False),
    "pad": (Pad(2, 9), [(4,)], True),
    "pad-of a table": (Pad(0, 4), [(3, 5)], True),
    "pad-of columns": (Pad(1, 7, axis=2), [(2, 3, 4)], True),
    "convolution_transposed": (
        ConvolutionTransposed(Convolution(4, bias=False), (2, 5, 4)),
        [(4, 3, 2), (4, 2, 3, 3)],
        (True, False),
    ),
    "convolution_transposed-same, groups": (
        ConvolutionTransposed(Convolution(4, [2, 3], 1, "same", groups=2, bias=False), (2, 3, 4)),
        [(4, 3, 4), (4, 1, 2, 3)],
        (True, False),
    ),
    "convolution_transposed-of sequences": (
        ConvolutionTransposed(Convolution(3, 2, 2, 1, bias=False), (2, 6)),
        [(3, 4), (3, 2, 2)],
        (True, False),
    ),
    "convolution_kernels": (ConvolutionKernels(Convolution(4, bias=False)), [(4, 3, 2), (2, 5, 4)], True),
    "convolution_kernels-same, groups": (
        ConvolutionKernels(Convolution(4, [2, 3], 1, "same", groups=2, bias=False)),
        [(4, 3, 4), (2, 3, 4)],
        True,
    ),
    "convolution_kernels-of sequences": (
        ConvolutionKernels(Convolution(3, 2, 2, 1, bias=False)),
        [(3, 4), (2, 6)],
        True,
    ),
    **{
        f"unpool-{name}": (Unpool(box(size=(3, 2), stride=(2, 1), padding=1)), [(1, 2, 4), (1, 4, 3)], True)
        for name, box in LINEAR_POOLINGS.items()
    },
    **{
        f"repool-{name}": (Repool(box(size=(3, 2), stride=(2, 1), padding=1)), [(1, 4, 3)] * 2, True)
        for name, box in LINEAR_POOLINGS.items()
    },
    "unpool-of sequences": (Unpool(MaxPool(3, 2)), [(2, 3), (2, 7)], True),
    "repool-of sequences": (Repool(StochasticPool(3, 2)), [(2, 7)] * 2, True),
    "linear": (Linear(), [(7,), (5, 7)], (True, False)),
    "linear-from one": (Linear(), [(1,), (5, 1)], (True, False)),
    "linear-to one": (Linear(), [(7,), (1, 7)], (True, False)),
    "linear-of several": (Linear(), [(4, 7), (4, 5, 7)], (True, False)),
    "linear_transposed": (LinearTransposed(), [(5,), (5, 7)], (True, False)),
    "linear_transposed-of several": (LinearTransposed(), [(4, 5), (4, 5, 7)], (True, False)),
    "outer_product": (OuterProduct(), [(5,), (7,)], True),
    "outer_product-of one": (OuterProduct(), [(1,), (7,)], True),
    "outer_product-of several": (OuterProduct(), [(4, 5), (4, 7)], True),
}
OF_TRAINING = (BatchMean, BatchShare, RunningStatistic)  # gradients of what differs in evaluation
OF_A_FIT = set(RowIndependence.properties())  # they take a fit: once for a box or an optimiser


def dropped(box, ctx, x):
    """Dropout by the rates that `bind` gives, not by what the box made of them."""
    rate = rates(len(x))[box.rate].unflatten(1, (1,) * (x.ndim - 1))
    return torch.where(ctx.uniforms < rate, torch.zeros_like(x), x / (1 - rate))


SHAPES = [(1, 3, 5), (3, 10, 7), (2, 2, 4), (2, 3, 4, 5), (2, 1, 4), (1, 1, 1, 1)]  # (S, K, m, B) of a loss


def slots(self, rows, batch):
    """Numbers of categories, -1 among them, as an embedding reads them."""
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor(self.box.slots)[:, None]
    return [
        (torch.rand(rows, len(sizes), batch, generator=random, dtype=torch.float64) * (sizes + 1)).floor() - 1
    ]


def slots_and_gradients(self, rows, batch):
    return [*slots(self, rows, batch), BoxContract.inputs(self, rows, batch)[1]]


def glorot(fan_in, fan_out, activation):
    return 0, (2 / (fan_in + fan_out)) ** 0.5


def he(fan_in, fan_out, activation):
    return 0, (2 / fan_in) ** 0.5


HALVED = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")  # they cut half of their inputs off
MOMENTS = {
    "auto": lambda *layer: (he if layer[2] in HALVED else glorot)(*layer),
    "zeros": lambda *layer: (0, 0),
    "constant": lambda *layer: (0, 0),
    "normal": lambda *layer: (0, 0.01),
    "uniform": lambda *layer: (0, 0.05 / 3**0.5),
    "sparse": lambda *layer: (0, min(15 / layer[0], 1) ** 0.5),
    "glorot_uniform": glorot,
    "glorot_normal": glorot,
    "he_uniform": he,
    "he_normal": he,
    "lecun_normal": lambda *layer: (0, layer[0] ** -0.5),
    "fan_in_uniform": lambda *layer: (0, (3 * layer[0]) ** -0.5),
    "orthogonal": lambda *layer: (0, max(layer[:2]) ** -0.5),
}


GENERATED = [name for name, data in SOURCES.items() if data().drawn or name in ("iris", "diabetes")]
DATA_EXAMPLES = {
    "mnist1d": SOURCES["mnist1d"](n=1500),
    "ravine": SOURCES["ravine"](noise=0.5),  # which alone is drawn
}
QUICK = {"points": 3, "startup": 5, "population": 4}  # few trials before a sampler learns
# Hyperband's trials are judged beside those of their own bracket.
BY_BRACKETS = {"hyperband": {"groups": lambda self, numbers: [
    [n for n in numbers if self.pruner().bracket(n, TRIAL_EPOCHS) == b] for b in range(9)
]}}  # fmt: skip


def contracts():
    """Each as a user would write it."""
    for name, (box, shapes) in BOXES.items():
        attributes = {"box": box, "shapes": shapes, "per_example": not isinstance(box, DropConnect)}
        attributes |= {"reference": staticmethod(dropped)} if isinstance(box, Dropout) else {}
        attributes |= {"inputs": slots} if isinstance(box, Embedding) else {}
        attributes |= {"sizes": ((1, 11), (3, 11), (1, 2), (3, 2))} if isinstance(box, BatchNorm) else {}
        yield f"box-{name}", BoxContract, attributes | {"exact": 13, "near": 7}
    for name, (box, shapes, per_example) in GRADIENT_BOXES.items():
        attributes = {"box": box, "shapes": shapes, "per_example": per_example, "exact": 13, "near": 6}
        attributes |= {"sizes": ((3, 5), (1, 1))}
        attributes |= {"of_training": isinstance(box, OF_TRAINING) or getattr(box, "pool", box).random}
        attributes |= {"inputs": slots_and_gradients} if isinstance(box, EmbeddingGradient) else {}
        yield f"gradient-{name}", BoxContract, attributes
    for name, loss in LOSSES.items():
        yield f"loss-{name}", LossContract, {"loss": loss, "shapes": SHAPES, "exact": 13, "near": 7}
    for name, optimizer in OPTIMIZERS.items():
        yield f"optimizer-{name}", OptimizerContract, {"optimizer": optimizer}
    for name, rows in ((name, case.rows) for name, case in CASES_OF_OPTIMIZERS.items()):
        attributes = {"optimizer": type(rows[0]), "parts": lambda self, rows=rows: rows}
        yield f"optimizer-{name}-in its table", OptimizerContract, attributes
    for name, init in INITIALIZERS.items():
        random = name not in ("zeros", "constant")
        attributes = {"init": init, "random": random, "moments": staticmethod(MOMENTS[name])}
        yield f"init-{name}", InitContract, attributes
    for name, schedule in SCHEDULES.items():
        turns = name == "cosine_log"
        yield f"schedule-{name}", ScheduleContract, {"schedule": schedule, "turns": turns}
    for name, rule in RULES.items():
        yield f"stopping-{name}", StoppingContract, {"stopping": rule}
    for name in MODELS:
        shapes = {"shapes": ((1, 6, 6), (2, 5, 7), (3, 8))} if name in OF_IMAGES else {}
        small = {"tabular": Tabular(hidden=(9, 9))}  # which has the boxes of the large one
        yield f"model-{name}", ModelContract, {"model": small.get(name, EXAMPLES[name])} | shapes
    for name in GENERATED:
        yield f"data-{name}", DataContract, {"data": DATA_EXAMPLES.get(name, SOURCES[name])}
    for name, split in SPLITS.items():
        yield f"split-{name}", SplitContract, {"split": split}
    yield "regularizer", RegularizerContract, {"regularizer": Regularizer}
    for name, sampler in SAMPLERS.items():
        slow = {"settings": QUICK | {"startup": 8}, "trials": 12} if name == "gp" else {}
        attributes = {"sampler": sampler, "settings": QUICK} | slow
        yield f"sampler-{name}", SamplerContract, attributes
    for name, pruner in PRUNERS.items():
        yield f"pruner-{name}", PrunerContract, {"pruner": pruner} | BY_BRACKETS.get(name, {})


def test_every_box_of_the_table_has_a_contract():
    assert {type(box) for box, _ in BOXES.values()} == set(boxes.BOXES.values())
    of_gradients = {type(box) for box, _, _ in GRADIENT_BOXES.values()}
    of_gradients.add(LossBox)  # which test_symbolic.py has
    assert of_gradients == set(gradient_boxes.GRADIENT_BOXES.values())


def case(name, base, attributes, test):
    searches = base is SamplerContract and name != "sampler-random"
    marks = pytest.mark.slow if test in OF_A_FIT or searches else ()
    return pytest.param(type(name, (base,), attributes), test, marks=marks)


CASES = {
    f"{name}-{test.removeprefix('test_')}": case(name, base, class_attributes, test)
    for name, base, class_attributes in contracts()
    for test in base.properties()
    if not (name.count("-") > 1 and test in OF_A_FIT)
    and not (name == "regularizer" and "its_name" in test)  # nnlab's own has none
}


@pytest.mark.parametrize("contract, test", CASES.values(), ids=CASES)
def test_keeps_to_its_contract(contract, test):
    run(contract, test)
