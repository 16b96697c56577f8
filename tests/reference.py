"""An independent reference training loop, with torch.nn, torch.autograd, torch.optim and scikit-learn.

It shares with nnlab what must be the same for numbers to be comparable: the initial weights, the order of
the examples and dropout's uniform numbers, all drawn from their streams.
"""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from optimizer_cases import gamma
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from nnlab.experiment import Row
from nnlab.streams import stream, uniforms
from nnlab.training.population import initial_theta

OPTIMIZERS = {  # of an nnlab optimiser and groups of parameters
    "sgd": lambda o, p: torch.optim.SGD(p, o.lr),
    "momentum": lambda o, p: torch.optim.SGD(p, o.lr, momentum=o.gamma),
    "rmsprop": lambda o, p: torch.optim.RMSprop(p, o.lr, alpha=o.gamma, eps=o.epsilon),
    "adam": lambda o, p: torch.optim.Adam(p, o.lr, (o.beta1, o.beta2), eps=o.epsilon),
}
ACTIVATIONS = {"relu": F.relu, "tanh": F.tanh, "sigmoid": F.sigmoid, "identity": lambda x: x}


class Net(torch.nn.Module):
    """The perceptron of an experiment with the initial weights of a row."""

    def __init__(self, row: Row, inputs: int, outputs: int):
        super().__init__()
        self.row, e = row, row.experiment
        hidden = getattr(e.model, "hidden", ())
        self.activation = ACTIVATIONS[getattr(e.model, "activation", "identity")]
        self.names = [f"hidden{n}" for n in range(1, len(hidden) + 1)] + ["output"]
        graph = e.model.graph((inputs,), outputs)
        theta, leaf_slices = initial_theta([row], graph), graph.layout().parameters
        self.layers = torch.nn.ModuleList()
        for name, (i, o) in zip(
            self.names, zip((inputs, *hidden), (*hidden, outputs), strict=True), strict=True
        ):
            layer = torch.nn.Linear(i, o, dtype=torch.float64)
            layer.weight.data = leaf_slices[f"{name}.weight"].view(theta)[0].clone()
            layer.bias.data = leaf_slices[f"{name}.bias"].view(theta)[0, :, 0].clone()
            self.layers.append(layer)

    def forward(self, x, noise=None):
        """Outputs (B, m); `noise` is (epoch, step, steps of an epoch) while training."""
        for number, layer in enumerate(self.layers[:-1], start=1):
            x = self.activation(layer(x))
            p = self.row.experiment.regularizer.dropout
            if noise and p:
                epoch, step, steps = noise
                shape = (steps, layer.out_features, self.row.batch)
                u = uniforms(shape, x, self.row.seed, "noise", f"dropout{number}", epoch, 0)[step]
                x = x * (u.T[: len(x)] >= p) / (1 - p)
        return self.layers[-1](x)

    def weights(self) -> dict[str, np.ndarray]:
        copies = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            copies[f"{name}.weight"] = layer.weight.detach().numpy().copy()
            copies[f"{name}.bias"] = layer.bias.detach().numpy()[:, None].copy()
        return copies


@dataclass
class Epoch:
    metrics: dict[str, float]
    weights: dict[str, np.ndarray]  # at its end, before it goes back
    went_back: bool = False
    events: dict[str, float] = field(default_factory=dict)  # what the schedule did after it


def momentum(o, done: int, total: int) -> float:
    """Of the update after `done`, of `total`."""
    return min(gamma(o, done), o.last_gamma) if total - done <= o.last_updates else gamma(o, done)


def train(row: Row) -> list[Epoch]:
    """Every epoch of the row, on the CPU in float64, by torch."""
    e, fold, dataset = row.experiment, row.fold, row.experiment.data.load()
    x = torch.from_numpy(StandardScaler().fit(dataset.x[fold.train]).transform(dataset.x))
    if dataset.classes:
        t, loss, unit = torch.from_numpy(dataset.y), F.cross_entropy, None
    else:
        scaler = StandardScaler().fit(dataset.y[fold.train])
        t, loss, unit = torch.from_numpy(scaler.transform(dataset.y)), F.mse_loss, torch.tensor(scaler.scale_)
    net = Net(row, dataset.spec.inputs, dataset.spec.outputs)
    weights, biases = ([getattr(layer, part) for layer in net.layers] for part in ("weight", "bias"))
    optimizer = OPTIMIZERS[e.optimizer.name](e.optimizer, [{"params": weights}, {"params": biases}])
    snapshot, previous_metric, factor, epochs = None, math.inf, 1.0, []
    steps = -(-len(fold.train) // row.batch)

    def omega():
        return e.regularizer.l2 / 2 * sum(layer.weight.square().sum() for layer in net.layers)

    def error(z, t):
        return (z.argmax(1) != t).double() if unit is None else ((z - t) * unit).square().mean(1)

    for epoch in range(1, e.epochs + 1):
        lr = e.optimizer.lr * factor
        if e.schedule.name == "cosine":
            lr *= (1 + math.cos(math.pi * (epoch - 1) / e.epochs)) / 2
        snapshot = snapshot or copy.deepcopy((net.state_dict(), optimizer.state_dict()))
        order, losses, errors = stream(row.seed, "order", epoch).permutation(fold.train), [], []
        for step in range(steps):
            batch = order[step * row.batch : (step + 1) * row.batch]
            warm = e.schedule.warmup * steps  # in updates
            warmed = lr * min(1, ((epoch - 1) * steps + step + 1) / warm if warm else 1)
            for group, factor_of_group in zip(
                optimizer.param_groups, (1, e.optimizer.bias_lr_factor), strict=True
            ):
                group["lr"] = warmed * factor_of_group
            if e.optimizer.name == "momentum":
                done, total = (epoch - 1) * steps + step, e.epochs * steps
                for group in optimizer.param_groups:
                    group["momentum"] = momentum(e.optimizer, done, total)
            optimizer.zero_grad()
            z = net(x[batch], (epoch, step, steps))
            data_loss = loss(z, t[batch])
            (data_loss + omega()).backward()
            norm = torch.cat([p.grad.flatten() for p in net.parameters()]).norm()
            optimizer.step()
            losses.append(data_loss.item() * len(batch))
            errors.append(error(z.detach(), t[batch]))
        with torch.no_grad():
            z, v = net(x[fold.validation]), t[fold.validation]
        power = 1 if unit is None else 0.5
        metrics = {
            "train_loss": sum(losses) / len(order),
            "train_error": torch.cat(errors).mean().item() ** power,
            "val_loss": loss(z, v).item(),
            "val_error": error(z, v).mean().item() ** power,
            "lr": warmed,
            "grad_norm": norm.item(),
            "penalty": omega().item(),
        }
        if getattr(e.optimizer, "ramp", "none") != "none":
            metrics["momentum"] = optimizer.param_groups[0]["momentum"]
        epochs.append(Epoch(metrics, net.weights()))
        if e.schedule.name == "halve_and_go_back":
            now = metrics[e.schedule.metric]
            epochs[-1].went_back = now > previous_metric * (1 + e.schedule.tolerance)
            if epochs[-1].went_back:
                net.load_state_dict(snapshot[0])
                optimizer.load_state_dict(copy.deepcopy(snapshot[1]))
                factor *= e.schedule.factor
            else:
                snapshot, previous_metric = copy.deepcopy((net.state_dict(), optimizer.state_dict())), now
            back = float(epochs[-1].went_back)
            epochs[-1].events = {"went_back": back, "lr_lowered": back if epoch < e.epochs else 0.0}
    return epochs
