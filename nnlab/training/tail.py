"""The tail of a step: what becomes of the parameters once their gradient is known.

It is elementwise, but for norms: as separate calls it reads and writes the matrices of the stack some fifteen
times, as one compiled pass seven times. Compiling takes seconds, and its rounding is its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace

import torch

from nnlab.autodiff.graph import Graph
from nnlab.errors import Advice
from nnlab.optimizers.blocks import in_blocks
from nnlab.runtime import compiling
from nnlab.runtime.layout import aligned
from nnlab.training.population import Population


class Tail:
    """Penalty, clipping, decay, update, projection: of the gradient (K, P), with a step's columns f.

    The norm of the gradient with its penalty goes into grad_norm (K,), if it is asked for.
    """

    def __init__(self, graph: Graph, population: Population, grad, grad_norm, threads: int):
        layout, e = graph.layout(), population.experiment
        self.regularizer, self.optimizer = e.regularizer, e.optimizer
        self.theta, self.slots = population.state.theta, population.state.slots
        self.grad, self.grad_norm = grad, grad_norm
        self.scratch = aligned(len(population), (layout.size,), self.theta)
        self.weights, self.weights_grad, self.spare = (
            m[:, : layout.weights_end] for m in (self.theta, grad, self.scratch)
        )
        self.layers = [slot.view(self.theta) for slot in layout.weights.values()]
        self.update = in_blocks(self.optimizer, self.theta, grad, self.slots, self.scratch, threads)

    def __call__(self, f: SimpleNamespace, norm: bool) -> None:
        self.regularizer.add_gradient(self.weights, self.weights_grad, f, self.spare)
        if norm:
            torch.linalg.vector_norm(self.grad, dim=1, out=self.grad_norm)
        self.optimizer.clip(self.grad, f)
        self.optimizer.decay(self.weights, f)
        self.update(f)
        self.regularizer.project(self.weights, self.layers, f, self.spare)


class FusedTail:
    """The same as one compiled pass over the matrices, each of which is read once.

    Where it cannot be compiled a `Tail` is made by `called`, and used instead; an `Advice` says so.
    """

    def __init__(
        self, graph: Graph, population: Population, grad, grad_norm, names: list[str],
        called: Callable[[], Tail],
    ):  # fmt: skip
        self.layout, self.population, self.called = graph.layout(), population, called
        self.instead: Tail | None = None
        self.places = {name: place for place, name in enumerate(names)}  # of columns in a step's table
        self.grad, self.grad_norm, self.passes = grad, grad_norm, {}

    def __call__(self, f: SimpleNamespace, norm: bool) -> None:
        if self.instead:
            return self.instead(f, norm)
        slots = vars(self.population.state.slots)
        matrices = (self.population.state.theta, self.grad, f.table, *slots.values())
        if norm not in self.passes:
            absent = {name for name, column in vars(f).items() if column is None}
            self.passes[norm] = self._compiled(self._pass(list(slots), absent, norm), matrices)
            if self.instead:
                return self.instead(f, norm)
        result = self.passes[norm](*matrices)
        if norm:
            self.grad_norm.copy_(result)
        return None

    def _compiled(self, function, matrices: tuple[torch.Tensor, ...]):
        """`function`, compiled; it is tried on copies, since compiling may fail as late as its first call."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a compiler says of itself
                fast = compiling.compiled(function, matrices)
                fast(*[m.clone() for m in matrices])
            return fast
        except Exception as error:
            self.instead = self.called()
            reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            warnings.warn(
                f"the update could not be compiled, and is made call by call: {reason}", Advice, stacklevel=2
            )

    def _pass(self, slots: list[str], absent: set[str], norm: bool):
        """The tail as a function of tensors alone. It writes no gradient and keeps no scratch, so that
        neither costs a pass over memory."""
        e, layout, rows = self.population.experiment, self.layout, len(self.population)
        weights_end = layout.weights_end
        layers = layout.weights.values()

        def tail(theta, grad, table, *memory):
            f = SimpleNamespace(**{name: table[place, :rows, None] for name, place in self.places.items()})
            vars(f).update(dict.fromkeys(absent))
            grad, scratch = grad.clone(), torch.empty_like(grad)
            weights, spare = theta[:, :weights_end], scratch[:, :weights_end]
            e.regularizer.add_gradient(weights, grad[:, :weights_end], f, spare)
            size = torch.linalg.vector_norm(grad, dim=1) if norm else None
            e.optimizer.clip(grad, f)
            e.optimizer.decay(weights, f)
            e.optimizer.update(
                theta, grad, SimpleNamespace(**dict(zip(slots, memory, strict=True))), f, scratch
            )
            e.regularizer.project(weights, [slot.view(theta) for slot in layers], f, spare)
            return size

        return tail
