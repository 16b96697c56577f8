"""A torch.nn.Module as a box: its contract, its initial values, what is refused, training beside torch."""

import re
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from modules import REFUSED, Attention, Bilinear, Gate
from networks import assert_near, one_thread  # noqa: F401

import nnlab
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.module import Module
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.models import Model
from nnlab.testing.numeric import bind
from nnlab.testing.rows import Bumps, trained
from nnlab.training.population import initial_theta


@dataclass(frozen=True)
class Gated(Model):
    name: ClassVar[str] = "gated"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        gate = graph.add("gate", Module(Gate, {"units": 9, "inputs": 5}), graph.input)
        graph.add("output", Affine(outputs), gate)
        return graph


JOB = nnlab.Experiment(data=Bumps(), model=Gated(), epochs=3, batch_size=13, optimizer=nnlab.SGD(lr=0.3))


@pytest.mark.parametrize("reason, cls", REFUSED.items(), ids=REFUSED)
def test_what_breaks_the_independence_of_rows_is_named(reason, cls):
    with pytest.raises(UserError) as error:
        Graph((7,)).add("box", Module(cls), 0)
    pattern = re.escape(reason).replace(r"\.\*", ".*").replace(r"\$", "$")
    assert re.search(pattern, str(error.value)) and cls.__name__ in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_and_classes_that_are_none():
    for box, message in [
        (
            lambda: Module(Gate, {"width": 3}),
            r"Gate\(width=3\), called .* unexpected keyword",
        ),
        (lambda: Module(int), "int: expected a class derived from torch.nn.Module"),
        (lambda: Module("nobodys"), "nobodys"),
    ]:
        with pytest.raises(UserError, match=message):
            Graph((7,)).add("box", box(), 0)
    with pytest.raises(UserError, match="box.module = 3: expected a word or a class"):
        Module(3)


def test_parameters_begin_as_the_module_draws_them():
    """All together, from the stream of the row's seed and the box; torch's generator is left alone."""
    torch.manual_seed(3)
    graph = Gated().graph((5,), 3)
    rows = [Row(JOB, seed, None) for seed in (0, 1, 0)]
    before, theta = torch.get_rng_state(), initial_theta(rows, graph)
    assert torch.equal(before, torch.get_rng_state())
    weights = {name: s.view(theta) for name, s in graph.layout().parameters.items()}
    assert list(weights)[:2] == ["gate.value.weight", "gate.gate.weight"]
    for k, seed in enumerate((0, 1, 0)):
        torch.manual_seed(int(nnlab.streams.stream(seed, "init", "gate").integers(2**63)))
        twin = Gate(9, 5)
        for name, p in twin.named_parameters():
            assert torch.equal(weights[f"gate.{name}"][k].reshape(p.shape), p.detach().double())
    assert not torch.equal(weights["gate.value.weight"][0], weights["gate.value.weight"][1])


def test_it_trains_as_torch_trains_it():
    e = replace(JOB, dtype="float64", metric="last", regularizer="none")
    fit = nnlab.fit(e).run()
    (row,), (result,) = fit.rows, fit.results
    examples = fit.cache.examples(row)
    net = torch.nn.Sequential(Gate(9, 5), torch.nn.Linear(9, 3)).double()
    theta = initial_theta([row], e.graph(fit.datasets[e.data].spec))
    layout = e.graph(fit.datasets[e.data].spec).layout().parameters
    for name, p in [*net[0].named_parameters("gate"), *net[1].named_parameters("output")]:
        p.data = layout[name].view(theta)[0].reshape(p.shape).clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for epoch in range(1, 4):
        order = nnlab.streams.stream(row.seed, "order", epoch).permutation(row.fold.train)
        for first in range(0, len(order), 13):
            x, t = examples.gather(row.fold, order[first : first + 13])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x.T), t.T).backward()
            optimizer.step()
    for name, p in [*net[0].named_parameters("gate"), *net[1].named_parameters("output")]:
        assert np.allclose(result.weights[name].reshape(p.shape), p.detach(), rtol=1e-10, atol=1e-13)


def test_rows_are_independent_and_refit_and_check_work():
    experiments = [replace(JOB, optimizer=nnlab.SGD(lr=lr), seed=s) for lr in (0.1, 1.0) for s in (0, 1)]
    assert sorted(map(str, trained(experiments))) == sorted(str(r) for e in experiments for r in trained([e]))
    (result,) = nnlab.fit(replace(JOB, refit=True, histograms=1)).run().results
    assert result.refit.status == "finished"
    verdicts = nnlab.check(JOB, only=("gradients", "determinism"))
    assert [v.status for v in verdicts] == ["pass"] * 2


@pytest.mark.parametrize("box, shapes", [
    (Module(Gate), [(7,)]), (Module(Attention), [(3, 4)]), (Module(Bilinear), [(3,), (5,)]),
], ids=["gate", "attention", "bilinear"])  # fmt: skip
def test_all_rows_mapped_at_once_give_what_each_gives(box, shapes, monkeypatch):
    """As on a GPU, here on the CPU."""
    x = [torch.randn(3, *shape, 5, dtype=torch.float64) for shape in shapes]
    alone = bind(box, shapes, 3, 5)
    monkeypatch.setattr("nnlab.autodiff.module.is_cuda", lambda tensor: True)
    mapped = bind(box, shapes, 3, 5)
    assert (len(alone.ctx.stacks), len(mapped.ctx.stacks)) == (3, 1)
    assert_near(mapped.fprop(*x), alone.fprop(*x), 13)
    dy = torch.randn_like(alone.ctx.y)
    for one, other in zip(mapped.bprop(dy), alone.bprop(dy), strict=True):
        assert_near(one, other, 13)
    for name, gradient in alone.grad.items():
        assert_near(mapped.grad[name], gradient, 13)
