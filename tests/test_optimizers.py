"""Every optimiser against torch.optim and its equations in numpy; a new one is a row of `CASES`.

Four rows with hyperparameters of their own are stacked, and compared with four optimisers of torch. What
every optimiser promises of rows, padding and factors: test_contracts, on the same rows.
"""

import warnings
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import one_thread  # noqa: F401
from optimizer_cases import CASES, WEIGHTS

import nnlab
from nnlab.hyperparameters import stack
from nnlab.optimizers import OPTIMIZERS

STEPS, P, PADDED = 50, 23, slice(17, 23)  # the padded columns lie behind 17 parameters


WITH_TORCH = {name: case for name, case in CASES.items() if case.torch}

every_optimizer = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def start(rows, dtype=torch.float64) -> torch.Tensor:
    theta = torch.randn(rows, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theta[:, PADDED] = 0
    return theta.to(dtype)


def gradient(theta, step: int):
    """Of a bumpy bowl with noise that depends on the step; zero in the padded columns."""
    numbers = np.random.default_rng(step).standard_normal((4, P))
    noise = torch.from_numpy(numbers)[: len(theta)].to(theta.dtype)
    g = (theta + torch.sin(3 * theta) + noise) * torch.logspace(-3, 1, P, dtype=theta.dtype)
    g[:, PADDED] = 0
    return g


def trained(rows, dtype=torch.float64, lr=None) -> list[torch.Tensor]:
    """theta (K, P) after every step of the stacked rows; `lr(step)` (K,) replaces the rows' rates."""
    optimizer, theta, scratch = stack(rows), start(len(rows), dtype), start(len(rows), dtype)
    slots = SimpleNamespace(**{name: torch.zeros_like(theta) for name in optimizer.slots})
    seen = []
    for step in range(1, STEPS + 1):
        rate = optimizer.lr if lr is None else torch.from_numpy(lr(step))[:, None]
        factors = optimizer.factors(rate, torch.full((len(rows), 1), float(step), dtype=torch.float64))
        g = gradient(theta, step)
        before = g.clone()
        f = SimpleNamespace(**{name: column.to(dtype) for name, column in factors.items()})
        optimizer.decay(theta[:, :WEIGHTS], f)
        optimizer.update(theta, g, slots, f, scratch)
        assert torch.equal(g, before)
        seen.append(theta.clone())
    return seen


def by_formula(case, lr=None) -> list[np.ndarray]:
    """The same in numpy, row by row."""
    thetas = start(4).numpy()
    steps = [case.formula(o, theta) for o, theta in zip(case.rows, thetas, strict=True)]
    seen = []
    for step in range(1, STEPS + 1):
        g = gradient(torch.from_numpy(thetas), step).numpy()
        rates = [o.lr for o in case.rows] if lr is None else lr(step)
        thetas = np.stack([take(*pair) for take, *pair in zip(steps, g, rates, strict=True)])
        seen.append(thetas)
    return seen


def assert_close(actual, expected, tolerance):
    for step, (a, b) in enumerate(zip(actual, expected, strict=True), start=1):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"step {step}")


def test_every_optimizer_is_in_the_table():
    rows = [row for case in CASES.values() for row in case.rows]
    assert {type(row) for row in rows} == set(OPTIMIZERS.values())
    flagged = {o for o in OPTIMIZERS.values() if "epsilon_inside_root" in [f.name for f in fields(o)]}
    for inside in (False, True):
        assert {type(o) for o in rows if getattr(o, "epsilon_inside_root", None) is inside} == flagged


@pytest.mark.parametrize("case", WITH_TORCH.values(), ids=WITH_TORCH)
def test_equals_torch(case, doubles):
    parameters = [[part.clone().requires_grad_() for part in split(theta)] for theta in start(4)]
    optimizers = [case.torch(o, p) for o, p in zip(case.rows, parameters, strict=True)]
    expected = []
    for step in range(1, STEPS + 1):
        thetas = torch.stack([torch.cat(p).detach() for p in parameters])
        for p, g, optimizer in zip(parameters, gradient(thetas, step), optimizers, strict=True):
            for part, part_of_gradient in zip(p, split(g), strict=True):
                part.grad = part_of_gradient.clone()
            optimizer.step()
        expected.append(torch.stack([torch.cat(p).detach() for p in parameters]))
    assert_close(trained(case.rows), expected, 1e-10)


def split(row):
    """Weights and biases."""
    return row[:WEIGHTS], row[WEIGHTS:]


@pytest.fixture
def doubles():
    """torch keeps NAdam's product of momenta in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_optimizer
def test_equals_its_formula(case):
    assert_close(trained(case.rows), by_formula(case), 1e-10)


@every_optimizer
def test_equals_its_formula_when_the_rate_changes(case):
    def lr(step):
        return np.array([0.1 / step, 1e-3 * step, 0.01 * (1 + np.cos(step)), 0.1 * (step % 7 == 0)])

    assert_close(trained(case.rows, lr=lr), by_formula(case, lr), 1e-10)


@every_optimizer
def test_float32_stays_close(case):
    assert_close(trained(case.rows, torch.float32), by_formula(case), 2e-4)


@every_optimizer
def test_a_parameter_whose_gradient_is_zero_stays(case):
    """From the first step on: a dead unit, not a padded column."""
    optimizer, theta = stack(case.rows), start(4)
    slots, before = SimpleNamespace(**{s: torch.zeros_like(theta) for s in optimizer.slots}), theta.clone()
    f = SimpleNamespace(**optimizer.factors(optimizer.lr, torch.ones(4, 1, dtype=torch.float64)))
    optimizer.update(theta, torch.zeros_like(theta), slots, f, torch.empty_like(theta))
    assert torch.equal(theta, before)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"gamma_start": 0.3}, "gamma_start = 0.3 has no effect with optimizer.ramp=none"),
        ({"ramp": "linear", "ramp_updates": 9, "last_gamma": 0.4}, "last_gamma = 0.4 has no effect with"),
        ({"ramp": "sutskever", "gamma_start": 0.3, "last_updates": 3, "last_gamma": 0.4}, ""),
        ({}, ""),
    ],
)
def test_a_part_of_a_ramp_that_is_not_used_is_advised_against(settings, words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nnlab.Momentum(**settings).advise()
    assert words in " ".join(str(one.message) for one in caught) and len(caught) == bool(words)
