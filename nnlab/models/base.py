"""The base class of models: each builds the graph for an example's shape and a number of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnlab.autodiff.graph import Graph
from nnlab.hyperparameters import Component


@dataclass(frozen=True)
class Model(Component):
    """Base of the models.

    loss          the loss that the model is made for; `auto`: the data and `output` decide
    output        the map at the end of the network; `auto`: the one that the loss has built in, if any
    takes_layout  whether `graph` has an argument layout, an `InputLayout`: which inputs are numbers, which
                  plain, which slots of categories to embed. Other models get no slots
    output_box    the name of the box that is its output map, if the user wrote one: where the loss has it
                  built in, the network ends before it
    takes_images  whether places of an image are alike to it, as to a convolution; see `Data.for_images`
    """

    group: ClassVar[str] = "model"
    loss: ClassVar[str] = "auto"
    takes_layout: ClassVar[bool] = False
    takes_images = False
    output_box: ClassVar[str | None] = None
    output = "auto"  # no annotation: as a field of MLP it must come after `hidden`

    def graph(self, shape: tuple[int, ...], outputs: int, output: str = "identity") -> Graph:
        """The network for examples of this shape, (64,) or (1, 28, 28), ending in the map `output`.

        See `Experiment.graph`. The models below flatten an image, row after row.
        """
        raise NotImplementedError

    def title(self, inputs: int, outputs: int) -> str:
        """Its name and size in a line about a run: `mlp 784-64-10`, the widths of its layers."""
        return f"{self.name} {'-'.join(map(str, (inputs, *getattr(self, 'hidden', ()), outputs)))}"
