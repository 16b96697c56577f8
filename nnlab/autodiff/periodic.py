"""The periodic embedding of numbers: waves of learnt frequencies, and a linear map of them."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.combine import Add, Multiply, Slice
from nnlab.autodiff.elementary import Cos, Sin, Times
from nnlab.autodiff.linear_maps import LinearTransposed, OuterProduct
from nnlab.autodiff.products import product
from nnlab.autodiff.reductions import Repeat, RepeatExamples, Sum, SumExamples
from nnlab.autodiff.reshaping import Reshape
from nnlab.autodiff.scale import Scale
from nnlab.hyperparameters import static
from nnlab.runtime.layout import aligned

TURN = 2 * math.pi  # radians


@dataclass(frozen=True)
class PeriodicEmbedding(Box):
    """Each number x_j becomes `units` numbers: x_j itself, and the others linear in H waves of it.

        S_j = sin(2 pi f_j x_j + p_j),   Z_j = W_j S_j + b_j      S_j (H, B), Z_j (units - 1, B)

    with frequencies f_j and phases p_j (H, 1), W_j (units - 1, H), b_j (units - 1, 1), all of its own. y is
    [Z_1, ..., Z_d, x]: a network can bend an input before it is mixed with others.

    With C = cos(2 pi f x + p) and dU = C W' dZ:   dp = sum_B dU,  df = 2 pi sum_B dU x,  dW = dZ S',
    db = sum_B dZ,  dx = dy's part of x + 2 pi sum_H f dU. None of them has a penalty.

    Gorishniy, Rubachev and Babenko 2022, "On embeddings for numerical features in tabular deep learning";
    with phases, without an activation, and with x itself: Holzmueller, Grinsztajn and Steinwart 2024 (PBLD).
    """

    name: ClassVar[str] = "periodic"
    formula: ClassVar[str] = "W sin(2π f x + p) + b, x"
    units: int = static(4, low=2)
    waves: int = static(16, low=1)
    sigma: float = static(0.1, above=0)

    def leaves(self, shape):
        (d,), H, units = shape, self.waves, self.units - 1

        def parameter(*shape: int, std: float) -> Parameter:
            return Parameter((d, *shape), "bias", start=(0.0, std))

        spread = (3 * H) ** -0.5  # the standard deviation of U(-1 / sqrt(H), 1 / sqrt(H))
        return {
            "frequency": parameter(H, 1, std=self.sigma),
            "phase": parameter(H, 1, std=TURN),  # modulo a turn that is uniform, to nine digits
            "weight": parameter(units, H, std=spread),
            "bias": parameter(units, 1, std=spread),
        }

    def output_shape(self, shape):
        return (shape[0] * self.units,)

    def inner_units(self, shape):
        return shape[0] * self.waves

    def multiply_adds(self, shape):
        return shape[0] * (self.units - 1) * self.waves

    def settle(self, ctx, shape):
        site, (d,), H, units = ctx.site, shape, self.waves, self.units - 1
        K, B = site.rows, site.batch
        each = replace(site, rows=K * d)  # a product for each row and number

        def stacked(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
            """A buffer (K d, ...), and its view (K, d, ...)."""
            flat = aligned(K * d, shape, site.template)
            return flat, flat.unflatten(0, (K, d))

        ctx.end, ctx.sizes = d * units, (d, units)
        ctx.U = ctx.zeros(d, H, B)
        ctx.S, ctx.S_of = stacked(H, B)
        ctx.W, ctx.W_of = stacked(units, H)
        Z, ctx.Z_of = stacked(units, B)
        ctx.to_Z = product(each, units, H, B, Z)
        if site.training:
            ctx.product = ctx.zeros(d, H, B)
            ctx.dZ, ctx.dZ_of = stacked(units, B)
            dS, ctx.dS_of = stacked(H, B)
            dW, ctx.dW_of = stacked(units, H)
            ctx.to_dS, ctx.to_dW = product(each, H, units, B, dS), product(each, units, B, H, dW)

    def fprop(self, ctx, x, f, p, W, b):
        ctx.x, ctx.f = x[:, :, None], f
        torch.addcmul(p, f, ctx.x, value=TURN, out=ctx.U)
        torch.sin(ctx.U, out=ctx.S_of)
        ctx.W_of.copy_(W)
        ctx.to_Z(ctx.W, ctx.S)
        torch.add(ctx.Z_of, b, out=ctx.y[:, : ctx.end].unflatten(1, ctx.sizes))
        ctx.y[:, ctx.end :] = x
        return ctx.y

    def bprop(self, ctx, dy):
        dx, df, dp, dW, db = ctx.dx
        ctx.dZ_of.copy_(dy[:, : ctx.end].unflatten(1, ctx.sizes))
        if db is not None:
            torch.sum(ctx.dZ_of, -1, keepdim=True, out=db)
        if dW is not None:
            ctx.to_dW(ctx.dZ, ctx.S.mT)
            dW.copy_(ctx.dW_of)
        ctx.to_dS(ctx.W.mT, ctx.dZ)
        dU = ctx.dS_of.mul_(torch.cos(ctx.U, out=ctx.product))
        if dp is not None:
            torch.sum(dU, -1, keepdim=True, out=dp)
        if df is not None:
            torch.sum(torch.mul(dU, ctx.x, out=ctx.product), -1, keepdim=True, out=df).mul_(TURN)
        if dx is not None:
            torch.sum(torch.mul(dU, ctx.f, out=ctx.product), 2, out=dx)
            torch.add(dy[:, ctx.end :], dx, alpha=TURN, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        """As above, with S computed anew."""
        x, f, p, W, _ = node.operands
        (d,), end = graph.nodes[x].shape, graph.nodes[x].shape[0] * (self.units - 1)
        waves = Scale(TURN)
        X = graph.apply(Repeat((d, self.waves)), graph.apply(Reshape((d, 1)), x))
        U = graph.apply(Add(), graph.apply(waves, X, factor=f), graph.apply(RepeatExamples(), p))
        dZ = graph.apply(Reshape((d, self.units - 1)), graph.apply(Slice(0, end), dy))
        dU = graph.apply(Multiply(), graph.apply(Cos(), U), graph.apply(LinearTransposed(), dZ, W))
        df = graph.apply(SumExamples(), graph.apply(Multiply(), dU, X))
        dx = graph.apply(Sum((1,)), graph.apply(waves, dU, factor=f))
        dx = graph.apply(Add(), graph.apply(Slice(end, end + d), dy), graph.apply(Reshape((d,)), dx))
        return (
            dx,
            graph.apply(Times(TURN), df),
            graph.apply(SumExamples(), dU),
            graph.apply(OuterProduct(), dZ, graph.apply(Sin(), U)),
            graph.apply(SumExamples(), dZ),
        )

    def reference(self, ctx, x, f, p, W, b):
        S = torch.sin(TURN * f * x[:, :, None] + p)
        Z = W @ S + b
        return torch.hstack([Z.flatten(1, 2), x.expand(len(W), -1, -1)])

    def onnx(self, op, x, f, p, W, b):
        (d,) = op.shapes[0]
        column = op.Reshape(x, shape=[0, d, 1, -1])
        S = op.Sin(op.Add(op.Mul(op.Mul(f, column), TURN), p))
        Z = op.Reshape(op.Add(op.MatMul(W, S), b), shape=[0, d * (self.units - 1), -1])
        zeros = op.Mul(op.Slice(Z, starts=[0], ends=[1], axes=[1]), 0)  # for an x that all rows share
        return op.Concat(Z, op.Add(x, zeros), axis=1)
