"""Symbol-to-symbol differentiation: the gradient of a graph, as more boxes of the same graph.

`Network.bprop` computes numbers from numbers. Here each box adds boxes that compute its gradients,
`Box.vjp`, in the same order: from the output back, summing where several boxes read a value. The result is a
graph like any other, so it can be drawn, bound, run, and differentiated again.

Goodfellow, Bengio and Courville 2016, section 6.5.5; Bergstra et al. 2010 (Theano).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from nnlab.autodiff.activations import Identity
from nnlab.autodiff.box import Parameter
from nnlab.autodiff.combine import Add
from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.objective import Constant, InnerProduct, LossBox
from nnlab.errors import UserError

OBJECTIVE, TARGET, EXAMPLE_WEIGHT = "objective", "target", "example weight"


def objective_graph(graph: Graph, loss) -> Graph:
    """`graph`, and after it L = sum_B w l(z, t), with the inputs `target` (t) and `example weight` (w).

    The penalty of a regulariser is not in it: its gradient is a formula of the weights alone.
    """
    result = graph.copy()
    z = result.outputs[-1]
    (outputs,) = result.nodes[z].shape
    two_classes = outputs == 1 == loss.outputs(2)
    t = result.add_input(TARGET, (2 if two_classes else outputs,))
    w = result.add_input(EXAMPLE_WEIGHT, (1,))
    result.outputs = (result.add(OBJECTIVE, LossBox(loss), z, t, w),)
    return result


def gradient_graph(graph: Graph, loss, order: int = 1) -> Graph:
    """The objective and its gradient with respect to each parameter, `d hidden1.weight`, as one graph.

    order=2 adds the product of the Hessian H and a vector v: `d2 hidden1.weight` is the part of H v that
    belongs to hidden1.weight, and the inputs `v hidden1.weight`, ... are v. It is the gradient of the inner
    product of v and the gradient (Pearlmutter 1994). order=3 is the gradient of v' H v, and so on.

    All of these are outputs of the graph, by name in `Network.results`. Raises `UserError` where a box or the
    loss has no `vjp`, or the network no parameter.
    """
    if not graph.parameters:
        raise UserError("the network has no parameter to differentiate by")
    result = objective_graph(graph, loss)
    (objective,) = result.outputs
    parameters = [n for n, node in enumerate(graph.nodes) if isinstance(node.leaf, Parameter)]
    gradients = add_gradients(result, objective, parameters)
    outputs = [objective, *gradients]
    if order > 1:
        v = [result.add_input(f"v {name}", p.shape, False) for name, p in graph.parameters.items()]
    for k in range(2, order + 1):
        name = "derivative along v" if k == 2 else f"derivative {k - 1} along v"
        product = result.add(name, InnerProduct(), *chain(*zip(gradients, v, strict=True)))
        gradients = add_gradients(result, product, parameters, f"d{k}")
        outputs += [product, *gradients]
    return without_unread(result, outputs, keep=len(graph.nodes))


def add_gradients(graph: Graph, output: int, values: Iterable[int], symbol: str = "d", dy=None) -> list[int]:
    """Add boxes that compute the gradient of a value with respect to each of `values`; gives their numbers.

    The value `output` is a scalar, or `dy` is the number of its gradient. The gradient of value x is named
    `d x`, or with another `symbol`; the boxes that box b needs on the way are named `b step`, `b power`, ...
    """
    values, old_count = list(values), len(graph.nodes)
    depends = graph.depends_on(set(values))
    terms: dict[int, list[int]] = defaultdict(list)  # of each value: the gradients that its consumers add
    terms[output] = [graph.apply(Constant(1.0), output) if dy is None else dy]
    gradients: dict[int, int] = {}
    named = set(range(old_count))
    for n in range(output, -1, -1):
        if not (terms[n] and depends[n]):
            continue
        node = graph.nodes[n]
        gradients[n] = terms[n][0] if len(terms[n]) == 1 else graph.apply(Add(), *terms[n])
        if gradients[n] not in named:
            named.add(gradients[n])
            _rename(graph, gradients[n], f"{symbol} {node.name}")
        if node.box is None:
            continue
        before = len(graph.nodes)
        for i, dx in zip(node.operands, _vjp(graph, node, gradients[n]), strict=True):
            if dx is not None and depends[i]:
                terms[i].append(dx)
        for new in range(before, len(graph.nodes)):
            _rename(graph, new, f"{node.name} {graph.nodes[new].box.name}")
    return [_named_gradient(graph, n, gradients.get(n), symbol) for n in values]


def _vjp(graph: Graph, node: Node, dy: int) -> tuple[int | None, ...]:
    if node.box.vjp is None:
        raise UserError(f"box '{node.box.name}' has no vjp, so a network with it, here as '{node.name}', "
                        "has no gradient graph")  # fmt: skip
    return node.box.vjp(graph, node, dy)


def _named_gradient(graph: Graph, n: int, gradient: int | None, symbol: str) -> int:
    """The gradient of value n under its name, even if it is another value as well, or 0."""
    name = f"{symbol} {graph.nodes[n].name}"
    if gradient is None:
        return graph.add(graph.unused_name(name), Constant(0.0), n)
    if graph.nodes[gradient].name == name:
        return gradient
    return graph.add(graph.unused_name(name), Identity(), gradient)


def _rename(graph: Graph, n: int, name: str) -> None:
    if graph.nodes[n].name != name:
        graph.nodes[n] = replace(graph.nodes[n], name=graph.unused_name(name))


def without_unread(graph: Graph, outputs: Iterable[int], keep: int = 1) -> Graph:
    """The graph of these outputs, without values that lead to none of them; the first `keep` remain."""
    outputs = list(outputs)
    read = set(outputs) | set(range(keep))
    for n in range(len(graph.nodes) - 1, -1, -1):
        if n in read:
            read.update(graph.nodes[n].operands)
    numbers = {n: new for new, n in enumerate(sorted(read))}
    result = Graph(graph.nodes[0].shape)
    result.nodes = [
        replace(
            node,
            inputs=tuple(numbers[i] for i in node.inputs),
            leaves=tuple(numbers[i] for i in node.leaves),
        )
        for n, node in enumerate(graph.nodes)
        if n in read
    ]
    result.outputs = tuple(numbers[n] for n in outputs)
    return result
