"""What flows through a network, layer by layer: activations forward, gradients backward.

`nnlab check` measures it of networks at the start and in training, a report of trained ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nnlab.autodiff.layers import activations, layers
from nnlab.autodiff.network import Network
from nnlab.checks.slopes import slopes

FLAT_SLOPE = 0.05  # of the largest derivative: below it a unit is saturated
SLOPE_RANGE = 5.0  # the largest derivative is searched for between -5 and 5


@dataclass(frozen=True)
class Flow:
    """A forward and a backward pass of K rows on B examples, of the mean loss.

    values     of each node (K, *shape, B), by its number; None for one that does not lead to the output
    gradients  of each value on the way back, by its number
    """

    network: Network
    theta: torch.Tensor
    values: list[torch.Tensor | None]
    gradients: dict[int, torch.Tensor]
    examples: int

    @staticmethod
    def through(network: Network, loss, theta: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> Flow:
        """Both passes for inputs x (1 or K, d, B) and targets t (K, m, B)."""
        z, examples = network.fprop(x), x.shape[-1]
        example_weights = x.new_full((1, 1, examples), 1 / examples)
        values = [None if v is None else v.clone() for v in network.values()]
        gradients = network.bprop(loss.bprop(z, t, example_weights, out=torch.empty_like(z)))
        return Flow(network, theta, values, gradients, examples)

    def measure(self) -> dict[str, dict]:
        """Medians over rows. Per layer: the variance of its outputs over the examples, the RMS of the
        gradient of an example's loss, and that of the weights. Per activation: the share of stuck units, and
        whether it is bounded."""
        return {"layers": self.layers(), "activations": self.activations()}

    def layers(self) -> dict[str, dict]:
        """The measurements of each layer that has a path to the output, by name."""
        nodes = self.network.graph.nodes
        return {
            nodes[n].name: {
                "variance": median(self.values[n].var(-1).flatten(1).mean(1)),
                "gradient": median(rms(self.gradients[n]) * self.examples),
                "weights": self._weight_rms(nodes[n].name),
            }
            for n in layers(self.network.graph)
            if n in self.gradients
        }

    def activations(self) -> dict[str, dict]:
        """The measurements of each activation that has a path to the output, by name."""
        nodes = self.network.graph.nodes
        return {
            nodes[n].name: {"stuck": self._stuck_share(n), "bounded": nodes[n].box.bounded}
            for n in activations(self.network.graph)
            if self.values[nodes[n].inputs[0]] is not None
        }

    def _stuck_share(self, n: int) -> float:
        """Of the units of an activation: see `nnlab.checks.saturation`."""
        node = self.network.graph.nodes[n]
        x = self.values[node.inputs[0]]
        # A box that passes on its input, such as identity, is not bound.
        f = self.network.bound_boxes[n].fprop if n in self.network.bound_boxes else lambda x: x
        grid = torch.linspace(-SLOPE_RANGE, SLOPE_RANGE, x[0].numel()).to(x)
        largest = slopes(f, grid.view(1, *x.shape[1:]).expand_as(x)).amax()
        largest = largest.clamp_min(FLAT_SLOPE)  # else no unit of a constant f were stuck
        flat = (slopes(f, x) < FLAT_SLOPE * largest).to(x)
        return median((flat if node.box.bounded else flat.flatten(2).amin(2)).flatten(1).mean(1))

    def _weight_rms(self, layer: str) -> float:
        weights = self.network.graph.layout().weights
        slices = [leaf_slice for name, leaf_slice in weights.items() if name.startswith(f"{layer}.")]
        return max((median(rms(leaf_slice.view(self.theta))) for leaf_slice in slices), default=1.0)


def rms(values: torch.Tensor) -> torch.Tensor:
    """Root mean square of each row, in float64: squares of small gradients are 0 in float32."""
    return values.flatten(1).double().square().mean(1).sqrt()


def median(values: torch.Tensor) -> float:
    """The median over the rows, where NaN counts as infinite."""
    return float(values.double().nan_to_num(torch.inf, posinf=torch.inf).median())
