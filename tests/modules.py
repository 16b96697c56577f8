"""Modules of torch, as users write them; some cannot be a box."""

import torch
from torch import nn


class Gate(nn.Module):
    """y = (W x + b) sigmoid(s V x), with a scalar s and a constant buffer."""

    def __init__(self, units=4, inputs=7):
        super().__init__()
        self.value, self.gate = nn.Linear(inputs, units), nn.Linear(inputs, units, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("offset", torch.linspace(0, 1, units))

    def forward(self, x):
        return self.value(x) * torch.sigmoid(self.sharpness * self.gate(x)) + self.offset


class Attention(nn.Module):
    """One head over the positions of a sequence (B, channels, length)."""

    def __init__(self, channels=3):
        super().__init__()
        self.queries, self.keys = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, x):
        x = x.mT
        scores = self.queries(x) @ self.keys(x).mT / x.shape[-1] ** 0.5
        return (scores.softmax(-1) @ x).mT


class Bilinear(nn.Module):
    """y = (A a) (B b), elementwise."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, a, b):
        return self.first(a) * self.second(b)


def of(*parts):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.chain = nn.Sequential(nn.Linear(7, 7), *[part() for part in parts])

        def forward(self, x):
            return self.chain(x)

    return Chain


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class Projected(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("projection", torch.randn(7, 3))

    def forward(self, x):
        return x @ self.projection


class Two(nn.Module):
    def forward(self, x):
        return x, x


REFUSED = {  # why: a module
    "it draws random numbers, .* by chain.1 (Dropout): take nnlab's box dropout": of(nn.Dropout),
    "it draws random numbers, which would depend on the other rows$": Noise,
    "its buffer chain.1.running_mean, .* take nnlab's box batch_norm": of(lambda: nn.BatchNorm1d(7)),
    "depends on the others of a batch$": Centred,
    "its buffer projection is drawn at random": Projected,
    "it must return one tensor (3, ...)": Two,
    "fails: RuntimeError": of(lambda: nn.Linear(5, 2)),
}
