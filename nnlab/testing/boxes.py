"""The contract of a box: both passes are correct, write nothing else, and keep rows independent."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import product

import torch
from torch.utils.flop_counter import FlopCounterMode

from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box, Buffer
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.operators import TorchOperators
from nnlab.hyperparameters import static
from nnlab.models import Model
from nnlab.testing.fake_cuda import fake_gpu
from nnlab.testing.gradient_graphs import second_derivatives, twice_by_graph
from nnlab.testing.numeric import (
    Bound,
    assert_near,
    assert_same,
    bind,
    central_at,
    each_input,
    in_rows,
    output_per_example,
    with_batch,
)
from nnlab.testing.rows import RowIndependence, experiments

# Whether channels are last in memory: of images that the network allocates, of those that the box gets.
LAYOUTS = ((False, False), (True, True), (True, False), (False, True))
COMPARED_SLOPES = 40  # of an input or leaf by central differences, where autograd has compared all of them


class BoxContract(RowIndependence):
    """`box` is a box, or a class of one that is made without arguments, as an activation is.

    shapes       of its inputs, without K and B
    per_example  whether its inputs have a batch axis; False for a box on a leaf, such as DropConnect; or a
                 bool for each input
    sizes        (K, B) of all tests
    inputs       test inputs; override it if the box has a kink elsewhere than at 0
    reference    (box, ctx, *inputs) -> the output, in functions that autograd knows, from the inputs followed
                 by the leaves; instead of the box's own `reference`. Both passes are compared with it
    of_training  whether it has a meaning in training alone, as the gradient of a box that draws
    exact, near  digits of agreement with the reference, and of a gradient with central differences
    """

    box: Box | type[Box]
    shapes = ((7,),)
    per_example: bool | tuple[bool, ...] = True
    sizes = ((1, 11), (3, 11), (1, 1), (3, 1))
    reference = None
    of_training = False
    exact, near = 12, 6

    def box_under_test(self) -> Box:
        return self.box() if isinstance(self.box, type) else self.box

    def inputs(self, rows: int, batch: int) -> list[torch.Tensor]:
        """Random (K, *shape, B), none within 0.01 of 0."""
        shapes = zip(self.shapes, self._per_example, strict=True)
        return [_normal(rows, with_batch(shape, batch, has), n) for n, (shape, has) in enumerate(shapes)]

    def experiments(self, channels_last=False):
        """The box in a network: on a leaf, or behind an affine box for each input."""
        if self.of_training:
            return []
        if not any((*self._per_example, self._output_per_example)):
            return experiments(model=_on_a_leaf(self.box_under_test()))
        if not all((*self._per_example, self._output_per_example)):
            return []
        return experiments(model=_between(self.box_under_test(), self.shapes, channels_last))

    def test_a_row_of_a_stack_of_images_with_channels_last_equals_itself_alone(self):
        if self._has_images:
            self.assert_rows_equal_themselves_alone(self.experiments(channels_last=True))

    # ---- the forward pass

    def test_fprop_gives_the_announced_shape_and_dtype(self):
        for dtype in (torch.float32, torch.float64):
            for (rows, batch), b, x, dy in self._cases(dtype=dtype):
                y = b.fprop(*x)
                assert y.shape == dy.shape, f"output {tuple(y.shape)}, output_shape says {tuple(dy.shape)}"
                assert y.dtype == dtype, f"output {y.dtype}, expected {dtype}"
                assert y.isfinite().all(), f"K = {rows}, B = {batch}: an output is not finite"

    def test_fprop_equals_the_reference(self):
        for size, b, x, _ in self._cases():
            if self._is_compared:
                expected = self._expected(b, x)  # before the pass, which may write a buffer
                assert_near(b.fprop(*x), expected, self.exact, f"fprop, K, B = {size}")

    def test_fprop_is_the_same_when_not_training(self):
        """But for a box that draws random numbers or has buffers, which may do something else."""
        if self.of_training:
            return
        for (rows, batch), b, x, _ in self._cases():
            evaluating = self._bind(rows, batch, training=False, **_layout(b))
            assert not _draws(evaluating), "a box draws no random numbers when not training"
            y = evaluating.fprop(*x)
            if not _draws(b) and not self._buffers():
                assert_same(y, b.fprop(*x), "fprop differs when not training")

    def test_onnx_gives_what_fprop_gives(self):
        """By the operators that `nnlab export` writes, if the box says them; when not training."""
        if self.of_training:
            return
        for (rows, batch), b, x, _ in self._cases():
            evaluating = self._bind(rows, batch, training=False, **_layout(b))
            if b.box.onnx is not None and evaluating.bound is not None:
                op = TorchOperators()
                op.rows = rows
                op.shapes = tuple(self.shapes)
                y = b.box.onnx(op, *x, *evaluating.theta.values())
                assert_near(y, evaluating.fprop(*x), self.exact, f"onnx, K, B = {(rows, batch)}")

    def test_multiply_adds_are_those_of_the_reference(self):
        """As torch counts them in the reference's matrix products and convolutions: two operations each."""
        box, counts = self.box_under_test(), {}
        for (rows, batch), b, x, _ in self._cases(layouts=LAYOUTS[:1]):
            if self._is_compared:
                with FlopCounterMode(display=False) as counter:
                    self._expected(b, x)
                examples = batch if any(self._per_example) else 1
                counts[rows, batch] = counter.get_total_flops() / (2 * rows * examples)
        said = box.multiply_adds(*self.shapes)
        wrong = {size: count for size, count in counts.items() if count != said}
        assert not wrong, f"multiply_adds says {said} for an example; the reference takes {wrong} (by K, B)"

    # ---- the backward pass

    def test_bprop_equals_central_differences(self):
        """In a stack of the most rows; one alone is compared with it elsewhere."""
        for size, b, x, dy in self._cases(layouts=LAYOUTS[:1]):
            if size[0] < self._most_rows:
                continue

            def objective(b=b, x=x, dy=dy):
                return (b.fprop(*x) * dy).flatten(1).sum(1)

            objective()
            dx = [v.clone() for v in b.bprop(dy)]
            assert len(dx) == len(x), f"bprop gives {len(dx)} gradients for {len(x)} inputs"
            values = {f"input {n}": pair for n, pair in enumerate(zip(dx, x, strict=True))}
            values |= {name: (gradient, b.theta[name]) for name, gradient in b.grad.items()}
            for name, (gradient, v) in values.items():
                positions = range(v[0].numel())
                if self._is_compared and len(positions) > COMPARED_SLOPES:
                    positions = random.Random(0).sample(positions, COMPARED_SLOPES)
                slope, there = central_at(positions, objective, v), gradient.flatten(1)[:, list(positions)]
                assert_near(there, slope, self.near, f"the gradient of {name}, K, B = {size},")

    def test_bprop_equals_autograd(self):
        for size, b, x, dy in self._cases():
            if not self._is_compared:
                return
            b.fprop(*x)
            dx = b.bprop(dy)
            leaves = [v.clone().requires_grad_() for v in x]
            theta = {name: v.clone().requires_grad_() for name, v in b.theta.items()}
            self._expected(b, leaves, theta).backward(dy)
            for n, (gradient, leaf) in enumerate(zip(dx, leaves, strict=True)):
                # None: the output is constant in it, such as in the number of a category.
                expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                assert_near(gradient, expected, self.exact, f"the gradient of input {n}, K, B = {size},")
            for name, gradient in b.grad.items():
                assert_near(gradient, theta[name].grad, self.exact, f"the gradient of {name}, K, B = {size},")

    def test_its_gradient_graph_gives_what_bprop_gives(self):
        """If it has a `vjp`."""
        for size, b, x, dy in self._cases(layouts=LAYOUTS[:1]):
            if b.box.vjp is not None:
                b.fprop(*x)
                numbers = [*b.bprop(dy), *b.grad.values()]
                for n, (g, expected) in enumerate(zip(self._twice(b, x, dy)[0], numbers, strict=True)):
                    assert_near(g, expected, self.exact, f"vjp: the gradient of operand {n}, K, B = {size},")

    def test_the_gradient_of_its_gradient_equals_autograd(self):
        """If it has a `vjp`: the gradient of <v, gradient>, with respect to all operands and to dy."""
        for size, b, x, dy in self._cases(layouts=LAYOUTS[:1]):
            if b.box.vjp is not None and self._is_compared:
                _, v, second = self._twice(b, x, dy)
                expected = second_derivatives(
                    lambda *o, b=b: self._expected_of(b, b.with_buffers(o)), b.operands(x), dy, v
                )
                for n, (g, torchs) in enumerate(zip(second, expected, strict=True)):
                    what = "dy" if n == len(second) - 1 else f"operand {n}"
                    assert_near(g, torchs, self.exact - 1, f"vjp of vjp: {what}, K, B = {size},")

    def _twice(self, b: Bound, x, dy):
        return twice_by_graph(b, self.shapes, self._per_example, x, dy)

    def test_bprop_overwrites(self):
        """A second step gives what it would give alone, whatever the first one left."""
        for size, b, x, dy in self._cases():
            for v in b.grad.values():
                v.fill_(7)
            first = _step(b, x, dy)
            b.fprop(*[v + 1 for v in x])
            b.bprop(2 * dy)
            for a, c in zip(_step(b, x, dy), first, strict=True):
                assert_same(a, c, f"K, B = {size}: bprop keeps something of an earlier step")

    def test_nothing_else_is_written(self):
        """Not dy, the inputs or the parameters; the gaps between parameters stay zero."""
        for _, b, x, dy in self._cases():
            parameters = {name: v for name, v in b.theta.items() if name not in self._buffers()}
            read = {"dy": dy, **{f"input {n}": v for n, v in enumerate(x)}, **parameters}
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
                    partial_box = self._bind(rows, batch, needs=needs, **_layout(b))
                    partial_box.fprop(*x)
                    dx = partial_box.bprop(dy)
                    for i in range(len(x)):
                        if needs[i]:
                            assert_same(dx[i], all_dx[i], f"input {i} without input {j}")
                    for name, v in partial_box.grad.items():
                        assert_same(v, b.grad[name], f"{name} without input {j}")

    def test_a_row_of_the_box_equals_itself_alone(self):
        for dtype, layouts in ((torch.float32, LAYOUTS), (torch.float64, LAYOUTS[:1])):
            for (rows, batch), b, x, dy in self._cases(dtype, layouts):
                together = [b.fprop(*x).clone(), *_step(b, x, dy)]
                for k in range(rows):
                    alone = self._bind(rows, batch, dtype=dtype, row=k, **_layout(b))
                    row_inputs = [_row(v, k) for v in (*x, dy)]
                    row_results = [
                        alone.fprop(*row_inputs[:-1]).clone(),
                        *_step(alone, row_inputs[:-1], row_inputs[-1]),
                    ]
                    for row_result, stack_result in zip(row_results, together, strict=True):
                        if row_result is not None:
                            assert_same(
                                row_result,
                                stack_result[k : k + 1],
                                f"row {k} of {rows} differs from it alone",
                            )

    def test_both_passes_on_a_gpu(self):
        """On a fake one (`fake_gpu`): no tensor of the CPU is met, and the numbers are the CPU's."""
        for size, b, x, dy in self._cases(torch.float32, LAYOUTS[:1]):
            cpu_results = [b.fprop(*x).clone(), *_step(b, x, dy), *b.theta.values()]
            with fake_gpu():
                gpu_box = self._bind(*size, dtype=torch.float32, device="cuda")
                x, dy = [in_rows(v.to("cuda")) for v in x], in_rows(dy.to("cuda"))
                on_gpu = [gpu_box.fprop(*x).clone(), *_step(gpu_box, x, dy), *gpu_box.theta.values()]
                assert all(v.is_cuda for v in on_gpu), f"K, B = {size}: a gradient is not on the GPU"
                on_gpu = [v.cpu() for v in on_gpu]
            for gpu_result, expected in zip(on_gpu, cpu_results, strict=True):
                assert_near(gpu_result, expected, 5, f"K, B = {size}: on a GPU, what a pass gives")

    def _cases(self, dtype=torch.float64, layouts=LAYOUTS):
        """Images in both layouts, and values in another one than the network's, as views of others may be.

        In all sizes with examples last, in other layouts in those of the most rows.
        """
        shape = self.box_under_test().output_shape(*self.shapes)
        for (rows, batch), (network, values) in product(self.sizes, layouts):
            if not (network or values) or (self._has_images and rows == self._most_rows):
                b = self._bind(rows, batch, dtype=dtype, channels_last=network)
                x = [in_rows(v.to(dtype), values) for v in self.inputs(rows, batch)]
                dy = _normal(rows, with_batch(shape, batch, self._output_per_example), 99)
                yield (rows, batch), b, x, in_rows(dy.to(dtype), values)

    @property
    def _most_rows(self) -> int:
        return max(rows for rows, _ in self.sizes)

    @property
    def _has_images(self) -> bool:
        shapes = *self.shapes, self.box_under_test().output_shape(*self.shapes)
        return any(self._per_example) and any(len(shape) > 1 for shape in shapes)

    def _bind(self, rows, batch, **how) -> Bound:
        return bind(self.box_under_test(), self.shapes, rows, batch, per_example=self.per_example, **how)

    def _buffers(self) -> list[str]:
        """The names of the leaves that it writes itself."""
        leaves = self.box_under_test().leaves(*self.shapes).items()
        return [name for name, leaf in leaves if isinstance(leaf, Buffer)]

    @property
    def _per_example(self) -> tuple[bool, ...]:
        return each_input(self.per_example, self.shapes)

    @property
    def _output_per_example(self) -> bool:
        return output_per_example(self.box_under_test(), self._per_example)

    def _expected(self, b: Bound, x, theta=None) -> torch.Tensor:
        return self._expected_of(b, (*x, *(theta or b.theta).values()))

    def _expected_of(self, b: Bound, inputs) -> torch.Tensor:
        return self.reference(b.box, b.ctx, *inputs) if self.reference else b.box.reference(b.ctx, *inputs)

    @property
    def _is_compared(self) -> bool:
        return self.reference is not None or self.box_under_test().reference is not None


