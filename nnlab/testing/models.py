"""The contract of a model: a graph for any shape of examples, with correct gradients, that trains."""

from __future__ import annotations

from dataclasses import replace

from nnlab.autodiff.activations import OUTPUTS
from nnlab.autodiff.graph import Graph
from nnlab.checks import gradients
from nnlab.checks.subject import Budget, Subject
from nnlab.models import Model
from nnlab.testing.components import PartContract
from nnlab.testing.rows import Bumps, experiments


class ModelContract(PartContract):
    """`model` is a model, or the class of one that needs no settings.

    shapes   shapes of examples of the tests; (1, 6, 6) for a model of images
    data     the data set of the tests, examples of the first shape; the model's own loss decides whether it
             has classes
    """

    model: Model | type[Model]
    shapes = ((5,), (2, 3, 4))

    @property
    def part(self):
        return self.model if isinstance(self.model, type) else type(self.model)

    @property
    def data(self):
        classes = 0 if self._make().loss in ("squared_error", "absolute_error") else 3
        return Bumps(classes=classes, shape=self.shapes[0])

    def parts(self):
        return [self._make()]

    def experiments(self):
        return experiments(model=self._make(), data=self.data)

    def test_its_graph_gives_as_many_outputs_as_are_asked_for(self):
        for graph, outputs, _ in self._graphs():
            shape = graph.nodes[-1].shape
            assert shape == (outputs,), f"the last box gives {shape}, expected ({outputs},)"
            assert graph.parameter_count > 0, "a model without parameters has nothing to learn"

    def test_the_output_map_is_its_last_box(self):
        for graph, _, output in self._graphs():
            last = graph.nodes[-1].box
            has_map = output == "identity" or isinstance(last, OUTPUTS[output])
            assert has_map, f"output = {output!r}, but the last box is {last}"

    def test_its_graph_is_the_same_each_time(self):
        """Run folders and initialisation identify parameters by their names."""
        for (graph, *_), (again, *_) in zip(self._graphs(), self._graphs(), strict=True):
            assert _described(graph) == _described(again), "made twice, the graph is another"

    def test_its_gradient_is_right(self):
        """By central differences, and by autograd if every box has a reference."""
        e = replace(self.experiments()[0], data=replace(self.data, n=40))
        verdict = gradients.check(Subject(e, Budget(sample=50)))
        assert verdict.status == "pass", verdict.worst.found

    def _graphs(self):
        for shape in self.shapes:
            for outputs in (1, 3):
                for output in OUTPUTS:
                    yield self._make().graph(shape, outputs, output), outputs, output

    def _make(self) -> Model:
        return self.model() if isinstance(self.model, type) else self.model


def _described(graph: Graph) -> list[tuple]:
    return [(node.name, node.box, node.leaf, node.operands, node.shape) for node in graph.nodes]
