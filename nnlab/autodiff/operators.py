"""ONNX's operators that exported networks consist of, computed by torch.

A box and a loss say what they compute by these (`Box.onnx`), once; here that is run, or traced for
torch.export, and nnlab/prediction/onnx_operators.py writes it into an ONNX graph.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import torch
from torch.nn import functional

from nnlab.errors import UserError, nearest


def _reshape(x, shape):
    """0 keeps the size of a dimension."""
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])


def _slice(x, starts, ends, axes):
    for start, end, axis in zip(starts, ends, axes, strict=True):
        x = x.narrow(axis, start, end - start)
    return x


def _conv(x, W, b=None, *, group, pads, strides, dilations):
    """Of images or sequences; `pads` are those before, then those after, of every axis."""
    axes = len(strides)
    ends = [pads[i + side] for i in reversed(range(axes)) for side in (0, axes)]
    convolve = functional.conv1d if axes == 1 else functional.conv2d
    return convolve(functional.pad(x, ends), W, b, strides, 0, dilations, group)


def _max_pool(x, kernel_shape, strides, pads):
    return functional.max_pool2d(x, kernel_shape, strides, pads[:2])


# Of opset 17, https://onnx.ai/onnx/operators; attributes are arguments by their names.
OPERATORS: MappingProxyType[str, Callable] = MappingProxyType({
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "MatMul": torch.matmul,
    "Conv": _conv,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Sign": torch.sign,
    "Round": torch.round,
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Log": torch.log,
    "Erf": torch.erf,
    "Sin": torch.sin,
    "IsNaN": torch.isnan,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "Less": torch.lt,
    "Where": torch.where,
    "Relu": torch.relu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Softmax": lambda x, axis: torch.softmax(x, axis),
    "CumSum": lambda x, axis: torch.cumsum(x, axis),
    "TopK": lambda x, k, axis: x.topk(k, axis).values,  # the k largest, in order; without their indices
    "MaxPool": _max_pool,  # of images (N, C, H, W)
    "ReduceMax": lambda x, axes, keepdims=1: x.amax(axes, bool(keepdims)),
    "ReduceMean": lambda x, axes, keepdims=1: x.mean(axes, bool(keepdims)),
    "ArgMax": lambda x, axis, keepdims=1: x.argmax(axis, bool(keepdims)),
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Slice": _slice,  # starts, ends and axes are lists
    "Gather": lambda x, indices, axis: x.index_select(axis, indices.flatten()).unflatten(axis, indices.shape),
    "GatherElements": lambda x, indices, axis: x.gather(axis, indices),
    "Reshape": _reshape,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Transpose": lambda x, perm: x.permute(perm),
    "Cast": lambda x, to: x.to(getattr(torch, to)),
})  # fmt: skip


class Operators:
    """Base: `op.Relu(x)` is `op.apply("Relu", x)`.

    shapes  of the inputs of the box that is computed, without rows and examples
    rows    K, how many networks are computed as one stack
    """

    OPERATORS = OPERATORS
    shapes: tuple[tuple[int, ...], ...] = ()
    rows: int = 1

    def __getattr__(self, operator: str):
        if operator.startswith("_"):
            raise AttributeError(operator)
        if operator not in OPERATORS:
            raise UserError(f"{operator} is not among the operators of an exported network"
                            f"{nearest(operator, OPERATORS)}")  # fmt: skip
        return lambda *operands, **attributes: self.apply(operator, *operands, **attributes)

    def apply(self, operator: str, *operands, **attributes):
        raise NotImplementedError

    def constant(self, array: np.ndarray, template=None, name: str = ""):
        """An array as an operand, in its own type or in that of the operand `template`."""
        raise NotImplementedError


class TorchOperators(Operators):
    """Operands are tensors."""

    def apply(self, operator, *operands, **attributes):
        template = next(x for x in operands[operator == "Where" :] if isinstance(x, torch.Tensor))
        tensors = [
            x
            if isinstance(x, torch.Tensor)
            else torch.tensor(x, dtype=template.dtype, device=template.device)
            for x in operands
        ]
        return OPERATORS[operator](*tensors, **attributes)

    def constant(self, array, template=None, name=""):
        tensor = torch.from_numpy(np.array(array))
        return tensor if template is None else tensor.to(template)