def _layout(b: Bound) -> dict:
    """The argument of `bind` for the memory layout that b has."""
    return {"channels_last": bool(b.ctx and b.ctx.site.channels_last)}


def _row(v: torch.Tensor, k: int) -> torch.Tensor:
    """A copy of row k of v, laid out in memory alike."""
    return in_rows(v[k : k + 1], v.ndim > 3 and v.stride(1) == 1)


def _draws(b: Bound) -> bool:
    return bool(b.ctx and b.ctx.noise_shape)


def _normal(rows, shape, seed):
    x = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + 0.01 * x.sign()


def _step(b, x, dy) -> list:
    """Copies of all gradients after both passes."""
    b.fprop(*x)
    return [*(v.clone() for v in b.bprop(dy)), *(v.clone() for v in b.grad.values())]


@dataclass(frozen=True)
class _Image(Box):
    """A vector as an image; its network has channels last if it says so."""

    shape: tuple[int, ...] = static()
    channels_last: bool = static(False)

    def output_shape(self, shape):
        return self.shape

    def channels_last_gain(self, batch, shape):
        return 2**50 if self.channels_last else -(2**50)

    def fprop(self, ctx, x):
        return ctx.y.copy_(x.unflatten(1, self.shape))

    def bprop(self, ctx, dy):
        ctx.dx[0].unflatten(1, self.shape).copy_(dy)
        return ctx.dx


def _between(box: Box, shapes, channels_last: bool) -> Model:
    """A network with `box` behind affine boxes, one for each input, and before an affine box."""

    class Between(Model):
        name = "between"

        def graph(self, shape, outputs, output="identity"):
            graph = Graph(shape)
            below = []
            for n, s in enumerate(shapes):
                below.append(graph.add(f"below{n}", Affine(math.prod(s)), graph.input))
                if len(s) > 1:
                    below[n] = graph.add(f"image{n}", _Image(s, channels_last), below[n])
            graph.add("output", Affine(outputs), graph.add("box", box, *below))
            return graph

    return Between()


def _on_a_leaf(box: Box) -> Model:
    """A network with `box` on the weights of its first layer."""

    class OnALeaf(Model):
        name = "on_a_leaf"

        def graph(self, shape, outputs, output="identity"):
            graph = Graph(shape)
            below = graph.add("below", Affine(5), graph.input, weight=box)
            graph.add("output", Affine(outputs), below)
            return graph

    return OnALeaf()
