"""A box bound outside of any network, to one shape and batch, in one row; with leaves of its own."""

from __future__ import annotations

import inspect

import numpy as np
import torch

from nnlab.autodiff.box import Box, Buffer, Context, Parameter, Site
from nnlab.autodiff.cached import Leftovers
from nnlab.choices import short_repr
from nnlab.errors import UserError, nearest
from nnlab.streams import stream, uniforms

RATE_FIELDS = ("rate", "strength")  # of a box: a number, or the name of an experiment's setting


class BoundAlone:
    """The passes of a box on tensors (1, *shape, B). `values` are leaves and rates by name; others are drawn.

    names       of its operands: the inputs, then the leaves
    leaves      name -> (1, *shape)
    parameters  the names of the leaves that have a gradient
    """

    def __init__(self, box: Box, inputs: list[torch.Tensor], values: dict, seed: int):
        self.box, self.seed, self.inputs = box, seed, inputs
        self.shapes, self.batch = [tuple(v.shape[1:-1]) for v in inputs], inputs[0].shape[-1]
        leaves, rates = _leaves(box, self.shapes, self.batch), _rate_names(box)
        _refuse_unknown(box, values, [*leaves, *rates])
        self.template = torch.empty(0, dtype=inputs[0].dtype)
        self.parameters = {name for name, leaf in leaves.items() if isinstance(leaf, Parameter)}
        self.leaves = {
            name: torch.tensor(self._leaf(name, leaf, values.get(name)), dtype=self.template.dtype)[None]
            for name, leaf in leaves.items()
        }
        self.names = [*_input_names(box, len(inputs)), *leaves]
        columns = {name: torch.tensor([[_rate(box, name, values)]], dtype=torch.float64) for name in rates}
        self.site = Site(1, self.batch, True, self.template, columns, channels_last=False)
        self.output_per_example = box.output_per_example is not False
        self.ctx = self._context(inputs)
        self.left = Leftovers(self.ctx)

    def _context(self, inputs: list[torch.Tensor]) -> Context:
        shape = tuple(self.box.output_shape(*self.shapes))
        dx = [torch.zeros_like(v) for v in inputs]
        dx += [torch.zeros_like(v) if name in self.parameters else None for name, v in self.leaves.items()]
        ctx = Context(self.site, (*shape, self.batch) if self.output_per_example else shape, tuple(dx))
        with torch.no_grad():
            self.box.settle(ctx, *self.shapes)
        ctx.valid = self.template.new_ones(1, 1, self.batch)
        return ctx

    def operands(self, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Inputs and leaves by name."""
        return dict(zip(self.names, [*inputs, *self.leaves.values()], strict=True))

    # ---- the passes

    def fprop(self, inputs: list[torch.Tensor], draw: int) -> torch.Tensor:
        """The output; a box that draws gets the random numbers of this `draw`."""
        self.inputs = inputs
        with torch.no_grad():
            if self.ctx.noise_shape:
                shape = 1, *self.ctx.noise_shape
                self.ctx.uniforms = uniforms(shape, self.template, self.seed, "alone", draw)
            if self.box.is_identity(self.site):
                self.y = inputs[0]
            else:
                self.y = self.box.fprop(self.ctx, *inputs, *self.leaves.values())
                self._refuse_output()
            if not self.left.paths:
                self.left.note()
        return self.y

    def bprop(self, dy: torch.Tensor) -> dict[str, torch.Tensor]:
        """The gradient of each input and parameter, without those that the box says it has none of."""
        if self.box.is_identity(self.site):
            return {self.names[0]: dy}
        with torch.no_grad():
            gradients = self.box.bprop(self.ctx, dy)
        if not isinstance(gradients, (tuple, list)) or len(gradients) != len(self.names):
            given = "one value" if not isinstance(gradients, (tuple, list)) else f"{len(gradients)} gradients"
            wanted = f"a tuple of a gradient for each of {', '.join(self.names)}"
            raise UserError(f"bprop of {self.box} gives {given}: expected {wanted}")
        gradients = dict(zip(self.names, gradients, strict=True))
        has_none = {*self.leaves} - self.parameters
        gradients = {n: g for n, g in gradients.items() if g is not None and n not in has_none}
        for name, g in gradients.items():
            self._refuse_shape(
                f"bprop of {self.box} gives d{name}", g, self.operands(self.inputs)[name].shape
            )
        return {name: g.clone() for name, g in gradients.items()}

    def cached(self) -> dict[str, torch.Tensor]:
        """What `bprop` needs of what `fprop` has left, by name."""
        dy = torch.from_numpy(stream(0, "alone", "dy").standard_normal(tuple(self.y.shape))).to(self.y)
        known = {**self.operands(self.inputs), "y": self.ctx.y}
        with torch.no_grad():
            left = self.left.cached(known, lambda: [*self.bprop(dy).values()])
        return {name: v.clone() for name, v in left.items()}

    def autograd(self, inputs: list[torch.Tensor], dy: torch.Tensor) -> dict[str, torch.Tensor]:
        """The same gradients by torch.autograd through the box's reference; none if it has none."""
        if self.box.reference is None:
            return {}
        with torch.enable_grad():
            operands = {name: v.clone().requires_grad_() for name, v in self.operands(inputs).items()}
            y = self.box.reference(self.ctx, *operands.values())
            gradients = torch.autograd.grad(
                y, [*operands.values()], dy, allow_unused=True, materialize_grads=True
            )
        return dict(zip(operands, gradients, strict=True))

    def _refuse_output(self) -> None:
        self._refuse_shape(f"fprop of {self.box} gives", self.y, (1, *self.ctx.shape))

    def _refuse_shape(self, what: str, value, shape: tuple[int, ...]) -> None:
        """Raise `UserError` unless it is a tensor of this shape: the box may be a student's first."""
        if not isinstance(value, torch.Tensor):
            raise UserError(f"{what} {short_repr(value)}: expected a tensor {tuple(shape)}")
        if value.shape != shape:
            raise UserError(f"{what} {tuple(value.shape)}: expected {tuple(shape)}, with the rows first")

    # ---- leaves

    def _leaf(self, name: str, leaf: Parameter | Buffer, value) -> np.ndarray:
        """The value that was given, or a drawn one."""
        if value is None:
            return self._drawn(name, leaf)
        value = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, float)
        if value.shape == (leaf.size,):  # a bias is a column, (n, 1)
            return value.reshape(leaf.shape)
        if value.shape != leaf.shape:
            raise UserError(f"{name} is {value.shape}: {self.box} needs {leaf.shape} for these inputs")
        return value

    def _drawn(self, name: str, leaf: Parameter | Buffer) -> np.ndarray:
        """As the box begins it; else weights N(0, 1 / fan_in) and biases 0."""
        if isinstance(leaf, Buffer):
            return np.full(leaf.shape, leaf.start)
        if callable(leaf.start):
            return np.reshape(leaf.start(self.seed, f"alone.{name}"), leaf.shape)
        std = max(leaf.fan_in, 1) ** -0.5 if leaf.kind == "weight" else 0.0
        mean, std = leaf.start or (0.0, std)
        return mean + std * stream(self.seed, "alone", name).standard_normal(leaf.shape)


