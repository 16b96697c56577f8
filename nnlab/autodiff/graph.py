"""A network: a directed acyclic graph of boxes, evaluated forwards and backwards."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from nnlab.autodiff.box import Box, Parameter, Site
from nnlab.runtime.layout import ALIGN


@dataclass(frozen=True)
class Node:
    """A box at its place: a name, the boxes it reads (by number, 0 is the input) and its output's shape."""

    name: str
    box: Box
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """Where a parameter lies in a row of theta."""

    parameter: Parameter
    start: int

    def view(self, matrix: torch.Tensor) -> torch.Tensor:
        """Its part of `matrix` (K, P), as (K, *shape)."""
        part = matrix[:, self.start : self.start + self.parameter.size]
        return part.unflatten(1, self.parameter.shape)


class Graph:
    """Boxes in topological order, each added after the boxes it reads.

        graph = Graph((64,))
        h = graph.add("hidden", Affine(32), graph.input)
        h = graph.add("tanh", Tanh(), h)
        graph.add("output", Affine(10), h)      # the last box added is the output

    `bind` puts it on a population's theta and grad; the copy has `fprop` and `bprop`.
    """

    input = 0

    def __init__(self, shape: tuple[int, ...]):
        self.nodes = [Node("input", Box(), (), tuple(shape))]

    def add(self, name: str, box: Box, *inputs: int) -> int:
        """Append a box that reads the outputs numbered `inputs`; its own number."""
        if name in [node.name for node in self.nodes]:
            raise ValueError(f"two boxes of the name {name!r}")
        if not inputs or not all(0 <= i < len(self.nodes) for i in inputs):
            raise ValueError(f"box {name!r} reads {inputs}, but boxes 0 to {len(self.nodes) - 1} exist")
        shape = box.output_shape(*[self.nodes[i].shape for i in inputs])
        self.nodes.append(Node(name, box, inputs, shape))
        return len(self.nodes) - 1

    # ---- parameters

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by its full name, `hidden.weight`, in the order of the boxes."""
        return {
            f"{node.name}.{name}": parameter
            for node in self.nodes[1:]
            for name, parameter in node.box.parameters(*self._shapes(node)).items()
        }

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained. (A row of theta is wider: `layout` aligns its slots.)"""
        return sum(parameter.size for parameter in self.parameters.values())

    def layout(self) -> tuple[dict[str, Slot], int, int]:
        """Where each parameter lies in theta: weights first, so that "weights only" is one slice.

        Returns the slots, the end of the weights and P. Every slot starts on a multiple of 64 floats;
        what lies between is zero in theta and grad, and stays so.
        """
        slots, end, weights_end = {}, 0, 0
        for kinds in (("weight",), ("bias",)):
            for name, parameter in self.parameters.items():
                if parameter.kind in kinds:
                    slots[name] = Slot(parameter, end)
                    end += -(-parameter.size // ALIGN) * ALIGN
            weights_end = end if kinds == ("weight",) else weights_end
        return slots, weights_end, end

    def _shapes(self, node: Node):
        return [self.nodes[i].shape for i in node.inputs]

    # ---- binding

    def bind(self, theta: torch.Tensor, grad: torch.Tensor, site: Site) -> Graph:
        """A copy on `theta` and `grad` (K, P), for the population and batch size of `site`."""
        slots, _, _ = self.layout()
        useful = self.leads_to_parameters()
        bound = copy.copy(self)
        bound.nodes = [self.nodes[0]]
        for node in self.nodes[1:]:
            views = {name: slots[f"{node.name}.{name}"] for name in node.box.parameters(*self._shapes(node))}
            here = replace(
                site,
                theta={name: slot.view(theta) for name, slot in views.items()},
                grad={name: slot.view(grad) for name, slot in views.items()},
                needs_dx=tuple(useful[i] for i in node.inputs),
            )
            bound.nodes.append(replace(node, box=node.box.bind(here, *self._shapes(node))))
        bound._prepare(site, useful)
        return bound

    def leads_to_parameters(self) -> list[bool]:
        """For each box: does its output depend on any parameter? If not, no gradient goes there."""
        useful = []
        for node in self.nodes:
            own = bool(node.inputs) and bool(node.box.parameters(*self._shapes(node)))
            useful.append(own or any(useful[i] for i in node.inputs))
        return useful

    def _readers(self) -> list[int]:
        """For each box: how many others read it on the way to the output."""
        readers = [0] * len(self.nodes)
        readers[-1] = 1
        for n in range(len(self.nodes) - 1, 0, -1):
            if readers[n]:
                for i in self.nodes[n].inputs:
                    readers[i] += 1
        return readers

    def _prepare(self, site: Site, useful: list[bool]) -> None:
        readers = self._readers()
        self._forward, self._backward, self._sums, self._unread = [], [], {}, []
        self.rows = site.rows
        for n, node in enumerate(self.nodes):
            if n and readers[n]:
                self._forward.append((n, node.box.fprop, node.inputs))
            if n and readers[n] and useful[n]:
                wanted = [(j, i) for j, i in enumerate(node.inputs) if useful[i]]
                self._backward.insert(0, (n, node.box.bprop, wanted))
            if n and not readers[n] and site.training:
                self._unread += node.box.grad.values()
            if readers[n] > 1 and useful[n] and site.training:
                self._sums[n] = site.zeros(*node.shape, site.batch)
        self._values = [None] * len(self.nodes)
        self.stochastic = [node for node in self.nodes[1:] if node.box.noise_shape]

    # ---- the two passes

    def fprop(self, x: torch.Tensor) -> torch.Tensor:
        """The output (K, m, B) for inputs x (K or 1, *shape, B)."""
        values = self._values
        values[0] = x if len(x) == self.rows else x.expand(self.rows, *x.shape[1:])
        for n, fprop, inputs in self._forward:
            values[n] = fprop(*[values[i] for i in inputs])
        return values[-1]

    def outputs(self) -> dict[str, torch.Tensor]:
        """What each box put out in the last `fprop`, (K, *shape, B) by name.

        A box that passes its input on as it is, like dropout outside training, is left out.
        """
        values = self._values
        return {
            self.nodes[n].name: values[n]
            for n, _, inputs in self._forward
            if all(values[n] is not values[i] for i in inputs)
        }

    def bprop(self, dy: torch.Tensor) -> None:
        """From the gradient dy (K, m, B) at the output, the gradient of every parameter, into grad."""
        gradients = {len(self.nodes) - 1: dy}
        for grad in self._unread:  # overwritten, as all others are
            grad.zero_()
        for n, bprop, inputs in self._backward:
            dx = bprop(gradients.pop(n))
            for j, i in inputs:
                if i not in gradients:
                    gradients[i] = dx[j]
                else:  # fan-out: the gradients of all readers are summed
                    gradients[i] = torch.add(gradients[i], dx[j], out=self._sums[i])
