"""Embeddings: by hand, in models that take a layout of inputs, in a fit, exported. (Also: test_contracts.)"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from networks import assert_near
from test_export import assert_all_near

import nnlab
from nnlab.autodiff.box import Site
from nnlab.autodiff.embedding import Embedding
from nnlab.data.dataset import Data, Dataset
from nnlab.data.encoding import InputLayout
from nnlab.hyperparameters import part, static
from nnlab.models import MLP, MODELS, Linear, Model, Tabular
from nnlab.runtime.scatter import scatter_sum
from nnlab.testing import RowIndependence, fake_gpu
from nnlab.testing.numeric import bind
from nnlab.testing.rows import experiments

LAYOUT = InputLayout(numbers=2, plain=1, embedded=(5, 3))
WITH_LAYOUT = {name: model for name, model in MODELS.items() if model.takes_layout}


@dataclass(frozen=True)
class Categories(Data):
    """Two numbers, a flag and two categories, of which the first decides the target."""

    name: ClassVar[str] = "categories"
    normalization: str = static("none")
    target_normalization: str = static("none")

    def read(self):
        random = np.random.default_rng(1)
        numbers, flag = random.standard_normal((90, 2)), random.integers(2, size=(90, 1))
        slots = np.column_stack([random.integers(-1, size, 90) for size in LAYOUT.embedded])
        y = np.array([2.0, -1, 0, 3, 1, 0.5])[slots[:, 0]] + 0.1 * numbers[:, 0]
        return Dataset(np.column_stack([numbers, flag, slots]), y[:, None], ())


@dataclass(frozen=True)
class Embedded(Model):
    """A model that is given `LAYOUT`, as an experiment gives it that of encoded data."""

    name: ClassVar[str] = "embedded"
    model: Model = part(MODELS, MLP)

    def graph(self, shape, outputs, output="identity"):
        return self.model.graph(shape, outputs, output, layout=LAYOUT)


# ---- by hand


def test_a_category_is_a_column_of_its_table_and_an_unknown_one_is_zero():
    b = bind(Embedding((2, 3), units=2), [(2,)], 1, 3)
    table = torch.tensor([[1.0, 2, 10, 20, 30], [-1, -2, -10, -20, -30]], dtype=torch.float64)
    b.theta["table"].copy_(table)
    y = b.fprop(torch.tensor([[[0.0, 1, -1], [2, -1, 0]]], dtype=torch.float64))
    assert y[0].tolist() == [[1, 2, 0], [30, 0, 10], [-1, -2, 0], [-30, 0, -10]]
    b.bprop(torch.arange(1.0, 13, dtype=torch.float64).view(1, 4, 3))
    assert b.grad["table"][0].tolist() == [[1, 2, 6, 0, 4], [7, 8, 12, 0, 10]]  # none for -1


def test_a_sum_by_an_index_is_in_order_on_a_gpu():
    random = torch.Generator().manual_seed(0)
    index, values = torch.randint(4, (3, 1, 50), generator=random), torch.randn(3, 2, 50, generator=random)
    out = scatter_sum(torch.empty(3, 2, 4), index, values)
    one_hot = torch.nn.functional.one_hot(index[:, 0], 4).to(values)
    assert torch.allclose(out, values @ one_hot, atol=1e-5)
    with fake_gpu() as fake:
        on_gpu = [v.to("cuda") for v in (torch.empty(3, 2, 4), index, values)]
        with fake.recording():
            summed = scatter_sum(*on_gpu)
        assert torch.equal(summed.cpu(), out)


# ---- models


def output_by_hand(x, theta):
    """The network of encoded examples x (n, d), in numpy: embedding, scale, layers of relu, as there are."""
    parts = [x[:, :3]]
    if "periodic.weight" in theta:  # of the numbers
        f, p, W, b = (theta[f"periodic.{name}"] for name in ("frequency", "phase", "weight", "bias"))
        waves = np.sin(2 * np.pi * f * x[:, :2].T[:, None] + p)  # (d, waves, n)
        parts = [*(W[j] @ waves[j] + b[j] for j in range(2)), x[:, :2].T, x[:, 2:3].T]
        parts = [part.T for part in parts]
    starts = np.cumsum((0, *LAYOUT.embedded))
    for u in range(8):
        for e, start in enumerate(starts[:-1]):
            slot = x[:, 3 + e].astype(int)
            parts.append(np.where(slot < 0, 0, theta["embedding.table"][u, start + slot])[:, None])
    h = np.hstack(parts)
    h = h * 96 * theta["scale.factor"].T if "scale.factor" in theta else h
    for n in (1, 2, 3):
        if f"hidden{n}.weight" in theta:
            h = np.maximum(0, h @ theta[f"hidden{n}.weight"].T + theta[f"hidden{n}.bias"].T)
    return h @ theta["output.weight"].T + theta["output.bias"].T


@pytest.mark.parametrize("model", WITH_LAYOUT.values(), ids=WITH_LAYOUT)
def test_a_layout_is_as_the_formula_says(model):
    model = Tabular(activation="relu") if model is Tabular else model()
    graph = model.graph((5,), 3, layout=LAYOUT)
    layout = graph.layout()
    theta = torch.randn(2, layout.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = Categories().load().x[:20]
    rates = dict.fromkeys(("input_dropout", "dropout", "dropconnect"), torch.zeros(2, 1, dtype=torch.float64))
    network = graph.bind(theta, torch.empty_like(theta), Site(2, 20, False, theta, rates))
    z = network.fprop(torch.from_numpy(x.T.copy())[None])
    for k in range(2):
        named = {name: leaf.view(theta)[k].numpy() for name, leaf in layout.parameters.items()}
        assert_near(z[k].T, torch.from_numpy(output_by_hand(x, named)), 12)


@pytest.mark.parametrize("layout", [None, InputLayout(numbers=5, plain=0)], ids=str)
@pytest.mark.parametrize("model", WITH_LAYOUT.values(), ids=WITH_LAYOUT)
def test_without_embedded_inputs_a_layout_changes_nothing(model, layout):
    with_layout, without = model().graph((5,), 3, layout=layout), model().graph((5,), 3)
    assert [(n.name, n.shape) for n in with_layout.nodes] == [(n.name, n.shape) for n in without.nodes]


def test_categories_alone_are_embedded_too():
    graph = Linear().graph((2,), 1, layout=InputLayout(numbers=0, plain=0, embedded=(5, 3)))
    assert [n.name for n in graph.nodes] == [
        "input", "embedding.table", "embedding", "output.weight", "output.bias", "output",
    ]  # fmt: skip


@pytest.mark.parametrize("model", WITH_LAYOUT.values(), ids=WITH_LAYOUT)
def test_input_dropout_is_of_the_other_inputs(model):
    graph = model().graph((5,), 3, layout=LAYOUT)
    assert graph.nodes[graph["input_dropout"]].shape == (3,)
    read = {name for node in graph.nodes if node.box for name in [graph.nodes[node.operands[0]].name]}
    assert "slots" in read and graph.nodes[graph["slots"]].inputs == (graph.input,)


@pytest.mark.parametrize("model", WITH_LAYOUT.values(), ids=WITH_LAYOUT)
def test_the_memory_of_a_network_is_counted(model):
    """Four for each unit and example: no less than what is allocated, and no more than three times that."""
    graph, (rows, batch) = model().graph((5,), 3, layout=LAYOUT), (2, 64)
    theta = torch.zeros(rows, graph.layout().size)
    rates = {"dropconnect": torch.zeros(rows, 1)}  # whose masks are of weights, not of examples
    rates |= dict.fromkeys(("input_dropout", "dropout"), torch.full((rows, 1), 0.1))
    network = graph.bind(theta, torch.empty_like(theta), Site(rows, batch, True, theta, rates))
    tensors = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() / theta.element_size()
        for bound in network.bound_boxes.values()
        for value in vars(bound.ctx).values()
        for tensor in (value if isinstance(value, tuple) else (value,))
        if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes() > theta.nbytes / 1000
    }
    allocated, counted = sum(tensors.values()), 4 * graph.unit_count(batch, is_on_gpu=False) * rows * batch
    assert allocated < counted + 2 * theta.numel() and counted < 3 * allocated


# ---- in a fit


class TestEmbedded(RowIndependence):
    def experiments(self):
        return experiments(model=Embedded(MLP(hidden=(9,))), data=Categories())


class TestTabular(RowIndependence):
    """On numbers, a flag and categories; test_contracts has it on numbers alone."""

    def experiments(self):
        return experiments(model=Embedded(Tabular(hidden=(9, 5))), data=Categories(), optimizer="adamw")


class TestTabularOnATable(RowIndependence):
    """Of mixed columns: every fold has its own slots, and rare categories of its own."""

    @pytest.fixture(autouse=True)
    def table(self, tmp_path):
        random = np.random.default_rng(2)
        towns, number = random.integers(14, size=120), random.standard_normal(120)
        lines = [f"t{t},{'' if t == 3 else x},{t % 5 + x}" for t, x in zip(towns, number, strict=True)]
        (tmp_path / "towns.csv").write_text("\n".join(["town,size,price", *lines]) + "\n")
        self.data = nnlab.Table(path=str(tmp_path / "towns.csv"), target="price")

    def experiments(self):
        split = nnlab.KFold(k=3)
        return experiments(model=Tabular(hidden=(9,)), data=self.data, split=split)

    def test_its_categories_are_embedded(self):
        spec = self.data.load().spec
        assert spec.layout == InputLayout(1, 1, spec.layout.embedded) and len(spec.layout.embedded) == 1
        names = {node.name for node in nnlab.Experiment(data=self.data, model="tabular").graph(spec).nodes}
        assert {"embedding.table", "periodic.frequency", "scale.factor"} <= names


def test_it_learns_what_a_category_means():
    e = nnlab.Experiment(data=Categories(), model=Embedded(Linear()), epochs=200, seeds=2, batch_size=16)
    fit = nnlab.fit(e).run()
    assert all(result.test["r2"] > 0.95 for result in fit.results)
    unknown = np.array([[0.0, 0, 0, -1, -1], [0, 0, 0, 3, -1], [0, 0, 0, 1, -1]])
    model = nnlab.load(fit)
    prediction = np.asarray(model.predict(unknown)).ravel()
    assert prediction[1] - prediction[2] == pytest.approx(4, abs=0.5)  # 3 and -1


@pytest.mark.parametrize("model", [MLP(hidden=(9,)), Tabular(hidden=(9,))], ids=repr)
def test_an_exported_network_looks_categories_up(model):
    e = nnlab.Experiment(data=Categories(), model=Embedded(model), epochs=2, seeds=2)
    model = nnlab.load(nnlab.fit(e).run())
    assert_all_near(model, None, Categories().load().x[:20], 1e-5)
    assert_all_near(model, 1, Categories().load().x[:20], 1e-5)
