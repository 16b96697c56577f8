"""The tail of a step: the update of the parameters once their gradient is known, eager or compiled.

It is elementwise, but for norms: as separate calls it reads and writes the matrices of the stack some fifteen
times, as one compiled pass seven times. Compiling takes seconds, and changes the rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace

import torch

from nnlab.autodiff.graph import Graph, Layout
from nnlab.errors import advise
from nnlab.optimizers.blocks import blocked_update
from nnlab.runtime import compiling
from nnlab.runtime.layout import aligned
from nnlab.training.population import Population


class Tail:
    """Penalty, clipping, decay, update, projection, from the gradient (K, P) and a step's columns.

    Parameters of another learning rate have columns of their own, and their calls. If wanted, the norm of the
    gradient with its penalty goes into grad_norm (K,).
    """

    def __init__(self, graph: Graph, population: Population, grad, grad_norm, threads: int):
        layout, theta = graph.layout(), population.state.theta
        self.optimizer, self.grad, self.grad_norm = population.experiment.optimizer, grad, grad_norm
        scratch = aligned(len(population), (layout.size,), theta)
        slots = population.state.slots
        self.groups = [
            ParameterGroup(population.experiment, layout, group, theta, grad, slots, scratch)
            for _, group in layout.rates
        ]
        self.updates = [
            blocked_update(self.optimizer, g.theta, g.grad, g.slots, g.scratch, threads) for g in self.groups
        ]

    def __call__(self, columns, want_norm: bool) -> None:
        by_rate = columns.by_rate
        for group, own in zip(self.groups, by_rate, strict=True):
            group.add_penalty(own)
        if want_norm:
            torch.linalg.vector_norm(self.grad, dim=1, out=self.grad_norm)
        self.optimizer.clip(self.grad, by_rate[0])
        for group, update, own in zip(self.groups, self.updates, by_rate, strict=True):
            self.optimizer.decay(group.weights, own)
            update(own)
            group.project(own)


class ParameterGroup:
    """The parameters of one learning rate: columns of the stack's matrices, the weights before the biases."""

    def __init__(self, experiment, layout: Layout, group: slice, theta, grad, slots, scratch):
        self.regularizer = experiment.regularizer
        self.theta, self.grad, self.scratch = theta[:, group], grad[:, group], scratch[:, group]
        self.slots = SimpleNamespace(**{name: slot[:, group] for name, slot in vars(slots).items()})
        count = min(group.stop, layout.weights_end) - group.start  # of weights
        self.weights, self.weights_grad, self.weights_scratch = (
            m[:, : max(0, count)] for m in (self.theta, self.grad, self.scratch)
        )
        self.layers = [w.view(theta) for w in layout.weights.values() if group.start <= w.start < group.stop]

    def add_penalty(self, columns: SimpleNamespace) -> None:
        if self.layers:
            self.regularizer.add_gradient(self.weights, self.weights_grad, columns, self.weights_scratch)

    def project(self, columns: SimpleNamespace) -> None:
        if self.layers:
            self.regularizer.project(self.weights, self.layers, columns, self.weights_scratch)


class FusedTail:
    """The same as one compiled pass over the matrices, each of which is read once.

    `by_rate` divides a step's table into columns. Where compiling fails, the `Tail` that `make_tail` makes is
    the fallback; an `Advice` says so.
    """

    def __init__(
        self, graph: Graph, population: Population, grad, grad_norm,
        by_rate: Callable[[torch.Tensor], list[SimpleNamespace]], make_tail: Callable[[], Tail],
    ):  # fmt: skip
        self.layout, self.population, self.make_tail = graph.layout(), population, make_tail
        self.fallback: Tail | None = None
        self.by_rate = by_rate
        self.grad, self.grad_norm = grad, grad_norm
        self.compiled_passes: dict[bool, Callable] = {}  # with the norm, without it

    def __call__(self, columns, want_norm: bool) -> None:
        if self.fallback:
            return self.fallback(columns, want_norm)
        slots = vars(self.population.state.slots)
        matrices = (self.population.state.theta, self.grad, columns.table, *slots.values())
        if want_norm not in self.compiled_passes:
            compiled = self._compile(self._pass(list(slots), want_norm), matrices)
            if compiled is None:
                return self.fallback(columns, want_norm)
            self.compiled_passes[want_norm] = compiled
        result = self.compiled_passes[want_norm](*matrices)
        if want_norm:
            self.grad_norm.copy_(result)
        return None

    def _compile(self, function, matrices: tuple[torch.Tensor, ...]) -> Callable | None:
        """`function`, compiled and tried on copies, since compiling may fail as late as in the first call.
        None if it fails: then there is the fallback."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a compiler says of itself
                fast = compiling.compiled(function, matrices)
                fast(*[m.clone() for m in matrices])
            return fast
        except Exception as error:
            self.fallback = self.make_tail()
            reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            advise(f"the update could not be compiled, and is made call by call: {reason}")
            return None

    def _pass(self, slots: list[str], want_norm: bool):
        """The tail as a function of tensors alone. It writes no gradient and keeps no scratch, so that
        neither costs a pass over memory."""
        e, layout = self.population.experiment, self.layout

        def tail(theta, grad, table, *slot_tensors):
            by_rate = self.by_rate(table)
            grad, scratch = grad.clone(), torch.empty_like(grad)
            named_slots = SimpleNamespace(**dict(zip(slots, slot_tensors, strict=True)))
            groups = [
                ParameterGroup(e, layout, group, theta, grad, named_slots, scratch)
                for _, group in layout.rates
            ]
            for group, columns in zip(groups, by_rate, strict=True):
                group.add_penalty(columns)
            norm = torch.linalg.vector_norm(grad, dim=1) if want_norm else None
            e.optimizer.clip(grad, by_rate[0])
            for group, columns in zip(groups, by_rate, strict=True):
                e.optimizer.decay(group.weights, columns)
                e.optimizer.update(group.theta, group.grad, group.slots, columns, group.scratch)
                group.project(columns)
            return norm

        return tail
