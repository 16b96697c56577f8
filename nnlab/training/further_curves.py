"""The curves of the setting `record`: parameters and sizes of updates, after every epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.autodiff.graph import Layout
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.runtime.layout import aligned

MAX_RECORDED_PARAMETERS = 100  # a curve each
THETA_PREFIX = "theta/"  # of the names of single parameters


class FurtherCurves:
    """What `record` asks for, of the parameters `theta` (K, P) of all rows.

        theta           each parameter, as `theta/output.weight[0,2]`: its name, and its index there
        effective_step  |d| / |g|
        update_norm     |d|, where d is how much the last update of the epoch changed theta
        weight_norm     the norm of the weights, without the biases

    g is the objective's gradient at that update, before clipping, whose norm is `grad_norm`: an effective
    step is the learning rate at which theta <- theta - lr g would have gone as far. It is lr itself in plain
    gradient descent, and in every other optimiser the mean of the parameters' own rates |d_i| / |g_i|,
    weighted by g_i^2 (its root mean square). NaN where the gradient is 0.

    The update is a difference of two thetas, and rounded as they are.
    """

    def __init__(self, names: tuple[str, ...], layout: Layout, theta: torch.Tensor):
        self.names, self.layout, self.theta = names, layout, theta
        self.measures_update = bool({"effective_step", "update_norm"} & set(names))
        if self.measures_update:
            self.change = aligned(len(theta), (layout.size,), theta)
            self.update_norm = torch.zeros(len(theta), dtype=theta.dtype, device=theta.device)

    def before_update(self) -> None:
        """Keep theta."""
        if self.measures_update:
            self.change.copy_(self.theta)

    def after_update(self) -> None:
        """Measure how far it went."""
        if self.measures_update:
            torch.sub(self.theta, self.change, out=self.change)
            torch.linalg.vector_norm(self.change, dim=1, out=self.update_norm)

    def metrics(self, grad_norm: torch.Tensor) -> dict[str, torch.Tensor]:
        """The curves' values after an epoch, (K,) float64 each."""
        curves = {}
        for name in self.names:
            if name == "theta":
                curves |= self._parameters()
            elif name == "effective_step":
                curves[name] = self.update_norm.double() / grad_norm
            elif name == "update_norm":
                curves[name] = self.update_norm.double()
            else:
                weights = self.theta[:, : self.layout.weights_end]
                curves[name] = torch.linalg.vector_norm(weights, dim=1).double()
        return curves

    def _parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        leaves = self.layout.parameters.values()
        values = torch.cat([leaf_slice.view(self.theta).flatten(1) for leaf_slice in leaves], 1)
        return zip(theta_names(self.layout), values.double().unbind(1), strict=True)


def theta_names(layout: Layout) -> list[str]:
    """The curves of all parameters, in the order of the layout."""
    return [
        theta_name(name, index)
        for name, leaf_slice in layout.parameters.items()
        for index in np.ndindex(*leaf_slice.leaf.shape)
    ]


def theta_name(parameter: str, index: tuple[int, ...]) -> str:
    """The curve of one number of a parameter.

    >>> theta_name("output.weight", (0, 2))
    'theta/output.weight[0,2]'
    """
    return f"{THETA_PREFIX}{parameter}[{','.join(map(str, index))}]"


def refuse_theta(e: Experiment, spec: DataSpec) -> None:
    """Raise `UserError` if too many parameters were to be recorded."""
    count = e.graph(spec).parameter_count if "theta" in e.recorded_curves else 0
    if count > MAX_RECORDED_PARAMETERS:
        raise UserError(
            f"record = 'theta' is for models of up to {MAX_RECORDED_PARAMETERS} parameters, and "
            f"model={e.model.name} has {count:,} on data '{e.data.name}'; histograms=1 shows how so many "
            f"are distributed"
        )
