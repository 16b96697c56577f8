"""All boxes of gradient graphs alone, by name: what `Box.vjp` adds beside the boxes of boxes.py.

Some read weights as inputs, or sum over examples, as no box of a network does.
"""

from nnlab.autodiff.batch_means import BatchMean, BatchShare, RunningStatistic
from nnlab.autodiff.combine import Pad
from nnlab.autodiff.convolution_gradient import ConvolutionKernels, ConvolutionTransposed
from nnlab.autodiff.elementary import (
    Cos,
    Exp,
    NormalDensity,
    NormalDistribution,
    OneMinus,
    Plus,
    Power,
    Sin,
    Times,
)
from nnlab.autodiff.embedding import EmbeddingGradient
from nnlab.autodiff.linear_maps import Linear, LinearTransposed, OuterProduct
from nnlab.autodiff.objective import Constant, InnerProduct, LossBox, ScalarTimes
from nnlab.autodiff.piecewise import NegativePart, Sign, Step
from nnlab.autodiff.pooling_gradient import Repool, Unpool
from nnlab.autodiff.reductions import (
    Repeat,
    RepeatChannels,
    RepeatExamples,
    Sum,
    SumChannels,
    SumExamples,
)

_NORMAL = (NormalDensity, NormalDistribution)
_ELEMENTARY = (Constant, Cos, Exp, NegativePart, OneMinus, Plus, Power, Sign, Sin, Step, Times)
_BATCH_MEANS = (BatchMean, BatchShare, RunningStatistic)
_SUMS = (Sum, Repeat, SumExamples, RepeatExamples, SumChannels, RepeatChannels)
_OF_OBJECTIVES = (InnerProduct, ScalarTimes, LossBox)
_PRODUCTS = (Linear, LinearTransposed, OuterProduct)
_OTHERS = (ConvolutionKernels, ConvolutionTransposed, Unpool, Repool, EmbeddingGradient, Pad)
GRADIENT_BOXES = {
    box.name: box
    for box in (*_NORMAL, *_ELEMENTARY, *_SUMS, *_BATCH_MEANS, *_OF_OBJECTIVES, *_PRODUCTS, *_OTHERS)
}
