"""A torch.nn.Module as one box: its passes by torch.func, its parameters as leaves of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import func, nn

from nnlab import plugins
from nnlab.autodiff.box import Box, Parameter
from nnlab.errors import UserError
from nnlab.frozen_dict import FrozenDict
from nnlab.hyperparameters import static
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.streams import stream


@dataclass(frozen=True)
class Module(Box):
    """y = f(x_1, x_2, ...; theta) for each example, where f is a torch.nn.Module and theta its parameters.

    `module` is the name by which an installed package announces the class (docs/extending.md); in Python it
    may be the class itself. `settings` are the arguments of its constructor. It gets inputs with the examples
    first, (B, *shape), and returns one tensor (B, *output shape).

    dx and dtheta are torch.func.vjp's. On a GPU torch.func.vmap maps the module over all rows; on a CPU it is
    called for one row after another, since kernels for several rows round otherwise. Parameters begin as the
    module's own constructor draws them, from the row's stream with the name of the box. Matrices are
    regularised, vectors are not.

    An example must be treated by itself, by parameters alone: a module that draws random numbers (Dropout),
    whose forward writes a buffer or mixes examples (BatchNorm), or whose buffers are drawn at random is
    refused.
    """

    name: ClassVar[str] = "module"
    formula: ClassVar[str] = "f(x; θ)"
    captured: ClassVar[bool] = False  # a forward of a stranger's may do anything
    module: str | type = static()
    settings: dict[str, object] = static({})

    def leaves(self, *shapes):
        parameters = self._tried(shapes).parameters
        return {name: self._leaf(name, shape) for name, shape in parameters.items()}

    def _leaf(self, name: str, shape: torch.Size) -> Parameter:
        kind = "weight" if len(shape) > 1 else "bias"
        return Parameter(tuple(shape) or (1,), kind, start=Start(self.cls, FrozenDict(self.settings), name))

    def output_shape(self, *shapes):
        return self._tried(shapes).shape

    def multiply_adds(self, *shapes):
        return self._tried(shapes).multiply_adds

    def inner_units(self, *shapes):
        return self._tried(shapes).inner_units

    @cached_property
    def cls(self) -> type[nn.Module]:
        if isinstance(self.module, str):
            return plugins.lookup({}, "module", self.module)
        if not issubclass(self.module, nn.Module):
            raise UserError(f"module = {self.module.__name__}: expected a class derived from torch.nn.Module")
        return self.module

    def _tried(self, shapes) -> Tried:
        return tried(self.cls, FrozenDict(self.settings), shapes)

    # ---- the two passes

    def settle(self, ctx, *shapes):
        ctx.count, rows = len(shapes), range(ctx.site.rows)
        f = self._function(ctx, self._tried(shapes).parameters)
        # What is computed at once, and its axis of examples: all rows, or each by itself.
        if is_cuda(ctx.y):
            ctx.f, ctx.stacks, ctx.axis = func.vmap(f, randomness="error"), [slice(None)], 1
        else:
            ctx.f, ctx.stacks, ctx.axis = f, list(rows), 0
        ctx.pullbacks = []

    def _function(self, ctx, shapes: dict[str, torch.Size]):
        """f(*inputs (B, ...), *theta) -> output (B, ...) of one row."""
        like = ctx.site.template
        module = made(self.cls, FrozenDict(self.settings), 0).to(like.device, like.dtype).train(ctx.training)

        def f(*operands):
            theta = zip(shapes.items(), operands[ctx.count :], strict=True)
            theta = {name: value.reshape(shape) for (name, shape), value in theta}
            return func.functional_call(module, theta, operands[: ctx.count])

        return f

    def fprop(self, ctx, *operands):
        ctx.pullbacks, outputs = [], []
        with torch.inference_mode(False):
            for rows in ctx.stacks:
                copies = [self._examples_first(ctx, j, v[rows]).clone() for j, v in enumerate(operands)]
                # When not training too: calls that record nothing may be fused, and round otherwise.
                y, pullback = func.vjp(ctx.f, *copies)
                outputs.append(y.detach())
                if ctx.training:
                    ctx.pullbacks.append(pullback)
        for rows, y in zip(ctx.stacks, outputs, strict=True):
            ctx.y[rows].copy_(y.movedim(ctx.axis, -1))
        return ctx.y

    def bprop(self, ctx, dy):
        with torch.inference_mode(False):
            dx = [
                pullback(dy[rows].movedim(-1, ctx.axis).clone())
                for rows, pullback in zip(ctx.stacks, ctx.pullbacks, strict=True)
            ]
        for rows, gradients in zip(ctx.stacks, dx, strict=True):
            for j, (buffer, gradient) in enumerate(zip(ctx.dx, gradients, strict=True)):
                if buffer is not None:
                    self._examples_first(ctx, j, buffer[rows]).copy_(gradient.detach())
        return ctx.dx

    def _examples_first(self, ctx, j: int, operand: torch.Tensor) -> torch.Tensor:
        """Operand j of these rows with the axis of examples, which is its last, before its shape, if it is an
        input; a leaf as it is."""
        return operand.movedim(-1, ctx.axis) if j < ctx.count else operand

    def reference(self, ctx, *operands):
        shapes = tuple(tuple(v.shape[1:-1]) for v in operands[: ctx.count])
        f = self._function(ctx, self._tried(shapes).parameters)
        rows = zip(*[v.expand(ctx.site.rows, *v.shape[1:]) for v in operands], strict=True)
        calls = [[v.movedim(-1, 0) if j < ctx.count else v for j, v in enumerate(row)] for row in rows]
        return torch.stack([f(*operands).movedim(0, -1) for operands in calls])


# ---- what a module is, found by trying it


@dataclass(frozen=True)
class Start:
    """Initial values of a parameter: what the module's constructor draws, all parameters of it together."""

    cls: type[nn.Module]
    settings: FrozenDict
    name: str

    def __call__(self, seed: int, leaf: str) -> np.ndarray:
        """Of the leaf with this full name, in a row of this seed."""
        box = leaf.removesuffix(f".{self.name}")
        drawn = initial_values(self.cls, self.settings, int(stream(seed, "init", box).integers(2**63)))
        return drawn[self.name]


