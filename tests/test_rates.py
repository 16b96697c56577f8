"""Learning rates of single leaves: each optimiser updates a leaf of another rate as it would at that rate."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from gpu_runs import gpu
from test_gpu_capture import EXACT, fitted

import nnlab
from nnlab import Regularizer
from nnlab.autodiff.activations import Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.graph import Graph
from nnlab.hyperparameters import static
from nnlab.models import Model
from nnlab.optimizers import OPTIMIZERS
from nnlab.testing import RowIndependence
from nnlab.testing.rows import experiments

REGULARIZERS = {
    "none": Regularizer(), "l2": Regularizer(l2=0.1), "max_norm": Regularizer(max_norm=0.5),
    "proximal": Regularizer(l1=0.1, proximal=True),
}  # fmt: skip


@dataclass(frozen=True)
class Rated(Model):
    """Two affine boxes, whose weights and biases have these factors of the learning rate."""

    name: ClassVar[str] = "rated"
    below: tuple[float, ...] = static((1.0, 1.0))
    output: str = "auto"
    above: tuple[float, ...] = static((1.0, 1.0))

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        h = graph.add("below", Affine(6, "tanh", *self.below), graph.input)
        graph.add("above", Affine(outputs, "identity", *self.above), graph.add("tanh", Tanh(), h))
        return graph


RATED = Rated(below=(3.0, 0.5), above=(1.0, 3.0))
FACTORS = {"below.weight": 3.0, "below.bias": 0.5, "above.weight": 1.0, "above.bias": 3.0}


def after_a_step(model, optimizer, regularizer) -> dict[str, np.ndarray]:
    job = nnlab.Experiment(
        data="iris", model=model, optimizer=optimizer, regularizer=regularizer, epochs=1, batch_size="full",
        metric="last", dtype="float64",
    )  # fmt: skip
    return nnlab.fit(job).run().results[0].weights


@pytest.mark.parametrize("regularizer", REGULARIZERS.values(), ids=REGULARIZERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_leaf_is_updated_at_its_own_rate(name, regularizer):
    optimizer = OPTIMIZERS[name](lr=0.01, clip_norm=0.5)
    seen = after_a_step(RATED, optimizer, regularizer)
    for factor in {*FACTORS.values()}:
        expected = after_a_step(Rated(), replace(optimizer, lr=0.01 * factor), regularizer)
        for leaf in (leaf for leaf, f in FACTORS.items() if f == factor):
            np.testing.assert_allclose(seen[leaf], expected[leaf], rtol=1e-9, atol=1e-15, err_msg=leaf)


def test_leaves_of_one_rate_stand_together():
    layout = RATED.graph((4,), 3).layout()
    assert list(layout.parameters) == ["above.weight", "below.weight", "below.bias", "above.bias"]
    assert layout.rates == (
        (1.0, slice(0, 64)), (3.0, slice(64, 128)), (0.5, slice(128, 192)), (3.0, slice(192, 256)),
    )  # fmt: skip
    assert Rated().graph((4,), 3).layout().rates == ((1.0, slice(0, 256)),)
    assert Graph((4,)).layout().rates == ((1.0, slice(0, 0)),)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_compiled_tail_has_the_rates_too(name):
    regularizer = Regularizer(l2=0.01, l1=0.001, max_norm=2.0)
    job = replace(EXACT, model=RATED, optimizer=OPTIMIZERS[name](clip_norm=1.0), regularizer=regularizer)
    with gpu():
        fit, there = fitted([job], compiled=True)
        plain, expected = fitted([job])
    assert fit.compiled and not plain.compiled
    np.testing.assert_allclose(there[0], expected[0], rtol=1e-7)


class TestRated(RowIndependence):
    def experiments(self):
        return experiments(model=RATED)
