"""The training objective of a job in float64, at a random point where no gradient vanishes by accident.

Weights are drawn anew, W ~ N(0, 1 / fan_in) and b ~ N(0, 0.3^2), and inputs are standardised: at the
initial weights gradients may vanish for good reasons (`init=zeros`), relu may be exactly at its kink, and
inputs of 1000 would saturate every sigmoid; and where gradients are 0, wrong formulas agree with right ones.
Dropout's and DropConnect's masks are drawn once and stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.central_differences import shifted
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.network import Network
from nnlab.checks import references
from nnlab.checks.noise import draw_once
from nnlab.checks.planted import with_wrong_sign
from nnlab.checks.subject import Subject
from nnlab.experiment import stack_graph
from nnlab.runtime.layout import aligned
from nnlab.streams import stream
from nnlab.training.population import initial_buffers, stack_experiments

BATCH_SIZE = 16
MAX_STACK_ELEMENTS = 2**18  # parameters in a stack of shifted copies
MAX_COPIES = 256


class Objective:
    """L(theta) = mean loss + penalties; its gradient by `bprop` and by autograd; its value at shifted
    parameters."""

    def __init__(self, subject: Subject):
        job = subject.experiment
        regularizer = job.regularizer
        if regularizer.proximal:  # then L1 is a proximal step after the update, and not in the gradient
            regularizer = replace(regularizer, l1=0.0)
        data = replace(job.data, normalization="standard")
        # `precision` is that of products of float32 on a GPU; its default value leaves float64 as it is.
        exact = {"dtype": "float64", "precision": "float32", "device": "cpu", "batch_size": "full"}
        sample = subject.sample(BATCH_SIZE, data=data, regularizer=regularizer, **exact)
        self.experiment, self.dataset = sample.experiment, sample.dataset
        self.template = sample.examples.template
        self.loss = self.experiment.loss_for(sample.dataset.spec)
        self.regularizer = stack_experiments([self.experiment]).regularizer
        x, t = sample.examples.gather(sample.fold, sample.fold.train)
        self.x, self.batch = x[None].clone(), x.shape[1]
        self.example_weight = self.template.new_full((1, 1, self.batch), 1 / self.batch)  # L is a mean
        self.t = self.regularizer.smooth(t[None, None])[0].clone()

        self.graph = stack_graph(sample.rows(), sample.dataset.spec)
        layout = self.graph.layout()
        self.parameters, self.weights_end, self.size = layout.parameters, layout.weights_end, layout.size
        self.buffers = initial_buffers(sample.rows(), self.graph).to(self.template)
        self.theta, self.grad = (aligned(1, (self.size,), self.template) for _ in range(2))
        for name, leaf_slice in self.parameters.items():
            leaf = leaf_slice.leaf
            std = max(leaf.fan_in, 1) ** -0.5 if leaf.kind == "weight" else 0.3
            draw = std * stream(0, "check", name).standard_normal(leaf.shape)
            leaf_slice.view(self.theta)[0] = torch.from_numpy(draw)
        if subject.plant:
            self.graph = with_wrong_sign(self.graph, subject.plant)
        self.network = self.bind_network(self.theta, self.grad)

    def bind_network(self, theta: torch.Tensor, grad: torch.Tensor, graph: Graph | None = None):
        """The network, or another graph's, on these parameters, with the masks that all of them share."""
        rates = {name: rate.expand(len(theta), 1) for name, rate in self.regularizer.rates().items()}
        site = Site(len(theta), self.batch, training=True, template=theta[:, :0], columns=rates)
        buffers = self.buffers.to(theta).repeat(len(theta), 1)
        network = (graph or self.graph).bind(theta, grad, site, buffers)
        draw_once(network)  # differences need a fixed function of theta
        return network

    def value(self, network, theta: torch.Tensor) -> torch.Tensor:
        """L of every row, (K,), in the dtype of theta."""
        z = network.fprop(self.x.to(theta))
        losses = self.loss.fprop(z, self.t.to(theta).expand(len(theta), -1, -1))
        if network.penalty is not None:
            losses = losses + network.values()[network.penalty][:, 0]
        return losses.mean(1) + self.regularizer.penalty(theta[:, : self.weights_end])

    def value_along(self, v: torch.Tensor, dtype: torch.dtype) -> Callable[[float], float]:
        """L(theta + step v), a function of the step, computed in this dtype."""
        center, v = self.theta.to(dtype), v.to(dtype)
        theta = aligned(1, (self.size,), center)
        network = self.bind_network(theta, torch.zeros_like(theta))
        for (_, ctx), (_, exact) in zip(network.stochastic, self.network.stochastic, strict=True):
            ctx.uniforms = exact.uniforms.to(dtype)  # a stream draws other numbers in another dtype

        def f(step: float) -> float:
            theta.copy_(center + step * v)
            return float(self.value(network, theta))

        return f

    def value_now(self) -> float:
        """L at the present `theta`."""
        return float(self.value(self.network, self.theta))

    def gradient(self) -> dict[str, np.ndarray]:
        """Each parameter's gradient, flat, by `bprop` and the formulas of the loss and the penalty."""
        self.loss_gradient(self.network)
        self.add_penalty_gradient(self.grad)
        return self.by_name(self.grad)

    def loss_gradient(self, network: Network) -> None:
        """The gradient of the mean loss, and of a penalty of activations, into the network's `grad`."""
        z, weight = network.fprop(self.x), self.example_weight
        network.bprop(self.loss.bprop(z, self.t, weight, out=torch.empty_like(z)), weight)

    def by_name(self, matrix: torch.Tensor) -> dict[str, np.ndarray]:
        """Each parameter's part of a matrix (1, P), flat."""
        return {
            name: leaf_slice.view(matrix).flatten().numpy().copy()
            for name, leaf_slice in self.parameters.items()
        }

    def add_penalty_gradient(self, grad: torch.Tensor) -> None:
        """Add the penalty's gradient, as a training step does."""
        any_lr = torch.ones(1, 1, dtype=torch.float64)  # used by the proximal step alone, which is left out
        factors = SimpleNamespace(**self.regularizer.factors(lr=any_lr))
        weights, weight_gradient = self.theta[:, : self.weights_end], grad[:, : self.weights_end]
        self.regularizer.add_gradient(weights, weight_gradient, factors, torch.empty_like(weights))

    def autograd_gradient(self) -> dict[str, np.ndarray] | None:
        """The same by torch.autograd through the references; None if a box or the loss has no reference."""
        with torch.enable_grad():
            leaves = self._leaves()
            loss = self._reference_loss(leaves, self.network.penalty)
            if loss is None:
                return None
            weights = [leaves[name] for name in self.graph.layout().weights]
            penalty = self.regularizer.penalty(torch.cat([W.flatten(1) for W in weights], 1)).sum()
            gradients = _autograd(loss + penalty, leaves)
        return {name: g.flatten().numpy() for name, g in zip(leaves, gradients, strict=True)}

    def autograd_hessian_product(self, v: torch.Tensor) -> dict[str, np.ndarray] | None:
        """H v of the mean loss alone, each parameter's part, flat: the gradient of <v, gradient>."""
        with torch.enable_grad():
            leaves = self._leaves()
            loss = self._reference_loss(leaves)
            if loss is None:
                return None
            gradients = _autograd(loss, leaves, create_graph=True)
            parts = [leaf_slice.view(v) for leaf_slice in self.parameters.values()]
            along_v = sum((g * part).sum() for g, part in zip(gradients, parts, strict=True))
            products = _autograd(along_v, leaves)
        return {name: g.flatten().numpy() for name, g in zip(leaves, products, strict=True)}

    def _leaves(self) -> dict[str, torch.Tensor]:
        """The parameters by name, as autograd's leaves."""
        slices = self.parameters.items()
        return {name: leaf_slice.view(self.theta).clone().requires_grad_() for name, leaf_slice in slices}

    def _reference_loss(self, leaves: dict[str, torch.Tensor], penalty: int | None = None):
        """The mean loss by the references, with the value `penalty`; None if a box or the loss has none."""
        buffers = {n: leaf_slice.view(self.buffers) for n, leaf_slice in self.graph.layout().buffers.items()}
        values = references.reference_values(self.network, leaves | buffers, self.x)
        if values is None or self.loss.reference is None:
            return None
        losses = self.loss.reference(values[self.graph.outputs[-1]], self.t)
        return (losses if penalty is None else losses + values[penalty][:, 0]).mean()

    def make_shifted_objective(self) -> Callable[[str, np.ndarray, float], np.ndarray]:
        """A function f(name, indices, step): L for each of the elements `indices` of the parameter `name`,
        with that element alone shifted by `step`.

        Every shifted copy of theta is a row of one stack.
        """
        row_count = int(max(1, min(MAX_COPIES, MAX_STACK_ELEMENTS // self.size)))
        theta = aligned(row_count, (self.size,), self.template).copy_(self.theta.expand(row_count, -1))
        network = self.bind_network(theta, torch.zeros_like(theta))

        def f(name: str, indices: np.ndarray, step: float) -> np.ndarray:
            values = np.empty(len(indices))
            for start in range(0, len(indices), row_count):
                positions = torch.from_numpy(indices[start : start + row_count]) + self.parameters[name].start
                copies = torch.arange(len(positions))
                with shifted(theta, (copies, positions), step):
                    values[start : start + row_count] = self.value(network, theta)[: len(positions)]
            return values

        return f


def _autograd(y: torch.Tensor, leaves: dict[str, torch.Tensor], create_graph=False) -> list[torch.Tensor]:
    """The gradient of y with respect to each leaf, 0 where it does not depend on one."""
    if not y.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves.values()]
    return torch.autograd.grad(
        y, list(leaves.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
