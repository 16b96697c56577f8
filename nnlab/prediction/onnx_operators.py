"""Operators written into an ONNX graph. The library `onnx` is imported late: only who exports needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.autodiff.operators import Operators

OPSET, IR_VERSION = 17, 8  # of 2022, which onnxruntime has read since 1.13
# What are arguments in nnlab, and in ONNX inputs of whole numbers.
INTEGER_INPUTS = {
    "CumSum": ("axis",),
    "TopK": ("k",),
    "Reshape": ("shape",),
    "Slice": ("starts", "ends", "axes"),
}
COMPARISONS = ("IsNaN", "Equal", "Greater", "Less")
# Nodes and weights of Gauss and Legendre on [0, 1]: erf(x) is then right to 1e-14.
QUADRATURE_POINTS = 48
LARGEST_ERF = 6.0  # where erf is 1 in float64


@dataclass(frozen=True)
class Value:
    """The name of a value of the graph, and its type."""

    name: str
    dtype: str


class OnnxOperators(Operators):
    """Operands are `Value`s or numbers; `nodes` and `initializers` are the graph so far."""

    def __init__(self):
        self.nodes, self.initializers = [], []
        self.names: set[str] = set()

    def apply(self, operator, *operands, **attributes):
        from onnx import helper

        template = next(x for x in operands[operator == "Where" :] if isinstance(x, Value))
        if operator == "Erf" and template.dtype == "float64":
            return self._erf(template)
        inputs = [x if isinstance(x, Value) else self.constant(np.array(x), template) for x in operands]
        for attribute in INTEGER_INPUTS.get(operator, ()):
            numbers = np.array(attributes.pop(attribute), np.int64)
            shape = np.atleast_1d if operator != "CumSum" else np.asarray
            inputs.append(self.constant(shape(numbers)))
        dtypes = {"Cast": attributes.get("to"), "ArgMax": "int64"} | dict.fromkeys(COMPARISONS, "bool")
        dtype = dtypes.get(operator, template.dtype)
        if operator == "Cast":
            attributes["to"] = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        outputs = [self._name(operator)] + [self._name("indices")] * (operator == "TopK")
        self.nodes.append(helper.make_node(operator, [x.name for x in inputs], outputs, **attributes))
        return Value(outputs[0], dtype)

    def constant(self, array, template=None, name=""):
        from onnx import numpy_helper

        array = np.ascontiguousarray(array if template is None else array.astype(template.dtype))
        name = self._name(name or "constant")
        self.initializers.append(numpy_helper.from_array(array.reshape(np.shape(array)), name))
        return Value(name, str(array.dtype))

    def _erf(self, x: Value) -> Value:
        """erf(x) = 2 x / sqrt(pi) times the integral of exp(-(x t)^2) over t from 0 to 1.

        onnxruntime has no erf in float64.
        """
        from onnx import helper

        t, weights = np.polynomial.legendre.leggauss(QUADRATURE_POINTS)
        t, weights = (t + 1) / 2, weights / np.sqrt(np.pi)
        x = self.Max(self.Min(x, LARGEST_ERF), -LARGEST_ERF)
        column = self._name("Unsqueeze")
        axes = self.constant(np.array([-1]))
        self.nodes.append(helper.make_node("Unsqueeze", [x.name, axes.name], [column]))
        xt = self.Mul(Value(column, x.dtype), self.constant(t))
        bell = self.Exp(self.Neg(self.Mul(xt, xt)))
        return self.Mul(x, self.MatMul(bell, self.constant(weights)))

    def _name(self, wanted: str) -> str:
        """The name itself, or with a number if it is taken."""
        name, n = wanted, 1
        while name in self.names:
            name, n = f"{wanted}_{n}", n + 1
        self.names.add(name)
        return name
