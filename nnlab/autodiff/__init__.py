"""Automatic differentiation: boxes with a forward and a backward pass, and the graph that connects them.

from nnlab.autodiff import Affine, Alone

box = Alone(Affine(units=3))   # one box by itself: fprop(x), cached, bprop(dy), check(x)
"""

from nnlab.autodiff.activations import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.alone import Alone, GradientCheck
from nnlab.autodiff.augmentation import Cutout, Noise, RandomFlip, RandomShift
from nnlab.autodiff.box import Box, Buffer, Parameter
from nnlab.autodiff.combine import Add, Concatenate, Multiply, Slice
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.elementary import Subtract
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.matrix_product import MatrixProduct
from nnlab.autodiff.module import Module
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.piecewise import Abs
from nnlab.autodiff.pooling import AveragePool, GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.reshaping import Flatten, Reshape
from nnlab.autodiff.scale import Scale
from nnlab.autodiff.simplex_maps import Softmax, Sparsemax
from nnlab.autodiff.stochastic_pooling import StochasticPool

__all__ = [
    "ELU", "GELU", "Abs", "Add", "Affine", "Alone", "AveragePool", "BatchNorm", "Box", "Buffer",
    "Concatenate", "Convolution", "Cutout", "DropConnect", "Dropout", "Embedding", "Flatten",
    "GlobalAveragePool", "GradientCheck", "Identity", "L2Pool", "LayerNorm", "LeakyReLU",
    "MatrixProduct", "MaxPool", "Module", "Multiply", "Noise", "Parameter", "PeriodicEmbedding",
    "RandomFlip", "RandomShift", "ReLU", "Reshape", "Scale", "SiLU", "Sigmoid", "Slice", "Softmax",
    "Softplus", "Softsign", "Sparsemax", "StochasticPool", "Subtract", "Tanh",
]  # fmt: skip
