"""All boxes of nnlab by name."""

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout

BOXES = ACTIVATIONS | OUTPUTS | {box.name: box for box in (Affine, Add, Multiply, Dropout, DropConnect)}
