"""The matrix product of two values, example by example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.products import product
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.layout import aligned


@dataclass(frozen=True)
class MatrixProduct(Box):
    """Y = P Q for each example, with P (m, k) and Q (k, n); dP = dY Q', dQ = P' dY.

    P is the first value, or with `transpose_first` its transpose, and Q the second one, or its transpose. So
    the scores Q K' of attention are `MatrixProduct(transpose_second=True)` of queries and keys.

    Values have examples or channels last in memory, and a product wants the matrix of each example together.
    So matrices are copied, each to aligned memory, and all products of the stack are one call, as if examples
    were rows.
    """

    name: ClassVar[str] = "matrix_product"
    formula: ClassVar[str] = "P Q"
    transpose_first: bool = static(False)
    transpose_second: bool = static(False)

    def _sizes(self, first, second) -> tuple[int, int, int]:
        """m, k, n."""
        if len(first) != 2 or len(second) != 2:
            raise UserError(f"shapes {first} and {second} are not both of matrices, (m, k) and (k, n)")
        m, k = reversed(first) if self.transpose_first else first
        k_of_second, n = reversed(second) if self.transpose_second else second
        if k != k_of_second:
            raise UserError(
                f"shapes {first} and {second} are ({m}, {k}) and ({k_of_second}, {n}) in the product, where "
                f"the first has as many columns as the second has rows"
            )
        return m, k, n

    def output_shape(self, first, second):
        m, _, n = self._sizes(first, second)
        return m, n

    def multiply_adds(self, first, second):
        m, k, n = self._sizes(first, second)
        return m * k * n

    def inner_units(self, first, second):
        m, k, n = self._sizes(first, second)
        return m * k + k * n + m * n

    def settle(self, ctx, first, second):
        m, k, n = self._sizes(first, second)
        examples = replace(ctx.site, rows=ctx.site.rows * ctx.site.batch)
        dP, dQ = ctx.dx
        ctx.P, ctx.Q, ctx.Y = (aligned(examples.rows, s, ctx.site.template) for s in ((m, k), (k, n), (m, n)))
        ctx.to_Y = product(examples, m, k, n, ctx.Y)
        if dP is not None:
            ctx.dP = torch.zeros_like(ctx.P)
            ctx.to_dP = product(examples, m, n, k, ctx.dP)
        if dQ is not None:
            ctx.dQ = torch.zeros_like(ctx.Q)
            ctx.to_dQ = product(examples, k, m, n, ctx.dQ)

    def fprop(self, ctx, first, second):
        self._gather(ctx, ctx.P, first, self.transpose_first)
        self._gather(ctx, ctx.Q, second, self.transpose_second)
        ctx.to_Y(ctx.P, ctx.Q)
        return self._spread(ctx, ctx.Y, ctx.y, False)

    def bprop(self, ctx, dy):
        first, second = ctx.dx
        self._gather(ctx, ctx.Y, dy, False)
        if first is not None:
            self._spread(ctx, ctx.to_dP(ctx.Y, ctx.Q.mT), first, self.transpose_first)
        if second is not None:
            self._spread(ctx, ctx.to_dQ(ctx.P.mT, ctx.Y), second, self.transpose_second)
        return ctx.dx

    def _gather(self, ctx, matrices: torch.Tensor, value: torch.Tensor, transposed: bool) -> None:
        """Copy a value (K, m, n, B) to the matrices of its examples, (K B, m, n)."""
        matrices.unflatten(0, (ctx.site.rows, -1)).copy_(_by_examples(value, transposed))

    def _spread(self, ctx, matrices: torch.Tensor, value: torch.Tensor, transposed: bool) -> torch.Tensor:
        """Copy the matrices of all examples to their value, which is returned."""
        _by_examples(value, transposed).copy_(matrices.unflatten(0, (ctx.site.rows, -1)))
        return value

    def vjp(self, graph, node, dy):
        first, second = node.inputs
        if self.transpose_first:  # (dY Q')' = Q dY'
            d_first = graph.apply(MatrixProduct(self.transpose_second, True), second, dy)
        else:
            d_first = graph.apply(MatrixProduct(False, not self.transpose_second), dy, second)
        if self.transpose_second:  # (P' dY)' = dY' P
            d_second = graph.apply(MatrixProduct(True, self.transpose_first), dy, first)
        else:
            d_second = graph.apply(MatrixProduct(not self.transpose_first, False), first, dy)
        return d_first, d_second

    def reference(self, ctx, first, second):
        return torch.matmul(
            _by_examples(first, self.transpose_first), _by_examples(second, self.transpose_second)
        ).permute(0, 2, 3, 1)

    def onnx(self, op, first, second):
        P = op.Transpose(first, perm=[0, 3, 2, 1] if self.transpose_first else [0, 3, 1, 2])
        Q = op.Transpose(second, perm=[0, 3, 2, 1] if self.transpose_second else [0, 3, 1, 2])
        return op.Transpose(op.MatMul(P, Q), perm=[0, 2, 3, 1])


def _by_examples(value: torch.Tensor, transposed: bool) -> torch.Tensor:
    """A value (K, m, n, B) as (K, B, m, n), or as the transposes (K, B, n, m)."""
    matrices = value.permute(0, 3, 1, 2)
    return matrices.mT if transposed else matrices
