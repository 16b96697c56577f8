"""The tail of a step: the update of the parameters once their gradient is known, eager or compiled.

It is elementwise, but for norms: as separate calls it reads and writes the matrices of the stack some fifteen
times, as one compiled pass seven times. Compiling takes seconds, and changes the rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace

import torch

from nnlab.autodiff.graph import Graph
from nnlab.errors import advise
from nnlab.optimizers.blocks import blocked_update, parts_of_update
from nnlab.runtime import compiling
from nnlab.runtime.layout import aligned
from nnlab.training.population import Population

BIASES_PREFIX = "biases/"  # of columns


def columns_of_step(columns: dict) -> SimpleNamespace:
    """The columns (K, 1) of a step as attributes; those of the biases, where these have a rate of their own,
    as attributes of `biases`, which is None where not."""
    apart = [name for name in columns if name.startswith(BIASES_PREFIX)]
    biases = SimpleNamespace(**{name.removeprefix(BIASES_PREFIX): columns[name] for name in apart})
    named = {name: column for name, column in columns.items() if name not in apart}
    return SimpleNamespace(**named, biases=biases if apart else None)


class Tail:
    """Penalty, clipping, decay, update, projection, from the gradient (K, P) and a step's `columns`.

    If wanted, the norm of the gradient with its penalty goes into grad_norm (K,).
    """

    def __init__(self, graph: Graph, population: Population, grad, grad_norm, threads: int):
        layout, e = graph.layout(), population.experiment
        self.regularizer, self.optimizer = e.regularizer, e.optimizer
        self.theta, self.slots = population.state.theta, population.state.slots
        self.grad, self.grad_norm = grad, grad_norm
        self.scratch = aligned(len(population), (layout.size,), self.theta)
        self.weights, self.weights_grad, self.weights_scratch = (
            m[:, : layout.weights_end] for m in (self.theta, grad, self.scratch)
        )
        self.layers = [leaf_slice.view_of_units(self.theta) for leaf_slice in layout.weights.values()]
        self.updates = [
            blocked_update(self.optimizer, *part_of_update, threads)
            for part_of_update in parts_of_update(
                self.optimizer, layout.weights_end, self.theta, grad, self.slots, self.scratch
            )
        ]

    def __call__(self, columns: SimpleNamespace, want_norm: bool) -> None:
        self.regularizer.add_gradient(self.weights, self.weights_grad, columns, self.weights_scratch)
        if want_norm:
            torch.linalg.vector_norm(self.grad, dim=1, out=self.grad_norm)
        self.optimizer.clip(self.grad, columns)
        self.optimizer.decay(self.weights, columns)
        for update, own_columns in zip(self.updates, (columns, columns.biases), strict=False):
            update(own_columns)
        self.regularizer.project(self.weights, self.layers, columns, self.weights_scratch)


class FusedTail:
    """The same as one compiled pass over the matrices, each of which is read once.

    Where compiling fails, the `Tail` that `make_tail` makes is the fallback; an `Advice` says so.
    """

    def __init__(
        self, graph: Graph, population: Population, grad, grad_norm, names: list[str], unused: set[str],
        make_tail: Callable[[], Tail],
    ):  # fmt: skip
        self.layout, self.population, self.make_tail = graph.layout(), population, make_tail
        self.fallback: Tail | None = None
        self.column_index = {name: i for i, name in enumerate(names)}  # in a step's table
        self.unused = unused  # columns that no row uses
        self.grad, self.grad_norm = grad, grad_norm
        self.compiled_passes: dict[bool, Callable] = {}  # with the norm, without it

    def __call__(self, columns: SimpleNamespace, want_norm: bool) -> None:
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
        e, layout, rows = self.population.experiment, self.layout, len(self.population)
        weights_end = layout.weights_end
        layers = layout.weights.values()

        def tail(theta, grad, table, *slot_tensors):
            used = {name: table[i, :rows, None] for name, i in self.column_index.items()}
            columns = columns_of_step(used | dict.fromkeys(self.unused))
            grad, scratch = grad.clone(), torch.empty_like(grad)
            weights, weights_scratch = theta[:, :weights_end], scratch[:, :weights_end]
            e.regularizer.add_gradient(weights, grad[:, :weights_end], columns, weights_scratch)
            norm = torch.linalg.vector_norm(grad, dim=1) if want_norm else None
            e.optimizer.clip(grad, columns)
            e.optimizer.decay(weights, columns)
            named_slots = SimpleNamespace(**dict(zip(slots, slot_tensors, strict=True)))
            parts = parts_of_update(e.optimizer, weights_end, theta, grad, named_slots, scratch)
            for part, own_columns in zip(parts, (columns, columns.biases), strict=False):
                e.optimizer.update(*part[:3], own_columns, part[3])
            units = [leaf_slice.view_of_units(theta) for leaf_slice in layers]
            e.regularizer.project(weights, units, columns, weights_scratch)
            return norm

        return tail
