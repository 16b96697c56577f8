"""The contract of a box: both passes, what they may touch, and rows that do not know each other."""

from __future__ import annotations

import torch

from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.graph import Graph
from nnlab.models import Model
from nnlab.testing.card import pretended_card
from nnlab.testing.numeric import assert_near, assert_same, bind, central, in_rows
from nnlab.testing.rows import RowIndependence, experiments


class BoxContract(RowIndependence):
    """`box` is a box, or a class of one that is made without arguments, as an activation is.

    shapes      of its inputs, without K and B
    sizes       (K, B) with which everything is tried
    inputs      numbers to try; say others if the box has a kink elsewhere than at 0
    reference   (box, parameters by name, *inputs) -> the output, in functions that autograd knows: if it is
                given, both passes are compared with it too
    """

    box: Box | type[Box]
    shapes = ((7,),)
    sizes = ((1, 11), (3, 11), (1, 1), (3, 1))
    reference = None

    def described(self) -> Box:
        return self.box() if isinstance(self.box, type) else self.box

    def inputs(self, rows: int, batch: int) -> list[torch.Tensor]:
        """Random (K, *shape, B), none within 0.01 of 0."""
        return [_normal(rows, shape, batch, seed) for seed, shape in enumerate(self.shapes)]

    def experiments(self):
        """The box in a network, behind an affine box for each of its inputs, if all are vectors."""
        flat = all(len(s) == 1 for s in (*self.shapes, self.described().output_shape(*self.shapes)))
        return experiments(model=_model(self.described(), self.shapes)) if flat else []

    # ---- the forward pass

    def test_fprop_gives_the_announced_shape_and_dtype(self):
        for dtype in (torch.float32, torch.float64):
            for (rows, batch), b, x, dy in self._cases(dtype=dtype):
                y = b.box.fprop(*x)
                assert y.shape == dy.shape, f"output {tuple(y.shape)}, output_shape says {tuple(dy.shape)}"
                assert y.dtype == dtype, f"output {y.dtype}, expected {dtype}"
                assert y.isfinite().all(), f"K = {rows}, B = {batch}: an output is not finite"

    def test_fprop_equals_the_reference(self):
        for size, b, x, _ in self._cases():
            if self.reference is not None:
                assert_near(b.box.fprop(*x), self.reference(b.box, b.theta, *x), 12, f"fprop, K, B = {size}")

    def test_fprop_is_the_same_when_not_training(self):
        """But for a box that draws random numbers, which may do something else."""
        for (rows, batch), b, x, _ in self._cases():
            still = bind(self.described(), self.shapes, rows, batch, training=False)
            assert not still.box.noise_shape, "a box draws no random numbers when not training"
            y = still.box.fprop(*x)
            if not b.box.noise_shape:
                assert_same(y, b.box.fprop(*x), "fprop differs when not training")

    # ---- the backward pass

    def test_bprop_equals_central_differences(self):
        for size, b, x, dy in self._cases():

            def objective(b=b, x=x, dy=dy):
                return (b.box.fprop(*x) * dy).flatten(1).sum(1)

            objective()
            dx = [v.clone() for v in b.box.bprop(dy)]
            assert len(dx) == len(x), f"bprop gives {len(dx)} gradients for {len(x)} inputs"
            for n, (mine, v) in enumerate(zip(dx, x, strict=True)):
                assert_near(mine, central(objective, v), 6, f"the gradient of input {n}, K, B = {size},")
            for name, v in b.theta.items():
                assert_near(b.grad[name], central(objective, v), 6, f"the gradient of {name}, K, B = {size},")

    def test_bprop_equals_autograd(self):
        for size, b, x, dy in self._cases():
            if self.reference is None:
                return
            b.box.fprop(*x)
            dx = b.box.bprop(dy)
            leaves = [v.clone().requires_grad_() for v in x]
            theta = {name: v.clone().requires_grad_() for name, v in b.theta.items()}
            self.reference(b.box, theta, *leaves).backward(dy)
            for n, (mine, leaf) in enumerate(zip(dx, leaves, strict=True)):
                assert_near(mine, leaf.grad, 12, f"the gradient of input {n}, K, B = {size},")
            for name, leaf in theta.items():
                assert_near(b.grad[name], leaf.grad, 12, f"the gradient of {name}, K, B = {size},")

    def test_bprop_overwrites(self):
        """A second step gives what it would give alone, whatever the first one left."""
        for size, b, x, dy in self._cases():
            for v in b.grad.values():
                v.fill_(7)
            first = _step(b, x, dy)
            b.box.fprop(*[v + 1 for v in x])
            b.box.bprop(2 * dy)
            for a, c in zip(_step(b, x, dy), first, strict=True):
                assert_same(a, c, f"K, B = {size}: bprop keeps something of an earlier step")

    def test_nothing_else_is_written(self):
        """Not dy, the inputs or the parameters; the gaps between parameters stay zero."""
        for _, b, x, dy in self._cases():
            read = {"dy": dy, **{f"input {n}": v for n, v in enumerate(x)}, **b.theta}
            before = {name: v.clone() for name, v in read.items()}
            _step(b, x, dy)
            for name, v in read.items():
                assert_same(v, before[name], f"{name} was changed")
            assert not b.matrix[:, b.gaps].any(), "a gap between parameters was written"

    def test_a_gradient_that_nobody_needs_changes_no_other(self):
        for (rows, batch), b, x, dy in self._cases():
            all_dx = _step(b, x, dy)
            for j in range(len(x)):
                needs = tuple(i != j for i in range(len(x)))
                if any(needs) or b.grad:  # else the graph never asks
                    part = bind(self.described(), self.shapes, rows, batch, needs=needs)
                    part.box.fprop(*x)
                    dx = part.box.bprop(dy)
                    for i in range(len(x)):
                        if needs[i]:
                            assert_same(dx[i], all_dx[i], f"input {i} without input {j}")
                    for name, v in part.grad.items():
                        assert_same(v, b.grad[name], f"{name} without input {j}")

    def test_a_row_of_the_box_equals_itself_alone(self):
        for dtype in (torch.float32, torch.float64):
            for (rows, batch), b, x, dy in self._cases(dtype=dtype):
                together = [b.box.fprop(*x).clone(), *_step(b, x, dy)]
                for k in range(rows):
                    alone = bind(self.described(), self.shapes, rows, batch, dtype=dtype, row=k)
                    own = [in_rows(v[k : k + 1]) for v in (*x, dy)]
                    mine = [alone.box.fprop(*own[:-1]).clone(), *_step(alone, own[:-1], own[-1])]
                    for one, all_ in zip(mine, together, strict=True):
                        if one is not None:
                            assert_same(one, all_[k : k + 1], f"row {k} of {rows} differs from it alone")

    def test_both_passes_on_a_gpu(self):
        """On a pretended one (`card`): no tensor of the CPU is met, and the numbers are the CPU's."""
        for size, b, x, dy in self._cases(dtype=torch.float32):
            here = [b.box.fprop(*x).clone(), *_step(b, x, dy)]
            with pretended_card():
                there = bind(self.described(), self.shapes, *size, dtype=torch.float32, device="cuda")
                x, dy = [in_rows(v.to("cuda")) for v in x], in_rows(dy.to("cuda"))
                on_card = [there.box.fprop(*x).clone(), *_step(there, x, dy)]
                assert all(v.is_cuda for v in on_card), f"K, B = {size}: a gradient is not on the GPU"
                on_card = [v.cpu() for v in on_card]
            for mine, expected in zip(on_card, here, strict=True):
                assert_near(mine, expected, 5, f"K, B = {size}: on a GPU, what a pass gives")

    def _cases(self, dtype=torch.float64):
        for rows, batch in self.sizes:
            b = bind(self.described(), self.shapes, rows, batch, dtype=dtype)
            x = [in_rows(v.to(dtype)) for v in self.inputs(rows, batch)]
            dy = _normal(rows, self.described().output_shape(*self.shapes), batch, 99)
            yield (rows, batch), b, x, in_rows(dy.to(dtype))


def _normal(rows, shape, batch, seed):
    x = torch.randn(rows, *shape, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + 0.01 * x.sign()


def _step(b, x, dy) -> list:
    """Copies of all gradients after both passes."""
    b.box.fprop(*x)
    return [*(v.clone() for v in b.box.bprop(dy)), *(v.clone() for v in b.grad.values())]


def _model(box: Box, shapes) -> Model:
    """A network with `box` between affine boxes."""

    class Between(Model):
        name = "between"

        def graph(self, shape, outputs, output="identity"):
            graph = Graph(shape)
            below = [graph.add(f"below{n}", Affine(s[0]), graph.input) for n, s in enumerate(shapes)]
            graph.add("output", Affine(outputs), graph.add("box", box, *below))
            return graph

    return Between()
