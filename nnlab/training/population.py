"""A population: the rows of one stack with their parameters, optimiser state and hyperparameters.

    theta    (K, P)   every parameter of every row, laid out [weights | biases]
    buffers  (K, Q)   statistics that boxes keep of the examples they saw, such as running means
    slots    (K, P)   each: the state of the optimiser, such as Adam's m
    t        (K, 1)   how many updates a row has had

Early stopping, best weights and going back are `select` and `copy_rows` on exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace

import numpy as np
import torch

from nnlab.autodiff.graph import Graph
from nnlab.experiment import ROW_SETTINGS, Experiment, Row
from nnlab.hyperparameters import parts, select, stack
from nnlab.metrics import cost, recorded_name
from nnlab.runtime.cuda_graphs import copy_from_host, is_cuda
from nnlab.schedules.base import PastEpoch
from nnlab.streams import stream


@dataclass
class Weights:
    """Parameters and buffers: all that a forward pass reads."""

    theta: torch.Tensor
    buffers: torch.Tensor

    def named(self) -> dict[str, torch.Tensor]:
        """Every tensor by its name."""
        return {"theta": self.theta} | ({"buffers": self.buffers} if self.buffers.numel() else {})

    def select(self, rows):
        """A copy for these rows alone (indices)."""
        return Weights(self.theta[rows], self.buffers[rows])

    def copy_rows(self, rows, source: Weights) -> None:
        """Overwrite rows, a mask (K,) or a slice, with those of `source`, which may have further tensors."""
        source_tensors = source.named()
        for name, tensor in self.named().items():
            if is_cuda(tensor) and isinstance(rows, torch.Tensor):  # in one pass, and without a sync
                mask = copy_from_host(rows, torch.empty(rows.shape, dtype=torch.bool, device=tensor.device))[
                    :, None
                ]
                torch.where(mask, source_tensors[name], tensor, out=tensor)
            else:
                tensor[rows] = source_tensors[name][rows]


@dataclass
class State(Weights):
    """All tensors that a training step changes, and that going back restores."""

    slots: SimpleNamespace
    t: torch.Tensor

    def named(self):
        slots = {f"slots.{name}": slot for name, slot in vars(self.slots).items()}
        return super().named() | {"t": self.t} | slots

    def select(self, rows):
        slots = {name: slot[rows] for name, slot in vars(self.slots).items()}
        return State(self.theta[rows], self.buffers[rows], SimpleNamespace(**slots), self.t[rows])


@dataclass
class Population:
    """All state of K rows in training, K first in every array; `experiment` is their experiments, stacked."""

    rows: list[Row]
    experiment: Experiment
    state: State
    schedule: dict[str, np.ndarray]  # the state of the schedule
    stopping: dict[str, np.ndarray]  # and of the stopping rule
    best_value: np.ndarray
    best_epoch: np.ndarray
    best_weights: Weights
    past: list[list[PastEpoch]]  # for each row that will be refitted, its epochs so far
    best: dict[str, np.ndarray] = field(default_factory=dict)  # metrics of the best epoch

    @staticmethod
    def create(rows: list[Row], graph: Graph, template: torch.Tensor) -> Population:
        """The rows before their first step."""
        experiment = stack_experiments([row.experiment for row in rows])
        theta = initial_theta(rows, graph).to(template)
        slots = {name: torch.zeros_like(theta) for name in experiment.optimizer.slots}
        buffers = initial_buffers(rows, graph).to(template)
        state = State(
            theta, buffers, SimpleNamespace(**slots), torch.zeros(len(rows), 1, dtype=torch.float64)
        )
        return Population(
            rows, experiment, state,
            experiment.schedule.start(len(rows)), experiment.stopping.start(len(rows)),
            np.full(len(rows), np.inf), np.zeros(len(rows), int), Weights(theta.clone(), buffers.clone()),
            [[] for _ in rows],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: np.ndarray) -> Population:
        """The population of these rows alone (indices, in any order)."""
        return Population(**{f.name: _select(getattr(self, f.name), rows) for f in fields(self)})

    @property
    def to_refit(self) -> list[int]:
        """The indices of the rows that will be refitted, for which `past` is recorded."""
        return [k for k, r in enumerate(self.rows) if r.experiment.refit and not r.refit and not r.candidate]

    def nonfinite(self, metrics: dict[str, np.ndarray]) -> np.ndarray:
        """The rows whose loss or gradient is not finite after an epoch, (K,) bool."""
        watched = [metrics[m] for m in ("train_loss", "val_loss", "grad_norm") if m in metrics]
        return ~np.isfinite(watched).all(0)

    def replay_schedule(self, epoch: int) -> None:
        """In a refit: give the schedule the state that it had before this epoch of the first training."""
        if self.rows[0].refit:
            states = [_past_epoch(row, epoch).state for row in self.rows]
            self.schedule = {name: np.stack([state[name] for state in states]) for name in states[0]}

    def watched_metrics(self, metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics that schedules and stopping rules see: those of the record, and each of the table by
        its own name as what is minimised, so that less is better in all. They are infinite for a row that has
        anything that is not finite, so that it counts as the largest rise there is."""
        nonfinite, validation = self.nonfinite(metrics), {"val_loss", "val_error"} & metrics.keys()
        validation |= {name for name in self.rows[0].measured if recorded_name(name) in metrics}
        return metrics | {m: np.where(nonfinite, np.inf, cost(m, metrics)) for m in validation}

    def update_schedule(self, epoch: int, watched: dict[str, np.ndarray]) -> np.ndarray:
        """Let the schedule observe an epoch's metrics; (K,) bool, the rows that must go back an epoch.

        In a refit the same epochs are undone as in the first training.
        """
        if self.rows[0].refit:
            return np.array([_past_epoch(row, epoch).went_back for row in self.rows])
        to_refit = self.to_refit
        states = [{name: np.copy(array[k]) for name, array in self.schedule.items()} for k in to_refit]
        go_back = self.experiment.schedule.observe(self.schedule, watched)
        go_back = np.zeros(len(self), bool) if go_back is None else go_back
        for k, state in zip(to_refit, states, strict=True):
            self.past[k].append(PastEpoch(state, bool(go_back[k])))
        return go_back

    def keep_best(self, epoch: int, metrics: dict[str, np.ndarray], go_back) -> np.ndarray:
        """Copy the weights of rows whose metric is the best so far; which rows improved, (K,) bool.

        An epoch whose losses are not finite is never the best, whatever its error. With metric=last an epoch
        from which the row will `go_back` (K,) is not the last; but a refit ends with the epoch that was the
        best in the first training, even if the row went back from it.
        """
        last = self.experiment.metric == "last"
        value = np.full(len(self), -epoch) if last else cost(self.experiment.metric, metrics)
        improved = ~self.nonfinite(metrics) & (value < self.best_value)
        if last and not self.rows[0].refit:
            improved &= ~go_back
        if improved.any():
            rows = slice(None) if improved.all() else torch.from_numpy(improved)
            self.best_weights.copy_rows(rows, self.state)
            self.best_value = np.where(improved, value, self.best_value)
            self.best_epoch = np.where(improved, epoch, self.best_epoch)
            for name, values in metrics.items():
                self.best[name] = np.where(improved, values, self.best.get(name, np.nan))
        return improved


