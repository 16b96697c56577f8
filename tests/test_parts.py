"""Penalties and their gradients against torch.autograd."""

from dataclasses import fields
from itertools import combinations
from types import SimpleNamespace

import pytest
import test_regularizers
import torch
from networks import assert_near, one_thread  # noqa: F401

from nnlab.hyperparameters import stack
from nnlab.models import perceptron
from nnlab.regularizers import Regularizer

PENALTIES = {  # Omega of one row: (coefficient, weights); what is no penalty: test_regularizers
    "l2": lambda c, w: c / 2 * (w**2).sum(),
    "l1": lambda c, w: c * w.abs().sum(),
}


def test_every_penalty_is_in_the_table():
    assert {f.name for f in fields(Regularizer)} == {*PENALTIES, *test_regularizers.NO_PENALTIES}


@pytest.mark.parametrize("keys", [c for n in (0, 1, 2) for c in combinations(PENALTIES, n)], ids=str)
def test_penalty_and_gradient_equal_autograd_and_spare_biases(keys):
    graph, rows = perceptron(5, (7,), 3), 3
    layout = graph.layout()
    leaf_slices, end, size = layout.parameters, layout.weights_end, layout.size
    theta, grad = torch.randn(2, rows, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before, theta_before = grad.clone(), theta.clone()
    coefficients = [{key: 0.1 * k for key in keys} for k in range(rows)]
    regularizer = stack([Regularizer(**c) for c in coefficients])
    f = SimpleNamespace(**regularizer.factors(torch.ones(rows, 1)))
    regularizer.add_gradient(theta[:, :end], grad[:, :end], f, torch.empty_like(theta[:, :end]))

    leaf = theta.clone().requires_grad_()
    weights = torch.cat([s.view(leaf).flatten(1) for n, s in leaf_slices.items() if n.endswith("weight")], 1)
    weights = torch.cat([weights, leaf[:, :end][:, gaps(leaf_slices, end)]], 1)  # zero while training
    omega = torch.stack([
        sum((PENALTIES[key](c, w) for key, c in coefficient.items()), w.sum() * 0)
        for coefficient, w in zip(coefficients, weights, strict=True)
    ])  # fmt: skip
    omega.sum().backward()
    assert_near(regularizer.penalty(theta[:, :end]), omega.detach(), 13)
    assert_near(grad - before, leaf.grad, 13)
    assert torch.equal(grad[:, end:], before[:, end:]) and torch.equal(theta, theta_before)


def gaps(leaf_slices, end):
    free = torch.ones(end, dtype=torch.bool)
    for leaf_slice in leaf_slices.values():
        free[leaf_slice.start : leaf_slice.start + leaf_slice.leaf.size] = False
    return free
