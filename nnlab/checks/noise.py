"""Random numbers for a network that a rung computes with by itself, outside of a step of training."""

from __future__ import annotations

import torch

from nnlab.autodiff.box import Context
from nnlab.autodiff.graph import Node
from nnlab.autodiff.network import Network
from nnlab.experiment import Experiment
from nnlab.streams import uniforms


def zero_rates(stacked: Experiment) -> dict[str, torch.Tensor]:
    """The columns of a `Site` in which dropout and augmentation are off; of an experiment with a column for
    each row."""
    return {name: 0 * rate for name, rate in stacked.regularizer.rates().items()}


def draw_once(network: Network) -> None:
    """Give each box that needs them its random numbers, and the mask of a batch without padding.

    They stay, so that the network is a fixed function of its parameters, and are those of every copy.
    """
    for name, ctx in network.stochastic:
        _draw(name, ctx)
    for ctx in network.masked:
        _count_all(ctx)


def draw_box_once(node: Node, ctx: Context) -> None:
    """The same for the box of one node, bound by itself."""
    if ctx.noise_shape:
        _draw(node.stream, ctx)
    if node.box.needs_valid:
        _count_all(ctx)


def _draw(name: str, ctx: Context) -> None:
    ctx.uniforms = uniforms((1, *ctx.noise_shape), ctx.site.template, 0, "check", name)


def _count_all(ctx: Context) -> None:
    ctx.valid = ctx.site.template.new_ones((1, 1, ctx.site.batch))
