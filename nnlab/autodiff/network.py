"""A graph on the memory of a population: the contexts of its boxes, the order of the calls, nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from nnlab.autodiff.box import Box, Context, Site
from nnlab.runtime.layout import aligned

if TYPE_CHECKING:
    from nnlab.autodiff.graph import Graph


class Placed:
    """A box in its place: `fprop(*x)` and `bprop(dy)` on its own context."""

    def __init__(self, box: Box, site: Site, shapes, shape: tuple[int, ...], dx: tuple):
        self.box, self.ctx = box, Context(site, shape, dx)
        box.settle(self.ctx, *shapes)
        self.fprop, self.bprop = partial(box.fprop, self.ctx), partial(box.bprop, self.ctx)


class Network:
    """`fprop` and `bprop` of a graph, for one population and one batch size: see `Graph.bind`.

    A value that several boxes read gets the sum of their gradients, inputs and leaves alike. The room for
    that of a parameter is its slice of `grad`, and a box that alone reads it writes straight into that.

    stochastic   (name of the stream, context) of each box that wants `uniforms` in every step
    counting     the context of each box that wants to know which examples are `valid`
    """

    def __init__(self, graph: Graph, theta, grad, site: Site, buffers=None):
        self.graph, self.site, self.useful = graph, site, graph.leads_to_parameters()
        self.source = self._sources()
        self.reads = [tuple(self.source[i] for i in node.reads) for node in graph.nodes]
        self.readers = self._readers()
        self._leaves(theta, grad, buffers)
        self.placed = {n: self._place(n) for n in self._boxes() if self.readers[n]}
        output = self.placed.get(self.source[-1])
        self._last = output and output.ctx  # None where the output is a leaf or the input
        self._y = output and output.ctx.y
        self._order()

    # ---- the two passes

    def fprop(self, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """The output (K, m, B) for inputs x (K or 1, *shape, B); in `out` if that is given."""
        values, rows = self._values, self.site.rows
        if self._last:  # where its box writes, unless that has settled otherwise
            self._last.y = self._y if out is None else out
        values[0] = x if len(x) == rows else x.expand(rows, *x.shape[1:])
        for n, fprop, reads in self._forward:
            values[n] = fprop(*[values[i] for i in reads])
        z = values[self.source[-1]]
        return z if out is None or z is out else out.copy_(z)

    def bprop(self, dy: torch.Tensor) -> dict[int, torch.Tensor]:
        """From the gradient dy (K, m, B) at the output, the gradient of every parameter, into grad; that at
        every value on the way is returned, by its number."""
        gradients = {self.source[-1]: dy}
        for grad in self._unread:  # overwritten, as all others are
            grad.zero_()
        for n, bprop, reads in self._backward:
            dx = bprop(gradients[n])
            for j, i, room, alone in reads:
                if i in gradients:  # fan-out: the gradients of all readers are summed
                    gradients[i] = torch.add(gradients[i], dx[j], out=room)
                elif alone and dx[j] is not room:  # a box may give its own dy, as `Add` does
                    gradients[i] = room.copy_(dx[j])
                else:
                    gradients[i] = dx[j]
        return gradients

    def values(self) -> list[torch.Tensor]:
        """What every node put out in the last `fprop`, by number; None of those that lead nowhere."""
        return [self._values[self.source[n]] for n in range(len(self._values))]

    def outputs(self) -> dict[str, torch.Tensor]:
        """What each box put out in the last `fprop`, (K, *shape, B) by name: not those that pass on their
        input as it is, like dropout outside training, nor those on leaves."""
        nodes = self.graph.nodes
        return {nodes[n].name: self._values[n] for n, _, _ in self._forward if nodes[n].per_example}

    # ---- binding

    def _sources(self) -> list[int]:
        """The value that each one is: its own, or the one that its box passes on."""
        source = list(range(len(self.graph.nodes)))
        for n, node in enumerate(self.graph.nodes):
            if node.box is not None and node.box.passes_on(self.site):
                source[n] = source[node.inputs[0]]
        return source

    def _boxes(self) -> list[int]:
        return [n for n, node in enumerate(self.graph.nodes) if node.box is not None and self.source[n] == n]

    def _readers(self) -> list[int]:
        """For each value: how many boxes read it on the way to the output."""
        readers = [0] * len(self.graph.nodes)
        readers[self.source[-1]] = 1
        for n in reversed(self._boxes()):
            if readers[n]:
                for i in self.reads[n]:
                    readers[i] += 1
        return readers

    def _leaves(self, theta, grad, buffers) -> None:
        """Every leaf's value, by number, and the slice of `grad` of each parameter."""
        layout = self.graph.layout()
        self._values: list = [None] * len(self.graph.nodes)
        self._slices: dict[int, torch.Tensor] = {}
        for n, node in enumerate(self.graph.nodes):
            if slot := layout.parameters.get(node.name):
                self._values[n], self._slices[n] = slot.view(theta), slot.view(grad)
            elif slot := layout.buffers.get(node.name):
                self._values[n] = slot.view(buffers)

    def _place(self, n: int) -> Placed:
        """The box of node n, with room for what it computes."""
        node = self.graph.nodes[n]
        dx = tuple(self._room_of_reader(i) for i in self.reads[n])
        return Placed(
            node.box, self.site, [self.graph.nodes[i].shape for i in node.inputs], self._shape(n), dx
        )

    def _room_of_reader(self, i: int) -> torch.Tensor | None:
        """Room for the gradient of value i that one of its readers gives."""
        if not (self.useful[i] and self.site.training):
            return None
        return self._slices[i] if i in self._slices and self.readers[i] == 1 else self._zeros(i)

    def _room_of_sum(self, i: int) -> torch.Tensor | None:
        """Where the whole gradient of value i has to be; None if it does not matter."""
        if i in self._slices:
            return self._slices[i]
        return self._zeros(i) if self.readers[i] > 1 else None

    def _zeros(self, i: int) -> torch.Tensor:
        return aligned(self.site.rows, self._shape(i), self.site.like)

    def _shape(self, n: int) -> tuple[int, ...]:
        node = self.graph.nodes[n]
        return (*node.shape, self.site.batch) if node.per_example else node.shape

    def _order(self) -> None:
        """The calls of both passes, of boxes that lead to the output."""
        self._forward = [(n, placed.fprop, self.reads[n]) for n, placed in self.placed.items()]
        self._backward, rooms = [], {}
        if self.site.training:
            rooms = {i: self._room_of_sum(i) for i, useful in enumerate(self.useful) if useful}
            for n in reversed([n for n in self.placed if self.useful[n]]):
                wanted = [
                    (j, i, rooms[i], i in self._slices and self.readers[i] == 1)
                    for j, i in enumerate(self.reads[n])
                    if self.useful[i]
                ]
                self._backward.append((n, self.placed[n].bprop, wanted))
        self._unread = [room for i, room in self._slices.items() if i in rooms and not self.readers[i]]
        named = [(self.graph.nodes[n], placed.ctx) for n, placed in self.placed.items()]
        self.stochastic = [
            (getattr(node.box, "stream", "") or node.name, ctx) for node, ctx in named if ctx.noise_shape
        ]
        self.counting = [ctx for node, ctx in named if node.box.counts]
        for ctx in self.counting:  # until somebody knows better
            ctx.valid = self.site.like.new_ones(1, 1, self.site.batch)
