"""Slopes of activations."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnlab.autodiff.central_differences import difference_quotient


def slopes(f: Callable, x: torch.Tensor, step: float = 1e-3) -> torch.Tensor:
    """|f'(x)| of an elementwise function, by central differences, since `bprop` itself may be wrong."""
    h = step * (1 + x.abs())  # large inputs have few digits left for a small step
    return difference_quotient(lambda h: f(x + h).clone(), h).abs()
