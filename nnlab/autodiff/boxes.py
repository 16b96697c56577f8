"""All boxes of nnlab by name."""

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.augmentation import Cutout, Noise, RandomFlip, RandomShift
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
from nnlab.autodiff.stochastic_pooling import StochasticPool

_LEARNT = (Affine, BatchNorm, Convolution, Embedding, LayerNorm, Module, PeriodicEmbedding, Scale)
_POOLINGS = (MaxPool, AveragePool, L2Pool, StochasticPool, GlobalAveragePool)
_AUGMENTATIONS = (RandomShift, RandomFlip, Cutout, Noise)
_OTHERS = (
    Abs,
    Add,
    Subtract,
    MatrixProduct,
    Multiply,
    Slice,
    Concatenate,
    Flatten,
    Reshape,
    Dropout,
    DropConnect,
)
BOXES = ACTIVATIONS | OUTPUTS | {box.name: box for box in (*_LEARNT, *_POOLINGS, *_AUGMENTATIONS, *_OTHERS)}
