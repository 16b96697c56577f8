"""Random numbers for a network that a rung computes with by itself, outside of a step of training."""

from __future__ import annotations

from nnlab.autodiff.network import Network
from nnlab.streams import uniforms


def draw_once(network: Network) -> None:
    """Give each box that needs them its random numbers, and the mask of a batch without padding.

    They stay, so that the network is a fixed function of its parameters, and are those of every copy.
    """
    template, batch = network.site.template, network.site.batch
    for name, ctx in network.stochastic:
        ctx.uniforms = uniforms((1, *ctx.noise_shape), template, 0, "check", name)
    for ctx in network.masked:
        ctx.valid = template.new_ones((1, 1, batch))