@lru_cache(maxsize=4)
def initial_values(cls, settings, seed: int) -> dict[str, np.ndarray]:
    """Every parameter by name, drawn from this seed, float64."""
    parameters = made(cls, settings, seed).named_parameters()
    return {name: np.atleast_1d(p.detach().double().numpy()) for name, p in parameters}


def made(cls, settings, seed: int) -> nn.Module:
    """The module with numbers drawn from this seed; torch's own generator stays as it is."""
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(**settings)


@dataclass(frozen=True)
class Tried:
    """What a module says when it is called: the shapes of parameters and output, its multiply-adds and the
    units of all modules in it, for an example."""

    parameters: dict[str, torch.Size]
    shape: tuple[int, ...]
    multiply_adds: int
    inner_units: int


@lru_cache(maxsize=64)
def tried(cls, settings, shapes: tuple[tuple[int, ...], ...]) -> Tried:
    """Try a module on three examples. Raises `UserError` for one that cannot be a box, with the reason."""
    from torch.utils.flop_counter import FlopCounterMode  # a few milliseconds, for those who have no module

    random = torch.Generator().manual_seed(0)
    x = [torch.randn(3, *shape, generator=random, dtype=torch.float64) for shape in shapes]
    arguments = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    call = f"{cls.__name__}({arguments})"
    try:
        module = made(cls, settings, 0).double().train()
        units = _count_units(module)
        before = {name: v.clone() for name, v in module.named_buffers()}
        with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as flops:
            y = _computed(module, x, seed=0)
    except Exception as e:
        raise UserError(
            f"module {call}, called with three examples of {' and '.join(map(str, shapes))}, fails: "
            f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
        ) from e
    reason = _reason_against(cls, settings, module, before, x, y)
    if reason:
        raise UserError(f"module {call} cannot be a box: {reason}")
    parameters = {name: p.shape for name, p in module.named_parameters()}
    per_example = flops.get_total_flops() // 2 // 3
    return Tried(parameters, tuple(y.shape[1:]), per_example, sum(units) // 3)


def _computed(module: nn.Module, x: list[torch.Tensor], seed: int) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return module(*x)


def _count_units(module: nn.Module) -> list[int]:
    """A list that gets the size of the output of every module in it, when it is called."""
    units: list[int] = []

    def hook(_module, _inputs, output):
        units.append(output.numel() if isinstance(output, torch.Tensor) else 0)

    for part in module.modules():
        part.register_forward_hook(hook)
    return units


def _reason_against(cls, settings, module, before, x, y) -> str:
    """Why it cannot be a box; empty if it can."""
    if not isinstance(y, torch.Tensor) or y.ndim < 2 or len(y) != len(x[0]):
        return "of three examples it must return one tensor (3, ...)"
    changed = [name for name, v in module.named_buffers() if not torch.equal(before[name], v)]
    if changed:
        return f"it writes its buffer {changed[0]}, which no row would have to itself{_instead(module)}"
    with torch.inference_mode(False), torch.no_grad():
        if not torch.equal(y, _computed(module, x, seed=1)):
            return f"it draws random numbers, which would depend on the other rows{_instead(module)}"
        fewer = _computed(module, [v[:2] for v in x], seed=0)
    if not torch.allclose(fewer, y[:2], rtol=1e-9, atol=1e-12, equal_nan=True):
        return f"what it says of an example depends on the others of a batch{_instead(module)}"
    other = dict(made(cls, settings, 1).double().named_buffers())
    random = [name for name, v in before.items() if not torch.equal(v, other[name])]
    return f"its buffer {random[0]} is drawn at random, and would be the same in all rows" if random else ""


def _instead(module: nn.Module) -> str:
    """What to take in place of modules within it that nnlab has as boxes: the boxes know of rows."""
    boxes = {nn.modules.dropout._DropoutNd: "dropout", nn.modules.batchnorm._BatchNorm: "batch_norm"}
    for name, part in module.named_modules():
        for kind, box in boxes.items():
            if isinstance(part, kind):
                return f", by {name or 'itself'} ({type(part).__name__}): take nnlab's box {box} beside it"
    return ""