def _past_epoch(row: Row, epoch: int) -> PastEpoch:
    """The epoch of the first training that a refit repeats; the last one, for a row that has ended."""
    return row.past[min(epoch, len(row.past)) - 1]


def _select(value, rows):
    if isinstance(value, list):
        return [value[i] for i in rows]
    if isinstance(value, dict):
        return {key: array[rows] for key, array in value.items()}
    if isinstance(value, Experiment):
        return select_experiments(value, rows)
    if isinstance(value, Weights):
        return value.select(rows)
    return value[rows]


# ---- stacking experiments


def stack_experiments(experiments: list[Experiment]) -> Experiment:
    """One experiment for all rows: columns (K, 1), controls (K,)."""
    stacked = stack([replace(e, **ROW_SETTINGS) for e in experiments])
    return replace(stacked, **{g: stack([getattr(e, g) for e in experiments]) for g in parts(stacked)})


def select_experiments(experiment: Experiment, rows) -> Experiment:
    """The stacked experiment of these rows alone."""
    selected = select(experiment, rows)
    return replace(selected, **{g: select(getattr(experiment, g), rows) for g in parts(selected)})


# ---- initial weights


def initial_theta(rows: list[Row], graph: Graph) -> torch.Tensor:
    """(K, P) float64 on the CPU; rows with the same seed and init get the same weights, drawn once."""
    layout = graph.layout()
    theta = torch.zeros(len(rows), layout.size, dtype=torch.float64)
    first_row = {}  # (seed, init) -> the row for which they were drawn
    for k, row in enumerate(rows):
        init = row.experiment.init
        if (row.seed, init) not in first_row:
            first_row[row.seed, init] = k
            for name, leaf_slice in layout.parameters.items():
                leaf_slice.view(theta)[k] = _draw_parameter(init, row.seed, name, leaf_slice.leaf)
        else:
            theta[k] = theta[first_row[row.seed, init]]
    return theta


def initial_buffers(rows: list[Row], graph: Graph) -> torch.Tensor:
    """(K, Q) float64 on the CPU: every buffer at its initial value."""
    layout = graph.layout()
    buffers = torch.zeros(len(rows), layout.buffers_size, dtype=torch.float64)
    for leaf_slice in layout.buffers.values():
        leaf_slice.view(buffers).fill_(leaf_slice.leaf.start)
    return buffers


def _draw_parameter(init, seed: int, name: str, p) -> torch.Tensor:
    if p.start is None and p.kind == "bias":
        return torch.full(p.shape, init.bias, dtype=torch.float64)
    if callable(p.start):
        return torch.from_numpy(p.start(seed, name))
    random = stream(seed, "init", name)
    if p.start is not None:
        mean, std = p.start
        return torch.from_numpy(mean + std * random.standard_normal(p.shape))
    return torch.from_numpy(init.weights(random, p.shape, p.fan_in, p.fan_out, p.activation))


def leaf_views(graph: Graph, weights: Weights) -> dict[str, torch.Tensor]:
    """Every leaf by its full name, as a view (K, *shape)."""
    layout = graph.layout()
    parameters = {name: leaf_slice.view(weights.theta) for name, leaf_slice in layout.parameters.items()}
    return parameters | {
        name: leaf_slice.view(weights.buffers) for name, leaf_slice in layout.buffers.items()
    }


def leaf_arrays(graph: Graph, weights: Weights) -> dict[str, np.ndarray]:
    """The same as arrays on the host."""
    on_cpu = Weights(weights.theta.cpu(), weights.buffers.cpu())
    return {name: view.numpy() for name, view in leaf_views(graph, on_cpu).items()}