def _leaves(box: Box, shapes: list[tuple[int, ...]], batch: int) -> dict[str, Parameter | Buffer]:
    """The leaves of the box. Raises `UserError` if it reads another number of inputs, or more examples."""
    try:
        for method, arguments in (
            (box.leaves, shapes),
            (box.output_shape, shapes),
            (box.settle, [0, *shapes]),
        ):
            inspect.signature(method).bind(*arguments)
        leaves = box.leaves(*shapes)
        inspect.signature(box.fprop).bind(0, *shapes, *leaves)
    except TypeError as e:
        reads = ", ".join([*inspect.signature(box.fprop).parameters][1:])
        raise UserError(f"{box} is given {len(shapes)} inputs, and its fprop reads {reads}") from e
    least = box.least_batch(*shapes)
    if batch < least:
        raise UserError(f"{box} needs {least} examples or more, and is given {batch}")
    return leaves


def _rate_names(box: Box) -> list[str]:
    """The settings of an experiment that the box follows."""
    values = [getattr(box, name, None) for name in RATE_FIELDS]
    return [value for value in values if isinstance(value, str) and value]


def _rate(box: Box, name: str, values: dict) -> float:
    if name not in values:
        cls = type(box).__name__
        with_rate = f"{cls}(rate=0.5) has a rate of its own, " if hasattr(box, "rate") else ""
        raise UserError(
            f"{cls}() takes `{name}` from an experiment, and alone has none: {with_rate}"
            f"Alone({cls}(), {name}=...) gives it one"
        )
    return float(values[name])


def _refuse_unknown(box: Box, values: dict, known: list[str]) -> None:
    for name in values:
        if name not in known:
            has = nearest(name, known) if known else ", which has none"
            raise UserError(f"{name} is no leaf and no rate of {box}{has}")


def _input_names(box: Box, count: int) -> list[str]:
    """x of one input; of more as the box's `fprop` calls them, or x1, x2, ..."""
    parameters = [*inspect.signature(box.fprop).parameters.values()][1:]
    named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    if count == 1:
        return ["x"]
    return named[:count] if len(named) >= count else [f"x{n}" for n in range(1, count + 1)]
