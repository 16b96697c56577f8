"""A network: a graph of boxes bound to memory, with its forward and its backward pass."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from nnlab.autodiff.box import Box, Context, Site
from nnlab.autodiff.elementwise import ElementwiseBlocks, worth_blocks
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.layout import aligned_values

if TYPE_CHECKING:
    from nnlab.autodiff.graph import Graph


class BoundBox:
    """A box with a context of its own: `fprop(*x)` and `bprop(dy)`."""

    def __init__(self, box: Box, site: Site, shapes, shape: tuple[int, ...], dx: tuple):
        self.box, self.ctx = box, Context(site, shape, dx)
        box.settle(self.ctx, *shapes)
        self.fprop, self.bprop = partial(box.fprop, self.ctx), partial(box.bprop, self.ctx)


class Network:
    """`fprop` and `bprop` of a graph, for one population and one batch size: see `Graph.bind`.

    A value has the number of its node. If several boxes use it, its gradient is the sum of theirs; this holds
    for inputs and leaves alike. The gradient of a parameter belongs in its slice of `grad`: if only one box
    uses the parameter, that box writes directly into the slice.

    needs_grad       for each value: whether it depends on a parameter
    alias_of         for each value: the value itself, or the one that an identity box passes through
    operands         for each node: the values that its box uses, aliases resolved
    consumer_counts  for each value: how many boxes use it on the way to the output or the penalty
    penalty          the number of the value that is added to each example's loss, if there is one here
    bound_boxes      node -> its `BoundBox`; without identities, and boxes that lead to neither
    stochastic       (name of the stream, context) of each box that needs `uniforms` in every step
    masked           the context of each box that needs `valid`, the mask of real examples
    captured         whether its calls may be captured in a CUDA graph
    """

    def __init__(self, graph: Graph, theta, grad, site: Site, buffers=None):
        if site.channels_last is None:
            channels_last = not is_cuda(site.template) and graph.prefers_channels_last(site.whole_batch)
            site = replace(site, channels_last=channels_last)
        self.graph, self.site, self.needs_grad = graph, site, graph.depends_on_parameters()
        self._input_ndim = 2 + len(graph.nodes[graph.input].shape)
        self.alias_of = self._resolve_aliases()
        self.operands = [tuple(self.alias_of[i] for i in node.operands) for node in graph.nodes]
        self._output = self.alias_of[graph.outputs[-1]]
        self.penalty = graph.penalty if site.training else None
        # Several outputs have no one gradient dy: the gradients of such a graph are boxes, or not wanted.
        self._has_bprop = site.training and len(graph.outputs) == 1
        self.consumer_counts = self._count_consumers()
        self._bind_leaves(theta, grad, buffers)
        self.bound_boxes, self._in_place = {}, set()
        for n in self._computing_nodes():
            if self.consumer_counts[n]:
                self.bound_boxes[n] = self._bind_box(n)
        output = self.bound_boxes.get(self._output)
        self._output_ctx = output and output.ctx  # None where the output is a leaf or the input
        self._output_buffer = output and output.ctx.y
        self._order_calls()

    # ---- the two passes

    def fprop(self, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """The output (K, m, B), the last of several, for inputs x (K or 1, *shape, B), or flat images,
        (K or 1, d, B); in `out` if that is given."""
        values, rows = self._values, self.site.rows
        x = self.as_input(x)
        if self._output_ctx:  # its box writes there, unless it has settled on other memory
            self._output_ctx.y = self._output_buffer if out is None else out
        values[0] = x if len(x) == rows else x.expand(rows, *x.shape[1:])
        for n, fprop, operands in self._forward:
            values[n] = fprop(*[values[i] for i in operands])
        z = values[self._output]
        return z if out is None or z is out else out.copy_(z)

    def bprop(self, dy: torch.Tensor, weight: torch.Tensor | None = None) -> dict[int, torch.Tensor]:
        """Compute the gradients of all parameters, into `grad`, from the gradient dy (K, m, B) of the output.
        Returns the gradient of every value on the way, by its number.

        weight  (1 or K, 1, B) of each example in the mean loss: the gradient of the penalty, if there is one
        """
        gradients = {self._output: dy}
        if self.penalty is not None:
            gradients[self.penalty] = weight
        for grad in self._unused_grads:  # overwritten, as all others are
            grad.zero_()
        for n, bprop, targets in self._backward:
            dx = bprop(gradients[n])
            for j, i, buffer, direct_to_grad in targets:
                if i in gradients:  # fan-out: the gradients of all consumers are summed
                    gradients[i] = torch.add(gradients[i], dx[j], out=buffer)
                elif direct_to_grad and dx[j] is not buffer:  # a box may return its own dy, as `Add` does
                    gradients[i] = buffer.copy_(dx[j])
                else:
                    gradients[i] = dx[j]
        return gradients

    def as_input(self, x: torch.Tensor) -> torch.Tensor:
        """Flat examples (K or 1, d, B) in the shape of the graph's input; or x itself if it has that."""
        return x if x.ndim == self._input_ndim else x.unflatten(1, self.graph.nodes[self.graph.input].shape)

    def feed(self, inputs: dict[str, torch.Tensor]) -> None:
        """Set further inputs of the graph, by name: each (K or 1, *shape, B), without B if it has none."""
        for name, value in inputs.items():
            n, rows = self.graph[name], self.site.rows
            self._values[n] = value if len(value) == rows else value.expand(rows, *value.shape[1:])

    def results(self) -> dict[str, torch.Tensor]:
        """Each output of the graph in the last `fprop`, by name."""
        return {self.graph.nodes[n].name: self._values[self.alias_of[n]] for n in self.graph.outputs}

    def values(self) -> list[torch.Tensor]:
        """The value of every node in the last `fprop`, by number; None for those that do not lead to the
        output."""
        return [self._values[self.alias_of[n]] for n in range(len(self._values))]

    def outputs(self) -> dict[str, torch.Tensor]:
        """The output (K, *shape, B) of each box in the last `fprop`, by name; without identities, as dropout
        is outside training, and boxes on leaves."""
        nodes = self.graph.nodes
        return {nodes[n].name: self._values[n] for n, _, _ in self._forward if nodes[n].per_example}

    # ---- binding

    def _resolve_aliases(self) -> list[int]:
        alias_of = list(range(len(self.graph.nodes)))
        for n, node in enumerate(self.graph.nodes):
            if node.box is not None and node.box.is_identity(self.site):
                alias_of[n] = alias_of[node.inputs[0]]
        return alias_of

    def _computing_nodes(self) -> list[int]:
        """The nodes whose box is not the identity."""
        nodes = enumerate(self.graph.nodes)
        return [n for n, node in nodes if node.box is not None and self.alias_of[n] == n]

    def _count_consumers(self) -> list[int]:
        counts = [0] * len(self.graph.nodes)
        for n in [*self.graph.outputs, *([] if self.penalty is None else [self.penalty])]:
            counts[self.alias_of[n]] += 1
        for n in reversed(self._computing_nodes()):
            if counts[n]:
                for i in self.operands[n]:
                    counts[i] += 1
        return counts

    def _bind_leaves(self, theta, grad, buffers) -> None:
        """Set the value of every leaf, and the slice of `grad` of each parameter."""
        layout = self.graph.layout()
        self._values: list = [None] * len(self.graph.nodes)
        self._grad_slices: dict[int, torch.Tensor] = {}
        for n, node in enumerate(self.graph.nodes):
            if leaf_slice := layout.parameters.get(node.name):
                self._values[n], self._grad_slices[n] = leaf_slice.view(theta), leaf_slice.view(grad)
            elif leaf_slice := layout.buffers.get(node.name):
                self._values[n] = leaf_slice.view(buffers)

    def _bind_box(self, n: int) -> BoundBox:
        """The box of node n, with buffers for its output and its gradients."""
        node = self.graph.nodes[n]
        dx = tuple(self._operand_grad_buffer(i) for i in self.operands[n])
        shapes = [self.graph.nodes[i].shape for i in node.inputs]
        site = self.site if node.per_example else replace(self.site, channels_last=False)
        if worth_blocks(node.box, site, self._shape(n)):
            y = None
            if self._may_overwrite(n):
                self._in_place.add(n)
                y = self.bound_boxes[self.operands[n][0]].ctx.y
            return ElementwiseBlocks(node.box, site, self._shape(n), dx, y)
        return BoundBox(node.box, site, shapes, self._shape(n), dx)

    def _may_overwrite(self, n: int) -> bool:
        """Whether the box of node n may write y to the memory of x."""
        box, (i,) = self.graph.nodes[n].box, self.operands[n]
        if not (self.site.overwrites and box.in_place and i in self.bound_boxes):
            return False
        return self.consumer_counts[i] == 1 and not self.graph.nodes[i].box.needs_y

    def _direct_to_grad(self, i: int) -> bool:
        """Whether value i is a parameter that only one box uses."""
        return i in self._grad_slices and self.consumer_counts[i] == 1

    def _operand_grad_buffer(self, i: int) -> torch.Tensor | None:
        """The buffer for the gradient of value i that one of its consumers computes."""
        if not (self.needs_grad[i] and self._has_bprop):
            return None
        if i in self._in_place and self.consumer_counts[i] == 1:
            return self.bound_boxes[i].ctx.dx[0]  # read once, by a box that may overwrite it
        return self._grad_slices[i] if self._direct_to_grad(i) else self._zeros(i)

    def _total_grad_buffer(self, i: int) -> torch.Tensor | None:
        """The buffer for the whole gradient of value i; None if its only consumer has one."""
        if i in self._grad_slices:
            return self._grad_slices[i]
        return self._zeros(i) if self.consumer_counts[i] > 1 else None

    def _zeros(self, i: int) -> torch.Tensor:
        channels_last = self.site.channels_last and self.graph.nodes[i].per_example
        return aligned_values(self.site.rows, self._shape(i), self.site.template, channels_last)

    def _shape(self, n: int) -> tuple[int, ...]:
        node = self.graph.nodes[n]
        return (*node.shape, self.site.batch) if node.per_example else node.shape

    def _order_calls(self) -> None:
        """Set the calls of both passes, in order."""
        self._forward = [(n, bound.fprop, self.operands[n]) for n, bound in self.bound_boxes.items()]
        self._backward, buffers = [], {}
        if self._has_bprop:
            buffers = {i: self._total_grad_buffer(i) for i, needed in enumerate(self.needs_grad) if needed}
            for n in reversed([n for n in self.bound_boxes if self.needs_grad[n]]):
                targets = [
                    (j, i, buffers[i], self._direct_to_grad(i))
                    for j, i in enumerate(self.operands[n])
                    if self.needs_grad[i]
                ]
                self._backward.append((n, self.bound_boxes[n].bprop, targets))
        self._unused_grads = [
            grad for i, grad in self._grad_slices.items() if i in buffers and not self.consumer_counts[i]
        ]
        contexts = [(self.graph.nodes[n], bound.ctx) for n, bound in self.bound_boxes.items()]
        for node, ctx in contexts:
            ctx.per_example = node.per_example
        self.stochastic = [(node.stream, ctx) for node, ctx in contexts if ctx.noise_shape]
        self.masked = [ctx for node, ctx in contexts if node.box.needs_valid]
        self.captured = all(bound.box.captured for bound in self.bound_boxes.values())
        for ctx in self.masked:  # all are real, until the step sets the mask of its batch
            ctx.valid = self.site.template.new_ones(1, 1, self.site.batch)
