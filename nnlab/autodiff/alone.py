"""One box, or one loss, by itself: no network, no engine.

    box = Alone(Affine(units=3))
    y = box.fprop(x)           # x (4, 10): ten examples of four numbers, in columns; y (3, 10)
    gradients = box.bprop(dy)  # {"x": (4, 10), "weight": (3, 4), "bias": (3, 1)}

`box.cached` is what the box keeps of `fprop` for `bprop`; `print(box.check(x))` says whether its gradients
are those of central differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.autodiff.bound_alone import BoundAlone
from nnlab.autodiff.box import Box
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.compare_gradient import Point, compare_gradient
from nnlab.autodiff.gradient_comparison import DIFFERENCE_TOLERANCE, GradientComparison
from nnlab.autodiff.loss_alone import LossAlone
from nnlab.choices import short_repr
from nnlab.errors import UserError, nearest
from nnlab.streams import stream

MOST_COMPARED = 200  # elements of a gradient that `check` compares


class Alone:
    """A box by itself: `Alone(Affine(3))`, `Alone("relu")`, `Alone(CrossEntropy())`, or a box of yours.

    Values are numpy arrays, or torch tensors if the first input is one. Examples are columns, as in the
    lecture: x is (n, B), and images are (channels, rows, columns, B). With `examples_first` they are rows,
    (B, n). A vector (n,) is one example. Targets of a loss may be the numbers of classes, (B,).

    Leaves are given by their names, `Alone(Affine(3), weight=W, bias=b)`, or drawn from `seed`: weights of
    variance 1 / fan_in, biases 0, others as the box begins. So are the random numbers of a box that draws,
    new ones in each `fprop`. A rate is the box's own, `Alone(Dropout(rate=0.5))`, or is given by its name
    too, `Alone(RandomShift(), shift=2)`.

    Raises `UserError` for shapes and names that do not go together.
    """

    def __init__(self, box, *, seed: int = 0, examples_first: bool = False, **values):
        self.box, self.seed, self.examples_first = _as_box(box), seed, examples_first
        self._values, self._draws, self._last = values, 0, None  # the BoundAlone of the last fprop
        self._as_torch = self._is_vector = False

    def __repr__(self):
        return f"Alone({self.box})"

    # ---- the two passes

    def fprop(self, *x):
        """The output of the box; of other examples in every call, if they have the same shape."""
        inputs = self._inputs(x)
        self._last = self._bound_to(inputs)
        self._draws += 1
        return self._given_back(self._last.fprop(inputs, self._draws).clone(), self._last.output_per_example)

    def bprop(self, dy=None) -> dict:
        """The gradients of the sum of y dy, by the names of inputs and leaves; without those that have none.

        Where dy is not given it is 1; of a loss 1 / B, so that they are the gradients of the mean loss.
        """
        bound = self._bound
        gradients = bound.bprop(self._dy(dy, bound))
        return {name: self._given_back(g, name not in bound.leaves) for name, g in gradients.items()}

    @property
    def cached(self) -> dict:
        """What bprop needs of what fprop has left, by name: an input, a leaf, y, or what the box calls it."""
        bound = self._bound
        return {
            name: self._given_back(v, name not in bound.leaves and v.shape[-1] == bound.batch)
            for name, v in bound.cached().items()
        }

    @property
    def leaves(self) -> dict:
        """Parameters and buffers by name, in the box's memory: `box.leaves["weight"][:] = 0` changes one."""
        return {name: self._given_back(v, False) for name, v in self._bound.leaves.items()}

    # ---- comparison with differences

    def check(self, *x, dy=None) -> GradientCheck:
        """Compare every gradient with central differences, in float64, and with torch.autograd if the box has
        a `reference`: at x, or at the inputs of the last `fprop`. dy is random if it is not given."""
        inputs = [v.double() for v in (self._inputs(x) if x else self._bound.inputs)]
        bound = self._new_bound(inputs)
        written = {name: v.clone() for name, v in bound.leaves.items() if name not in bound.parameters}

        def fprop() -> torch.Tensor:
            for name, value in written.items():
                bound.leaves[name].copy_(value)
            return bound.fprop(inputs, 0)

        center = fprop().clone()
        dy = _normal(center, self.seed) if dy is None else self._dy(dy, bound)
        gradients, by_autograd, operands = bound.bprop(dy), bound.autograd(inputs, dy), bound.operands(inputs)

        def value() -> float:
            return float((fprop() - center).mul_(dy).sum())

        at_center = Point(0.0, float(torch.linalg.vector_norm(center * dy)))
        return GradientCheck(str(self.box), tuple(
            compare_gradient(f"d{name}", g, operands[name], value, at_center, MOST_COMPARED,
                             by_autograd.get(name), name in bound.leaves)
            for name, g in gradients.items()
        ))  # fmt: skip

    # ---- between the user's arrays and tensors (1, *shape, B)

    @property
    def _bound(self) -> BoundAlone:
        if self._last is None:
            raise UserError(f"{self!r} has seen no inputs yet: call fprop(x) first")
        return self._last

    def _bound_to(self, inputs: list[torch.Tensor]) -> BoundAlone:
        """The box bound to inputs of this shape and batch."""
        last = self._last
        if last is None or last.batch != inputs[0].shape[-1] or last.template.dtype != inputs[0].dtype:
            return self._new_bound(inputs)
        self._refuse_other_shapes(inputs)
        return last

    def _new_bound(self, inputs: list[torch.Tensor]) -> BoundAlone:
        """Another one, with the leaves that the box has."""
        self._refuse_other_shapes(inputs)
        bound = BoundAlone(self.box, inputs, self._values, self.seed)
        for name, leaf in self._last.leaves.items() if self._last else ():
            bound.leaves[name].copy_(leaf)
        return bound

    def _refuse_other_shapes(self, inputs: list[torch.Tensor]) -> None:
        shapes = [tuple(v.shape[1:-1]) for v in inputs]
        if self._last is None or self._last.shapes == shapes:
            return
        hint = ""
        if [tuple(v.shape[-1:]) for v in inputs] == self._last.shapes:
            hint = "; examples are columns: x.T, or Alone(..., examples_first=True)"
        raise UserError(
            f"an example has the shape {_joined(shapes)}, and had {_joined(self._last.shapes)}{hint}"
        )

    def _inputs(self, x) -> list[torch.Tensor]:
        """The inputs as (1, *shape, B), of one dtype; and note of what kind they are."""
        if not x:
            raise UserError(f"{self!r}.fprop() needs the inputs of the box: fprop(x)")
        arrays = [_as_tensor(v) for v in x]
        self._as_torch, self._is_vector = isinstance(x[0], torch.Tensor), arrays[0].ndim == 1
        is_float32 = arrays[0].dtype == torch.float32
        if isinstance(self.box, LossAlone) and len(arrays) == 2:
            arrays[1] = self._targets(*arrays)
        inputs = [self._columns(v.to(torch.float32 if is_float32 else torch.float64)) for v in arrays]
        if len({v.shape[-1] for v in inputs}) > 1:
            shapes = _joined(tuple(v.shape[1:]) for v in inputs)
            raise UserError(f"the inputs are {shapes}: expected as many examples (columns) of each")
        return inputs

    def _targets(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Numbers of classes (B,) as one-hot columns; others as they are."""
        if t.ndim != 1 or z.ndim != 2 or not self.box.loss.needs_classes:
            return t
        classes = z.shape[1 if self.examples_first else 0]
        if not ((t == t.round()) & (t >= 0) & (t < classes)).all():
            raise UserError(
                f"t = {short_repr(t.tolist())}: expected classes, whole numbers from 0 to {classes - 1}"
            )
        one_hot = torch.eye(classes, dtype=z.dtype)[t.long()]
        return one_hot if self.examples_first else one_hot.T

    def _columns(self, value: torch.Tensor) -> torch.Tensor:
        """A copy (1, *shape, B)."""
        if value.ndim < 1:
            raise UserError(f"{value.item()}: expected examples in columns, (n, B), or one example, (n,)")
        if value.ndim == 1:
            value = value[:, None]
        elif self.examples_first:
            value = value.movedim(0, -1)
        return value.clone(memory_format=torch.contiguous_format)[None]

    def _dy(self, dy, bound: BoundAlone) -> torch.Tensor:
        if dy is None:
            is_loss = isinstance(self.box, LossAlone)
            return torch.full_like(bound.y, 1 / bound.batch if is_loss else 1.0)
        dy = _as_tensor(dy).to(bound.y)
        per_example = bound.output_per_example and not isinstance(self.box, LossAlone)
        dy = self._columns(dy) if per_example and dy.ndim else dy[None]
        if dy.shape != bound.y.shape:
            raise UserError(
                f"dy is {tuple(dy.shape[1:])}, and y, which it is the gradient of, {tuple(bound.y.shape[1:])}"
            )
        return dy

    def _given_back(self, value: torch.Tensor, per_example: bool):
        """A value (1, *shape, B) as the user has his."""
        value = value[0] if len(value) == 1 else value
        if per_example and value.ndim > 1 and self._is_vector:
            value = value[..., 0]
        elif per_example and value.ndim > 1 and self.examples_first:
            value = value.movedim(-1, 0)
        return value if self._as_torch else value.numpy()


@dataclass(frozen=True)
class GradientCheck:
    """The gradients of a box beside central differences: `print` it."""

    box: str
    comparisons: tuple[GradientComparison, ...]

    @property
    def wrong(self) -> list[str]:
        """The names of the gradients that are wrong: dx, dweight, ..."""
        return [c.gradient_name for c in self.comparisons if c.wrong]

    def __str__(self):
        if self.wrong:
            return "\n".join(c.fault for c in self.comparisons if c.wrong)
        names = ", ".join(c.gradient_name for c in self.comparisons)
        worst = max((c.error for c in self.comparisons), default=0.0)
        kinks = sum(c.kinks for c in self.comparisons)
        left_out = f"; {kinks} at kinks left out" if kinks else ""
        if only_kinks := [
            c.gradient_name for c in self.comparisons if c.kinks and c.kinks == c.compared_count
        ]:
            left_out += f", all of {', '.join(only_kinks)}: nothing is known of those"
        return f"{names}: within {worst:.0e} of differences (limit {DIFFERENCE_TOLERANCE:g}){left_out}"

    __repr__ = __str__


def _as_box(box) -> Box:
    """A box, of it, of its class or its name; or of a loss."""
    if isinstance(box, str):
        if box not in BOXES:
            raise UserError(f"'{box}' is no box{nearest(box, BOXES)}")
        box = BOXES[box]
    if isinstance(box, type):
        box = box()
    if isinstance(box, Box):
        return box
    if all(hasattr(box, name) for name in ("fprop", "bprop", "needs_classes")):
        return LossAlone(box)
    if isinstance(box, torch.nn.Module):
        name = type(box).__name__
        raise UserError(
            f"{name} is a module of torch: Alone(Module({name}, {{...}})) makes a box of the class"
        )
    raise UserError(f"{short_repr(box)}: expected a box, such as Affine(units=3), or a loss")


def _as_tensor(value) -> torch.Tensor:
    try:
        if isinstance(value, torch.Tensor):
            return value.detach().cpu()
        if np.iscomplexobj(value):
            raise TypeError
        return torch.from_numpy(np.array(value, np.float32 if _is_float32(value) else np.float64))
    except (TypeError, ValueError) as e:
        raise UserError(f"{short_repr(value)}: expected an array of numbers") from e


def _is_float32(value) -> bool:
    return getattr(value, "dtype", None) == np.float32


def _normal(like: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.from_numpy(stream(seed, "alone", "dy").standard_normal(tuple(like.shape)))


def _joined(shapes) -> str:
    return " and ".join(str(tuple(shape)) for shape in shapes)
