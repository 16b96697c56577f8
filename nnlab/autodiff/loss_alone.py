"""A loss as a box by itself: of outputs z and targets t, a number for each example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.errors import UserError


@dataclass(frozen=True)
class LossAlone(Box):
    """y = the loss l of each example, (K, B); dz = dy dl / dz. Targets have no gradient."""

    name: ClassVar[str] = "loss"
    loss: object = None  # of nnlab.losses

    @property
    def reference(self):
        of_loss = self.loss.reference
        return None if of_loss is None else lambda ctx, z, t: of_loss(z, t)

    def output_shape(self, z, t):
        if (self.loss.outputs(t[0]), *t[1:]) != z:
            raise UserError(
                f"{self} compares z {z} with t {t}: expected as many numbers of an example in each"
            )
        return ()

    def fprop(self, ctx, z, t):
        ctx.z, ctx.t = z, t
        return ctx.y.copy_(self.loss.fprop(z, t))

    def bprop(self, ctx, dy):
        return self.loss.bprop(ctx.z, ctx.t, dy[:, None], out=torch.empty_like(ctx.z)), None

    def __str__(self):
        return type(self.loss).__name__
