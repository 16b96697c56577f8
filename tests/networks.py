"""Shared helpers of tests: reference networks in torch's own functions, and small data sets."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from nnlab.autodiff.graph import Graph
from nnlab.data.sources import Data, Dataset
from nnlab.hyperparameters import static
from nnlab.testing.numeric import assert_near, bind, central, rates  # noqa: F401

DOUBLE = torch.empty(0, dtype=torch.float64)


@pytest.fixture(autouse=True)
def one_thread():
    """As in the engine: two threads that wait for each other on busy cores take a hundred times longer.

    Import it, and it holds for every test of the file.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def forward(graph: Graph, leaves: dict, x):
    """The graph's output in torch's functions, of boxes that draw nothing; `leaves` are (K, ...) by name."""
    values = [x]
    for node in graph.nodes[1:]:
        inputs = [values[i] for i in node.operands]
        values.append(leaves[node.name] if node.leaf else node.box.reference(None, *inputs))
    return values[-1]


@dataclass(frozen=True)
class Points(Data):
    """`n` examples of `d` features in noisy bumps: `classes`, or `outputs` numbers if there are none."""

    name: ClassVar[str] = "points"
    n: int = static(90)
    d: int = static(7)
    classes: int = static(3)
    outputs: int = static(2)
    shape: tuple[int, ...] = static(())  # of an image with d numbers
    target_normalization: str = static("standard", choices=("standard", "none"))

    def load(self):
        random = np.random.default_rng(3)
        y = random.integers(max(self.classes, 2), size=self.n)
        x = 3 + random.standard_normal((self.n, self.d)) + random.standard_normal((y.max() + 1, self.d))[y]
        y[::4] = random.integers(max(self.classes, 2), size=len(y[::4]))  # so that one can learn too much
        if self.classes:
            return Dataset(x, y, tuple("abcdefghij"[: self.classes]), shape=self.shape or None)
        numbers = 100 * np.sin(x[:, : self.outputs]) + 50 * y[:, None] + 7
        return Dataset(x, numbers, (), shape=self.shape or None)
