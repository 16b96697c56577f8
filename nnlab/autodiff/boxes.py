"""All boxes of nnlab by name."""

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Add, Concatenate, Multiply, Slice
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.scale import Scale

_LEARNT = (Affine, BatchNorm, Convolution, Embedding, LayerNorm, PeriodicEmbedding, Scale)
_OTHERS = (Add, Multiply, Slice, Concatenate, Dropout, DropConnect)
BOXES = ACTIVATIONS | OUTPUTS | {box.name: box for box in (*_LEARNT, *_OTHERS)}
