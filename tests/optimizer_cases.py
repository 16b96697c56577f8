"""The table of optimiser cases: four rows each, the equations in numpy, and the torch.optim counterpart."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from nnlab.optimizers import (
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    Optimizer,
    RMSProp,
)

WEIGHTS = 10  # so many parameters are weights, and what follows biases


@dataclass
class Case:
    """An optimiser's four rows; its equations in numpy; the same in torch.optim, if torch has it."""

    rows: list[Optimizer]
    formula: Callable  # (optimizer, theta, lr) -> step(g, lr), which gives the next theta
    torch: Callable | None = None  # (optimizer, parameters) -> torch's
    calls: int = 0  # of torch in a step, decay included
    decays: bool = False  # it shrinks the weights itself


def sgd(o, theta):
    def step(g, lr):
        nonlocal theta
        theta = theta - lr * g
        return theta

    return step


def gamma(o, n):
    """The momentum after n updates, as the papers write it."""
    if o.ramp == "linear":  # Srivastava et al. 2014: with T = ramp_updates
        share = n / o.ramp_updates
        return share * o.gamma + (1 - share) * o.gamma_start if n < o.ramp_updates else o.gamma
    if o.ramp == "sutskever":  # Sutskever et al. 2013 start with 1 / 2
        return min(1 - 2 * (1 - o.gamma_start) * 2 ** (-1 - np.log2(n // o.ramp_updates + 1)), o.gamma)
    return o.gamma


def momentum(o, theta):
    previous, n = theta, 0

    def step(g, lr):
        nonlocal theta, previous, n
        theta, previous = theta - lr * g + gamma(o, n) * (theta - previous), theta
        n += 1
        return theta

    return step


def nesterov(o, theta):
    x, v, n = theta, 0, 0

    def step(g, lr):  # g is taken at x + gamma v
        nonlocal x, v, n
        v = gamma(o, n) * v - lr * g
        x, n = x + v, n + 1
        return x + gamma(o, n) * v

    return step


def decayed(o, theta, lr):
    """theta with its weights decayed."""
    return theta * np.where(np.arange(theta.size) < WEIGHTS, 1 - lr * o.weight_decay, 1)


def lion(o, theta):
    m = 0

    def step(g, lr):
        nonlocal theta, m
        theta = decayed(o, theta, lr) - lr * np.sign(o.beta1 * m + (1 - o.beta1) * g)
        m = o.beta2 * m + (1 - o.beta2) * g
        return theta

    return step


def divisor(o, v):
    return np.sqrt(v + o.epsilon) if o.epsilon_inside_root else np.sqrt(v) + o.epsilon


def rmsprop(o, theta):
    v = 0

    def step(g, lr):
        nonlocal theta, v
        v = o.gamma * v + (1 - o.gamma) * g**2
        theta = theta - lr * g / divisor(o, v)
        return theta

    return step


def adagrad(o, theta):
    v = o.initial

    def step(g, lr):
        nonlocal theta, v
        v = v + g**2
        theta = theta - lr * g / divisor(o, v)
        return theta

    return step


def adadelta(o, theta):
    u, v = 0, 0

    def step(g, lr):
        nonlocal theta, u, v
        v = o.rho * v + (1 - o.rho) * g**2
        d = np.sqrt(u + o.epsilon) / np.sqrt(v + o.epsilon) * g
        u = o.rho * u + (1 - o.rho) * d**2
        theta = theta - lr * d
        return theta

    return step


def adam(o, theta, decayed=lambda o, theta, lr: theta, largest=lambda top, v: v):
    m, v, top, t = 0, 0, 0, 0

    def step(g, lr):
        nonlocal theta, m, v, top, t
        t += 1
        theta = decayed(o, theta, lr)
        m = o.beta1 * m + (1 - o.beta1) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        top = largest(top, v)
        m_hat, v_hat = m, top
        if o.bias_correction:
            m_hat, v_hat = m / (1 - o.beta1**t), top / (1 - o.beta2**t)
        theta = theta - lr * m_hat / divisor(o, v_hat)
        return theta

    return step


def nadam(o, theta):
    m, v, t, product = 0, 0, 0, 1

    def mu(t):
        return o.beta1 * (1 - 0.5 * 0.96 ** (t * o.momentum_decay))

    def step(g, lr):
        nonlocal theta, m, v, t, product
        t += 1
        product *= mu(t)
        m = o.beta1 * m + (1 - o.beta1) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        if o.bias_correction:
            m_hat = mu(t + 1) / (1 - product * mu(t + 1)) * m + (1 - mu(t)) / (1 - product) * g
            v_hat = v / (1 - o.beta2**t)
        else:
            m_hat, v_hat = mu(t + 1) * m + (1 - mu(t)) * g, v
        theta = theta - lr * m_hat / divisor(o, v_hat)
        return theta

    return step


def rmsprops(inside):
    values = [(1e-3, 0.9, 1e-8), (0.05, 0.99, 1e-2), (0.01, 0, 1e-4), (0.3, 0.5, 1.0)]
    return [RMSProp(*row, epsilon_inside_root=inside) for row in values]


def adams(kind, inside, corrected=True, **own_fields):
    """Four rows; `own` has four values of each further field."""
    values = [(1e-3, 0.9, 0.999, 1e-8), (0.1, 0.5, 0.9, 1e-3), (0.02, 0, 0.99, 1e-6), (0.3, 0.99, 0, 1.0)]
    own_fields = [
        dict(zip(own_fields, row, strict=True)) for row in zip(*own_fields.values(), strict=True)
    ] or [{}] * 4
    own_fields = [o | {"epsilon_inside_root": inside, "bias_correction": corrected} for o in own_fields]
    return [kind(*v, **o) for v, o in zip(values, own_fields, strict=True)]


def adagrads(inside):
    values = [(1e-3, 0, 1e-8), (0.5, 0.1, 1e-2), (0.01, 0, 1e-20), (0.3, 2.0, 1.0)]
    return [AdaGrad(*row, epsilon_inside_root=inside) for row in values]


def torch_adam(kind, o, p, **own):
    return kind(p, o.lr, (o.beta1, o.beta2), eps=o.epsilon, **own)


def torch_adamw(o, p):
    weights, biases = p
    groups = [{"params": [weights]}, {"params": [biases], "weight_decay": 0.0}]
    return torch_adam(torch.optim.AdamW, o, groups, weight_decay=o.weight_decay)


def torch_adagrad(o, p):
    return torch.optim.Adagrad(p, o.lr, initial_accumulator_value=o.initial, eps=o.epsilon)


class RampedSGD(torch.optim.SGD):
    """torch's, whose momentum is set before each step."""

    def __init__(self, o, parameters):
        super().__init__(parameters, o.lr, momentum=o.gamma)
        self.o, self.n = o, 0

    def step(self):
        for group in self.param_groups:
            group["momentum"] = float(gamma(self.o, self.n))
        self.n += 1
        super().step()


def ramped(kind, ramp, updates):
    """Rows that arrive after the last step, before it, at once, and never leave their start."""
    starts, lengths = (0.5, 0.3, 0.99, 0.5), (10 * updates, updates, 1, 7)
    rows = zip(MOMENTA, starts, lengths, strict=True)
    return [kind(*m, ramp=ramp, gamma_start=start, ramp_updates=length) for m, start, length in rows]


MOMENTA = [(0.01, 0.9), (0.1, 0.5), (0.02, 0), (1e-3, 0.99)]
DECAYS = {"weight_decay": (0.01, 0.5, 0, 0.1)}
MOMENTUM_DECAYS = {"momentum_decay": (4e-3, 0.1, 0, 1.0)}

CASES = {
    "sgd": Case(
        [SGD(lr) for lr in (0.01, 0.1, 0.5, 1e-4)], sgd, lambda o, p: torch.optim.SGD(p, o.lr), calls=1
    ),
    "momentum": Case(
        [Momentum(*row) for row in MOMENTA], momentum,
        lambda o, p: torch.optim.SGD(p, o.lr, momentum=o.gamma), calls=3,
    ),
    "nesterov": Case(
        [Nesterov(*row) for row in MOMENTA], nesterov,
        lambda o, p: torch.optim.SGD(p, o.lr, momentum=o.gamma, nesterov=o.gamma > 0), calls=4,
    ),
    "momentum-linear": Case(ramped(Momentum, "linear", 30), momentum, RampedSGD),
    "momentum-sutskever": Case(ramped(Momentum, "sutskever", 12), momentum, RampedSGD),
    "nesterov-linear": Case(ramped(Nesterov, "linear", 30), nesterov),  # torch's looks ahead by gamma_t
    "nesterov-sutskever": Case(ramped(Nesterov, "sutskever", 12), nesterov),
    "adagrad": Case(adagrads(True), adagrad, calls=5),
    "adagrad-outside": Case(adagrads(False), adagrad, torch_adagrad),
    "rmsprop": Case(rmsprops(True), rmsprop, calls=6),
    "rmsprop-outside": Case(
        rmsprops(False), rmsprop, lambda o, p: torch.optim.RMSprop(p, o.lr, alpha=o.gamma, eps=o.epsilon)
    ),
    "adadelta": Case(
        [AdaDelta(*row) for row in [(1.0, 0.9, 1e-6), (0.3, 0.5, 1e-3), (0.1, 0, 1e-8), (0.5, 0.95, 1.0)]],
        adadelta, lambda o, p: torch.optim.Adadelta(p, o.lr, rho=o.rho, eps=o.epsilon), calls=11,
    ),
    "adam": Case(adams(Adam, True), adam, calls=7),
    "adam-outside": Case(adams(Adam, False), adam, partial(torch_adam, torch.optim.Adam)),
    "amsgrad": Case(adams(AMSGrad, True), partial(adam, largest=np.maximum), calls=8),
    "amsgrad-outside": Case(
        adams(AMSGrad, False), partial(adam, largest=np.maximum),
        partial(torch_adam, torch.optim.Adam, amsgrad=True),
    ),
    "nadam": Case(adams(NAdam, True, **MOMENTUM_DECAYS), nadam, calls=8),
    "nadam-outside": Case(
        adams(NAdam, False, **MOMENTUM_DECAYS), nadam,
        lambda o, p: torch_adam(torch.optim.NAdam, o, p, momentum_decay=o.momentum_decay),
    ),
    "adamw": Case(adams(AdamW, True, **DECAYS), partial(adam, decayed=decayed), calls=8, decays=True),
    "adamw-outside": Case(adams(AdamW, False, **DECAYS), partial(adam, decayed=decayed), torch_adamw),
    "adam-uncorrected": Case(adams(Adam, True, False), adam, calls=7),
    "adam-outside-uncorrected": Case(adams(Adam, False, False), adam),
    "amsgrad-uncorrected": Case(adams(AMSGrad, True, False), partial(adam, largest=np.maximum), calls=8),
    "nadam-uncorrected": Case(adams(NAdam, True, False, **MOMENTUM_DECAYS), nadam, calls=8),
    "adamw-uncorrected": Case(
        adams(AdamW, True, False, **DECAYS), partial(adam, decayed=decayed), calls=8, decays=True
    ),
    "lion": Case(
        [Lion(3e-4), Lion(0.1, 0.5, 0.9, 0.0), Lion(0.02, 0.0, 0.5, 1.0), Lion(1e-3, 0.99, 0.0, 3.0)], lion,
        calls=5, decays=True,
    ),
}  # fmt: skip
